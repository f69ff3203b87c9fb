//! Many answers at once: workers restarted under them lose none, and callers who leave leave nothing behind.

use std::sync::atomic::Ordering;
use std::time::Duration;

use proto::v1;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::road::{Answer, Planned, Road, memory, question};
use crate::worker::{Step, Worker, report};

/// Tokens of an answer, and milliseconds between two.
const TOKENS: u32 = 50;
const GAP_MS: u64 = 100;
const PLACES: [&str; 4] = ["slow/a", "slow/b", "slow/c", "slow/d"];

fn told() -> v1::Report {
    let mut told = report("worker", 1000.0, 0.1);
    told.model.as_mut().unwrap().hash = "worker-hash".into();
    told.running_max = 256;
    told
}

fn counting() -> Vec<Step> {
    vec![Step::Started, Step::Count(TOKENS, GAP_MS)]
}

async fn road() -> Road {
    let plan: Vec<Planned<'_>> = PLACES.map(|place| (place, Some(told()), counting())).into();
    Road::lay_with(memory(), plan, |options| options.limits.in_flight_max = 1024).await
}

fn numbered(index: usize) -> v1::GenerateRequest {
    v1::GenerateRequest { request_id: format!("question-{index}"), ..question() }
}

#[tokio::test(start_paused = true)]
async fn a_rolling_restart_of_four_workers_loses_and_cuts_off_nothing() {
    let mut road = road().await;
    let mut answers = JoinSet::new();
    for index in 0..200_usize {
        let mut client = road.client.clone();
        answers.spawn(async move {
            // They begin over four seconds, and take five each.
            sleep(Duration::from_millis(index as u64 * 20)).await;
            let mut stream = client.generate(numbered(index)).await?.into_inner();
            let mut answer = Answer::default();
            while let Some(event) = stream.message().await? {
                answer.take(event.event.unwrap());
            }
            Ok::<_, tonic::Status>(answer)
        });
    }
    let mut resumed = 0;
    for index in 0..PLACES.len() {
        sleep(Duration::from_millis(700)).await;
        // What it has does not end within the time that it is given.
        road.workers[index].state.set_report(v1::Report { draining: true, ..told() });
        sleep(Duration::from_millis(500)).await;
        road.workers[index].kill().await;
        resumed +=
            road.workers[index].state.seen().iter().filter(|seen| seen.request.resume.is_some()).count();
        let address = road.workers[index].address.to_string();
        road.workers[index] = Worker::start(&road.rim, &address, Some(told()), counting()).await;
    }
    for answer in answers.join_all().await {
        let answer = answer.expect("no request fails");
        assert_eq!(answer.token_ids, (0..TOKENS).collect::<Vec<_>>());
        let done = answer.done.unwrap();
        assert_eq!(done.finish_reason(), v1::FinishReason::Stop);
        assert_eq!(done.usage.unwrap().output_tokens, TOKENS);
    }
    let later = road.workers.iter().flat_map(|worker| worker.state.seen());
    resumed += later.filter(|seen| seen.request.resume.is_some()).count();
    assert!(resumed >= 50, "{resumed} answers were gone on with");
}

/// So many callers leave after two tokens, a hundred at a time.
async fn leave(callers: usize) {
    let mut road = road().await;
    road.ask(numbered(0)).await.unwrap();
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    sleep(Duration::from_secs(1)).await;
    let (before, made) = (tasks(), tokens_made(&road));
    for round in 0..callers / 100 {
        let mut leaving = JoinSet::new();
        for index in 0..100 {
            let mut client = road.client.clone();
            leaving.spawn(async move {
                let request = numbered(1 + round * 100 + index);
                let mut stream = client.generate(request).await.unwrap().into_inner();
                // `started`, and two tokens.
                for _ in 0..3 {
                    stream.message().await.unwrap().unwrap();
                }
            });
        }
        leaving.join_all().await;
    }
    for worker in &road.workers {
        worker.state.open(0).await;
    }
    sleep(Duration::from_secs(1)).await;
    assert_eq!(tasks(), before, "no task is left");
    assert_eq!(road.channel.in_flight(), 0);
    let made = (tokens_made(&road) - made) as usize;
    assert!(made <= callers * 4, "{made} tokens for {callers} callers, who took two each");
    // Nothing is counted as under way at any worker, and every place is free.
    let answer = road.ask(numbered(callers + 1)).await.unwrap();
    for place in PLACES {
        let weighed = answer.candidate(place);
        assert_eq!((weighed.running, weighed.waiting), (0, 0), "{place}");
    }
}

fn tokens_made(road: &Road) -> u32 {
    road.workers.iter().map(|worker| worker.state.made.load(Ordering::Relaxed)).sum()
}

#[tokio::test(start_paused = true)]
async fn callers_who_leave_leave_nothing_behind() {
    leave(1_000).await;
}

/// Takes a minute: `cargo test -p causeway-router --test road -- --ignored ten_thousand`.
#[tokio::test(start_paused = true)]
#[ignore = "a minute of callers who leave"]
async fn ten_thousand_callers_who_leave_leave_nothing_behind() {
    leave(10_000).await;
}
