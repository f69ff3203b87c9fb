//! Puts many questions to one engine, without the road around it, a batch at a time.

use std::path::Path;
use std::thread;

use anyhow::{Result, anyhow};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use inference::{Event, Handle, HubOptions, Options, Request, Role, Turn};
use skills::Item;

/// Questions in the engine at a time.
const CONCURRENT: usize = 16;

/// Tokens that an exercise may take; the longest right answers stay below it.
pub(super) const OUTPUT_TOKENS_MAX: usize = 160;

/// What became of one question.
#[derive(Debug, Clone, Copy)]
pub(super) struct Marked {
    pub(super) right: bool,
    pub(super) output_tokens: u32,
}

/// Answers every item with the model at `path`, in the items' order; first the BLAKE3 of its weights, in hexadecimal.
pub(super) async fn answer_all(
    path: &Path,
    hub: HubOptions,
    items: &[Item],
) -> Result<(String, Vec<Marked>)> {
    let options = Options { model: path.to_owned(), hub, sequences_max: CONCURRENT, ..Options::default() };
    let (service, handle) = tokio::task::spawn_blocking(move || options.build()).await??;
    let hash = handle.model().hash_hex();
    let engine = thread::Builder::new().name("engine".to_owned()).spawn(move || service.run())?;
    let answers =
        stream::iter(items).map(|item| answer(&handle, item)).buffered(CONCURRENT).try_collect().await;
    handle.stop();
    let ended = tokio::task::spawn_blocking(move || engine.join()).await?;
    ended.map_err(|_| anyhow!("the engine died"))?;
    Ok((hash, answers?))
}

async fn answer(handle: &Handle, item: &Item) -> Result<Marked> {
    let request = Request {
        conversation: vec![Turn { role: Role::User, text: item.prompt.clone() }],
        max_tokens: OUTPUT_TOKENS_MAX,
        ..Request::default()
    };
    let mut stream = handle.generate(request)?;
    let mut text = String::new();
    while let Some(event) = stream.next().await {
        match event {
            Event::Delta { text: more, .. } => text.push_str(&more),
            Event::Done(done) => {
                let right = skills::is_right(item.skill, &item.answer, &text);
                let output_tokens = u32::try_from(done.usage.output_tokens).unwrap_or(u32::MAX);
                return Ok(Marked { right, output_tokens });
            }
            Event::Failed(error) => return Err(error.into()),
        }
    }
    Err(anyhow!("the engine ended an answer without saying so"))
}
