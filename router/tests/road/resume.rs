//! An answer whose worker is lost, or falls silent, in its midst goes on at another worker of the same model.

use std::time::Duration;

use proto::v1;
use tokio::time::Instant;
use tonic::Code;

use crate::road::{Answer, Planned, Road, memory, question};
use crate::worker::{Step, report};

/// Workers with the model that every script names, in the tiers and with the scripts given.
fn alike(scripts: Vec<(&'static str, Vec<Step>)>) -> Vec<Planned<'static>> {
    let alike = |(place, script)| {
        let mut report = report("worker", 1000.0, 0.05);
        report.model.as_mut().unwrap().hash = "worker-hash".into();
        (place, Some(report), script)
    };
    scripts.into_iter().map(alike).collect()
}

fn lost() -> Step {
    Step::Fail(Code::Unavailable, "lost")
}

fn begins() -> [Step; 2] {
    [Step::Started, Step::Delta("It is ", &[7, 8])]
}

fn ends() -> Vec<Step> {
    vec![Step::Started, Step::Delta("noon.", &[9]), Step::Done(10, 4, 1)]
}

fn done(answer: &Answer) -> &v1::Done {
    answer.done.as_ref().expect("the answer has an end")
}

#[tokio::test(start_paused = true)]
async fn an_answer_goes_on_after_the_last_token_that_was_shown() {
    for end in [vec![lost()], vec![], vec![Step::Fail(Code::Cancelled, "reset")]] {
        let first = [begins().to_vec(), end].concat();
        let mut road = Road::lay(alike(vec![("slow/a", first), ("quick/b", ends())])).await;
        let answer = road.ask(question()).await.unwrap();
        assert_eq!((answer.text.as_str(), &answer.token_ids), ("It is noon.", &vec![7, 8, 9]));
        assert_eq!((answer.started().place.as_str(), answer.started().attempt), ("slow/a", 1));
        let done = done(&answer);
        assert_eq!((done.finish_reason(), done.place.as_str()), (v1::FinishReason::Stop, "quick/b"));
        let usage = done.usage.unwrap();
        assert_eq!((usage.prompt_tokens, usage.output_tokens), (10, 3));
        // The prompt and two tokens where it began, one token where it went on.
        assert!((done.price_usd - (10.0 * 1.0 + 2.0 * 2.0 + 30.0) / 1e6).abs() < 1e-12, "{}", done.price_usd);
        let seen = &road.workers[1].state.seen()[0].request;
        let resume = seen.resume.as_ref().unwrap();
        assert_eq!((&resume.token_ids, resume.model_hash.as_str()), (&vec![7, 8], "worker-hash"));
        assert_eq!(seen.request_id, road.workers[0].state.seen()[0].request.request_id, "the seed's source");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_goes_on_may_be_lost_as_well() {
    let second = vec![Step::Started, Step::Delta("al", &[9]), lost()];
    let refuses = vec![Step::Refuse(Code::Unavailable, "the model is loading", None)];
    let last = vec![Step::Started, Step::Delta("most noon.", &[10, 11]), Step::Done(10, 0, 2)];
    let first = [begins().to_vec(), vec![lost()]].concat();
    let plan = alike(vec![("slow/a", first), ("slow/b", refuses), ("slow/c", second), ("quick/d", last)]);
    let mut road = Road::lay(plan).await;
    let answer = road.ask(question()).await.unwrap();
    assert_eq!(answer.text, "It is almost noon.");
    assert_eq!(answer.token_ids, [7, 8, 9, 10, 11]);
    assert_eq!(done(&answer).usage.unwrap().output_tokens, 5);
    assert_eq!(done(&answer).place, "quick/d");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_was_lost_is_asked_again_where_no_other_is_left() {
    let one = |text, id: &'static [u32]| vec![Step::Started, Step::Delta(text, id), Step::Wait(50), lost()];
    let mut road =
        Road::lay(alike(vec![("slow/a", one("It is ", &[7])), ("quick/b", one("al", &[8]))])).await;
    let a = road.workers[0].state.clone();
    let changes = async {
        a.open(1).await;
        a.set_script(ends());
    };
    let (answer, ()) = tokio::join!(road.ask(question()), changes);
    let answer = answer.unwrap();
    assert_eq!((answer.text.as_str(), &answer.token_ids), ("It is alnoon.", &vec![7, 8, 9]));
    assert_eq!(done(&answer).finish_reason(), v1::FinishReason::Stop);
}

#[tokio::test(start_paused = true)]
async fn so_many_go_on_and_no_more() {
    let one = vec![Step::Started, Step::Delta("x", &[1]), lost()];
    let places = ["slow/a", "slow/b", "slow/c", "slow/d", "slow/e", "slow/f", "slow/g"];
    for attempts_max in [0, 2, 4] {
        let plan = alike(places.iter().map(|place| (*place, one.clone())).collect());
        let mut road =
            Road::lay_with(memory(), plan, |options| options.resume.attempts_max = attempts_max).await;
        let answer = road.ask(question()).await.unwrap();
        assert_eq!(answer.token_ids.len(), attempts_max as usize + 1);
        let done = done(&answer);
        assert_eq!(done.finish_reason(), v1::FinishReason::Interrupted);
        let usage = done.usage.unwrap();
        assert_eq!((usage.prompt_tokens, usage.output_tokens), (10, attempts_max + 1));
        assert!((done.price_usd - (10.0 + 2.0 * f64::from(attempts_max + 1)) / 1e6).abs() < 1e-12);
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_worker_is_left_for_one_that_speaks() {
    let silent = [begins().to_vec(), vec![Step::Hang]].concat();
    let mut road = Road::lay(alike(vec![("slow/a", silent), ("quick/b", ends())])).await;
    let before = Instant::now();
    let answer = road.ask(question()).await.unwrap();
    assert_eq!((answer.text.as_str(), done(&answer).place.as_str()), ("It is noon.", "quick/b"));
    // Eight gaps of the 50 ms that it reported.
    let took = before.elapsed();
    assert!((350..1000).contains(&took.as_millis()), "{took:?}");
    road.workers[0].state.open(0).await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_worker_that_speaks_again_keeps_its_answer() {
    let pauses = [begins().to_vec(), vec![Step::Wait(3_000)], ends()[1..].to_vec()].concat();
    // Alone, and beside one that does not begin either.
    for others in [vec![], vec![("quick/b", vec![Step::Started, Step::Hang])]] {
        let plan = [vec![("slow/a", pauses.clone())], others].concat();
        let mut road = Road::lay(alike(plan)).await;
        let answer = road.ask(question()).await.unwrap();
        assert_eq!((answer.text.as_str(), answer.place()), ("It is noon.", "slow/a"));
        assert_eq!(answer.token_ids, [7, 8, 9]);
        for worker in &road.workers {
            worker.state.open(0).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_gone_on_with_ends_as_interrupted() {
    let check = async |first: Vec<Step>, other_model: bool, text: &str| {
        let mut plan = alike(vec![("slow/a", first), ("quick/b", ends())]);
        if other_model {
            plan[1].1 = Some(report("large", 1000.0, 0.05));
        }
        let mut road = Road::lay(plan).await;
        let answer = road.ask(question()).await.unwrap();
        assert_eq!((answer.text.as_str(), done(&answer).place.as_str()), (text, "slow/a"));
        assert_eq!(done(&answer).finish_reason(), v1::FinishReason::Interrupted);
        assert_eq!(road.workers[1].state.seen().len(), 0);
    };
    // Nobody else has its model.
    check([begins().to_vec(), vec![lost()]].concat(), true, "It is ").await;
    // The same, in numbers that are not the same to the bit.
    let mut plan = alike(vec![("slow/a", [begins().to_vec(), vec![lost()]].concat()), ("quick/b", ends())]);
    plan[1].1.as_mut().unwrap().model.as_mut().unwrap().numeric_class = "other".into();
    let mut road = Road::lay(plan).await;
    assert_eq!(done(&road.ask(question()).await.unwrap()).finish_reason(), v1::FinishReason::Interrupted);
    // Text without the ids of its tokens.
    check(vec![Step::Started, Step::Delta("It is ", &[]), lost()], false, "It is ").await;
}

#[tokio::test(start_paused = true)]
async fn a_resume_that_came_with_the_request_is_gone_on_after() {
    let first = vec![Step::Started, Step::Delta(" is", &[8]), lost()];
    let mut road = Road::lay(alike(vec![("slow/a", first), ("quick/b", ends())])).await;
    let resume = v1::Resume { token_ids: vec![7], model_hash: "worker-hash".into(), numeric_class: None };
    let request = v1::GenerateRequest { resume: Some(resume), ..question() };
    let mut stream = road.client.generate(request).await.unwrap().into_inner();
    let mut indices = Vec::new();
    while let Some(event) = stream.message().await.unwrap() {
        if let Some(v1::generate_event::Event::Delta(delta)) = event.event {
            indices.push((delta.first_token_index, delta.token_ids));
        }
    }
    assert_eq!(indices, [(1, vec![8]), (2, vec![9])]);
    let seen = &road.workers[1].state.seen()[0].request;
    assert_eq!(seen.resume.as_ref().unwrap().token_ids, [7, 8]);
}

#[tokio::test(start_paused = true)]
async fn the_callers_deadline_holds_over_every_worker() {
    let silent = [begins().to_vec(), vec![Step::Hang]].concat();
    let mut road = Road::lay(alike(vec![("slow/a", silent.clone()), ("quick/b", silent)])).await;
    let mut request = tonic::Request::new(question());
    request.set_timeout(Duration::from_secs(5));
    let before = Instant::now();
    let status = road.refused(request).await;
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(before.elapsed() < Duration::from_secs(6));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_another_router_began_goes_on_where_the_same_bits_are_computed() {
    let mut plan = alike(vec![("slow/a", ends()), ("slow/b", ends()), ("quick/c", ends())]);
    plan[0].1.as_mut().unwrap().model.as_mut().unwrap().numeric_class = "other".into();
    let mut road = Road::lay(plan).await;
    let began = v1::Decision { hop: "router".into(), place: "slow/b".into(), ..Default::default() };
    for id in 0..8 {
        let resume =
            v1::Resume { token_ids: vec![7, 8], model_hash: "worker-hash".into(), ..Default::default() };
        let request_id = format!("question-{id}");
        let request = v1::GenerateRequest {
            request_id,
            resume: Some(resume),
            decisions: vec![began.clone()],
            ..question()
        };
        let mut stream = road.client.generate(request).await.unwrap().into_inner();
        while stream.message().await.unwrap().is_some() {}
    }
    assert_eq!(road.workers[0].state.seen().len(), 0, "its numbers are not the same to the bit");
}
