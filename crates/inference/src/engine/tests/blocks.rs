//! What requests share, and what becomes of blocks when there are too few or a request ends badly.

use std::time::{Duration, Instant};

use candle_core::quantized::GgmlDType;
use proptest::test_runner::{RngAlgorithm, TestRng};

use super::{Answer, Engine, PROMPTS, answer, ask, engine, engine_of, options, read, until, user, warm};
use crate::{BlockChange, Error, Finish, KvType, Options, Request, Role, Sampling, Stream, Turn, tiny::Tiny};

/// Every block is free again, and can be had again.
fn whole(engine: &Engine) {
    until(|| engine.handle.load().running + engine.handle.load().waiting == 0);
    let load = engine.handle.load();
    assert_eq!(load.kv_tokens_used, 0);
    assert!(load.kv_tokens_kept <= load.kv_tokens_max);
}

#[test]
fn a_second_turn_takes_the_first_over_and_answers_alike() {
    for (kv_type, kv_block_tokens) in [(KvType::F32, 16), (KvType::F16, 64), (KvType::Q8, 32)] {
        let sharing = engine(Options { kv_type, kv_block_tokens, ..options() });
        let alone = engine(Options { kv_type, kv_shared: false, ..options() });
        let first = answer(&sharing, ask("hello there, how is the weather today in the north?", 20));
        let mut conversation = user("hello there, how is the weather today in the north?");
        conversation.push(Turn { role: Role::Assistant, text: first.text.clone() });
        let prompt = sharing.handle.count_tokens(&conversation);
        conversation.extend(user("and in the south?"));
        let again = || Request { conversation: conversation.clone(), max_tokens: 20, ..Request::default() };
        let (found, computed) = (answer(&sharing, again()), answer(&alone, again()));
        assert_eq!(found, computed);
        assert_eq!(computed.cached, 0);
        assert!(found.cached * 10 >= prompt * 7, "{} of {prompt}", found.cached);
        let whole = answer(&sharing, again());
        assert_eq!(whole, found);
        assert_eq!(whole.cached, whole.done.usage.prompt_tokens - 1, "the last token is always computed");
        super::blocks::whole(&sharing);
    }
}

#[test]
fn tenants_share_nothing() {
    let engine = engine(options());
    let of = |tenant: &str| answer(&engine, Request { tenant: tenant.into(), ..ask("hello", 9) });
    let first = of("one");
    assert_eq!((of("one").cached, of("two").cached), (first.done.usage.prompt_tokens - 1, 0));
    assert_eq!(of("").cached, 0);
    assert_eq!(of("two"), first);
}

/// Answers of all prompts at once.
fn together(engine: &Engine, request: impl Fn(usize, &str) -> Request) -> Vec<Answer> {
    let streams =
        PROMPTS.iter().enumerate().map(|(at, text)| engine.handle.generate(request(at, text)).unwrap());
    let mut streams: Vec<Stream> = streams.collect();
    streams.iter_mut().map(|stream| read(stream, 0).unwrap()).collect()
}

#[test]
fn who_lost_its_blocks_goes_on_exactly() {
    let request = |at: usize, text: &str| {
        let warm = warm(at as u64);
        Request { conversation: user(text), max_tokens: 90, priority: (at % 3) as u8, ..warm }
    };
    let ample = engine(Options { sequences_max: 1, kv_shared: false, ..options() });
    let expected = together(&ample, request);
    assert_eq!(ample.handle.counters().preemptions, 0);
    for kv_shared in [false, true] {
        // Room for one whole context and a little; six come to need three times as much.
        let short = engine(Options {
            sequences_max: 6,
            context_tokens_max: 160,
            kv_tokens_max: 192,
            kv_block_tokens: 16,
            kv_shared,
            ..options()
        });
        assert_eq!(together(&short, request), expected);
        let counters = short.handle.counters();
        assert!(counters.preemptions > 0, "{counters:?}");
        assert!(counters.preemptions <= 18, "each at most three times: {counters:?}");
        assert_eq!(short.handle.load().kv_tokens_max, 192);
        whole(&short);
    }
}

#[test]
fn the_cap_is_kept_while_requests_run() {
    let engine = engine(Options {
        sequences_max: 6,
        context_tokens_max: 120,
        kv_bytes_max: 150_000,
        kv_block_tokens: 16,
        ..options()
    });
    let tiny = Tiny::moe();
    let bytes = tiny.layers * tiny.key_heads * tiny.head_width * 2 * 2 * 16;
    let max = engine.handle.load().kv_tokens_max;
    assert_eq!(max, 150_000 / bytes * 16);
    let mut streams: Vec<Stream> =
        PROMPTS.iter().map(|text| engine.handle.generate(ask(text, 80)).unwrap()).collect();
    until(|| {
        let load = engine.handle.load();
        assert!(load.kv_tokens_used + load.kv_tokens_kept <= max);
        load.running + load.waiting == 0
    });
    assert!(streams.iter_mut().all(|stream| read(stream, 0).is_ok()));
    whole(&engine);
}

#[test]
fn a_cache_that_holds_no_whole_context_is_refused() {
    let check = |field: &str, change: fn(&mut Options)| {
        let folder = tempfile::tempdir().unwrap();
        let mut options = Options { model: Tiny::dense().gguf(folder.path(), GgmlDType::Q4_0), ..options() };
        change(&mut options);
        assert!(matches!(options.build(), Err(Error::BadOption { field: found, .. }) if found == field));
    };
    check("kv_tokens_max", |o| o.kv_tokens_max = 512);
    check("kv_bytes_max", |o| o.kv_bytes_max = 1);
    check("kv_bytes_max", |o| (o.kv_tokens_max, o.kv_bytes_max) = (1_000, 1_000));
    check("kv_block_tokens", |o| o.kv_block_tokens = 8);
    check("kv_block_tokens", |o| o.kv_block_tokens = 48);
    check("kv_block_tokens", |o| o.kv_block_tokens = 4_096);
    check("kv_tokens_max", |o| o.kv_tokens_max = usize::MAX);
}

#[test]
fn blocks_are_given_up_for_others_and_changes_are_told() {
    let engine =
        engine(Options { context_tokens_max: 100, kv_tokens_max: 128, kv_block_tokens: 16, ..options() });
    let text = |at: usize| format!("{at} is a number that nobody has asked about before");
    let first = answer(&engine, ask(&text(0), 30));
    let told = engine.handle.block_changes(0, 100);
    assert!(!told.missed && told.changes.len() >= (first.done.usage.prompt_tokens + 29) / 16);
    let stored = |change: &BlockChange| match change {
        BlockChange::Stored { block, .. } => Some(*block),
        BlockChange::Removed { .. } => None,
    };
    let named: Vec<u64> = told.changes.iter().filter_map(stored).collect();
    assert_eq!(first.done.blocks, named, "an answer names the blocks that it leaves");
    let unshared = super::engine(Options { kv_shared: false, ..options() });
    assert!(answer(&unshared, ask(&text(0), 30)).done.blocks.is_empty());
    for at in 1..10 {
        answer(&engine, ask(&text(at), 30));
    }
    assert!(engine.handle.counters().evictions > 0);
    let told = engine.handle.block_changes(told.next, 1_000);
    let removed = told.changes.iter().filter(|change| matches!(change, BlockChange::Removed { .. })).count();
    assert!(removed > 0 && removed < told.changes.len());
    assert_eq!(answer(&engine, ask(&text(0), 30)), first, "it is computed again");
    whole(&engine);
}

#[test]
fn a_cancelled_or_late_request_gives_its_blocks_back() {
    let engine = engine(Options { step_interval_min: Duration::from_millis(3), ..options() });
    for round in 0..3 {
        let mut dropped = engine.handle.generate(ask("hello", 300)).unwrap();
        let deadline = Some(Instant::now() + Duration::from_millis(40));
        let late = answer(&engine, Request { deadline, ..ask("what is the time?", 300) });
        assert_eq!(late.done.finish, Finish::Deadline);
        assert!(dropped.blocking_next().is_some());
        drop(dropped);
        until(|| engine.handle.counters().cancelled == round + 1);
        whole(&engine);
    }
}

#[test]
fn ten_thousand_absurd_requests_leave_every_block_free() {
    let engine = engine_of(
        |folder| Tiny { layers: 1, ..Tiny::dense() }.gguf(folder, GgmlDType::Q4_0),
        Options {
            kv_tokens_max: 640,
            kv_block_tokens: 16,
            context_tokens_max: 400,
            queue_len_max: 32,
            ..options()
        },
    );
    let expected = answer(&engine, ask("hello", 20));
    let mut random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut streams: Vec<Stream> = Vec::new();
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..10_000 {
        match engine.handle.generate(absurd(&mut random)) {
            Ok(stream) => {
                taken += 1;
                streams.push(stream);
            }
            Err(Error::QueueFull { .. }) => {
                // Half of those that wait are given up, the others read to their end.
                for (at, mut stream) in streams.drain(..).enumerate() {
                    while at % 2 == 0 && stream.blocking_next().is_some() {}
                }
            }
            Err(_) => refused += 1,
        }
    }
    drop(streams);
    assert!(taken > 1_000 && refused > 1_000, "{taken} taken, {refused} refused");
    whole(&engine);
    assert_eq!(answer(&engine, ask("hello", 20)), expected);
    // Everything that is kept can be given up: one context takes nearly all blocks.
    assert_eq!(answer(&engine, ask("zz top", 390)).done.finish, Finish::Length);
    assert_eq!(engine.handle.load().kv_tokens_max, 640);
}

fn absurd(random: &mut TestRng) -> Request {
    use rand_chacha::rand_core::Rng as _;
    let mut below = |bound: u32| random.next_u32() % bound;
    let numbers = [0.0, 1.0, -1.0, 0.7, 2.0, 1e9, f32::NAN, f32::INFINITY, f32::MIN_POSITIVE];
    let lengths = [0, 1, 3, 30, 300, 3_000];
    let number = |below: &mut dyn FnMut(u32) -> u32, usual: f32| match below(8) {
        0 => numbers[below(numbers.len() as u32) as usize],
        _ => usual,
    };
    let text = "hello the ".repeat(lengths[below(6) as usize] / 3);
    let sampling = Sampling {
        temperature: Some(number(&mut below, 0.9)),
        top_p: Some(number(&mut below, 0.9)),
        top_k: Some(lengths[below(6) as usize]),
        repetition_penalty: Some(number(&mut below, 1.1)),
        ..Sampling::default()
    };
    let role = [Role::User, Role::User, Role::System, Role::Assistant][below(4) as usize];
    let late = Duration::from_millis(u64::from(below(20)));
    Request {
        conversation: vec![Turn { role, text }],
        max_tokens: [0, 1, 2, 10, 40, usize::MAX][below(6) as usize],
        sampling,
        stop: vec!["e".repeat(below(70) as usize); below(4) as usize / 2],
        seed: u64::from(below(3)),
        deadline: Some(Instant::now() + late).filter(|_| below(3) > 0),
        priority: below(4) as u8,
        resume: vec![below(400); lengths[below(4) as usize]],
        tenant: ["", "one", "two"][below(3) as usize].into(),
        ..Request::default()
    }
}
