//! Workers of uneven speed: how near the router comes to whoever knows how long everything will take.

use std::time::Duration;

use proto::v1;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use score::score;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::road::{Planned, Road, memory, question_at};
use crate::worker::{Step, report};

/// Milliseconds between two tokens of each worker.
const GAPS_MS: [u64; 4] = [80, 40, 20, 10];
const PLACES: [&str; 4] = ["slow/a", "slow/b", "slow/c", "slow/d"];
/// Answers that one worker makes at once.
const SLOTS: usize = 4;
/// Gaps that an answer takes, those before its first token among them.
const GAPS: u64 = 22;
/// The share of what all can do that is asked for.
const LOAD: f64 = 0.7;
const SECONDS: f64 = 60.0;

fn plan() -> Vec<Planned<'static>> {
    let worker = |(place, gap): (&'static str, u64)| {
        let mut told = report("small", 5000.0 / gap as f32, gap as f32 / 1e3);
        told.running_max = SLOTS as u32;
        let mut script = vec![Step::Slot, Step::Wait(2 * gap), Step::Started];
        for _ in 0..4 {
            script.extend([Step::Delta("so ", &[1, 2, 3, 4, 5]), Step::Wait(5 * gap)]);
        }
        script.push(Step::Done(10, 0, 20));
        (place, Some(told), script)
    };
    PLACES.into_iter().zip(GAPS_MS).map(worker).collect()
}

fn seconds(worker: usize) -> f64 {
    (GAPS * GAPS_MS[worker]) as f64 / 1e3
}

/// When requests come, seconds from the beginning: a Poisson process.
fn arrivals() -> Vec<f64> {
    let rate = LOAD * (0..4).map(|worker| SLOTS as f64 / seconds(worker)).sum::<f64>();
    let mut random = StdRng::seed_from_u64(5);
    let mut at = 0.0;
    let gap = || -random.random_range(f64::MIN_POSITIVE..1.0).ln() / rate;
    std::iter::repeat_with(gap)
        .map(|gap| {
            at += gap;
            at
        })
        .take_while(|at| *at < SECONDS)
        .collect()
}

/// How long each answer takes where these places are chosen, by the number of the request and by when each worker would
/// be done with it.
fn chosen(choose: impl Fn(usize, [f64; 4]) -> usize) -> Vec<f64> {
    let mut free = [[0.0_f64; SLOTS]; 4];
    let mut took = Vec::new();
    for (number, at) in arrivals().into_iter().enumerate() {
        let slot = |worker: usize| (0..SLOTS).min_by(|a, b| free[worker][*a].total_cmp(&free[worker][*b]));
        let slots = [0, 1, 2, 3].map(|worker| slot(worker).unwrap_or_default());
        let done = [0, 1, 2, 3].map(|worker| at.max(free[worker][slots[worker]]) + seconds(worker));
        let worker = choose(number, done);
        free[worker][slots[worker]] = done[worker];
        took.push(done[worker] - at);
    }
    took
}

fn p99(mut took: Vec<f64>) -> f64 {
    took.sort_unstable_by(f64::total_cmp);
    took[took.len() * 99 / 100]
}

#[tokio::test(start_paused = true)]
async fn the_tail_is_near_that_of_whoever_knows_all() {
    let soonest = |done: [f64; 4]| (0..4).min_by(|a, b| done[*a].total_cmp(&done[*b])).unwrap();
    let (ideal, in_turn) = (p99(chosen(|_, done| soonest(done))), p99(chosen(|number, _| number % 4)));
    let road = Road::lay(plan()).await;
    let (mut asked, begun) = (JoinSet::new(), Instant::now());
    for (number, at) in arrivals().into_iter().enumerate() {
        sleep_until(begun + Duration::from_secs_f64(at)).await;
        let mut client = road.client.clone();
        let request = v1::GenerateRequest {
            request_id: format!("question-{number}"),
            ..question_at(v1::Priority::Interactive)
        };
        asked.spawn(async move {
            let began = Instant::now();
            let mut stream = client.generate(request).await.ok()?.into_inner();
            while stream.message().await.ok()?.is_some() {}
            Some(began.elapsed().as_secs_f64())
        });
    }
    let all = asked.join_all().await;
    let took: Vec<f64> = all.iter().copied().flatten().collect();
    let refused = all.len() - took.len();
    let found = p99(took);
    score!(
        "A11",
        refused == 0 && found <= 1.5 * ideal && in_turn >= 2.0 * found,
        "p99 {found:.2} s, {:.2} × that of who knows all; in turn {:.0} × as long; {refused} of {} refused",
        found / ideal,
        in_turn / found,
        all.len()
    );
    assert!(refused * 100 <= all.len() && found <= 1.5 * ideal && in_turn >= 2.0 * found, "{found} {ideal}");
}

/// Two workers of one place each, the second of which is ten times as quick and does this.
fn two(quick: Vec<Step>) -> Vec<Planned<'static>> {
    let worker = |place, gap_ms: u64, script| {
        let mut told = report("small", 5000.0 / gap_ms as f32, gap_ms as f32 / 1e3);
        told.running_max = 1;
        (place, Some(told), script)
    };
    let slow = vec![Step::Slot, Step::Wait(200), Step::Started, Step::Count(20, 100)];
    vec![worker("slow/a", 100, slow), worker("slow/b", 10, quick)]
}

/// Asks while the quick one is busy, for which it may learn no limit that is greater than one; where it was answered, and
/// after how long.
async fn asked_second(quick: Vec<Step>) -> (String, Duration) {
    let mut road = Road::lay_with(memory(), two(quick), |options| options.flow.limit.max = 1).await;
    let mut first = road.client.clone();
    let request = question_at(v1::Priority::Interactive);
    let first = tokio::spawn(async move {
        let mut stream = first.generate(request).await.unwrap().into_inner();
        while stream.message().await.is_ok_and(|event| event.is_some()) {}
    });
    road.workers[1].state.open(1).await;
    let began = Instant::now();
    let second = question_at(v1::Priority::Interactive);
    let answer = road.ask(v1::GenerateRequest { request_id: "question-2".into(), ..second }).await.unwrap();
    first.abort();
    (answer.place().to_owned(), began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_quick_worker_is_waited_for_while_a_slow_one_has_nothing_to_do() {
    let quick = vec![Step::Slot, Step::Wait(20), Step::Started, Step::Count(20, 10)];
    let (place, took) = asked_second(quick).await;
    assert_eq!(place, "slow/b");
    assert!(took < Duration::from_millis(500), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn who_waited_in_vain_has_lost_no_more_than_it_could_have_gained() {
    // It takes five times as long as it says, and for an answer that nobody expected.
    let quick = vec![Step::Slot, Step::Wait(20), Step::Started, Step::Count(2000, 50)];
    let (place, took) = asked_second(quick).await;
    assert_eq!(place, "slow/a");
    let alone = Duration::from_millis(2_200);
    assert!(took > alone + Duration::from_millis(500) && took < alone * 2, "{took:?}");
}
