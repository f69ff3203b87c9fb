//! How long a constraint takes to compile and to say what may come next, for the vocabulary of a model.
//!
//! `cargo run --release -p causeway-inference --example masks -- MODEL [SCHEMA.json]`

use std::{
    error::Error,
    io::Write,
    time::{Duration, Instant},
};

use inference::{Constraint, Event, Options, Request, Role, Sampling, Turn};

const SCHEMA: &str = r#"{"type":"object","additionalProperties":false,"required":["action","room","level","note"],
"properties":{"action":{"enum":["turn_on","turn_off","dim"]},"room":{"type":"string","maxLength":24},
"level":{"type":"integer","minimum":0,"maximum":100},"note":{"type":"string","maxLength":200}}}"#;
const ANSWERS: u64 = 20;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let model = arguments.next().ok_or("usage: masks MODEL [SCHEMA.json]")?;
    let schema = arguments.next().map_or(Ok(SCHEMA.to_owned()), std::fs::read_to_string)?;
    let (service, handle) = Options { model: model.into(), threads: 1, ..Options::default() }.build()?;
    let service = std::thread::spawn(move || service.run());
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}: {} ids", handle.model().name, handle.model().vocabulary)?;
    let request = |constraint, seed| Request {
        conversation: vec![Turn { role: Role::User, text: "Dim the lamp.".into() }],
        sampling: Sampling { temperature: Some(1.0), ..Sampling::default() },
        max_tokens: 200,
        constraint,
        seed,
        ..Request::default()
    };
    let mut steps = Vec::new();
    for constraint in [None, Some(Constraint::JsonSchema(schema))] {
        let mut started = Vec::new();
        let (mut took, mut tokens) = (Duration::ZERO, 0);
        for seed in 0..ANSWERS {
            let asked = Instant::now();
            let mut stream = handle.generate(request(constraint.clone(), seed))?;
            started.push(asked.elapsed());
            // The first token comes with the prompt.
            let mut first = None;
            while let Some(event) = stream.blocking_next() {
                match event {
                    Event::Delta { .. } => drop(first.get_or_insert_with(Instant::now)),
                    Event::Done(done) => tokens += done.usage.output_tokens.saturating_sub(1),
                    Event::Failed(error) => return Err(error.into()),
                }
            }
            took += first.map(|first| first.elapsed()).unwrap_or_default();
        }
        let name = if constraint.is_some() { "constrained" } else { "free" };
        let step = took / u32::try_from(tokens.max(1))?;
        let again = started[1..].iter().sum::<Duration>() / u32::try_from(started.len() - 1)?;
        writeln!(out, "{name}: first request {:.1?}, later {again:.1?}, each token {step:.1?}", started[0])?;
        steps.push(step);
    }
    writeln!(out, "the constraint's part of a token: {:.1?}", steps[1].saturating_sub(steps[0]))?;
    drop(handle);
    service.join().map_err(|_| "the engine's thread panicked")?;
    Ok(())
}
