//! Where the limit goes on workers of a known kind.

use super::{Limit, WINDOW};
use crate::flow::LimitOptions;

/// A worker with so many slots whose first token takes `alone` seconds, and which serves a request in a second: those
/// without a slot wait for one.
fn lateness(slots: u32, held: u32, alone: f64) -> f64 {
    alone + f64::from(held.saturating_sub(slots)) / f64::from(slots)
}

/// The limit after so many windows in which as many as may are there.
fn driven(limit: &mut Limit, windows: u32, slots: u32) -> u32 {
    for _ in 0..windows * WINDOW {
        let held = limit.now();
        limit.came(lateness(slots, held, 0.1), 0.1, held);
    }
    limit.now()
}

fn limit(initial: u32) -> Limit {
    Limit::new(LimitOptions { initial, ..LimitOptions::default() })
}

#[test]
fn it_finds_what_a_worker_runs_from_below_and_from_what_was_stated() {
    for slots in [4, 8, 32, 128] {
        for begin in [2, slots] {
            let mut limit = limit(16);
            limit.stated(begin);
            let found = driven(&mut limit, 400, slots);
            assert!(found >= slots && found <= slots + slots / 2 + 2, "{slots} slots from {begin}: {found}");
        }
    }
}

#[test]
fn too_much_is_taken_back_once_it_was_seen_to_run_well() {
    let mut limit = limit(8);
    driven(&mut limit, 50, 8);
    limit.stated(64);
    assert_eq!(limit.now(), 64);
    let found = driven(&mut limit, 100, 8);
    assert!((8..=14).contains(&found), "{found}");
}

#[test]
fn a_limit_that_nobody_reaches_stays() {
    let mut limit = limit(16);
    for _ in 0..1000 {
        limit.came(0.1, 0.1, 3);
    }
    assert_eq!(limit.now(), 16);
}

#[test]
fn a_refusal_lowers_it_below_what_was_there_and_never_to_nothing() {
    let mut limit = limit(16);
    limit.refused(10);
    assert_eq!(limit.now(), 9);
    for _ in 0..100 {
        limit.refused(limit.now());
    }
    assert_eq!(limit.now(), 1);
    limit.came(f64::NAN, 0.1, 1);
    limit.came(0.1, 0.0, 1);
    assert_eq!(limit.now(), 1);
}

#[test]
fn longer_prompts_alone_change_nothing() {
    let mut limit = limit(16);
    for index in 0..1000 {
        let alone = if index % 2 == 0 { 0.01 } else { 5.0 };
        limit.came(alone * 1.1, alone, 16);
    }
    assert!(limit.now() > 16);
}

#[test]
fn a_worker_that_is_slower_for_good_is_sent_as_many_again() {
    let mut limit = limit(8);
    driven(&mut limit, 50, 8);
    let mut slower = |windows: u32| {
        for _ in 0..windows * WINDOW {
            let held = limit.now();
            limit.came(10.0 * lateness(8, held, 0.1), 0.1, held);
        }
        limit.now()
    };
    let at_first = slower(30);
    assert!(at_first < 8, "it could be a queue: {at_first}");
    let found = slower(4000);
    assert!((8..=24).contains(&found), "{found}");
}

#[test]
fn one_moment_moves_it_little() {
    let moved = |lateness: f64| {
        let mut limit = limit(64);
        (0..10 * WINDOW).for_each(|_| limit.came(0.1, 0.1, 64));
        let before = limit.limit;
        (0..WINDOW).for_each(|_| limit.came(0.1 * lateness, 0.1, 64));
        limit.limit - before
    };
    let (up, down) = (moved(1.0), moved(1000.0));
    assert!((1.0..4.0).contains(&up), "{up}");
    assert!((-16.0..-4.0).contains(&down), "{down}");
}

#[test]
fn the_same_word_again_changes_nothing() {
    let mut limit = limit(16);
    limit.stated(8);
    let found = driven(&mut limit, 50, 32);
    limit.stated(8);
    assert_eq!(limit.now(), found);
    assert!(found > 8, "{found}");
}
