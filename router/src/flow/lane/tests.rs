//! Turns: given as workers have room, passed on when they are dropped, never doubled.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::{Asker, Lane, Turn, Worker};
use crate::flow::{FlowOptions, Refusal, Why};

/// A lane with one worker that takes work and has no room.
fn full() -> (Arc<Lane>, Worker) {
    let options = FlowOptions { queue_len_max: 3, ..FlowOptions::default() };
    let lane = Arc::new(Lane::new("tier".into(), &options));
    let mut worker = Worker::new(lane.clone());
    worker.set(true, false);
    (lane, worker)
}

fn asker(class: usize) -> Asker {
    Asker { class, tenant: "a".into(), weight: 1.0, tokens: 100, deadline_us: u64::MAX }
}

fn wait(lane: &Arc<Lane>, class: usize) -> tokio::task::JoinHandle<Result<Turn, Refusal>> {
    let lane = lane.clone();
    let leave_at = Instant::now() + Duration::from_secs(10);
    tokio::spawn(async move { lane.turn(asker(class), leave_at).await })
}

async fn settled() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_turn_at_a_time_for_each_worker_with_room() {
    let (lane, mut worker) = full();
    let waits = [wait(&lane, 1), wait(&lane, 2), wait(&lane, 0)];
    settled().await;
    assert!(lane.is_busy() && waits.iter().all(|wait| !wait.is_finished()));
    worker.set(true, true);
    lane.freed();
    lane.freed();
    settled().await;
    let [normal, background, interactive] = waits;
    assert!(interactive.is_finished() && !normal.is_finished() && !background.is_finished());
    // The worker still has room when that turn is over.
    drop(interactive.await.unwrap().unwrap());
    settled().await;
    assert!(normal.is_finished() && !background.is_finished());
    worker.set(true, false);
    drop(normal.await.unwrap().unwrap());
    settled().await;
    assert!(!background.is_finished(), "no room, no turn");
    worker.set(true, true);
    lane.freed();
    drop(background.await.unwrap().unwrap());
    assert!(!lane.is_busy());
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_is_gone_at_once_and_passes_its_turn_on() {
    let (lane, mut worker) = full();
    let (first, second, third) = (wait(&lane, 0), wait(&lane, 1), wait(&lane, 1));
    settled().await;
    assert_eq!(lane.levels()[1].tokens, 200);
    second.abort();
    settled().await;
    assert_eq!(lane.levels()[1].tokens, 100);
    // Its turn has come, and it leaves without having taken it.
    worker.set(true, true);
    lane.freed();
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    let turn = timeout(Duration::from_secs(1), third).await.unwrap().unwrap().unwrap();
    drop(turn);
    assert!(!lane.is_busy());
    assert_eq!(lane.state.lock().turns, 0, "no turn is left over");
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_is_refused_and_the_lowest_leaves() {
    let (lane, _worker) = full();
    let waits: Vec<_> = [2, 2, 1].map(|class| wait(&lane, class)).into();
    settled().await;
    assert_eq!(lane.turn(asker(2), Instant::now()).await.unwrap_err().why, Why::Full);
    let urgent = wait(&lane, 0);
    settled().await;
    assert!(!urgent.is_finished());
    let shed: Vec<_> = waits.into_iter().filter(tokio::task::JoinHandle::is_finished).collect();
    assert_eq!(shed.len(), 1);
    for one in shed {
        assert_eq!(one.await.unwrap().unwrap_err().why, Why::Shed);
    }
}

#[tokio::test(start_paused = true)]
async fn patience_ends() {
    let (lane, _worker) = full();
    let before = Instant::now();
    let refusal = lane.turn(asker(1), before + Duration::from_secs(3)).await.unwrap_err();
    assert_eq!((refusal.why, before.elapsed()), (Why::Expired, Duration::from_secs(3)));
    assert!(!lane.is_busy());
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_tier_without_workers() {
    let (lane, mut worker) = full();
    let waits = [wait(&lane, 0), wait(&lane, 1)];
    settled().await;
    worker.set(false, false);
    lane.freed();
    for wait in waits {
        drop(timeout(Duration::from_millis(1), wait).await.unwrap().unwrap().unwrap());
    }
    assert_eq!(lane.state.lock().turns, 0);
}

#[tokio::test(start_paused = true)]
async fn no_more_waits_than_is_done_in_the_time_that_it_may_take() {
    let (lane, _worker) = full();
    // A hundred tokens a second: two hundred in the two seconds that may be waited.
    let taken = lane.begin(100, Some(1.0));
    let waits = [wait(&lane, 1), wait(&lane, 1)];
    settled().await;
    assert_eq!(lane.wait_seconds(&asker(1)), Some(2.0));
    assert_eq!(lane.wait_seconds(&asker(0)), Some(0.0));
    let refusal = lane.turn(asker(1), Instant::now()).await.unwrap_err();
    assert_eq!(
        (refusal.why, refusal.queued_tokens, refusal.pushback),
        (Why::Full, 200, Duration::from_secs(2))
    );
    lane.end(taken);
    assert_eq!(lane.wait_seconds(&asker(1)), None);
    drop(waits);
}
