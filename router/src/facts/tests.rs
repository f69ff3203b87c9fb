//! Facts of requests of every kind.

use policy::{Capabilities, Facts, Name, Priority, Privacy, Topic, Vector};
use proto::v1;
use proto::v1::content_part::Part;

use super::{of, read};

fn check(change: impl FnOnce(&mut v1::GenerateRequest, &mut v1::Signals), expect: impl FnOnce(&mut Facts)) {
    let (mut request, mut signals) = Default::default();
    let mut facts = of(&request, &signals, Name::from("agent"));
    change(&mut request, &mut signals);
    expect(&mut facts);
    assert_eq!(of(&request, &signals, Name::from("agent")), facts);
}

#[test]
fn what_the_caller_wishes_is_a_fact() {
    check(
        |request, _| {
            request.privacy = v1::Privacy::HomeOnly.into();
            request.priority = v1::Priority::Background.into();
            request.price_max_usd = Some(0.5);
            request.residency = "DE".into();
            request.only_place = "cloud".into();
            request.sampling = Some(v1::Sampling { max_tokens: Some(9), ..Default::default() });
        },
        |facts| {
            facts.privacy = Privacy::HomeOnly;
            facts.priority = Priority::Background;
            facts.price_max_usd = Some(0.5);
            facts.residency = Some("DE".into());
            facts.only_place = Some("cloud".into());
            facts.output_tokens_max = Some(9);
        },
    );
}

#[test]
fn numbers_of_no_known_meaning_are_as_if_not_given() {
    check(
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
    check(
        |_, signals| {
            signals.prompt_tokens = 12;
            signals.output_tokens_p50 = 3.0;
            signals.output_tokens_p90 = 9.0;
            signals.requirement = vec![1.0; 40];
            signals.difficulty = 0.5;
            signals.topic = "self_harm".into();
            signals.language = "hi".into();
        },
        |facts| {
            facts.prompt_tokens = 12;
            facts.output_tokens_p50 = 3.0;
            facts.output_tokens_p90 = 9.0;
            facts.requirement = Vector::new(&[1.0; 8]);
            facts.difficulty = 0.5;
            facts.topic = Topic::SelfHarm;
            facts.language = "hi".into();
        },
    );
}

#[test]
fn content_decides_what_a_place_must_be_able_to_do() {
    let turn = |part| v1::Turn { parts: vec![v1::ContentPart { part: Some(part) }], ..Default::default() };
    check(
        |request, _| {
            let turns = [Part::Audio(v1::Blob::default()), Part::Image(v1::Blob::default())];
            request.turns = turns.map(turn).into();
        },
        |facts| facts.needs = Capabilities::TEXT.with(Capabilities::IMAGE).with(Capabilities::AUDIO),
    );
}

#[test]
fn a_long_talk_before_a_short_question_counts() {
    let models = signals::Models::shipped();
    let turn = |text: String| v1::Turn {
        role: v1::Role::User.into(),
        parts: vec![v1::ContentPart { part: Some(Part::Text(text)) }],
    };
    let question = "Wie spät ist es in Berlin?".to_owned();
    let mut request = v1::GenerateRequest { turns: vec![turn(question.clone())], ..Default::default() };
    let alone = read(&request, &models);
    assert_eq!((alone.language.as_str(), alone.version.as_str()), ("de", models.version()));
    request.turns.insert(0, turn(question.repeat(9)));
    let whole = read(&request, &models);
    assert!((9 * alone.prompt_tokens..=11 * alone.prompt_tokens).contains(&whole.prompt_tokens));
    assert_eq!(whole.difficulty, alone.difficulty, "the question is the last turn");
    // Nothing to read is no reason to fail.
    read(&v1::GenerateRequest::default(), &models);
}
