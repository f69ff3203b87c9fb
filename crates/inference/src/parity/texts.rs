//! Whether text becomes the ids, and a conversation the text, that a reference gave.

use std::{
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use minijinja::Value as Jinja;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    Error,
    formats::{Description, ModelFile},
    text::{Encoder, Scene, Template, gguf_description},
};

/// Larger files are refused before they are read.
const BYTES_MAX: u64 = 64 << 20;
const CASES: &str = "cases.json";
/// A character that no case holds.
const MARK: char = '\u{fdd0}';

/// What a tokenizer or a template of a fixture gave.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TextReport {
    /// The tokenizer's or template's file.
    pub path: PathBuf,
    /// Cases that came out as expected, and all of them.
    pub cases: (usize, usize),
    /// The first that did not: what was given, what was expected, what came.
    pub first_difference: Option<[String; 3]>,
}

impl TextReport {
    /// Whether all cases came out as expected.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.cases.0 == self.cases.1
    }
}

/// A text and its ids: as a person's, and as a template's, in which control tokens are found.
#[derive(Debug, Deserialize)]
struct TokenCase {
    text: String,
    plain: Vec<u32>,
    rendered: Option<Vec<u32>>,
}

/// A conversation and its text, or none where the template must refuse it.
#[derive(Debug, Deserialize)]
struct TemplateCase {
    messages: Jinja,
    tools: Option<Jinja>,
    #[serde(default)]
    add_generation_prompt: bool,
    /// More names for the template.
    #[serde(default)]
    names: std::collections::BTreeMap<String, Jinja>,
    /// Seconds since 1970, for templates that tell the date.
    #[serde(default)]
    now: u64,
    text: Option<String>,
}

pub(super) fn is_fixture(folder: &Path) -> bool {
    folder.join(CASES).is_file()
}

/// Tries every tokenizer and template of one fixture.
///
/// # Errors
///
/// [`Error::Model`] where a file is refused or the cases cannot be read.
pub fn check_texts(fixture: &Path) -> Result<Vec<TextReport>, Error> {
    let mut reports = Vec::new();
    for (name, check) in [
        ("tokenizer.json", tokenizer as fn(&Path, &Path) -> Result<TextReport, Error>),
        ("tokenizer.gguf", tokenizer),
        ("template.jinja", template),
    ] {
        let path = fixture.join(name);
        if path.is_file() {
            reports.push(check(fixture, &path)?);
        }
    }
    if reports.is_empty() {
        let problem = "holds neither tokenizer.json, tokenizer.gguf nor template.jinja";
        return Err(Error::model(fixture, "fixture", problem));
    }
    Ok(reports)
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let refused = |problem: String| Error::model(path, "file", problem);
    let length = std::fs::metadata(path).map_err(|error| refused(error.to_string()))?.len();
    if length > BYTES_MAX {
        return Err(refused(format!("is {length} bytes long; at most {BYTES_MAX} are read")));
    }
    std::fs::read(path).map_err(|error| refused(error.to_string()))
}

fn parsed<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, Error> {
    serde_json::from_slice(&read(path)?)
        .map_err(|error| Error::model(path, "JSON", format!("cannot be parsed: {error}")))
}

fn report(path: &Path, outcomes: &[[String; 3]]) -> TextReport {
    let differs = |outcome: &&[String; 3]| outcome[1] != outcome[2];
    let wrong = outcomes.iter().filter(differs).count();
    TextReport {
        path: path.to_owned(),
        cases: (outcomes.len() - wrong, outcomes.len()),
        first_difference: outcomes.iter().find(differs).cloned(),
    }
}

fn tokenizer(fixture: &Path, path: &Path) -> Result<TextReport, Error> {
    let cases: Vec<TokenCase> = parsed(&fixture.join(CASES))?;
    let description: Value = if path.extension().is_some_and(|extension| extension == "gguf") {
        match ModelFile::open(path)?.description {
            Description::Gguf(metadata) => gguf_description(path, &metadata)?,
            Description::HuggingFace { .. } => Value::Null,
        }
    } else {
        parsed(path)?
    };
    let encoder = Encoder::new(path, description)?;
    let mut outcomes = Vec::new();
    for case in cases {
        let plain = encoder.plain(&case.text, true)?;
        outcomes.push([case.text.clone(), format!("{:?}", case.plain), format!("{plain:?}")]);
        if let Some(expected) = case.rendered {
            let rendered = encoder.rendered(&case.text, MARK)?;
            outcomes.push([case.text, format!("{expected:?}"), format!("{rendered:?}")]);
        }
    }
    Ok(report(path, &outcomes))
}

fn template(fixture: &Path, path: &Path) -> Result<TextReport, Error> {
    let cases: Vec<TemplateCase> = parsed(&fixture.join(CASES))?;
    let source = String::from_utf8_lossy(&read(path)?).into_owned();
    let template = Template::new(path, &source, Vec::new())?;
    let outcome = |case: TemplateCase| {
        let given = case.messages.to_string();
        let scene = Scene {
            messages: case.messages,
            tools: case.tools,
            add_generation_prompt: case.add_generation_prompt,
            more: case.names.into_iter().collect(),
            now: UNIX_EPOCH + Duration::from_secs(case.now),
        };
        let expected = case.text.unwrap_or_else(|| "refused".into());
        match template.render(scene) {
            Ok(text) => [given, expected, text],
            Err(_) if expected == "refused" => [given, expected.clone(), expected],
            Err(error) => [given, expected, error.to_string()],
        }
    };
    let outcomes: Vec<[String; 3]> = cases.into_iter().map(outcome).collect();
    Ok(report(path, &outcomes))
}
