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
