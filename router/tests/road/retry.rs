//! What is tried again before the first token, how often, and what the caller sees of it.

use std::time::Duration;

use mesh::retry::{Budget, follow, is_forbidden};
use score::score;
use tokio::time::{Instant, sleep};
use tonic::{Code, Status};

use crate::road::{Planned, Road, memory, question};
use crate::worker::{Step, report, short_answer};

/// Workers that all do the same.
fn all(script: &[Step]) -> Vec<Planned<'static>> {
    let places = ["slow/a", "slow/b", "slow/c", "slow/d"];
    places.map(|place| (place, Some(report("small", 1000.0, 0.05)), script.to_vec())).into()
}

/// A router whose breakers never open, so that nothing but the budget bounds its attempts.
async fn unbroken(script: &[Step], per_second: u32) -> Road {
    let unbroken = |options: &mut router::Options| {
        options.retry.budget_per_second = per_second;
        // So that some requests end before the budget does, and their callers are not told to leave it.
        options.retry.attempts_max = 2;
        options.breaker.failures_max = u32::MAX;
        options.breaker.success_rate_min = 0.0;
    };
    Road::lay_with(memory(), all(script), unbroken).await
}

fn attempts(road: &Road) -> usize {
    road.workers.iter().map(|worker| worker.state.seen().len()).sum()
}

/// Asks `count` times, so many a second, and gives what became of each.
async fn flood(road: &mut Road, count: u32, per_second: u32) -> Vec<Status> {
    let mut refused = Vec::new();
    for _ in 0..count {
        refused.push(road.refused(question()).await);
        sleep(Duration::from_secs(1) / per_second).await;
    }
    refused
}

#[tokio::test(start_paused = true)]
async fn retries_are_a_share_of_what_is_asked() {
    let mut road = unbroken(&[Step::Refuse(Code::Unavailable, "the model is loading", None)], 10).await;
    let (count, per_second) = (1_000, 50);
    let begun = Instant::now();
    let refused = flood(&mut road, count, per_second).await;
    let seconds = begun.elapsed().as_secs_f64();
    // What the first window may take in advance is that of one more.
    let most = f64::from(count) * 1.2 + 10.0 * (seconds + 10.0);
    let made = attempts(&road) as f64;
    // The scorecard allows nothing in advance.
    let allowed = f64::from(count) * 1.2 + 10.0 * seconds;
    score!("A5", made <= allowed, "{made} attempts for {count} requests in {seconds:.0} s, of {allowed:.0}");
    assert!(made <= most && made > f64::from(count) * 1.2, "{made} attempts, {most} at most");
    // Whoever was not tried again is told not to do it, either.
    let (spent, tried): (Vec<_>, Vec<_>) = refused.iter().partition(|status| is_forbidden(status));
    assert!(spent.len() > tried.len() && !tried.is_empty(), "{} {}", spent.len(), tried.len());
    for status in spent {
        assert_eq!(status.code(), Code::Unavailable);
        assert!(status.message().contains("the budget of retries is spent: slow/"), "{}", status.message());
    }
}

#[tokio::test(start_paused = true)]
async fn retries_of_both_hops_are_counted_once() {
    let mut road = unbroken(&[Step::Refuse(Code::Unavailable, "no", None)], 0).await;
    // Nothing is free, so that only the share counts.
    let (count, callers) = (1_000, Budget::new(20.0, 0));
    let mut asked = 0;
    for _ in 0..count {
        callers.deposit();
        for previous in 0..3 {
            let mut request = tonic::Request::new(question());
            follow(&mut request, previous);
            asked += 1;
            let status = road.refused(request).await;
            if is_forbidden(&status) || !callers.withdraw() {
                break;
            }
        }
        sleep(Duration::from_millis(10)).await;
    }
    let made = attempts(&road) as f64;
    let times = made / f64::from(count);
    score!(
        "A5",
        times <= 1.3 && asked > count,
        "{times:.2} attempts a request where the caller retries, too"
    );
    assert!(asked > count, "the caller did try again");
    assert!(made <= f64::from(count) * 1.3, "{made} attempts of {asked} calls");
}

#[tokio::test(start_paused = true)]
async fn every_attempt_says_how_many_were_before_it() {
    let mut road = Road::lay(all(&[Step::Refuse(Code::Unavailable, "no", None)])).await;
    let mut request = tonic::Request::new(question());
    follow(&mut request, 2);
    road.refused(request).await;
    let mut told: Vec<_> = road
        .workers
        .iter()
        .flat_map(|worker| worker.state.seen())
        .map(|seen| seen.previous_attempts)
        .collect();
    told.sort_unstable();
    assert_eq!(told, [2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_is_off_leaves_one_attempt() {
    let plan = all(&[Step::Refuse(Code::Unavailable, "no", None)]);
    let off = |options: &mut router::Options| {
        options.retry.budget_percent = 0.0;
        options.retry.budget_per_second = 0;
    };
    let mut road = Road::lay_with(memory(), plan, off).await;
    assert!(is_forbidden(&road.refused(question()).await));
    assert_eq!(attempts(&road), 1);
    let mut request = tonic::Request::new(question());
    follow(&mut request, 1);
    assert!(is_forbidden(&road.refused(request).await));
    assert_eq!(attempts(&road), 1, "a caller's retry is one, too");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_before_the_first_token() {
    let late = [vec![Step::Started, Step::Wait(700)], short_answer()[1..].to_vec()].concat();
    let mut road = Road::lay(all(&late)).await;
    let before = Instant::now();
    // The call itself, which is over when the headers are there.
    let mut stream = road.client.generate(question()).await.unwrap().into_inner();
    assert!(before.elapsed() >= Duration::from_millis(700), "{:?}", before.elapsed());
    stream.message().await.unwrap().unwrap();
    let second = stream.message().await.unwrap().unwrap();
    assert!(matches!(second.event, Some(proto::v1::generate_event::Event::Delta(_))));
    assert!(before.elapsed() < Duration::from_millis(750), "the start came with the token");
}
