//! What a request says of the choice of tokens, with an engine behind it: defaults, bias, log-probabilities, constraints,
//! and that none of it is lost where an answer is resumed or computed among others.

use proptest::{prelude::*, strategy::ValueTree as _};
use safetensors::Dtype;
use serde_json::json;

use super::{Answer, Engine, PROMPTS, answer, ask, engine, engine_of, options, read, warm};
use crate::{
    Constraint, Error, Event, Finish, Logprobs, Options, Request, Sampling, Stream,
    tiny::{TURN_END, Tiny, id_of},
};

/// A folder whose `generation_config.json` says this.
fn with_generation(generation: &serde_json::Value) -> Engine {
    let write = |folder: &std::path::Path| {
        std::fs::write(folder.join("generation_config.json"), generation.to_string()).unwrap();
        Tiny::dense().folder(folder, Dtype::BF16)
    };
    engine_of(write, options())
}

#[test]
fn what_a_request_leaves_open_is_as_the_model_says() {
    let said = json!({
        "do_sample": true, "temperature": 0.7, "top_k": 20, "top_p": 0.8, "min_p": null, "repetition_penalty": 1.05,
        "eos_token_id": [id_of("Q"), id_of("R")], "pad_token_id": 0,
    });
    let engine = with_generation(&said);
    let expected = Sampling {
        temperature: Some(0.7),
        top_k: Some(20),
        top_p: Some(0.8),
        repetition_penalty: Some(1.05),
        ..Sampling::default()
    };
    assert_eq!(engine.handle.sampling(), &expected);
    let open = Request { seed: 4, ..ask("hello", 20) };
    let stated = Request { sampling: expected, ..open.clone() };
    assert_eq!(answer(&engine, open.clone()), answer(&engine, stated));
    let greedy =
        Request { sampling: Sampling { temperature: Some(0.0), ..Sampling::default() }, ..open.clone() };
    assert_ne!(answer(&engine, greedy).tokens, answer(&engine, open).tokens);
    for end in ["Q", "R", TURN_END] {
        let bias = Sampling { logit_bias: [(id_of(end), 100.0)].into(), ..Sampling::default() };
        let ended = answer(&engine, Request { sampling: bias, ..ask("hello", 20) });
        assert_eq!((ended.tokens, ended.done.finish), (vec![], Finish::Stop), "{end}");
    }
}

#[test]
fn a_temperature_beside_an_answer_that_is_not_drawn_means_nothing() {
    let engine = with_generation(&json!({ "temperature": 0.7 }));
    assert_eq!(engine.handle.sampling().temperature, Some(0.0));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("generation_config.json"), "{\"top_p\":7}").unwrap();
    let model = Tiny::dense().folder(folder.path(), Dtype::BF16);
    let refused = Options { model, ..options() }.build().unwrap_err();
    assert!(matches!(&refused, Error::Model { part, .. } if part == "top_p"), "{refused}");
}

#[test]
fn a_bias_and_penalties_change_what_is_chosen() {
    let engine = engine(options());
    let plain = answer(&engine, ask("hello", 16));
    let biased = |bias: f32| {
        let sampling =
            Sampling { logit_bias: [(id_of("zz"[..1].as_ref()), bias)].into(), ..Sampling::greedy() };
        answer(&engine, Request { sampling, ..ask("hello", 16) })
    };
    assert_eq!(biased(100.0).text, "z".repeat(16));
    assert!(!biased(-100.0).text.contains('z'));
    let penalised = Sampling {
        logit_bias: [(id_of("z"), 100.0)].into(),
        presence_penalty: 2.0,
        frequency_penalty: 2.0,
        ..Sampling::greedy()
    };
    let fewer = answer(&engine, Request { sampling: penalised, ..ask("z hello", 64) });
    let count = fewer.text.matches('z').count();
    assert!((40..64).contains(&count), "100 is used up at about 2 a token: {count}");
    assert_eq!(answer(&engine, ask("hello", 16)), plain);
}

/// The log-probabilities of an answer, one for each token.
fn logprobs(engine: &Engine, request: Request) -> (Vec<u32>, Vec<Logprobs>) {
    let mut stream = engine.handle.generate(request).unwrap();
    let (mut tokens, mut all) = (Vec::new(), Vec::new());
    while let Some(event) = stream.blocking_next() {
        if let Event::Delta { tokens: ids, logprobs, .. } = event {
            assert_eq!(ids.len(), logprobs.len());
            tokens.extend(ids);
            all.extend(logprobs);
        }
    }
    (tokens, all)
}

#[test]
fn log_probabilities_come_with_their_tokens_where_they_are_asked_for() {
    let engine = engine(options());
    let whole = answer(&engine, warm(5));
    // Held back text makes tokens come in bunches.
    let held: String = whole.text.chars().skip(6).take(3).collect::<String>() + "never";
    let asked = |logprobs| Request {
        sampling: Sampling { logprobs: Some(logprobs), ..warm(5).sampling },
        stop: vec![held.clone()],
        ..warm(5)
    };
    let (tokens, told) = logprobs(&engine, asked(20));
    assert_eq!(tokens, whole.tokens, "asking changes nothing");
    for (id, one) in tokens.iter().zip(&told) {
        assert_eq!(one.top.len(), 20);
        assert!(one.top.is_sorted_by(|a, b| (b.logprob, a.id) <= (a.logprob, b.id)));
        assert!(one.logprob <= one.top[0].logprob && one.top[0].logprob <= 0.0);
        if let Some(same) = one.top.iter().find(|top| top.id == *id) {
            assert_eq!(same.logprob, one.logprob);
        }
        assert!(one.top.iter().map(|top| f64::from(top.logprob).exp()).sum::<f64>() <= 1.0 + 1e-6);
    }
    let least = told.iter().map(|one| one.logprob).fold(0.0, f32::min).exp();
    assert!((least - whole.done.confidence.min).abs() < 1e-6, "the same distribution as the confidence");
    let (_, chosen_only) = logprobs(&engine, asked(0));
    assert!(chosen_only.iter().all(|one| one.top.is_empty()));
    let cut = Request { resume: tokens[..7].to_vec(), ..asked(20) };
    assert_eq!(logprobs(&engine, cut), (tokens[7..].to_vec(), told[7..].to_vec()));
}

pub(super) fn schema() -> Constraint {
    let schema = json!({
        "type": "object", "additionalProperties": false, "required": ["name", "count", "tags"],
        "properties": {
            "name": { "type": "string", "minLength": 1, "maxLength": 8 },
            "count": { "type": "integer", "minimum": 0, "maximum": 999 },
            "tags": { "type": "array", "maxItems": 3, "items": { "enum": ["red", "green", "hello"] } },
        },
    });
    Constraint::JsonSchema(schema.to_string())
}

/// Everything at once that an answer remembers: penalties, a constraint, stop strings.
pub(super) fn laden(temperature: f32, constraint: Option<Constraint>) -> Request {
    let sampling = Sampling {
        temperature: Some(temperature),
        top_p: Some(0.98),
        min_p: Some(0.001),
        repetition_penalty: Some(1.1),
        presence_penalty: 0.4,
        frequency_penalty: 0.3,
        logit_bias: [(id_of("e"), 1.5)].into(),
        ..Sampling::default()
    };
    Request { sampling, constraint, seed: 11, ..ask("hello the thing", 60) }
}

fn is_of_schema(answer: &Answer) -> bool {
    let found: serde_json::Value = serde_json::from_str(&answer.text).unwrap_or_default();
    found["name"].as_str().is_some_and(|name| (1..=8).contains(&name.chars().count()))
        && found["count"].as_u64().is_some_and(|count| count <= 999)
        && found["tags"].as_array().is_some_and(|tags| tags.len() <= 3)
}

#[test]
fn a_constrained_answer_has_its_form_and_ends_by_itself_at_any_seed() {
    let engine = engine(options());
    for seed in 0..60 {
        let sampling = Sampling { temperature: Some(1.0), ..Sampling::default() };
        let request = Request { sampling, constraint: Some(schema()), seed, ..ask("hello", 200) };
        let found = answer(&engine, request);
        assert_eq!(found.done.finish, Finish::Stop, "{}", found.text);
        assert!(is_of_schema(&found), "{}", found.text);
    }
}

/// Cuts an answer after every token and goes on; what was shown before and what comes after must be the whole.
fn check_cuts(engine: &Engine, request: &Request) {
    let mut stream = engine.handle.generate(request.clone()).unwrap();
    let (mut ids, mut shown, mut boundaries) = (Vec::new(), String::new(), vec![(0, String::new())]);
    let finish = loop {
        match stream.blocking_next().unwrap() {
            Event::Delta { text, tokens, .. } => {
                shown += &text;
                ids.extend(tokens);
                boundaries.push((ids.len(), shown.clone()));
            }
            Event::Done(done) => break done.finish,
            Event::Failed(error) => panic!("{error}"),
        }
    };
    assert!(ids.len() > 8, "{shown}");
    for cut in 0..=ids.len() {
        let rest = answer(engine, Request { resume: ids[..cut].to_vec(), ..request.clone() });
        assert_eq!((&rest.tokens[..], rest.done.finish), (&ids[cut..], finish), "after {cut} of {shown:?}");
        assert!(shown.ends_with(&rest.text));
        // Who was shown so many tokens was shown exactly the text before the rest.
        if let Some((_, before)) = boundaries.iter().find(|(shown, _)| *shown == cut)
            && finish != Finish::Stop
        {
            assert_eq!(before.clone() + &rest.text, shown);
        }
    }
}

#[test]
fn a_cut_anywhere_goes_on_exactly_whatever_the_answer_remembers() {
    let engine = engine(options());
    for temperature in [0.0, 1.0] {
        check_cuts(&engine, &laden(temperature, None));
        check_cuts(&engine, &laden(temperature, Some(schema())));
        let whole = answer(&engine, laden(temperature, None));
        // One that comes, over a border of tokens, and one that nearly does.
        let characters: Vec<char> = whole.text.chars().collect();
        let stop = characters[20..24].iter().collect();
        let never = characters[8..11].iter().collect::<String>() + "\u{1}";
        check_cuts(&engine, &Request { stop: vec![never, stop], ..laden(temperature, None) });
    }
}

#[test]
fn constraints_and_penalties_are_the_same_alone_and_among_others() {
    let requests = || {
        let one = |(at, text): (usize, &&str)| Request {
            seed: at as u64,
            conversation: super::user(text),
            ..laden(1.0, (at % 2 == 0).then(schema))
        };
        PROMPTS.iter().enumerate().map(one)
    };
    let alone = engine(Options { sequences_max: 1, step_tokens_max: 256, ..options() });
    let expected: Vec<Answer> = requests().map(|request| answer(&alone, request)).collect();
    for (sequences_max, step_tokens_max, threads) in [(6, 7, 1), (3, 5, 3)] {
        let busy = engine(Options { sequences_max, step_tokens_max, threads, ..options() });
        let mut streams: Vec<Stream> =
            requests().map(|request| busy.handle.generate(request).unwrap()).collect();
        let answers: Vec<Answer> = streams.iter_mut().map(|stream| read(stream, 0).unwrap()).collect();
        assert_eq!(answers, expected);
    }
}

#[test]
fn a_constraint_is_refused_by_its_field_and_a_resume_that_breaks_it_too() {
    let engine = engine(options());
    let refused = |request: Request| match engine.handle.generate(request) {
        Err(Error::BadRequest { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    let constrained = |constraint| Request { constraint: Some(constraint), ..ask("hello", 9) };
    assert_eq!(refused(constrained(Constraint::JsonSchema("{\"type\":\"thing\"}".into()))), "json_schema");
    assert_eq!(refused(constrained(Constraint::JsonSchema(" ".repeat(65_537)))), "json_schema");
    assert_eq!(refused(constrained(Constraint::Lark("start: other".into()))), "lark_grammar");
    assert_eq!(refused(constrained(Constraint::Regex(String::new()))), "regex");
    let resumed = Request { resume: vec![id_of("b")], ..constrained(Constraint::Regex("a+".into())) };
    assert_eq!(refused(resumed), "resume");
    let complete = Request { resume: vec![id_of("a")], ..constrained(Constraint::Regex("a".into())) };
    let nothing = answer(&engine, complete);
    assert_eq!((nothing.tokens, nothing.done.finish), (vec![], Finish::Stop));
}

/// Numbers as a caller may send them: sound, absurd and broken.
fn number() -> impl Strategy<Value = f32> {
    let absurd = [f32::NAN, f32::INFINITY, -0.0, 0.0, 1.0, 2.0, -2.0, f32::MIN_POSITIVE, f32::MAX, 1e-30];
    prop_oneof![proptest::sample::select(absurd.to_vec()), -3f32..3.0, any::<u32>().prop_map(f32::from_bits)]
}

fn sampling() -> impl Strategy<Value = Sampling> {
    let maybe = || proptest::option::weighted(0.3, number());
    let mostly_none = || prop_oneof![6 => Just(0.0), 1 => number()];
    let count = prop_oneof![Just(0), 0..40usize, Just(usize::MAX)];
    let bias =
        proptest::collection::btree_map(prop_oneof![9 => 0..267u32, 1 => any::<u32>()], number(), 0..2);
    let cuts = (maybe(), maybe(), maybe(), proptest::option::weighted(0.3, count.clone()));
    let penalties = (maybe(), mostly_none(), mostly_none());
    (cuts, penalties, bias, proptest::option::weighted(0.2, count)).prop_map(
        |((temperature, top_p, min_p, top_k), (repeated, present, frequent), logit_bias, logprobs)| {
            Sampling {
                temperature,
                top_p,
                top_k,
                min_p,
                repetition_penalty: repeated,
                presence_penalty: present,
                frequency_penalty: frequent,
                logit_bias,
                logprobs,
            }
        },
    )
}

fn absurd() -> impl Strategy<Value = Request> {
    let text = prop_oneof![9 => "[a-z<|\u{80}-\u{10ffff}]{1,20}", 1 => " {0,3}", 3 => Just("hello <|im_end|>".to_owned())];
    let stop = prop_oneof![4 => Just(vec![]), 1 => proptest::collection::vec("[a-z]{0,3}", 0..10)];
    let id = prop_oneof![20 => 0..264u32, 1 => any::<u32>()];
    let resume = prop_oneof![3 => Just(vec![]), 1 => proptest::collection::vec(id, 0..4)];
    let constraint = proptest::option::weighted(0.2, "[a-c(+\\\\{]{0,4}".prop_map(Constraint::Regex));
    let max_tokens = prop_oneof![1 => Just(0), 30 => 1..4usize, 2 => Just(usize::MAX)];
    (text, sampling(), stop, resume, constraint, max_tokens, any::<u64>()).prop_map(
        |(text, sampling, stop, resume, constraint, max_tokens, seed)| Request {
            sampling,
            stop,
            resume,
            constraint,
            max_tokens,
            seed,
            ..ask(&text, 1)
        },
    )
}

#[test]
fn ten_thousand_absurd_requests_are_refused_by_field_or_served() {
    let engine = engine(Options { context_tokens_max: 64, queue_len_max: 20_000, ..options() });
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut refused, mut served) = (0, Vec::new());
    for _ in 0..10_000 {
        let request = absurd().new_tree(&mut runner).unwrap().current();
        let resumed = request.resume.len();
        match engine.handle.generate(request) {
            Ok(stream) => served.push((stream, resumed)),
            Err(Error::BadRequest { field, problem }) => {
                assert!(!field.is_empty() && !problem.is_empty());
                refused += 1;
            }
            Err(Error::OverLong { .. }) => refused += 1,
            Err(error) => panic!("{error}"),
        }
        if served.len() >= 64 {
            served.drain(..).for_each(|(mut stream, resumed)| drop(read(&mut stream, resumed).unwrap()));
        }
    }
    assert!((3_000..9_000).contains(&refused), "{refused}");
    assert!(answer(&engine, ask("hello", 5)).tokens.len() == 5, "and it serves on");
}
