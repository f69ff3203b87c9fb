//! What a request may not be.

use mesh::process::Limits;
use proto::v1;
use proto::v1::content_part::Part;

use super::check;

fn text(text: &str) -> v1::ContentPart {
    v1::ContentPart { part: Some(Part::Text(text.to_owned())) }
}

fn turn(parts: Vec<v1::ContentPart>) -> v1::Turn {
    v1::Turn { role: v1::Role::User.into(), parts }
}

fn expect(change: impl FnOnce(&mut v1::GenerateRequest), expect: &str) {
    let mut request =
        v1::GenerateRequest { turns: vec![turn(vec![text("hi")])], ..v1::GenerateRequest::default() };
    change(&mut request);
    let problem =
        check(&request, &Limits::default()).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(problem.starts_with(expect) && problem.is_empty() == expect.is_empty(), "{problem}\n{expect}");
}

#[test]
fn a_wrong_request_is_refused_by_the_name_of_its_field() {
    expect(|_| {}, "");
    expect(|request| request.turns.clear(), "`turns` is 0");
    expect(|request| request.turns = vec![turn(vec![text("hi")]); 257], "`turns` is 257");
    expect(|request| request.turns[0].parts.clear(), "`turns[0].parts` has 0");
    expect(|request| request.turns[0].parts.push(text(" ")), "`turns[0].parts[1]` is empty");
    expect(|request| request.turns[0].parts[0].part = None, "`turns[0].parts[0]` holds nothing");
    expect(|request| request.turns[0].parts[0] = text(&"a".repeat(65_537)), "`turns` have 65537 bytes");
    expect(|request| request.turns[0].role = v1::Role::Assistant.into(), "`turns[0].role` is not the user's");
    expect(|request| request.request_id = "a".repeat(65), "`request_id` has 65 bytes");
    expect(|request| request.price_max_usd = Some(f64::NAN), "`price_max_usd` is NaN");
    expect(|request| request.decisions = vec![v1::Decision::default(); 8], "`decisions` is 8");
    let sampling =
        |sampling: v1::Sampling| move |request: &mut v1::GenerateRequest| request.sampling = Some(sampling);
    let none = v1::Sampling::default;
    expect(sampling(v1::Sampling { max_tokens: Some(0), ..none() }), "`sampling.max_tokens` is 0");
    expect(sampling(v1::Sampling { max_tokens: Some(4097), ..none() }), "`sampling.max_tokens` is 4097");
    expect(sampling(v1::Sampling { temperature: Some(f32::NAN), ..none() }), "`sampling.temperature` is NaN");
    expect(sampling(v1::Sampling { temperature: Some(-0.1), ..none() }), "`sampling.temperature` is -0.1");
    expect(sampling(v1::Sampling { top_p: Some(0.0), ..none() }), "`sampling.top_p` is 0");
    expect(
        sampling(v1::Sampling { repetition_penalty: Some(2.5), ..none() }),
        "`sampling.repetition_penalty` is 2.5",
    );
    expect(sampling(v1::Sampling { stop: vec![String::new()], ..none() }), "`sampling.stop[0]` has 0 bytes");
}
