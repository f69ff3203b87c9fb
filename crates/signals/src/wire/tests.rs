//! Signals of whole requests.

use proto::v1;
use proto::v1::content_part::Part;

use super::{complete, read};
use crate::Models;

fn turn(role: v1::Role, text: impl Into<String>) -> v1::Turn {
    v1::Turn { role: role.into(), parts: vec![v1::ContentPart { part: Some(Part::Text(text.into())) }] }
}

#[test]
fn a_long_talk_before_a_short_question_counts() {
    let models = Models::shipped();
    let question = "Wie spät ist es in Berlin?";
    let turns = vec![turn(v1::Role::User, question)];
    let mut request = v1::GenerateRequest { turns, ..Default::default() };
    let alone = read(&request, &models);
    assert_eq!((alone.language.as_str(), alone.version.as_str()), ("de", models.version()));
    request.turns.insert(0, turn(v1::Role::Assistant, question.repeat(9)));
    let whole = read(&request, &models);
    assert!((9 * alone.prompt_tokens..=11 * alone.prompt_tokens).contains(&whole.prompt_tokens));
    assert_eq!(whole.difficulty, alone.difficulty, "the question is the last turn");
}

#[test]
fn what_is_grave_or_private_counts_wherever_it_was_said() {
    let models = Models::shipped();
    let check = |role: v1::Role, earlier: &str, expected: (&str, &[&str], &[&str])| {
        let turns =
            vec![turn(role, earlier), turn(v1::Role::Assistant, "Yes."), turn(v1::Role::User, "Go on")];
        let signals = read(&v1::GenerateRequest { turns, ..Default::default() }, &models);
        let private = signals.private.unwrap();
        let (data, content): (Vec<&str>, Vec<&str>) = (
            private.personal_data.iter().map(String::as_str).collect(),
            private.private_content.iter().map(String::as_str).collect(),
        );
        assert_eq!((signals.topic.as_str(), &data[..], &content[..]), expected, "{earlier}");
        assert_eq!(signals.sensitive, !data.is_empty() || !content.is_empty(), "{earlier}");
    };
    let card = "Pay with 4111 1111 1111 1111";
    check(v1::Role::User, card, ("", &["credit_card"], &[]));
    check(v1::Role::Assistant, card, ("", &["credit_card"], &[]));
    check(v1::Role::User, "My password is hunter2", ("", &[], &["credentials"]));
    let dose = "How much ibuprofen may I give to my baby with a fever?";
    check(v1::Role::User, dose, ("medical", &[], &[]));
    check(v1::Role::Assistant, dose, ("", &[], &[]));
    check(v1::Role::User, "What is the weather like?", ("", &[], &[]));
}

#[test]
fn a_request_of_nothing_can_be_read() {
    assert_eq!(read(&v1::GenerateRequest::default(), &Models::shipped()).prompt_tokens, 0);
}

#[test]
fn what_an_agent_did_not_say_is_read_and_what_it_said_is_not() {
    let models = Models::shipped();
    let text = "My card is 4111 1111 1111 1111, set a timer for 5 minutes";
    let turns = vec![turn(v1::Role::User, text)];
    let request = v1::GenerateRequest { turns, ..Default::default() };
    let whole = read(&request, &models);
    assert_eq!((whole.script.as_str(), whole.form.unwrap().numbers), ("latin", true));
    assert_eq!(whole.private.as_ref().unwrap().personal_data, ["credit_card"]);
    assert_eq!(whole.models, models.versions());
    assert_eq!(complete(v1::Signals::default(), &request, &models), whole);
    let told = v1::Signals {
        language: "de".into(),
        script: "greek".into(),
        requirement: vec![7.0],
        prompt_tokens: 3,
        intent: Some(v1::Intent { name: "weather".into(), probability: 0.5, in_scope: true }),
        form: Some(v1::Form::default()),
        private: Some(v1::Private::default()),
        ..Default::default()
    };
    assert_eq!(complete(told.clone(), &request, &models), told);
    let older = v1::Signals { intent: None, private: None, ..told.clone() };
    let mended = complete(older, &request, &models);
    assert_eq!((&mended.intent, &mended.private), (&whole.intent, &whole.private));
    assert_eq!((mended.sensitive, mended.requirement, mended.language.as_str()), (true, vec![7.0], "de"));
}
