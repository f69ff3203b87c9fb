//! Requests with one wrong field at a time, and the facts of requests of every kind.

use proto::v1;
use proto::v1::content_part::Part;

use super::{Limits, check, check_feedback, facts};
use crate::{Capabilities, Facts, Name, Priority, Privacy, Topic, Vector, Version};

const LIMITS: Limits = Limits { prompt_bytes_max: 65_536, output_tokens_max: 4_096 };

fn text(text: impl Into<String>) -> Option<Part> {
    Some(Part::Text(text.into()))
}

fn turn(role: v1::Role, part: Option<Part>) -> v1::Turn {
    v1::Turn { role: role.into(), parts: vec![v1::ContentPart { part }] }
}

fn refused(change: impl FnOnce(&mut v1::GenerateRequest), expect: Option<&str>) {
    let mut request = v1::GenerateRequest {
        turns: vec![turn(v1::Role::User, text("hello"))],
        sampling: Some(v1::Sampling::default()),
        ..Default::default()
    };
    change(&mut request);
    let invalid = check(&request, &LIMITS).err().map(|invalid| invalid.to_string());
    assert_eq!(invalid.as_deref(), expect);
}

fn sampling(change: impl FnOnce(&mut v1::Sampling), expect: Option<&str>) {
    refused(|request| change(request.sampling.get_or_insert_default()), expect);
}

#[test]
fn a_plain_question_passes() {
    refused(|_| {}, None);
    refused(|request| request.sampling = None, None);
}

#[test]
fn a_constraint_is_bounded_by_its_own_name() {
    use v1::generate_request::Constraint;
    refused(|r| r.constraint = Some(Constraint::Regex("[a-z]+".to_owned())), None);
    let regex = |bytes| format!("`regex` has {bytes} bytes; give from 1 to 4096");
    refused(|r| r.constraint = Some(Constraint::Regex(String::new())), Some(&regex(0)));
    refused(|r| r.constraint = Some(Constraint::Regex("x".repeat(4_097))), Some(&regex(4_097)));
    let schema = "`json_schema` has 65537 bytes; give from 1 to 65536";
    refused(|r| r.constraint = Some(Constraint::JsonSchema(" ".repeat(65_537))), Some(schema));
    let grammar = "`lark_grammar` has 0 bytes; give from 1 to 65536";
    refused(|r| r.constraint = Some(Constraint::LarkGrammar(String::new())), Some(grammar));
}

#[test]
fn turns_are_held_to_the_contract() {
    refused(|request| request.turns.clear(), Some("`turns` is 0; give from 1 to 256 turns"));
    let many = |request: &mut v1::GenerateRequest| request.turns = vec![request.turns[0].clone(); 257];
    refused(many, Some("`turns` is 257; give from 1 to 256 turns"));
    refused(|request| request.turns[0].parts.clear(), Some("`turns[0].parts` has 0; give from 1 to 64"));
    let many = |request: &mut v1::GenerateRequest| {
        request.turns[0].parts = vec![request.turns[0].parts[0].clone(); 65];
    };
    refused(many, Some("`turns[0].parts` has 65; give from 1 to 64"));
    let blank = |request: &mut v1::GenerateRequest| {
        request.turns.insert(0, turn(v1::Role::System, text(" \n")));
    };
    refused(blank, Some("`turns[0].parts[0]` is empty; give some text"));
    let second = |request: &mut v1::GenerateRequest| {
        request.turns[0].parts.push(v1::ContentPart { part: text(" ") });
    };
    refused(second, Some("`turns[0].parts[1]` is empty; give some text"));
    let nothing = |request: &mut v1::GenerateRequest| request.turns = vec![turn(v1::Role::User, None)];
    refused(nothing, Some("`turns[0].parts[0]` holds nothing that is known here; give text"));
    let long = |request: &mut v1::GenerateRequest| {
        request.turns = vec![turn(v1::Role::User, text("x".repeat(65_537)))];
    };
    refused(long, Some("`turns` have 65537 bytes of text; give at most 65536"));
    let last = "`turns[0].role` is not the user's; the last turn must be";
    refused(|request| request.turns[0].role = v1::Role::Assistant.into(), Some(last));
    refused(|request| request.turns[0].role = 77, Some(last));
}

#[test]
fn sampling_is_held_to_its_ranges() {
    sampling(|s| s.max_tokens = Some(0), Some("`sampling.max_tokens` is 0; give from 1 to 4096"));
    sampling(|s| s.max_tokens = Some(5000), Some("`sampling.max_tokens` is 5000; give from 1 to 4096"));
    sampling(|s| s.temperature = Some(f32::NAN), Some("`sampling.temperature` is NaN; give from 0 to 2"));
    sampling(|s| s.temperature = Some(-1.0), Some("`sampling.temperature` is -1; give from 0 to 2"));
    sampling(|s| s.temperature = Some(2.5), Some("`sampling.temperature` is 2.5; give from 0 to 2"));
    sampling(|s| s.top_p = Some(0.0), Some("`sampling.top_p` is 0; give above 0 and at most 1"));
    sampling(|s| s.top_p = Some(f32::NAN), Some("`sampling.top_p` is NaN; give above 0 and at most 1"));
    let penalty = |is: &str| format!("`sampling.repetition_penalty` is {is}; give from 0.01 to 2");
    sampling(
        |s| s.repetition_penalty = Some(1e-38),
        Some(&penalty("0.00000000000000000000000000000000000001")),
    );
    sampling(|s| s.repetition_penalty = Some(0.01), None);
    sampling(|s| s.repetition_penalty = Some(f32::INFINITY), Some(&penalty("inf")));
    sampling(|s| s.repetition_penalty = Some(2.5), Some(&penalty("2.5")));
    sampling(|s| s.min_p = Some(0.1), None);
    sampling(|s| s.min_p = Some(f32::NAN), Some("`sampling.min_p` is NaN; give from 0 to 1"));
    sampling(|s| s.presence_penalty = Some(-2.0), None);
    let penalty = |of: &str, is: &str| format!("`sampling.{of}_penalty` is {is}; give from -2 to 2");
    sampling(|s| s.presence_penalty = Some(-2.5), Some(&penalty("presence", "-2.5")));
    sampling(|s| s.frequency_penalty = Some(f32::NAN), Some(&penalty("frequency", "NaN")));
    sampling(|s| s.logit_bias = [(7, -100.0)].into(), None);
    let bias = "`sampling.logit_bias[7]` is inf; give from -100 to 100";
    sampling(|s| s.logit_bias = [(7, f32::INFINITY)].into(), Some(bias));
    let many = "`sampling.logit_bias` is 1025; give at most 1024 ids";
    sampling(|s| s.logit_bias = (0..1_025).map(|id| (id, 1.0)).collect(), Some(many));
    sampling(|s| s.logprobs = Some(20), None);
    sampling(|s| s.logprobs = Some(21), Some("`sampling.logprobs` is 21; give at most 20"));
    sampling(|s| s.stop = vec!["x".into(); 9], Some("`sampling.stop` is 9; give at most 8 strings"));
    sampling(|s| s.stop = vec![String::new()], Some("`sampling.stop[0]` has 0 bytes; give from 1 to 64"));
    sampling(|s| (s.temperature, s.top_p, s.max_tokens) = (Some(2.0), Some(1.0), Some(4096)), None);
}

#[test]
fn the_rest_is_bounded() {
    refused(|r| r.request_id = "x".repeat(65), Some("`request_id` has 65 bytes; give at most 64"));
    for (id, shown) in
        [("a\nb", "'\\n'"), ("\0", "'\\0'"), ("\u{1b}[2J", "'\\u{1b}'"), ("\u{9b}", "'\\u{9b}'")]
    {
        let problem =
            format!("`request_id` has the control character {shown}; give printable characters only");
        refused(|r| r.request_id = id.to_owned(), Some(&problem));
        let feedback = v1::Feedback { request_id: id.to_owned(), ..v1::Feedback::default() };
        assert_eq!(check_feedback(&feedback).unwrap_err().to_string(), problem);
    }
    let feedback = |id: String| check_feedback(&v1::Feedback { request_id: id, ..v1::Feedback::default() });
    assert!(feedback("x".repeat(64)).is_ok() && feedback("x".repeat(65)).is_err());
    refused(|r| r.price_max_usd = Some(f64::NAN), Some("`price_max_usd` is NaN; give 0 or more"));
    refused(|r| r.price_max_usd = Some(-0.5), Some("`price_max_usd` is -0.5; give 0 or more"));
    refused(|r| r.privacy = 99, Some("`privacy` is 99; give a privacy that is known here"));
    refused(|r| r.privacy = -1, Some("`privacy` is -1; give a privacy that is known here"));
    refused(|r| r.priority = 99, Some("`priority` is 99; give a priority that is known here"));
    let circle = "`decisions` is 8; give fewer hops; two of them may point at each other";
    refused(|r| r.decisions = vec![v1::Decision::default(); 8], Some(circle));
    let long = || "x".repeat(65);
    let signals = |signals| move |request: &mut v1::GenerateRequest| request.signals = Some(signals);
    let named = v1::Intent { name: long(), ..Default::default() };
    refused(
        signals(v1::Signals { intent: Some(named), ..Default::default() }),
        Some("`signals.intent.name` has 65 bytes; give at most 64"),
    );
    let private = v1::Private { personal_data: vec![String::new(); 65], ..Default::default() };
    refused(
        signals(v1::Signals { private: Some(private), ..Default::default() }),
        Some("`signals.private.personal_data` is 65; give at most 64 names"),
    );
    let resume = v1::Resume { token_ids: vec![1; 4097], ..Default::default() };
    refused(|r| r.resume = Some(resume), Some("`resume.token_ids` is 4097; give fewer token ids"));
}

fn known(change: impl FnOnce(&mut v1::GenerateRequest, &mut v1::Signals), expect: impl FnOnce(&mut Facts)) {
    let (mut request, mut signals) = Default::default();
    let mut expected = facts(&request, &signals, Name::from("agent/1"));
    change(&mut request, &mut signals);
    expect(&mut expected);
    assert_eq!(facts(&request, &signals, Name::from("agent/1")), expected);
}

#[test]
fn a_request_that_wishes_nothing_may_go_anywhere() {
    let (request, signals) = Default::default();
    let known = facts(&request, &signals, Name::from("agent/1"));
    assert_eq!((known.tenant, known.residency, known.only_place), ("agent/1".into(), None, None));
    assert_eq!((known.privacy, known.needs), (Privacy::Normal, Capabilities::TEXT));
}

#[test]
fn what_the_caller_wishes_is_a_fact() {
    known(
        |request, _| {
            request.privacy = v1::Privacy::HomeOnly.into();
            request.priority = v1::Priority::Background.into();
            request.price_max_usd = Some(0.5);
            request.residency = "DE".into();
            request.conversation_id = "talk".into();
            request.only_place = "cloud".into();
            request.sampling = Some(v1::Sampling { max_tokens: Some(9), ..Default::default() });
        },
        |facts| {
            facts.privacy = Privacy::HomeOnly;
            facts.priority = Priority::Background;
            facts.price_max_usd = Some(0.5);
            facts.residency = Some("DE".into());
            facts.conversation = "talk".into();
            facts.only_place = Some("cloud".into());
            facts.output_tokens_max = Some(9);
        },
    );
    known(
        |request, _| request.privacy = v1::Privacy::LocalOnly.into(),
        |facts| facts.privacy = Privacy::LocalOnly,
    );
}

#[test]
fn numbers_of_no_known_meaning_are_as_if_not_given() {
    known(
        |request, signals| {
            request.privacy = 99;
            request.priority = -1;
            signals.topic = "astrology".into();
        },
        |_| {},
    );
}

#[test]
fn signals_are_facts() {
    known(
        |_, signals| {
            signals.prompt_tokens = 12;
            signals.output_tokens_p50 = 3.0;
            signals.output_tokens_p90 = 9.0;
            signals.requirement = vec![1.0; 40];
            signals.difficulty = 0.5;
            signals.topic = "self_harm".into();
            signals.language = "hi".into();
            signals.script = "devanagari".into();
            signals.intent = Some(v1::Intent { name: "timer".into(), probability: 0.75, in_scope: true });
            signals.form = Some(v1::Form { code: true, numbers: true, lists: true });
            signals.private = Some(v1::Private {
                personal_data: vec!["credit_card".into()],
                private_content: vec!["finance".into()],
            });
            signals.version = "difficulty-1".into();
            signals.models = vec!["difficulty-1".into(), "intent-2".into()];
        },
        |facts| {
            facts.prompt_tokens = 12;
            facts.output_tokens_p50 = 3.0;
            facts.output_tokens_p90 = 9.0;
            facts.requirement = Vector::new(&[1.0; 8]);
            facts.difficulty = 0.5;
            facts.topic = Topic::SelfHarm;
            facts.language = "hi".into();
            facts.script = "devanagari".into();
            (facts.intent, facts.intent_probability, facts.in_scope) = ("timer".into(), 0.75, true);
            (facts.has_code, facts.has_numbers, facts.has_lists) = (true, true, true);
            facts.personal_data = vec!["credit_card".into()];
            facts.private_content = vec!["finance".into()];
            facts.versions =
                vec![Version::new("difficulty", "difficulty-1"), Version::new("intent", "intent-2")];
        },
    );
}

#[test]
fn content_decides_what_a_place_must_be_able_to_do() {
    let turn = |part| turn(v1::Role::User, Some(part));
    known(
        |request, _| {
            let turns = [Part::Audio(v1::Blob::default()), Part::Image(v1::Blob::default())];
            request.turns = turns.map(turn).into();
        },
        |facts| {
            facts.needs = Capabilities::TEXT.with(Capabilities::IMAGE).with(Capabilities::AUDIO);
            facts.turns = 2;
        },
    );
}
