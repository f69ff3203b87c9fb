//! Turns: given as workers have room, passed on when they are dropped, never doubled.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::{Instant, timeout};

use super::{ASKED_MAX, Asker, Lane, Place, Turn, Worker};
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
    tokio::spawn(async move { Ok(lane.join(asker(class))?.turn(leave_at).await?.expect("its turn comes")) })
}

/// So many places in the lane of a worker without room.
fn crowd(count: usize) -> (Arc<Lane>, Worker, Vec<Place>) {
    let lane = Arc::new(Lane::new("tier".into(), &FlowOptions::default()));
    let mut worker = Worker::new(lane.clone());
    worker.set(true, false);
    let places = (0..count).map(|_| lane.join(asker(1)).unwrap()).collect();
    (lane, worker, places)
}

/// Whose turn it is.
fn offered(places: &mut [Place]) -> Option<(usize, Turn)> {
    let far = Instant::now() + Duration::from_secs(10);
    let turn = |place: &mut Place| place.turn(far).now_or_never().and_then(|turn| turn.unwrap());
    places.iter_mut().enumerate().find_map(|(index, place)| Some((index, turn(place)?)))
}

/// Who declines, one after the other.
fn declined_by(places: &mut [Place]) -> Vec<usize> {
    let mut declined = Vec::new();
    while let Some((index, turn)) = offered(places) {
        places[index].decline(turn);
        declined.push(index);
    }
    declined
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
    assert_eq!(lane.join(asker(2)).unwrap_err().why, Why::Full);
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
    let mut place = lane.join(asker(1)).unwrap();
    assert!(place.turn(before + Duration::from_secs(3)).await.unwrap().is_none());
    assert_eq!(before.elapsed(), Duration::from_secs(3));
    assert!(lane.is_busy(), "it may wait on");
    drop(place);
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
    let refusal = lane.join(asker(1)).unwrap_err();
    assert_eq!(
        (refusal.why, refusal.queued_tokens, refusal.pushback),
        (Why::Full, 200, Duration::from_secs(2))
    );
    lane.end(taken);
    assert_eq!(lane.wait_seconds(&asker(1)), None);
    drop(waits);
}

#[tokio::test(start_paused = true)]
async fn room_that_the_first_do_not_want_is_the_lasts_and_then_anybodys() {
    let (lane, mut worker, mut places) = crowd(20);
    assert!(!lane.is_open() && lane.is_full());
    worker.set(true, true);
    assert!(!lane.is_open(), "those who wait are asked first");
    lane.freed();
    let first: Vec<usize> = (0..ASKED_MAX).chain([19]).collect();
    assert_eq!(declined_by(&mut places), first);
    assert!(lane.is_busy() && lane.is_open() && !lane.is_full());
    lane.freed();
    assert!(offered(&mut places).is_none(), "nothing has changed");
    // Room at another worker is something else.
    let mut other = Worker::new(lane.clone());
    worker.set(true, false);
    other.set(true, true);
    assert!(!lane.is_open());
    lane.freed();
    assert_eq!(declined_by(&mut places), first, "in the same order");
    assert!(lane.is_open());
    // Whoever comes now has seen all that there is.
    places.push(lane.join(asker(1)).unwrap());
    assert!(offered(&mut places).is_none());
    worker.set(true, true);
    assert!(!lane.is_open(), "one that had no room has some again");
}

#[tokio::test(start_paused = true)]
async fn who_declines_keeps_its_place() {
    let (lane, mut worker, mut places) = crowd(4);
    worker.set(true, true);
    lane.freed();
    let (first, turn) = offered(&mut places).unwrap();
    places[first].decline(turn);
    let (second, turn) = offered(&mut places).unwrap();
    assert_eq!((first, second), (0, 1));
    worker.set(true, false);
    drop((places.remove(1), turn));
    assert_eq!(lane.levels()[1].tokens, 300);
    worker.set(true, true);
    lane.freed();
    assert_eq!(offered(&mut places).unwrap().0, 0);
}

#[tokio::test(start_paused = true)]
async fn room_that_came_while_one_declined_is_offered_to_it_too() {
    let (lane, mut worker, mut places) = crowd(3);
    worker.set(true, true);
    lane.freed();
    let (first, turn) = offered(&mut places).unwrap();
    let mut other = Worker::new(lane.clone());
    other.set(true, true);
    places[first].decline(turn);
    lane.freed();
    assert_eq!(offered(&mut places).unwrap().0, 0);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_after_declining_leaves_no_trace() {
    let (lane, mut worker, mut places) = crowd(3);
    worker.set(true, true);
    lane.freed();
    let (first, turn) = offered(&mut places).unwrap();
    places[first].decline(turn);
    drop(places.remove(0));
    assert_eq!(declined_by(&mut places), [0, 1]);
    drop(places);
    assert!(!lane.is_busy());
    let state = lane.state.lock();
    assert_eq!((state.turns, state.aside.len(), state.queue.len()), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn whoever_is_asked_knows_what_is_before_it() {
    let (lane, mut worker, mut places) = crowd(ASKED_MAX + 4);
    // A thousand tokens a second; each takes a hundred.
    let _taken = lane.begin(1000, Some(1.0));
    worker.set(true, true);
    lane.freed();
    let mut waits = Vec::new();
    while let Some((index, turn)) = offered(&mut places) {
        waits.push((turn.wait_seconds().unwrap() * 10.0).round() as u64);
        places[index].decline(turn);
    }
    let last = ASKED_MAX as u64 + 3;
    assert_eq!(waits, (0..ASKED_MAX as u64).chain([last]).collect::<Vec<_>>());
}
