//! What is made of a request.

use policy::{Capabilities, Name, Privacy};
use proto::v1;
use proto::v1::content_part::Part;

use super::{of, read, said};

fn turn(role: v1::Role, parts: Vec<Part>) -> v1::Turn {
    let parts = parts.into_iter().map(|part| v1::ContentPart { part: Some(part) }).collect();
    v1::Turn { role: role.into(), parts }
}

fn text(text: &str) -> Part {
    Part::Text(text.to_owned())
}

fn request(turns: Vec<v1::Turn>) -> v1::GenerateRequest {
    v1::GenerateRequest { turns, ..v1::GenerateRequest::default() }
}

#[test]
fn only_what_a_person_said_alone_may_be_a_command() {
    let user = |parts| turn(v1::Role::User, parts);
    for (turns, expect) in [
        (vec![user(vec![text("lights on")])], Some("lights on")),
        (
            vec![turn(v1::Role::Assistant, vec![text("Yes?")]), user(vec![text("lights on")])],
            Some("lights on"),
        ),
        (vec![turn(v1::Role::System, vec![text("Translate.")]), user(vec![text("lights on")])], None),
        (vec![user(vec![text("lights"), text("on")])], None),
        (vec![user(vec![text("lights on"), Part::Image(v1::Blob::default())])], None),
        (vec![], None),
    ] {
        assert_eq!(said(&request(turns)), expect);
    }
}

#[test]
fn wishes_become_constraints() {
    let mut asked = request(vec![turn(v1::Role::User, vec![text("hi"), Part::Audio(v1::Blob::default())])]);
    asked.privacy = v1::Privacy::LocalOnly.into();
    asked.only_place = "cloud/worker-1".to_owned();
    asked.sampling = Some(v1::Sampling { max_tokens: Some(7), ..v1::Sampling::default() });
    let signals = read(&asked, &signals::Models::shipped());
    let facts = of(&asked, &signals, "agent/1".into());
    assert_eq!(facts.privacy, Privacy::LocalOnly);
    assert_eq!(facts.only_place, Some("cloud".into()));
    assert_eq!(facts.needs, Capabilities::TEXT.with(Capabilities::AUDIO));
    assert_eq!(facts.output_tokens_max, Some(7));
    assert_eq!(facts.tenant, Name::from("agent/1"));
    assert_eq!(facts.residency, None);
}

#[test]
fn earlier_turns_count_into_the_length() {
    let models = signals::Models::shipped();
    let short = read(&request(vec![turn(v1::Role::User, vec![text("How are you?")])]), &models);
    let long = turn(v1::Role::Assistant, vec![text(&"word ".repeat(100))]);
    let long = read(&request(vec![long, turn(v1::Role::User, vec![text("How are you?")])]), &models);
    assert!(long.prompt_tokens > 10 * short.prompt_tokens, "{} {}", long.prompt_tokens, short.prompt_tokens);
}
