//! Which files of a repository make a model.

use super::name::Name;

/// File names in a message, at most.
const TOLD_MAX: usize = 8;
pub(super) const WEIGHTS: &str = "model.safetensors";
pub(super) const INDEX: &str = "model.safetensors.index.json";
/// Files of a folder that are read if they are there.
const OPTIONAL: [&str; 4] =
    ["tokenizer_config.json", "generation_config.json", "chat_template.jinja", "chat_template.json"];

/// The files to have.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// One GGUF file.
    Gguf(String),
    /// A folder's files but for the weights that an index names.
    Folder(Vec<String>),
}

/// Chooses from the files of a repository, or names the part that is missing and what would mend it.
pub(super) fn choose(name: &Name, files: &[String]) -> Result<Choice, (String, String)> {
    let has = |file: &str| files.iter().any(|found| found == file);
    let ggufs: Vec<&String> = files.iter().filter(|file| file.ends_with(".gguf")).collect();
    if let Some(file) = &name.file {
        return match (is_split(file), has(file)) {
            (true, _) => Err((file.clone(), SPLIT.to_owned())),
            (false, true) => Ok(Choice::Gguf(file.clone())),
            (false, false) => Err((file.clone(), format!("is not in the repository; {}", told(&ggufs)))),
        };
    }
    if has("config.json") && (has(WEIGHTS) || has(INDEX)) {
        if !has("tokenizer.json") {
            let problem = "is not in the repository; a tokenizer that transformers loads can be written in this form \
                           with its `save_pretrained`, or name a GGUF file, which has its own";
            return Err(("tokenizer.json".into(), problem.into()));
        }
        let weights = if has(WEIGHTS) { WEIGHTS } else { INDEX };
        let optional = OPTIONAL.into_iter().filter(|file| has(file));
        let all = ["config.json", "tokenizer.json", weights].into_iter().chain(optional);
        return Ok(Choice::Folder(all.map(str::to_owned).collect()));
    }
    match ggufs.as_slice() {
        [one] if is_split(one) => Err(((*one).clone(), SPLIT.to_owned())),
        [one] => Ok(Choice::Gguf((*one).clone())),
        [] => Err((
            "files".into(),
            "hold neither config.json with model.safetensors nor a .gguf file, the forms that are read"
                .into(),
        )),
        many => Err(("files".into(), format!("hold several models: add one after a colon; {}", told(many)))),
    }
}

const SPLIT: &str = "is one of several parts of a model; join them with llama.cpp's `llama-gguf-split --merge` and name \
                     the file, or choose a smaller type";

/// Whether a GGUF file is a part of one, such as `x-00001-of-00003.gguf`.
fn is_split(file: &str) -> bool {
    let number = |text: &str| text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit());
    let stem = file.strip_suffix(".gguf").unwrap_or_default();
    stem.rsplit_once("-of-").is_some_and(|(before, last)| {
        number(last) && before.rsplit_once('-').is_some_and(|(_, first)| number(first))
    })
}

fn told(files: &[&String]) -> String {
    let names: Vec<&str> = files.iter().take(TOLD_MAX).map(|file| file.as_str()).collect();
    match files.len() {
        0 => "it has no .gguf file".to_owned(),
        n if n > TOLD_MAX => format!("it has {} and {} more", names.join(", "), n - TOLD_MAX),
        _ => format!("it has {}", names.join(", ")),
    }
}
