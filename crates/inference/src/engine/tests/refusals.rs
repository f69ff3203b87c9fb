//! What the engine refuses, and how it ends.

use std::time::Duration;

use candle_core::quantized::GgmlDType;

use super::{answer, ask, engine, options, read, until};
use crate::{Error, Finish, Options, Request, Role, Sampling, Stream, tiny::Tiny};

#[test]
fn bad_requests_are_refused_by_field() {
    let engine = engine(options());
    let check = |field: &str, change: fn(&mut Request)| {
        let mut request = ask("hello", 5);
        change(&mut request);
        match engine.handle.generate(request) {
            Err(Error::BadRequest { field: found, problem }) => assert_eq!(found, field, "{problem}"),
            other => panic!("{field}: {other:?}"),
        }
    };
    check("conversation", |r| r.conversation.clear());
    check("conversation", |r| r.conversation[0].text = " \n".into());
    check("conversation", |r| r.conversation[0].role = Role::Assistant);
    check("max_tokens", |r| r.max_tokens = 0);
    for (field, value) in [("nan", f32::NAN), ("inf", f32::INFINITY), ("negative", -0.5)] {
        let refused = |change: &dyn Fn(&mut Sampling)| {
            let mut request = ask("hello", 5);
            change(&mut request.sampling);
            assert!(matches!(engine.handle.generate(request), Err(Error::BadRequest { .. })), "{field}");
        };
        refused(&|s| s.temperature = Some(value));
        refused(&|s| s.top_p = Some(value));
        refused(&|s| s.repetition_penalty = Some(value));
        refused(&|s| s.min_p = Some(value));
        // A negative penalty is a reward.
        refused(&|s| s.presence_penalty = 8.0 * value);
        refused(&|s| s.frequency_penalty = 8.0 * value);
        refused(&|s| s.logit_bias = [(1, 1e3 * value)].into());
    }
    check("temperature", |r| r.sampling.temperature = Some(1e9));
    check("top_p", |r| r.sampling.top_p = Some(0.0));
    check("top_p", |r| r.sampling.top_p = Some(1.1));
    check("repetition_penalty", |r| r.sampling.repetition_penalty = Some(0.0));
    check("min_p", |r| r.sampling.min_p = Some(1.1));
    check("presence_penalty", |r| r.sampling.presence_penalty = 2.1);
    check("frequency_penalty", |r| r.sampling.frequency_penalty = -2.1);
    check("logit_bias", |r| r.sampling.logit_bias = [(u32::MAX, 1.0)].into());
    check("logit_bias", |r| r.sampling.logit_bias = (0..1025).map(|id| (id, 1.0)).collect());
    check("logprobs", |r| r.sampling.logprobs = Some(21));
    check("stop", |r| r.stop = vec![String::new()]);
    check("stop", |r| r.stop = vec!["x".repeat(257)]);
    check("stop", |r| r.stop = vec!["x".into(); 17]);
    check("resume", |r| r.resume = vec![u32::MAX]);
    let huge = Request { max_tokens: usize::MAX, ..ask("hello", 1) };
    drop(engine.handle.generate(huge).unwrap());
    for text in ["hello ".repeat(400), "x".repeat(5_000_000)] {
        let refused = engine.handle.generate(ask(&text, 5)).unwrap_err();
        assert!(matches!(refused, Error::OverLong { max: 511, prompt_tokens } if prompt_tokens > 511));
    }
    assert_eq!(answer(&engine, ask("hello", 5)).tokens.len(), 5, "and it serves on");
}

#[test]
fn bad_options_are_refused_by_field() {
    let check = |field: &str, change: fn(&mut Options)| {
        let mut options = options();
        change(&mut options);
        assert!(matches!(options.build(), Err(Error::BadOption { field: found, .. }) if found == field));
    };
    check("sequences_max", |o| o.sequences_max = 0);
    check("step_tokens_max", |o| o.step_tokens_max = 3);
    check("context_tokens_max", |o| o.context_tokens_max = 1);
    check("queue_len_max", |o| o.queue_len_max = 0);
    check("threads", |o| o.threads = usize::MAX);
    check("step_interval_min", |o| o.step_interval_min = Duration::MAX);
}

#[test]
fn the_line_is_bounded_and_the_context_ends_an_answer() {
    let engine = engine(Options {
        sequences_max: 1,
        queue_len_max: 2,
        context_tokens_max: 64,
        step_interval_min: Duration::from_millis(2),
        ..options()
    });
    let first = engine.handle.generate(ask("hello", 400)).unwrap();
    until(|| engine.handle.load().running == 1);
    let mut waiting: Vec<Stream> = (0..2).map(|_| engine.handle.generate(ask("hello", 3)).unwrap()).collect();
    let refused = engine.handle.generate(ask("hello", 3)).unwrap_err();
    assert_eq!(refused, Error::QueueFull { waiting: 2, max: 2 });
    assert_eq!(engine.handle.load().waiting, 2);
    drop(first);
    assert!(waiting.iter_mut().all(|stream| read(stream, 0).is_ok()));
    let longest = answer(&engine, ask("hello", 400));
    assert_eq!(longest.done.finish, Finish::Length);
    assert_eq!(longest.done.usage.prompt_tokens + longest.tokens.len(), 64);
}

#[test]
fn draining_finishes_what_was_accepted_and_stopping_does_not() {
    let mut draining = engine(options());
    let mut accepted = draining.handle.generate(ask("hello", 60)).unwrap();
    draining.handle.drain();
    assert_eq!(draining.handle.generate(ask("hello", 2)).unwrap_err(), Error::Draining);
    draining.service.take().unwrap().join().unwrap();
    assert_eq!(read(&mut accepted, 0).unwrap().tokens.len(), 60);
    assert_eq!(draining.handle.generate(ask("hello", 2)).unwrap_err(), Error::Stopped);

    let mut stopping = engine(Options { step_interval_min: Duration::from_millis(5), ..options() });
    let mut cut = stopping.handle.generate(ask("hello", 400)).unwrap();
    stopping.handle.stop();
    stopping.service.take().unwrap().join().unwrap();
    assert_eq!(read(&mut cut, 0), Err(Error::Stopped));
}

#[test]
fn the_loop_ends_when_no_handle_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let model = Tiny::dense().gguf(folder.path(), GgmlDType::Q4_0);
    let (service, handle) = Options { model, ..options() }.build().unwrap();
    let mut stream = handle.generate(ask("hello", 8)).unwrap();
    let thread = std::thread::spawn(move || service.run());
    drop(handle);
    thread.join().unwrap();
    assert_eq!(read(&mut stream, 0).unwrap().tokens.len(), 8);
}

#[test]
fn an_engine_that_is_never_run_fails_its_streams() {
    let folder = tempfile::tempdir().unwrap();
    let model = Tiny::dense().gguf(folder.path(), GgmlDType::Q4_0);
    let (service, handle) = Options { model, ..options() }.build().unwrap();
    let mut stream = handle.generate(ask("hello", 8)).unwrap();
    drop(service);
    assert_eq!(read(&mut stream, 0), Err(Error::Stopped));
    assert_eq!(handle.generate(ask("hello", 8)).unwrap_err(), Error::Stopped);
}

#[test]
fn options_read_and_write_milliseconds() {
    let read: Options = serde_json::from_str("{\"threads\":3,\"step_interval_min_ms\":2.5}").unwrap();
    assert_eq!((read.threads, read.step_interval_min), (3, Duration::from_micros(2_500)));
    assert!(serde_json::to_string(&read).unwrap().contains("\"step_interval_min_ms\":2.5"));
    assert!(serde_json::from_str::<Options>("{\"thread\":3}").is_err());
    assert!(serde_json::from_str::<Options>("{\"step_interval_min_ms\":-1}").is_err());
}
