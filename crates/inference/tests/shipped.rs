//! The models that ship in the repository load in both formats, read text alike, and answer.

use std::{
    error::Error,
    path::{Path, PathBuf},
};

use inference::{Event, Options, Request, Role, Turn};

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
