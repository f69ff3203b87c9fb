//! The engine as its callers see it.

mod blocks;
mod choices;
mod devices;
mod refusals;
mod speculation;

use std::{
    path::Path,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use candle_core::quantized::GgmlDType;
use safetensors::Dtype;

use crate::{
    Done, Error, Event, Finish, Handle, Options, Request, Role, Sampling, Stream, Turn,
    tiny::{Tiny, id_of, write_folder},
};

struct Engine {
    handle: Handle,
    service: Option<JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.handle.stop();
        if let Some(service) = self.service.take() {
            let ended = service.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the loop panicked");
        }
    }
}

fn options() -> Options {
    Options { threads: 2, sequences_max: 4, step_tokens_max: 16, ..Options::default() }
}

fn engine_of(write: impl FnOnce(&Path) -> std::path::PathBuf, options: Options) -> Engine {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options;
    options.model = write(folder.path());
    let (service, handle) = options.build().unwrap();
    let service = std::thread::spawn(move || service.run());
    Engine { handle, service: Some(service), _folder: folder }
}

fn engine(options: Options) -> Engine {
    engine_of(|folder| Tiny::moe().gguf(folder, GgmlDType::Q4_0), options)
}

fn user(text: &str) -> Vec<Turn> {
    vec![Turn { role: Role::User, text: text.into() }]
}

fn ask(text: &str, max_tokens: usize) -> Request {
    Request { conversation: user(text), max_tokens, ..Request::default() }
}

#[derive(Debug)]
struct Answer {
    text: String,
    tokens: Vec<u32>,
    done: Done,
    /// Tokens that it took over; `done` says none, since answers are the same with and without.
    cached: usize,
}

impl PartialEq for Answer {
    fn eq(&self, other: &Self) -> bool {
        // Which blocks it leaves is another matter.
        let done = |one: &Self| (one.done.finish, one.done.usage, one.done.confidence);
        (&self.text, &self.tokens, done(self)) == (&other.text, &other.tokens, done(other))
    }
}

/// Reads a stream to its end; indices must follow on.
fn read(stream: &mut Stream, resumed: usize) -> Result<Answer, Error> {
    let (mut text, mut tokens) = (String::new(), Vec::new());
    while let Some(event) = stream.blocking_next() {
        match event {
            Event::Delta { text: more, tokens: ids, first_index, logprobs } => {
                assert!(logprobs.is_empty() || logprobs.len() == ids.len());
                assert_eq!(first_index as usize, resumed + tokens.len());
                text += &more;
                tokens.extend(ids);
            }
            Event::Done(mut done) => {
                assert_eq!(stream.blocking_next(), None);
                assert_eq!(done.usage.output_tokens, tokens.len());
                let cached = std::mem::take(&mut done.usage.cached_tokens);
                return Ok(Answer { text, tokens, done, cached });
            }
            Event::Failed(error) => return Err(error),
        }
    }
    panic!("a stream must end by saying so");
}

fn answer(engine: &Engine, request: Request) -> Answer {
    let resumed = request.resume.len();
    read(&mut engine.handle.generate(request).unwrap(), resumed).unwrap()
}

const PROMPTS: [&str; 6] = [
    "hello",
    "what is the time in the kitchen?",
    "日本語で答えて",
    "a",
    "turn the light on, then sing",
    "zz top",
];

#[test]
fn an_answer_is_the_same_alone_and_among_others_and_at_any_chunk() {
    let alone = engine(Options { sequences_max: 1, step_tokens_max: 256, ..options() });
    let expected: Vec<Answer> = PROMPTS.iter().map(|text| answer(&alone, ask(text, 24))).collect();
    for (sequences_max, step_tokens_max, threads) in [(6, 7, 1), (4, 16, 2), (2, 5, 3)] {
        let busy = engine(Options { sequences_max, step_tokens_max, threads, ..options() });
        let mut streams: Vec<Stream> =
            PROMPTS.iter().map(|text| busy.handle.generate(ask(text, 24)).unwrap()).collect();
        let answers: Vec<Answer> = streams.iter_mut().map(|stream| read(stream, 0).unwrap()).collect();
        assert_eq!(answers, expected, "{sequences_max} at once in steps of {step_tokens_max}");
    }
}

#[test]
fn every_format_and_architecture_answers() {
    type Write = fn(&Path) -> std::path::PathBuf;
    let writers: [(Write, &str, &str); 4] = [
        (|f| Tiny::dense().folder(f, Dtype::BF16), "qwen3", "BF16"),
        (|f| Tiny::llama().folder(f, Dtype::F16), "llama", "F16"),
        (|f| Tiny::dense().gguf(f, GgmlDType::Q8_0), "qwen3", "Q8_0"),
        (
            |f| Tiny { hidden: 256, feed_forward: 256, heads: 8, ..Tiny::moe() }.gguf(f, GgmlDType::Q4K),
            "qwen3moe",
            "Q4_K",
        ),
    ];
    for (write, architecture, quantization) in writers {
        let engine = engine_of(write, options());
        let model = engine.handle.model();
        assert_eq!((model.architecture.as_str(), model.quantization.as_str()), (architecture, quantization));
        let first = answer(&engine, ask("hello", 12));
        assert_eq!(first.done.finish, Finish::Length);
        assert_eq!(first.tokens.len(), 12);
        assert_eq!(answer(&engine, ask("hello", 12)), first);
    }
}

#[test]
fn the_model_tells_its_sizes() {
    let engine = engine(options());
    let (model, tiny) = (engine.handle.model(), Tiny::moe());
    let all: u64 = tiny.weights().values().map(|(_, values)| values.len() as u64).sum();
    let expert = (3 * tiny.hidden * tiny.feed_forward * tiny.layers) as u64;
    assert_eq!(model.parameters, all);
    assert_eq!(model.active_parameters, all - expert * (tiny.experts - tiny.top_k) as u64);
    assert_eq!((model.name.as_str(), model.vocabulary), ("tiny", tiny.vocabulary()));
    assert_eq!(model.context_tokens_max, 512, "the model's own limit is below the option's");
    assert_eq!(model.hash_hex().len(), 64);
    let load = engine.handle.load();
    assert!(load.prefill_tokens_per_s > 0.0 && load.seconds_per_token > 0.0);
}

#[test]
fn each_token_passes_through_top_k_experts_of_every_layer() {
    let engine = engine(options());
    let tiny = Tiny::moe();
    let requests = PROMPTS.map(|text| ask(text, 9));
    let prompt: usize = requests.iter().map(|r| engine.handle.count_tokens(&r.conversation)).sum();
    let mut streams = requests.map(|request| engine.handle.generate(request).unwrap());
    let answers: Vec<Answer> = streams.iter_mut().map(|stream| read(stream, 0).unwrap()).collect();
    assert_eq!(answers.iter().map(|a| a.done.usage.prompt_tokens).sum::<usize>(), prompt);
    // The last token of each answer is chosen but never computed, and what was taken over is not computed again.
    let cached: usize = answers.iter().map(|a| a.cached).sum();
    let rows = prompt - cached + answers.iter().map(|a| a.tokens.len() - 1).sum::<usize>();
    let counters = engine.handle.counters();
    assert_eq!(counters.expert_rows, (rows * tiny.top_k * tiny.layers) as u64);
    assert_eq!(engine.handle.load().expert_load.iter().sum::<u64>(), counters.expert_rows);
    assert_eq!(counters.prefill_tokens, (prompt - cached) as u64);
    assert_eq!((counters.prompt_tokens, counters.cached_tokens), (prompt as u64, cached as u64));
}

fn warm(seed: u64) -> Request {
    let sampling = Sampling {
        temperature: Some(0.8),
        top_p: Some(0.95),
        top_k: Some(40),
        repetition_penalty: Some(1.1),
        ..Sampling::default()
    };
    Request { sampling, seed, ..ask("hello the thing", 20) }
}

#[test]
fn a_seed_decides_every_draw() {
    let engine = engine(options());
    assert_eq!(answer(&engine, warm(1)), answer(&engine, warm(1)));
    assert_ne!(answer(&engine, warm(1)).tokens, answer(&engine, warm(2)).tokens);
}

#[test]
fn a_resumed_answer_goes_on_exactly() {
    let engine = engine(options());
    let whole = answer(&engine, warm(3));
    for cut in 0..=whole.tokens.len() {
        let resume = whole.tokens[..cut].to_vec();
        let rest = answer(&engine, Request { resume, ..warm(3) });
        assert_eq!(rest.tokens, whole.tokens[cut..], "after {cut}");
        assert!(whole.text.ends_with(&rest.text));
        assert_eq!(rest.done.finish, Finish::Length);
        assert_eq!(rest.done.usage.prompt_tokens, whole.done.usage.prompt_tokens);
    }
}

#[test]
fn an_answer_ends_before_a_stop_string_that_spans_tokens() {
    let engine = engine(options());
    let whole = answer(&engine, ask("hello", 32));
    let characters: Vec<char> = whole.text.chars().collect();
    let stop: String = characters[10..14].iter().collect();
    let expected = whole.text.split(&stop).next().unwrap();
    let stopped =
        answer(&engine, Request { stop: vec!["never said".into(), stop.clone()], ..ask("hello", 32) });
    assert_eq!((stopped.text.as_str(), stopped.done.finish), (expected, Finish::Stop));
    assert_eq!(stopped.tokens, whole.tokens[..stopped.tokens.len()]);
    let again = Request { stop: vec![stop], resume: stopped.tokens, ..ask("hello", 32) };
    let nothing = answer(&engine, again);
    assert_eq!((nothing.tokens, nothing.done.finish), (vec![], Finish::Stop), "the stop string came before");
}

#[test]
fn the_end_token_ends_an_answer_and_is_not_given() {
    let tiny = Tiny::dense();
    let plain = engine_of(|folder| tiny.folder(folder, Dtype::BF16), options());
    let whole = answer(&plain, ask("hello", 16));
    let end = whole.tokens[5];
    let first = whole.tokens.iter().position(|id| *id == end).unwrap();
    let ending = engine_of(
        |folder| {
            std::fs::write(folder.join("generation_config.json"), format!("{{\"eos_token_id\":[{end}]}}"))
                .unwrap();
            tiny.folder(folder, Dtype::BF16)
        },
        options(),
    );
    let ended = answer(&ending, ask("hello", 16));
    assert_eq!((ended.tokens.as_slice(), ended.done.finish), (&whole.tokens[..first], Finish::Stop));
    let resume = Request { resume: vec![end], ..ask("hello", 16) };
    assert!(matches!(ending.handle.generate(resume), Err(Error::BadRequest { field: "resume", .. })));
}

#[test]
fn confidence_is_between_none_and_all() {
    let engine = engine(options());
    let confidence = answer(&engine, ask("hello", 20)).done.confidence;
    assert!(0.0 < confidence.min && confidence.min <= confidence.p10);
    assert!(confidence.p10 <= confidence.mean && confidence.mean <= 1.0);
}

#[test]
fn a_dropped_stream_ends_within_two_tokens() {
    let engine = engine(Options { step_interval_min: Duration::from_millis(4), ..options() });
    let mut stream = engine.handle.generate(ask("hello", 400)).unwrap();
    for _ in 0..3 {
        assert!(matches!(stream.blocking_next(), Some(Event::Delta { .. })));
    }
    let before = engine.handle.counters().output_tokens;
    drop(stream);
    until(|| engine.handle.counters().cancelled == 1);
    let counters = engine.handle.counters();
    assert!(counters.output_tokens <= before + 2 && counters.tokens_after_cancel <= 2, "{counters:?}");
    until(|| engine.handle.load().running == 0);
    assert_eq!(engine.handle.load().kv_tokens_used, 0, "its place is free");
}

/// Yields until the engine's loop has got there.
fn until(reached: impl Fn() -> bool) {
    let started = Instant::now();
    while !reached() {
        assert!(started.elapsed() < Duration::from_secs(20), "never reached");
        std::thread::yield_now();
    }
}

#[test]
fn a_deadline_ends_an_answer_with_what_it_has() {
    let engine = engine(Options { step_interval_min: Duration::from_millis(5), ..options() });
    let late = Request { deadline: Some(Instant::now()), ..ask("hello", 50) };
    let nothing = answer(&engine, late);
    assert_eq!((nothing.done.finish, nothing.tokens.len()), (Finish::Deadline, 0));
    let soon = Request { deadline: Some(Instant::now() + Duration::from_millis(60)), ..ask("hello", 400) };
    let some = answer(&engine, soon);
    assert_eq!(some.done.finish, Finish::Deadline);
    assert!((1..100).contains(&some.tokens.len()), "{}", some.tokens.len());
}

#[test]
fn a_deadline_and_a_drop_are_noticed_during_a_long_step() {
    let interval = Duration::from_secs(8);
    let engine = engine(Options { step_interval_min: interval, step_tokens_max: 64, ..options() });
    let started = Instant::now();
    let mut dropped = engine.handle.generate(ask("hello", 400)).unwrap();
    assert!(matches!(dropped.blocking_next(), Some(Event::Delta { .. })), "the first step is computed");
    let deadline = Some(started + Duration::from_millis(300));
    let soon = answer(&engine, Request { deadline, ..ask("hello", 400) });
    assert_eq!(soon.done.finish, Finish::Deadline);
    drop(dropped);
    until(|| engine.handle.counters().cancelled == 1);
    assert!(started.elapsed() < Duration::from_secs(4));
}

#[test]
fn a_step_lasts_at_least_its_interval() {
    let engine = engine(Options { step_interval_min: Duration::from_millis(10), ..options() });
    let started = Instant::now();
    answer(&engine, ask("a", 12));
    assert!(started.elapsed() >= Duration::from_millis(11 * 10));
    assert!(engine.handle.load().seconds_per_token >= 0.01);
}

#[test]
fn a_reader_that_does_not_read_holds_up_no_one() {
    let engine = engine(Options { sequences_max: 2, ..options() });
    let mut unread = engine.handle.generate(ask("hello", 300)).unwrap();
    for _ in 0..3 {
        answer(&engine, ask("zz top", 40));
    }
    assert_eq!(read(&mut unread, 0).unwrap().tokens.len(), 300);
}

#[test]
fn a_request_with_broken_numbers_fails_alone() {
    let tiny = Tiny::moe();
    let mut weights = tiny.weights();
    let broken = id_of("Q") as usize;
    // Finite weights whose products are not: only the broken token has anything in the column that a norm blows up.
    let embedding = &mut weights.get_mut("model.embed_tokens.weight").unwrap().1;
    embedding.iter_mut().step_by(64).for_each(|value| *value = 0.0);
    embedding[broken * 64..(broken + 1) * 64].fill(0.0);
    embedding[broken * 64] = 1.0;
    weights.get_mut("model.layers.0.input_layernorm.weight").unwrap().1[0] = 3e38;
    // The broken token must not be one that answers choose.
    weights.get_mut("lm_head.weight").unwrap().1[broken * 64..(broken + 1) * 64].fill(0.0);
    let engine = engine_of(|folder| write_folder(folder, &tiny.config(), &weights, Dtype::F32), options());
    let expected = answer(&engine, ask("hello", 30));
    let mut good = engine.handle.generate(ask("hello", 30)).unwrap();
    let mut bad = engine.handle.generate(ask("Q", 30)).unwrap();
    assert_eq!(read(&mut bad, 0), Err(Error::Poisoned { index: 0 }));
    assert_eq!(read(&mut good, 0).unwrap(), expected);
    assert_eq!(answer(&engine, ask("hello", 30)), expected);
}

#[test]
fn the_stream_is_a_futures_stream() {
    use futures_util::StreamExt as _;
    let engine = engine(options());
    let stream = engine.handle.generate(ask("hello", 5)).unwrap();
    let events = pollster(stream.collect::<Vec<Event>>());
    assert!(matches!(events.last(), Some(Event::Done(_))));
}

/// Runs a future on this thread, parked while it waits.
fn pollster<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(output) => return output,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}
