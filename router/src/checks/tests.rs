//! One wrong field at a time.

use mesh::process::Limits;
use proto::v1;
use proto::v1::content_part::Part;

use super::check as checked;

fn turn(role: v1::Role, part: Option<Part>) -> v1::Turn {
    v1::Turn { role: role.into(), parts: vec![v1::ContentPart { part }] }
}

fn check(change: impl FnOnce(&mut v1::GenerateRequest), expect: Option<&str>) {
    let mut request = v1::GenerateRequest {
        turns: vec![turn(v1::Role::User, Some(Part::Text("hello".into())))],
        sampling: Some(v1::Sampling::default()),
        ..Default::default()
    };
    change(&mut request);
    let error = checked(&request, &Limits::default()).err().map(|error| error.to_string());
    assert_eq!(error.as_deref(), expect);
}

fn sampling(change: impl FnOnce(&mut v1::Sampling), expect: Option<&str>) {
    check(|request| change(request.sampling.get_or_insert_default()), expect);
}

#[test]
fn a_plain_question_passes() {
    check(|_| {}, None);
    check(|request| request.sampling = None, None);
}

#[test]
fn turns_are_held_to_the_contract() {
    check(|request| request.turns.clear(), Some("`turns` is 0; give from 1 to 256 turns"));
    let many = |request: &mut v1::GenerateRequest| request.turns = vec![request.turns[0].clone(); 257];
    check(many, Some("`turns` is 257; give from 1 to 256 turns"));
    check(|request| request.turns[0].parts.clear(), Some("`turns[0].parts` has 0; give from 1 to 64"));
    let blank = |request: &mut v1::GenerateRequest| {
        request.turns.insert(0, turn(v1::Role::System, Some(Part::Text(" \n".into()))));
    };
    check(blank, Some("`turns[0].parts[0]` is empty; give some text"));
    let nothing = |request: &mut v1::GenerateRequest| request.turns = vec![turn(v1::Role::User, None)];
    check(nothing, Some("`turns[0].parts[0]` holds nothing that is known here; give text"));
    let long = |request: &mut v1::GenerateRequest| {
        request.turns = vec![turn(v1::Role::User, Some(Part::Text("x".repeat(65_537))))];
    };
    check(long, Some("`turns` have 65537 bytes of text; give at most 65536"));
    let assistant = |request: &mut v1::GenerateRequest| request.turns[0].role = v1::Role::Assistant.into();
    check(assistant, Some("`turns[0].role` is not the user's; the last turn must be"));
    check(
        |request| request.turns[0].role = 77,
        Some("`turns[0].role` is not the user's; the last turn must be"),
    );
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
    let penalty = "`sampling.repetition_penalty` is inf; give above 0 and at most 2";
    sampling(|s| s.repetition_penalty = Some(f32::INFINITY), Some(penalty));
    sampling(|s| s.stop = vec!["x".into(); 9], Some("`sampling.stop` is 9; give at most 8 strings"));
    sampling(|s| s.stop = vec![String::new()], Some("`sampling.stop[0]` has 0 bytes; give from 1 to 64"));
    sampling(|s| (s.temperature, s.top_p, s.max_tokens) = (Some(2.0), Some(1.0), Some(4096)), None);
}

#[test]
fn the_rest_is_bounded() {
    check(|r| r.request_id = "x".repeat(65), Some("`request_id` has 65 bytes; give at most 64"));
    check(|r| r.price_max_usd = Some(f64::NAN), Some("`price_max_usd` is NaN; give 0 or more"));
    check(|r| r.price_max_usd = Some(-0.5), Some("`price_max_usd` is -0.5; give 0 or more"));
    let circle = "`decisions` is 8; give fewer hops; two of them may point at each other";
    check(|r| r.decisions = vec![v1::Decision::default(); 8], Some(circle));
    let resume = v1::Resume { token_ids: vec![1; 4097], model_hash: String::new() };
    check(|r| r.resume = Some(resume), Some("`resume.token_ids` is 4097; give fewer token ids"));
}
