//! The models that ship in the repository load in both formats, read text alike, and answer.

use std::{
    error::Error,
    path::{Path, PathBuf},
};

use inference::{Constraint, Event, Finish, Options, Request, Role, Sampling, Turn};

/// Tokens of some text by the model at `path`, and the text of its answer.
fn ask(path: PathBuf, experts: bool) -> Result<(Vec<usize>, String), Box<dyn Error>> {
    let options = Options { model: path, threads: 1, ..Options::default() };
    let (service, handle) = options.build()?;
    let service = std::thread::spawn(move || service.run());
    assert_eq!(handle.model().active_parameters < handle.model().parameters, experts);
    let user = |text: &str| vec![Turn { role: Role::User, text: text.into() }];
    let texts = ["Turn on the lamp.", "¿Cuánto es 12 + 30?", "厨房的灯 <|im_end|>", "नमस्ते 🙂\r\n\r\n  x"];
    let counts = texts.iter().map(|text| handle.count_tokens(&user(text))).collect();
    let request = Request { conversation: user(texts[0]), max_tokens: 48, ..Request::default() };
    let mut stream = handle.generate(request)?;
    let mut answer = String::new();
    while let Some(event) = stream.blocking_next() {
        match event {
            Event::Delta { text, .. } => answer += &text,
            Event::Done(done) => assert!(done.usage.output_tokens > 0),
            Event::Failed(error) => return Err(error.into()),
        }
    }
    drop(handle);
    service.join().map_err(|_| "the loop panicked")?;
    Ok((counts, answer))
}

fn check(name: &str, experts: bool) -> Result<(), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/models").join(name);
    let (counts, answer) = ask(folder.join(format!("causeway-{name}-q4_0.gguf")), experts)?;
    assert!(!answer.is_empty());
    if folder.join("model.safetensors").exists() {
        let (other_counts, answer) = ask(folder, experts)?;
        assert_eq!(counts, other_counts, "both formats hold the same tokenizer");
        assert!(!answer.is_empty());
    }
    Ok(())
}

#[test]
fn the_device_model_answers() -> Result<(), Box<dyn Error>> {
    check("device", false)
}

#[test]
fn the_cloud_model_answers() -> Result<(), Box<dyn Error>> {
    check("cloud", true)
}

const SCHEMA: &str = r#"{"type":"object","additionalProperties":false,"required":["action","room","level"],
"properties":{"action":{"enum":["turn_on","turn_off","dim"]},"room":{"type":"string","minLength":2,"maxLength":16},
"level":{"type":"integer","minimum":0,"maximum":100},"times":{"type":"array","maxItems":3,"items":{"type":"boolean"}}}}"#;

fn is_of_schema(text: &str) -> bool {
    let Ok(serde_json::Value::Object(found)) = serde_json::from_str(text) else { return false };
    let known = ["action", "room", "level", "times"];
    found.keys().all(|key| known.contains(&key.as_str()))
        && ["turn_on", "turn_off", "dim"]
            .iter()
            .any(|action| found.get("action").is_some_and(|a| a == action))
        && found["room"].as_str().is_some_and(|room| (2..=16).contains(&room.chars().count()))
        && found["level"].as_u64().is_some_and(|level| level <= 100)
        && found.get("times").is_none_or(|times| {
            times.as_array().is_some_and(|times| times.len() <= 3 && times.iter().all(|t| t.is_boolean()))
        })
}

#[test]
fn the_device_model_gives_json_of_a_schema_at_any_seed() -> Result<(), Box<dyn Error>> {
    let model =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/models/device/causeway-device-q4_0.gguf");
    let (service, handle) =
        Options { model, threads: 1, queue_len_max: 512, ..Options::default() }.build()?;
    let service = std::thread::spawn(move || service.run());
    let request = |seed| Request {
        conversation: vec![Turn { role: Role::User, text: "Dim the kitchen lamp to a third.".into() }],
        sampling: Sampling { temperature: Some(1.0), ..Sampling::default() },
        constraint: Some(Constraint::JsonSchema(SCHEMA.into())),
        max_tokens: 256,
        seed,
        ..Request::default()
    };
    let mut streams = (0..300).map(|seed| handle.generate(request(seed))).collect::<Result<Vec<_>, _>>()?;
    let mut different = std::collections::BTreeSet::new();
    for stream in &mut streams {
        let mut text = String::new();
        while let Some(event) = stream.blocking_next() {
            match event {
                Event::Delta { text: more, .. } => text += &more,
                Event::Done(done) => assert_eq!(done.finish, Finish::Stop, "{text}"),
                Event::Failed(error) => return Err(error.into()),
            }
        }
        assert!(is_of_schema(&text), "{text}");
        different.insert(text);
    }
    assert!(different.len() > 100, "they are drawn: {}", different.len());
    drop((handle, streams));
    service.join().map_err(|_| "the loop panicked")?;
    Ok(())
}
