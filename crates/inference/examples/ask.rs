//! Asks a model file one question and tells how fast it answered.
//!
//! `cargo run --release -p causeway-inference --example ask -- MODEL "question" [max tokens] [threads] [guesses]`

use std::{
    error::Error,
    io::Write,
    time::{Duration, Instant},
};

use inference::{Event, Options, Request, Role, Turn};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(model), Some(question)) = (arguments.next(), arguments.next()) else {
        return Err("usage: ask MODEL QUESTION [MAX_TOKENS] [THREADS] [GUESSES]".into());
    };
    let max_tokens = arguments.next().map_or(Ok(256), |n| n.parse())?;
    let threads = arguments.next().map_or(Ok(0), |n| n.parse())?;
    let draft_tokens_max = arguments.next().map_or(Ok(0), |n| n.parse())?;
    let started = Instant::now();
    let options = Options { model: model.into(), threads, draft_tokens_max, ..Options::default() };
    let (service, handle) = options.build()?;
    let loaded = started.elapsed();
    let service = std::thread::spawn(move || service.run());
    let mut out = std::io::stdout().lock();
    let info = handle.model();
    writeln!(
        out,
        "{} ({}, {}), {} parameters, {} active",
        info.name, info.architecture, info.quantization, info.parameters, info.active_parameters
    )?;
    writeln!(out, "loaded in {loaded:.1?}, hash {}", info.hash_hex())?;
    let conversation = vec![Turn { role: Role::User, text: question }];
    let asked = Instant::now();
    let mut stream = handle.generate(Request { conversation, max_tokens, ..Request::default() })?;
    let mut first: Option<Duration> = None;
    while let Some(event) = stream.blocking_next() {
        match event {
            Event::Delta { text, .. } => {
                first.get_or_insert_with(|| asked.elapsed());
                write!(out, "{text}")?;
                out.flush()?;
            }
            Event::Done(done) => {
                let decode = asked.elapsed().saturating_sub(first.unwrap_or_default());
                let tokens = done.usage.output_tokens;
                let rate = tokens.saturating_sub(1) as f64 / decode.as_secs_f64().max(1e-9);
                writeln!(
                    out,
                    "\n{:?}: {} prompt tokens, first token after {:.1?}",
                    done.finish,
                    done.usage.prompt_tokens,
                    first.unwrap_or_default()
                )?;
                writeln!(out, "{tokens} tokens, {rate:.0} per second, confidence {:?}", done.confidence)?;
            }
            Event::Failed(error) => return Err(error.into()),
        }
    }
    writeln!(out, "{:?}", handle.counters())?;
    drop(handle);
    service.join().map_err(|_| "the engine's thread panicked")?;
    Ok(())
}
