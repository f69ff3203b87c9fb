//! Workers that fail, before and after the first token.

use std::time::Duration;

use proto::v1;
use tokio::time::sleep;
use tonic::Code;

use crate::road::{Road, both, memory, question, question_at};
use crate::worker::{REPORTS_FOR, Step, report, short_answer};

/// Both workers; the one that background requests prefer does this instead.
async fn first_does(script: Vec<Step>) -> Road {
    let mut plan = both();
    plan[0].2 = script;
    Road::lay(plan).await
}

#[tokio::test(start_paused = true)]
async fn a_failure_before_the_first_token_is_invisible() {
    for script in [
        vec![Step::Refuse(Code::Unavailable, "the model is loading", None)],
        vec![Step::Refuse(Code::ResourceExhausted, "full", Some(50))],
        vec![Step::Fail(Code::Unavailable, "lost at once")],
        vec![Step::Started, Step::Wait(100), Step::Fail(Code::Unavailable, "lost before the first token")],
        vec![Step::Started, Step::Unknown],
        vec![],
    ] {
        let mut road = first_does(script.clone()).await;
        let answer = road.ask(question()).await.unwrap();
        assert_eq!(answer.place(), "quick/b", "{script:?}");
        assert_eq!(answer.started().attempt, 2, "{script:?}");
        assert_eq!(answer.text, "It is noon.");
        let removal = answer.candidate("slow/a").removal.as_ref().unwrap();
        assert_eq!(removal.code, "excluded");
        assert!(removal.text.contains("attempt 1 failed"), "{}", removal.text);
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_not_there_is_passed_over() {
    let gone = |options: &mut router::Options| {
        options.fleet.workers[0].address = "127.0.0.1:1".parse().unwrap();
    };
    let mut plan = both();
    plan[0].1 = None;
    let mut road = Road::lay_with(memory(), plan, gone).await;
    let answer = road.ask(question()).await.unwrap();
    assert_eq!((answer.place(), answer.started().attempt), ("quick/b", 1));
    assert_eq!(answer.candidate("slow/a").removal.as_ref().unwrap().code, "unhealthy");
}

#[tokio::test(start_paused = true)]
async fn a_worker_killed_before_its_first_token_is_replaced() {
    let mut road = first_does(vec![Step::Started, Step::Hang]).await;
    let mut victim = road.workers.remove(0);
    let state = victim.state.clone();
    let (answer, ()) = tokio::join!(road.ask(question()), async {
        state.open(1).await;
        victim.kill().await;
    });
    let answer = answer.unwrap();
    assert_eq!((answer.place(), answer.started().attempt), ("quick/b", 2));

    let answer = road.ask(question()).await.unwrap();
    assert_eq!((answer.place(), answer.started().attempt), ("quick/b", 1), "its loss is known");
}

#[tokio::test(start_paused = true)]
async fn when_all_fail_the_caller_learns_why() {
    let mut plan = both();
    plan[0].2 = vec![Step::Refuse(Code::Unavailable, "the model is loading", None)];
    plan[1].2 = vec![Step::Refuse(Code::ResourceExhausted, "full", Some(70))];
    let mut road = Road::lay(plan).await;
    let status = road.refused(question()).await;
    assert_eq!(status.code(), Code::Unavailable);
    for reason in ["slow/a: the model is loading", "quick/b: full"] {
        assert!(status.message().contains(reason), "{}", status.message());
    }
    road.workers[0].state.set_script(vec![Step::Refuse(Code::ResourceExhausted, "full", Some(50))]);
    let status = road.refused(question()).await;
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(status.metadata().get("grpc-retry-pushback-ms").unwrap(), "50");

    for worker in &mut road.workers {
        worker.kill().await;
    }
    let status = road.refused(question()).await;
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(
        status.message().contains("slow/a") && status.message().contains("quick/b"),
        "{}",
        status.message()
    );
}

#[tokio::test(start_paused = true)]
async fn attempts_are_bounded() {
    let full = || vec![Step::Refuse(Code::Unavailable, "no", None)];
    let places = ["slow/a", "slow/b", "slow/c", "slow/d", "slow/e"];
    let plan = places.map(|place| (place, Some(report("small", 1000.0, 0.05)), full()));
    let mut road = Road::lay(plan.into()).await;
    assert_eq!(road.refused(question()).await.code(), Code::Unavailable);
    assert_eq!(road.workers.iter().map(|worker| worker.state.seen().len()).sum::<usize>(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_the_worker_judges_wrong_is_not_tried_elsewhere() {
    let mut road =
        first_does(vec![Step::Refuse(Code::InvalidArgument, "`turns` are 9 tokens too long", None)]).await;
    let status = road.refused(question()).await;
    assert_eq!(
        (status.code(), status.message()),
        (Code::InvalidArgument, "slow/a: `turns` are 9 tokens too long")
    );
    assert_eq!(road.workers[1].state.seen().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_worker_lost_after_the_first_token_ends_the_answer_as_interrupted() {
    for end in [vec![Step::Fail(Code::Unavailable, "lost")], vec![]] {
        let mut road = first_does([begun(), end].concat()).await;
        let mut stream = road.client.generate(question()).await.unwrap().into_inner();
        let mut answer = crate::road::Answer::default();
        while let Some(event) = stream.message().await.unwrap() {
            answer.take(event.event.unwrap());
        }
        let done = answer.done.as_ref().unwrap();
        assert_eq!((answer.started().place.as_str(), answer.text.as_str()), ("slow/a", "It is "));
        assert_eq!(done.finish_reason(), v1::FinishReason::Interrupted);
        assert_eq!((done.place.as_str(), done.usage.unwrap().output_tokens), ("slow/a", 2));
        assert_eq!(road.workers[1].state.seen().len(), 0, "nothing is tried again after the first token");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_after_the_first_token_ends_the_answer_with_its_error() {
    let mut road = first_does([begun(), vec![Step::Fail(Code::Internal, "broken")]].concat()).await;
    let mut stream = road.client.generate(question()).await.unwrap().into_inner();
    for _ in 0..2 {
        stream.message().await.unwrap().unwrap();
    }
    let status = stream.message().await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert!(status.message().starts_with("slow/a ended in the midst of its answer"), "{}", status.message());
    assert_eq!(road.workers[1].state.seen().len(), 0, "nothing is tried again after the first token");
}

/// What a worker says before it fails.
fn begun() -> Vec<Step> {
    vec![Step::Started, Step::Delta("It is ", &[7, 8])]
}

#[tokio::test(start_paused = true)]
async fn a_draining_worker_takes_nothing_new() {
    let mut road = Road::lay(both()).await;
    let leaving = v1::Report { draining: true, ..report("small", 1000.0, 0.05) };
    road.workers[0].state.set_report(leaving);
    sleep(Duration::from_millis(500)).await;
    let answer = road.ask(question_at(v1::Priority::Background)).await.unwrap();
    assert_eq!(answer.place(), "quick/b");
    assert_eq!(answer.candidate("slow/a").removal.as_ref().unwrap().code, "unhealthy");
}

#[tokio::test(start_paused = true)]
async fn a_report_that_is_old_is_not_believed_and_its_worker_not_forgotten() {
    let mut road = Road::lay(both()).await;
    road.workers[0].state.mute();
    sleep(Duration::from_secs(2)).await;
    for _ in 0..3 {
        let answer = road.ask(question_at(v1::Priority::Background)).await.unwrap();
        assert_eq!(answer.place(), "slow/a", "waiting costs a background request nothing");
        let notes = &answer.candidate("slow/a").notes;
        assert!(notes.iter().any(|note| note == "load_unknown"), "{notes:?}");
        let answer = road.ask(question_at(v1::Priority::Normal)).await.unwrap();
        // What it was seen to do stands; what lies before it is not known, and costed as such.
        let [slow, quick] = ["slow/a", "quick/b"].map(|place| answer.candidate(place).expected_seconds);
        assert!(slow > quick + 1.0, "{slow} {quick}");
        // Meanwhile the stream is opened again, and refused.
        sleep(Duration::from_secs(3)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_reports_that_ends_in_time_is_opened_again_unnoticed() {
    let mut road = Road::lay(both()).await;
    sleep(REPORTS_FOR - Duration::from_millis(200)).await;
    for _ in 0..80 {
        let answer = road.ask(question()).await.unwrap();
        assert_eq!((answer.place(), answer.started().attempt), ("slow/a", 1));
        assert_eq!(answer.candidate("slow/a").notes, Vec::<String>::new());
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_comes_back_is_used_again() {
    let mut road = Road::lay(both()).await;
    let address = road.workers[0].address.to_string();
    road.workers[0].kill().await;
    assert_eq!(road.ask(question()).await.unwrap().place(), "quick/b");
    let again = crate::worker::Worker::start(
        &road.rim,
        &address,
        Some(report("small", 1000.0, 0.05)),
        short_answer(),
    );
    road.workers[0] = again.await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(road.ask(question()).await.unwrap().place(), "slow/a");
}
