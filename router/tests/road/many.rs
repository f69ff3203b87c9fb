//! Many answers at once: workers restarted under them lose none, and callers who leave leave nothing behind.

use std::sync::atomic::Ordering;
use std::time::Duration;

use proto::v1;
use score::score;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

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
    let answers = answers.join_all().await;
    let is_whole = |answer: &&Result<Answer, tonic::Status>| {
        let Ok(Answer { token_ids, done: Some(done), .. }) = answer else { return false };
        let stopped = done.finish_reason() == v1::FinishReason::Stop;
        let counted = done.usage.is_some_and(|usage| usage.output_tokens == TOKENS);
        *token_ids == (0..TOKENS).collect::<Vec<_>>() && stopped && counted
    };
    let whole = answers.iter().filter(is_whole).count();
    let failed = answers.iter().filter(|answer| answer.is_err()).count();
    let later = road.workers.iter().flat_map(|worker| worker.state.seen());
    resumed += later.filter(|seen| seen.request.resume.is_some()).count();
    let pass = whole == answers.len();
    score!("B1", pass, "{whole} of {} whole, {failed} failed, {resumed} gone on with", answers.len());
    assert!(pass, "{answers:?}");
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

/// Bytes that this process holds.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or_default() * 4096
}

/// Answers of five seconds, so many a second that seventy of a hundred places are taken, for so many minutes.
async fn seven_tenths(road: &Road, minutes: u64) -> usize {
    let mut asked = JoinSet::new();
    let (begun, mut failed) = (Instant::now(), 0);
    for index in 0..minutes * 60 * 14 {
        tokio::time::sleep_until(begun + Duration::from_secs(1) * index as u32 / 14).await;
        let mut client = road.client.clone();
        asked.spawn(async move {
            let mut stream = client.generate(numbered(index as usize)).await?.into_inner();
            while stream.message().await?.is_some() {}
            Ok::<_, tonic::Status>(())
        });
        while let Some(one) = asked.try_join_next() {
            failed += usize::from(one.unwrap().is_err());
        }
        if index % 1024 == 0 {
            // What the workers remember is the test's own.
            road.workers.iter().for_each(|worker| worker.state.forget());
        }
    }
    failed + asked.join_all().await.iter().filter(|one| one.is_err()).count()
}

/// Takes minutes: `cargo test -p causeway-router --test road -- --ignored an_hour`.
#[tokio::test(start_paused = true)]
#[ignore = "minutes of requests"]
async fn an_hour_of_requests_leaves_nothing_behind() {
    let told = || v1::Report { running_max: 25, ..told() };
    let plan: Vec<Planned<'_>> = PLACES.map(|place| (place, Some(told()), counting())).into();
    let road = Road::lay(plan).await;
    let now = || (tokio::runtime::Handle::current().metrics().num_alive_tasks(), resident());
    let mut failed = seven_tenths(&road, 10).await;
    sleep(Duration::from_secs(30)).await;
    let before = now();
    failed += seven_tenths(&road, 50).await;
    sleep(Duration::from_secs(30)).await;
    let after = now();
    let more = 100.0 * (after.1 as f64 / before.1 as f64 - 1.0);
    let pass = failed == 0 && after.0 <= before.0 && more <= 5.0;
    score!(
        "E4",
        pass,
        "an hour of a paused clock, {failed} of 50400 fail; memory {more:+.1} % and {:+} tasks after the last 50 minutes",
        after.0 as i64 - before.0 as i64
    );
    assert!(pass, "{failed} failed, {before:?} before, {after:?} after");
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
