//! The engine on a device of the tensor library: answers, resume, preemption and poison are what they are elsewhere.

use safetensors::Dtype;

use super::{PROMPTS, answer, ask, engine_of, options, read, until, warm};
use crate::{
    Device, Error, KvType, Options, Request, Stream,
    tiny::{Tiny, id_of, write_folder},
};

fn library() -> Options {
    Options { device: Device::Library, kv_type: KvType::F32, ..options() }
}

#[test]
fn answers_are_those_of_the_kernels_alone_together_resumed_and_preempted() {
    let engine = |options| engine_of(|folder| Tiny::moe().folder(folder, Dtype::F32), options);
    let ours = engine(Options { kv_type: KvType::F32, ..options() });
    let expected = PROMPTS.map(|text| answer(&ours, ask(text, 80)).tokens);
    let drawn = answer(&ours, warm(3)).tokens;
    // Room for one whole context and little more, so that those who run lose their blocks to each other.
    let tight = Options {
        sequences_max: 6,
        context_tokens_max: 160,
        kv_block_tokens: 16,
        kv_tokens_max: 192,
        kv_shared: false,
        ..library()
    };
    for (options, preempts) in [(library(), false), (tight, true)] {
        let engine = engine(options);
        let mut streams: Vec<Stream> =
            PROMPTS.iter().map(|text| engine.handle.generate(ask(text, 80)).unwrap()).collect();
        for (stream, expected) in streams.iter_mut().zip(&expected) {
            assert_eq!(read(stream, 0).unwrap().tokens, *expected);
        }
        assert_eq!(engine.handle.counters().preemptions > 0, preempts);
        assert_eq!(answer(&engine, warm(3)).tokens, drawn);
        for cut in [1, 7, 20] {
            let resume = drawn[..cut].to_vec();
            assert_eq!(answer(&engine, Request { resume, ..warm(3) }).tokens, drawn[cut..]);
        }
        until(|| engine.handle.load().kv_tokens_used == 0);
    }
}

#[test]
fn guesses_change_no_answer_there() {
    let folder = tempfile::tempdir().unwrap();
    let draft = Tiny { seed: 8, ..Tiny::dense() }.folder(folder.path(), Dtype::F32);
    let engine = |options| engine_of(|folder| Tiny::dense().folder(folder, Dtype::F32), options);
    let plain = engine(library());
    for draft in [None, Some(draft)] {
        let guessing = engine(Options { draft_tokens_max: 4, draft, ..library() });
        for text in PROMPTS {
            assert_eq!(answer(&guessing, ask(text, 30)).tokens, answer(&plain, ask(text, 30)).tokens);
        }
        assert!(guessing.handle.counters().drafted_tokens > 0);
    }
}

#[test]
fn its_numeric_class_is_nobody_elses() {
    let class = |options| {
        let engine = engine_of(|folder| Tiny::dense().folder(folder, Dtype::F32), options);
        engine.handle.model().numeric_class.clone()
    };
    assert_eq!(class(library()), "library-f32");
    assert_ne!(class(options()), class(Options { kv_type: KvType::F16, ..library() }));
}

#[test]
fn a_request_with_broken_numbers_fails_alone_there() {
    let tiny = Tiny::moe();
    let mut weights = tiny.weights();
    let broken = id_of("Q") as usize;
    let embedding = &mut weights.get_mut("model.embed_tokens.weight").unwrap().1;
    embedding.iter_mut().step_by(64).for_each(|value| *value = 0.0);
    embedding[broken * 64..(broken + 1) * 64].fill(0.0);
    embedding[broken * 64] = 1.0;
    weights.get_mut("model.layers.0.input_layernorm.weight").unwrap().1[0] = 3e38;
    weights.get_mut("lm_head.weight").unwrap().1[broken * 64..(broken + 1) * 64].fill(0.0);
    let engine = engine_of(|folder| write_folder(folder, &tiny.config(), &weights, Dtype::F32), library());
    let expected = answer(&engine, ask("hello", 30));
    let mut good = engine.handle.generate(ask("hello", 30)).unwrap();
    let mut bad = engine.handle.generate(ask("Q", 30)).unwrap();
    assert_eq!(read(&mut bad, 0), Err(Error::Poisoned { index: 0 }));
    assert_eq!(read(&mut good, 0).unwrap().tokens, expected.tokens);
    assert_eq!(answer(&engine, ask("hello", 30)).tokens, expected.tokens);
}
