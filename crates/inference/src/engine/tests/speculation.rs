//! Guesses change no answer, whoever makes them, and are counted.

use std::path::{Path, PathBuf};

use candle_core::quantized::GgmlDType;

use super::{
    Answer, Engine, PROMPTS, answer, ask,
    choices::{laden, schema},
    engine, engine_of, options, read, user,
};
use crate::{Counters, Error, Options, Request, Sampling, Stream, tiny::Tiny};

/// Answers of every kind: greedy and drawn, penalised, constrained, stopped, short.
fn requests() -> Vec<Request> {
    let one = |(at, text): (usize, &&str)| {
        let conversation = user(text);
        let warm = Sampling { temperature: Some(1.0), ..Sampling::default() };
        [
            Request { conversation: conversation.clone(), max_tokens: 40, ..Request::default() },
            Request { conversation: conversation.clone(), sampling: warm, seed: at as u64, ..ask(text, 40) },
            Request { conversation: conversation.clone(), ..laden(1.0, None) },
            Request { conversation: conversation.clone(), ..laden(0.0, Some(schema())) },
            Request { conversation, stop: vec!["e".into()], ..laden(1.0, Some(schema())) },
            ask(text, 1 + at),
        ]
    };
    PROMPTS.iter().enumerate().flat_map(one).collect()
}

fn answers(engine: &Engine) -> Vec<Answer> {
    let started = requests().into_iter().map(|request| engine.handle.generate(request).unwrap());
    let mut streams: Vec<Stream> = started.collect();
    streams.iter_mut().map(|stream| read(stream, 0).unwrap()).collect()
}

/// The model with a draft of this shape.
fn drafted(draft: &Tiny, options: Options) -> Engine {
    let folder = tempfile::tempdir().unwrap();
    let draft = draft.gguf(folder.path(), GgmlDType::Q4_0);
    let options = Options { draft: Some(draft), draft_tokens_max: 5, ..options };
    engine_of(moe, options)
}

fn moe(folder: &Path) -> PathBuf {
    Tiny::moe().gguf(folder, GgmlDType::Q4_0)
}

#[test]
fn no_guess_changes_an_answer() {
    let expected = answers(&engine(options()));
    for (draft_tokens_max, sequences_max, step_tokens_max) in
        [(1, 1, 64), (4, 4, 16), (16, 3, 200), (7, 6, 6)]
    {
        let guessing = engine(Options { draft_tokens_max, sequences_max, step_tokens_max, ..options() });
        assert_eq!(answers(&guessing), expected, "{draft_tokens_max} looked up");
        let Counters { drafted_tokens, accepted_tokens, output_tokens, .. } = guessing.handle.counters();
        assert!(accepted_tokens <= drafted_tokens);
        // The end of an answer is chosen and not given.
        let given: usize = expected.iter().map(|answer| answer.tokens.len()).sum();
        assert!((given..=given + expected.len()).contains(&(output_tokens as usize)));
    }
    for (draft, step_tokens_max) in [(Tiny::dense(), 64), (Tiny::dense(), 7), (Tiny::moe(), 32)] {
        let guessing = drafted(&draft, Options { step_tokens_max, ..options() });
        assert_eq!(answers(&guessing), expected, "{} drafts", draft.architecture);
        assert!(guessing.handle.counters().drafted_tokens > 0);
    }
}

#[test]
fn guesses_that_are_right_save_steps() {
    // As its own draft a model is always right, at any temperature: both draw alike.
    let alone = Options { sequences_max: 1, step_tokens_max: 256, ..options() };
    for temperature in [0.0, 1.0] {
        let guessing = drafted(&Tiny::moe(), alone.clone());
        let request = Request { stop: vec![], ..laden(temperature, None) };
        let tokens = answer(&guessing, request).tokens.len();
        let Counters { drafted_tokens, accepted_tokens, steps, .. } = guessing.handle.counters();
        assert_eq!((tokens, drafted_tokens), (60, accepted_tokens));
        assert!(steps <= 2 + 60 / 5, "{steps}");
    }
    // Text that repeats itself is looked up.
    let looking = engine(Options { draft_tokens_max: 8, ..alone });
    let bias = Sampling { logit_bias: [(crate::tiny::id_of("z"), 100.0)].into(), ..Sampling::greedy() };
    assert_eq!(answer(&looking, Request { sampling: bias, ..ask("hello", 60) }).text, "z".repeat(60));
    let counters = looking.handle.counters();
    assert!(counters.steps < 20 && counters.accepted_tokens > 40, "{counters:?}");
}

#[test]
fn a_resumed_answer_goes_on_the_same_with_guesses() {
    let expected = answer(&engine(options()), laden(1.0, Some(schema())));
    let guessing = drafted(&Tiny::dense(), options());
    for cut in 0..expected.tokens.len() {
        let resume = expected.tokens[..cut].to_vec();
        let rest = answer(&guessing, Request { resume, ..laden(1.0, Some(schema())) });
        assert_eq!(rest.tokens, expected.tokens[cut..]);
    }
}

#[test]
fn a_draft_of_another_tokenizer_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let model = moe(folder.path());
    let other = tempfile::tempdir().unwrap();
    Tiny::dense().folder(other.path(), safetensors::Dtype::BF16);
    let tokenizer = std::fs::read_to_string(other.path().join("tokenizer.json")).unwrap();
    let swapped = tokenizer
        .replace("\"hell\":", "\"?\":")
        .replace("\"hello\":", "\"hell\":")
        .replace("\"?\":", "\"hello\":");
    assert_ne!(swapped, tokenizer);
    std::fs::write(other.path().join("tokenizer.json"), swapped).unwrap();
    let draft = Some(other.path().to_owned());
    let wrong = Options { model: model.clone(), draft: draft.clone(), draft_tokens_max: 4, ..options() };
    assert!(matches!(wrong.build(), Err(Error::Model { part, .. }) if part == "tokenizer"));
    let idle = Options { model: model.clone(), draft, ..options() };
    assert!(matches!(idle.build(), Err(Error::BadOption { field: "draft", .. })));
    let many = Options { model, draft_tokens_max: 17, ..options() };
    assert!(matches!(many.build(), Err(Error::BadOption { field: "draft_tokens_max", .. })));
}
