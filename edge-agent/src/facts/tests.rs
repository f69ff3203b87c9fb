//! What is made of a request.

use policy::Name;
use proto::v1;
use proto::v1::content_part::Part;

use super::{of, said};

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
fn a_worker_stands_for_its_tier() {
    for (only, expect) in [("cloud/worker-1", Some("cloud")), ("cloud", Some("cloud")), ("", None)] {
        let asked = v1::GenerateRequest { only_place: only.to_owned(), ..request(Vec::new()) };
        let facts = of(&asked, &v1::Signals::default(), "agent/1".into());
        assert_eq!(facts.only_place, expect.map(Name::from));
    }
}
