//! Policies that change under way: reloaded, refused, decided beside, tried on a share.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use policy::DecisionLine;
use proto::v1;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use score::score;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::road::{POLICY, Road, both, memory, question};
use crate::worker::Step;

/// The same, with an eye on time where nobody said: the quick one wins.
fn hurried() -> String {
    POLICY.replace("second_usd = 0.000001", "second_usd = 0.01")
}

fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let file = folder.join(name);
    std::fs::write(&file, text).unwrap();
    file
}

async fn road(change: impl FnOnce(&mut router::Options, &Path)) -> (Road, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let live = file(folder.path(), "live.toml", POLICY);
    let mut plan = both();
    for (_, _, script) in &mut plan {
        // Time passes in each, for a paused clock goes on only while nobody works.
        *script = vec![Step::Started, Step::Delta("It", &[1]), Step::Wait(7), Step::Done(10, 4, 1)];
    }
    let road = Road::lay_with(memory(), plan, |options| {
        options.policy.file = live;
        options.policy.reload_interval_ms = 10;
        change(options, folder.path());
    })
    .await;
    (road, folder)
}

fn numbered(number: u64) -> v1::GenerateRequest {
    v1::GenerateRequest { request_id: format!("question-{number}"), ..question() }
}

#[tokio::test(start_paused = true)]
async fn a_reload_under_load_loses_no_request() {
    // More at once than the worker says that it runs: they may wait for it as long as it takes.
    let (road, folder) = road(|options, _| options.flow.queue_ms_max = 600_000).await;
    let (over, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut asking = tokio::task::JoinSet::new();
    for asker in 0..64 {
        let (mut client, over, answered) = (road.client.clone(), over.clone(), answered.clone());
        asking.spawn(async move {
            let mut hashes = BTreeSet::new();
            while !over.load(Ordering::Relaxed) {
                let number = answered.fetch_add(1, Ordering::Relaxed) * 64 + asker;
                let mut events = client.generate(numbered(number)).await.unwrap().into_inner();
                let mut done = false;
                while let Some(event) = events.message().await.unwrap() {
                    match event.event.unwrap() {
                        v1::generate_event::Event::Started(started) => {
                            hashes.insert(started.decisions[0].policy_hash.clone());
                        }
                        v1::generate_event::Event::Done(_) => done = true,
                        _ => {}
                    }
                }
                assert!(done);
            }
            hashes
        });
    }
    let texts = [hurried(), POLICY.to_owned()];
    for swap in 1..=20 {
        // By renaming, as careful people do it; the next file is whole before it has the name.
        let next = file(folder.path(), "next.toml", &texts[(swap + 1) % 2]);
        std::fs::rename(next, folder.path().join("live.toml")).unwrap();
        while (road.policies)().live.reloads < swap as u64 {
            sleep(Duration::from_millis(5)).await;
        }
    }
    over.store(true, Ordering::Relaxed);
    let hashes: BTreeSet<String> = asking.join_all().await.into_iter().flatten().collect();
    assert_eq!(hashes.len(), 2, "both policies decided");
    assert!(answered.load(Ordering::Relaxed) > 64);
    assert_eq!(((road.policies)().live.reloads, (road.policies)().live.refused), (20, 0));
}

/// Asks so many times a second for so long while a file is exchanged each second, or is not; how long each answer took,
/// and how many there were none to.
async fn asked_while(road: &Road, seconds: u32, exchange: Option<&Path>) -> (Vec<Duration>, usize) {
    const PER_SECOND: u32 = 100;
    let texts = [hurried(), POLICY.to_owned()];
    let begun = Instant::now();
    let mut asked = tokio::task::JoinSet::new();
    for number in 0..seconds * PER_SECOND {
        if let Some(folder) = exchange
            && number % PER_SECOND == 0
        {
            let next = file(folder, "next.toml", &texts[(number / PER_SECOND) as usize % 2]);
            std::fs::rename(next, folder.join("live.toml")).unwrap();
        }
        tokio::time::sleep_until(begun + Duration::from_secs(1) / PER_SECOND * number).await;
        let mut client = road.client.clone();
        asked.spawn(async move {
            let asked = Instant::now();
            let mut events = client.generate(numbered(number.into())).await.ok()?.into_inner();
            let mut done = false;
            while let Some(event) = events.message().await.ok()? {
                done |= matches!(event.event, Some(v1::generate_event::Event::Done(_)));
            }
            done.then(|| asked.elapsed())
        });
    }
    let all = asked.join_all().await;
    let mut took: Vec<Duration> = all.iter().copied().flatten().collect();
    took.sort_unstable();
    let failed = all.len() - took.len();
    (took, failed)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "seven minutes of real time"]
async fn a_reload_each_second_for_five_minutes_costs_nobody_anything() {
    let (road, folder) = road(|_, _| {}).await;
    let p99 = |took: &[Duration]| took[took.len() * 99 / 100];
    asked_while(&road, 10, None).await;
    let (mut calm, mut busy, mut failed) = (Vec::new(), Vec::new(), 0);
    // In turns, so that whatever else the machine does falls on both.
    for _ in 0..10 {
        let (took, none) = asked_while(&road, 10, None).await;
        (calm, failed) = ([calm, took].concat(), failed + none);
        let (took, none) = asked_while(&road, 30, Some(folder.path())).await;
        (busy, failed) = ([busy, took].concat(), failed + none);
    }
    calm.sort_unstable();
    busy.sort_unstable();
    let live = (road.policies)().live;
    let (calm, busy) = (p99(&calm), p99(&busy));
    let pass = failed == 0 && live.refused == 0 && busy <= calm.mul_f64(1.05);
    score!(
        "C4",
        pass,
        "{} reloads, {failed} requests fail, p99 {busy:.2?}, {calm:.2?} without",
        live.reloads
    );
    assert!(failed == 0 && live.refused == 0 && live.reloads >= 290, "{failed} {live:?}");
}

#[tokio::test(start_paused = true)]
async fn a_broken_policy_keeps_the_last_good_one() {
    let (mut road, folder) = road(|_, _| {}).await;
    let good = road.ask(question()).await.unwrap().decision().policy_hash.clone();
    let broken = [
        format!("{POLICY}second_us = 1.0\n"),
        POLICY.replace("wrong_answer_usd = 0.02", "wrong_answer_usd = -1.0"),
        POLICY.replace("name = \"slow\"", "name = \"other\""),
        // In form all is well with these.
        POLICY.replace("when = 'priority == ", "when = 'priority == \"normal\" && priority == "),
        POLICY.replace(
            "when = 'priority == \"background\"'",
            "when = 'topic == \"legal\"'\ntiers_only = [\"device\"]\nprobability_right_min = 1.0",
        ),
        format!("{POLICY}[[escalation_cap]]\nname = \"none\"\nshare_max = 0\nwindow_seconds = 60\n"),
    ];
    let mut last = (road.policies)().live.refused;
    for text in &broken {
        file(folder.path(), "live.toml", text);
        sleep(Duration::from_millis(50)).await;
        let report = (road.policies)().live;
        assert_eq!((report.reloads, report.refused), (0, last + 1), "{text}\n{report:?}");
        last = report.refused;
    }
    file(folder.path(), "live.toml", &broken[0]);
    sleep(Duration::from_millis(50)).await;
    let refusal = (road.policies)().live.refusal.unwrap();
    let line = POLICY.lines().count() + 1;
    assert!(refusal.contains(&format!("live.toml:{line}:1")) && refusal.contains("second_us"), "{refusal}");
    assert_eq!(road.ask(question()).await.unwrap().decision().policy_hash, good);
    let state = road.client.describe(v1::DescribeRequest {}).await.unwrap().into_inner().policy.unwrap();
    assert_eq!((state.hash, state.reloads, state.reloads_refused), (good, 0, last + 1));
    assert_eq!(state.refusal, refusal);
}

/// Whether a refusal begins with the file, a line and a column.
fn is_placed(refusal: &str) -> bool {
    let Some((_, place)) = refusal.split_once("live.toml:") else { return false };
    let mut numbers = place.splitn(3, ':').map(|number| number.parse::<u32>().is_ok());
    (numbers.next(), numbers.next()) == (Some(true), Some(true))
}

/// How many harmed policies there were, and how many of them were refused, were so with their place, and were taken.
#[derive(Debug, Default)]
struct Harmed {
    all: usize,
    refused: usize,
    placed: usize,
    taken: usize,
}

/// What becomes of a policy that is cut at every byte, and of one with a bit flipped, 200 times.
async fn harmed(text: &str, sealed: bool) -> [Harmed; 2] {
    let (mut road, folder) = road(|options, folder| {
        options.policy.sealed = sealed;
        file(folder, "live.toml", text);
    })
    .await;
    let good = road.ask(question()).await.unwrap().decision().policy_hash.clone();
    let (whole, mut random) = (text.as_bytes(), StdRng::seed_from_u64(1));
    let cuts: Vec<Vec<u8>> = (0..whole.len()).map(|cut| whole[..cut].to_vec()).collect();
    let flip = |_| {
        let mut bytes = whole.to_vec();
        bytes[random.random_range(0..whole.len())] ^= 1 << random.random_range(0..8);
        bytes
    };
    let flips: Vec<Vec<u8>> = (0..200).map(flip).collect();
    let mut counts = [Harmed::default(), Harmed::default()];
    for (kind, bytes) in cuts.iter().map(|cut| (0, cut)).chain(flips.iter().map(|flip| (1, flip))) {
        let before = (road.policies)().live;
        std::fs::write(folder.path().join("live.toml"), bytes).unwrap();
        sleep(Duration::from_millis(50)).await;
        let live = (road.policies)().live;
        let refused = live.reloads == before.reloads && live.refused == before.refused + 1;
        let count = &mut counts[kind];
        count.all += 1;
        count.refused += usize::from(refused);
        count.placed += usize::from(refused && is_placed(live.refusal.as_deref().unwrap_or_default()));
        if live.reloads > before.reloads {
            // Another letter in a name is a policy like any.
            assert!(policy::Rules::parse("live.toml", std::str::from_utf8(bytes).unwrap()).is_ok());
            count.taken += 1;
        }
        file(folder.path(), "live.toml", text);
        sleep(Duration::from_millis(50)).await;
        assert_eq!((road.policies)().live.refusal, None);
    }
    assert_eq!(road.ask(question()).await.unwrap().decision().policy_hash, good);
    counts
}

#[tokio::test(start_paused = true)]
async fn a_policy_cut_anywhere_or_with_a_bit_flipped_keeps_the_last_good_one() {
    let [open_cuts, open_flips] = harmed(POLICY, false).await;
    assert_eq!((open_cuts.refused, open_cuts.placed), (open_cuts.all, open_cuts.all));
    assert_eq!(open_flips.refused + open_flips.taken, open_flips.all);
    // A worker's tier that no longer stands in the policy has no place in it.
    assert!(open_flips.placed * 100 >= open_flips.all * 90, "{open_flips:?}");
    let [cuts, flips] = harmed(&policy::seal("live.toml", POLICY).unwrap(), true).await;
    let all = |one: &Harmed| one.refused == one.all && one.placed == one.all;
    score!(
        "C1",
        all(&cuts) && all(&flips),
        "sealed: {} of {} cuts and {} of {} flips refused, {} with their place; without a seal: {} of {} cuts and {} of \
         {} flips refused, {} made another sound policy",
        cuts.refused,
        cuts.all,
        flips.refused,
        flips.all,
        cuts.placed + flips.placed,
        open_cuts.refused,
        open_cuts.all,
        open_flips.refused,
        open_flips.all,
        open_flips.taken
    );
    assert!(all(&cuts) && all(&flips), "{cuts:?} {flips:?}");
}

#[tokio::test(start_paused = true)]
async fn a_shadow_is_counted_and_changes_nothing() {
    let (mut road, _folder) = road(|options, folder| {
        options.policy.shadow = Some(file(folder, "shadow.toml", &hurried()));
    })
    .await;
    for number in 0..3 {
        assert_eq!(road.ask(numbered(number)).await.unwrap().place(), "slow/a");
    }
    let interactive = v1::GenerateRequest { priority: v1::Priority::Interactive.into(), ..numbered(3) };
    assert_eq!(road.ask(interactive).await.unwrap().place(), "quick/b");
    let report = (road.policies)();
    assert_eq!(report.shadowed, 4);
    let [one] = report.differences.as_slice() else { panic!("{report:?}") };
    let (class, from, to) = (one.class.as_str(), one.from.as_str(), one.to.as_str());
    assert_eq!((class, from, to, one.count), ("default", "slow", "quick", 3));
}

#[tokio::test(start_paused = true)]
async fn a_canary_that_fails_is_taken_back_and_few_have_met_it() {
    let (mut road, folder) = road(|options, folder| {
        // A policy under which nothing can answer what is asked.
        let text =
            POLICY.replace("second_usd = 0.000001", "second_usd = 0.000001\ntiers_only = [\"device\"]");
        options.policy.canary = Some(file(folder, "canary.toml", &text));
        options.decisions.path = folder.join("decisions.jsonl");
        options.decisions.feedback_wait_ms = 0;
    })
    .await;
    let (mut failed, begun, mut back) = (0, Instant::now(), None);
    for number in 0..400 {
        failed += u64::from(road.ask(numbered(number)).await.is_err());
        if (road.policies)().canary.is_some_and(|canary| canary.rollbacks > 0) {
            back.get_or_insert_with(|| begun.elapsed());
        }
    }
    let report = (road.policies)().canary.unwrap();
    let (share, back) = (100.0 * failed as f64 / report.all as f64, back.unwrap_or(Duration::MAX));
    let pass = share <= 5.0 && back <= Duration::from_secs(30);
    score!("C3", pass, "taken back after {back:.1?}, {failed} of {} met it, {share:.1} %", report.all);
    assert_eq!((report.rollbacks, report.exposed), (1, failed));
    assert!(failed > 0 && failed as f64 <= 0.05 * report.all as f64, "{failed} of {}", report.all);
    assert!(report.rolled_back.unwrap().contains("failed"));
    road.end();
    road.ended().await;
    let log = std::fs::read_to_string(folder.path().join("decisions.jsonl")).unwrap();
    let lines: Vec<_> = log.lines().map(|line| DecisionLine::parse(line).unwrap()).collect();
    let of = |propensity: f64| {
        let near = |line: &&DecisionLine| line.propensity.is_some_and(|one| (one - propensity).abs() < 1e-9);
        lines.iter().filter(near).count() as u64
    };
    assert_eq!((of(0.05), of(0.95)), (failed, report.all - failed));
    assert_eq!(lines.iter().filter(|line| line.propensity.is_none()).count() as u64, 400 - report.all);
}
