//! When answers begin and end: held starts, deadlines, cancelling, draining.

use std::time::Duration;

use proto::v1;
use proto::v1::generate_event::Event;
use tokio::time::{Instant, sleep};
use tonic::{Code, Request};

use crate::road::{Answer, Road, both, question};
use crate::worker::{Step, report};

async fn one(script: Vec<Step>) -> Road {
    Road::lay(vec![("slow/a", Some(report("small", 1000.0, 0.05)), script)]).await
}

#[tokio::test(start_paused = true)]
async fn started_travels_with_the_first_delta() {
    let script = vec![Step::Started, Step::Wait(1000), Step::Delta("It", &[1]), Step::Done(10, 0, 1)];
    let mut road = one(script).await;
    let before = Instant::now();
    let mut stream = road.client.generate(question()).await.unwrap().into_inner();
    let first = stream.message().await.unwrap().unwrap().event;
    let at_started = before.elapsed();
    let second = stream.message().await.unwrap().unwrap().event;
    assert!(matches!((&first, &second), (Some(Event::Started(_)), Some(Event::Delta(_)))));
    assert!(at_started >= Duration::from_secs(1), "{at_started:?}");
    assert!(before.elapsed() - at_started < Duration::from_millis(5));
}

#[tokio::test(start_paused = true)]
async fn an_empty_answer_is_an_answer() {
    let mut road = one(vec![Step::Started, Step::Done(10, 0, 0)]).await;
    let answer = road.ask(question()).await.unwrap();
    assert_eq!((answer.place(), answer.text.as_str()), ("slow/a", ""));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_passes_on_as_what_is_left_and_ends_a_stream() {
    let mut plan = both();
    plan[0].2 = vec![Step::Wait(300), Step::Fail(Code::Unavailable, "late and lost")];
    plan[1].2 = vec![Step::Started, Step::Delta("It", &[1]), Step::Hang];
    let mut road = Road::lay(plan).await;
    let mut request = Request::new(question());
    request.set_timeout(Duration::from_secs(2));
    let before = Instant::now();
    let mut stream = road.client.generate(request).await.unwrap().into_inner();
    for _ in 0..2 {
        stream.message().await.unwrap().unwrap();
    }
    assert_eq!(stream.message().await.unwrap_err().code(), Code::DeadlineExceeded);
    assert!((1900..2100).contains(&before.elapsed().as_millis()), "{:?}", before.elapsed());
    let told = |index: usize| road.workers[index].state.seen()[0].timeout.unwrap();
    assert!(told(0) <= Duration::from_secs(2), "{:?}", told(0));
    assert!(told(1) <= Duration::from_millis(1700), "{:?}", told(1));
    road.workers[1].state.open(0).await;
}

#[tokio::test(start_paused = true)]
async fn a_deadline_before_the_first_token_is_said_so() {
    let mut road = one(vec![Step::Started, Step::Hang]).await;
    let mut request = Request::new(question());
    request.set_timeout(Duration::from_secs(5));
    assert_eq!(road.refused(request).await.code(), Code::DeadlineExceeded);
    road.workers[0].state.open(0).await;
    let mut request = Request::new(question());
    request.set_timeout(Duration::from_millis(100));
    let status = road.refused(request).await;
    assert_eq!(status.code(), Code::DeadlineExceeded, "twenty tokens of 50 ms do not fit");
    assert!(status.message().contains("deadline"), "{}", status.message());
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_takes_its_work_with_it() {
    for script in [vec![Step::Started, Step::Delta("It", &[1]), Step::Hang], vec![Step::Started, Step::Hang]]
    {
        let mut road = one(script).await;
        let mut client = road.client.clone();
        let asked = tokio::spawn(async move {
            let mut stream = client.generate(question()).await.unwrap().into_inner();
            while stream.message().await.unwrap().is_some() {}
        });
        road.workers[0].state.open(1).await;
        sleep(Duration::from_millis(50)).await;
        asked.abort();
        drop(asked.await);
        road.workers[0].state.open(0).await;
        let others = crate::worker::short_answer();
        road.workers[0].state.set_script(others);
        assert_eq!(road.ask(question()).await.unwrap().text, "It is noon.");
    }
}

#[tokio::test(start_paused = true)]
async fn ending_lets_answers_finish_and_takes_no_more() {
    let script =
        vec![Step::Started, Step::Delta("It is ", &[7, 8]), Step::Wait(2000), Step::Delta("noon.", &[9])];
    let mut road = one([script, vec![Step::Done(10, 0, 3)]].concat()).await;
    let mut stream = road.client.generate(question()).await.unwrap().into_inner();
    let mut answer = Answer::default();
    answer.take(stream.message().await.unwrap().unwrap().event.unwrap());
    road.end();
    while let Some(event) = stream.message().await.unwrap() {
        answer.take(event.event.unwrap());
    }
    assert_eq!((answer.place(), answer.text.as_str()), ("slow/a", "It is noon."));
    drop(stream);
    let before = Instant::now();
    road.ended().await;
    assert!(before.elapsed() < Duration::from_secs(1), "{:?}", before.elapsed());
    assert_eq!(road.refused(question()).await.code(), Code::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn feedback_is_known_for_answers_given() {
    let mut road = Road::lay(both()).await;
    road.ask(question()).await.unwrap();
    for (id, known) in [("question-1", true), ("never-asked", false)] {
        let verdict = Some(v1::feedback::Verdict::Right(true));
        let feedback = v1::Feedback { request_id: id.into(), verdict };
        assert_eq!(road.client.give_feedback(feedback).await.unwrap().into_inner().known, known);
    }
}
