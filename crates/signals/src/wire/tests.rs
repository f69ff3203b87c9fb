//! Signals of whole requests.

use proto::v1;
use proto::v1::content_part::Part;

use super::read;
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
