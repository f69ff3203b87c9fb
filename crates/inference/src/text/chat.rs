//! A conversation as the model was trained to read it: control ids around text that cannot contain any.

use std::{path::Path, time::SystemTime};

use minijinja::Value as Jinja;
use serde_json::Value;

use super::{
    Tokenizer,
    controls::Controls,
    template::{Scene, Template},
};
use crate::{
    Error, Role, Turn,
    formats::{Description, Metadata, ModelFile},
};

/// The control tokens of the ChatML layout.
const TURN_START: &str = "<|im_start|>";
const TURN_END: &str = "<|im_end|>";

/// How turns are laid out.
#[derive(Debug)]
pub(super) enum Layout {
    /// As the model's own template says.
    Template(Box<Template>),
    /// ChatML, for models that say nothing.
    ChatMl { start: u32, end: u32 },
}

impl Layout {
    pub(super) fn read(
        file: &ModelFile,
        tokenizer: &Path,
        id_of: &dyn Fn(&str) -> Option<u32>,
    ) -> Result<Self, Error> {
        let (source, names) = match &file.description {
            Description::Gguf(metadata) => {
                (metadata.text("tokenizer.chat_template").map(str::to_owned), names_in_gguf(metadata))
            }
            Description::HuggingFace { tokenizer_config, template, .. } => {
                let source = template.clone().or_else(|| source_in(tokenizer_config.as_ref()));
                (source, names_in_folder(tokenizer_config.as_ref()))
            }
        };
        if let Some(source) = source {
            return Template::new(&file.path, &source, names).map(|it| Self::Template(Box::new(it)));
        }
        let control = |name: &str| {
            id_of(name).ok_or_else(|| {
                let problem = "is not a token of this tokenizer; without a chat template ChatML needs it";
                Error::model(tokenizer, name, problem)
            })
        };
        Ok(Self::ChatMl { start: control(TURN_START)?, end: control(TURN_END)? })
    }
}

impl Tokenizer {
    /// The ids of a conversation up to where the answer begins. Refuses what cannot fit `tokens_max`.
    pub(crate) fn render(&self, conversation: &[Turn], tokens_max: usize) -> Result<Vec<u32>, Error> {
        // No token has more bytes than the longest, so a text far too long is refused before it is tokenised.
        let bytes: usize = conversation.iter().map(|turn| turn.text.len()).sum();
        let least = bytes.div_ceil(self.token_bytes_max);
        if least > tokens_max {
            return Err(Error::OverLong { prompt_tokens: least, max: tokens_max });
        }
        match &self.layout {
            Layout::Template(template) => self.by_template(template, conversation),
            Layout::ChatMl { start, end } => self.chat_ml([*start, *end], conversation),
        }
    }

    fn by_template(&self, template: &Template, conversation: &[Turn]) -> Result<Vec<u32>, Error> {
        let texts: Vec<&str> = conversation.iter().map(|turn| turn.text.as_str()).collect();
        let Some(mark) = Controls::mark(&texts) else {
            return Err(Error::bad_request("conversation", "holds every one of Unicode's noncharacters"));
        };
        let message = |turn: &Turn| {
            let text = self.encoder.controls().marked(&turn.text, mark);
            Jinja::from_pairs([("role", name(turn.role).to_owned()), ("content", text)])
        };
        let scene = Scene {
            messages: conversation.iter().map(message).collect::<Vec<Jinja>>().into(),
            tools: None,
            add_generation_prompt: true,
            more: Vec::new(),
            now: SystemTime::now(),
        };
        self.encoder.rendered(&template.render(scene)?, mark)
    }

    fn chat_ml(&self, [start, end]: [u32; 2], conversation: &[Turn]) -> Result<Vec<u32>, Error> {
        let line = self.encoder.plain("\n", false)?;
        let mut ids = Vec::new();
        for turn in conversation {
            ids.push(start);
            ids.extend(self.encoder.plain(&format!("{}\n{}", name(turn.role), turn.text), false)?);
            ids.push(end);
            ids.extend(&line);
        }
        ids.push(start);
        ids.extend(self.encoder.plain(&format!("{}\n", name(Role::Assistant)), false)?);
        Ok(ids)
    }
}

fn name(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    }
}

/// The template of `tokenizer_config.json`: one, or the default one of several.
fn source_in(config: Option<&Value>) -> Option<String> {
    match config?.get("chat_template")? {
        Value::String(source) => Some(source.clone()),
        Value::Array(named) => {
            let default = named.iter().find(|one| one.get("name").and_then(Value::as_str) == Some("default"));
            default?.get("template")?.as_str().map(str::to_owned)
        }
        _ => None,
    }
}

const NAMES: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

fn names_in_folder(config: Option<&Value>) -> Vec<(String, String)> {
    let token = |name: &&str| {
        let value = config?.get(*name)?;
        let text = value.as_str().or_else(|| value.get("content").and_then(Value::as_str))?;
        Some(((*name).to_owned(), text.to_owned()))
    };
    NAMES.iter().filter_map(token).collect()
}

fn names_in_gguf(metadata: &Metadata) -> Vec<(String, String)> {
    let texts = metadata.texts("tokenizer.ggml.tokens").unwrap_or_default();
    let keys = [
        ("bos_token", "bos_token_id"),
        ("eos_token", "eos_token_id"),
        ("unk_token", "unknown_token_id"),
        ("sep_token", "seperator_token_id"),
        ("pad_token", "padding_token_id"),
    ];
    let token = |(name, key): &(&str, &str)| {
        let id = metadata.unsigned(&format!("tokenizer.ggml.{key}"))?;
        let text = texts.get(usize::try_from(id).ok()?)?;
        Some(((*name).to_owned(), text.clone()))
    };
    keys.iter().filter_map(token).collect()
}
