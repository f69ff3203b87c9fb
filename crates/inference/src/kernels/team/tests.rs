//! Every piece is done once, by whom ever, and the team outlives what goes wrong in a piece.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Team, share, share_runs, size};

#[test]
fn every_piece_is_done_once_in_any_number_of_threads() {
    for threads in [1, 2, 3, 7] {
        let team = Team::new(threads).unwrap();
        team.install(|| {
            assert_eq!(size(), threads);
            for pieces in [0, 1, 2, 5, 1000, 140_000] {
                let counts: Vec<AtomicUsize> = (0..pieces).map(|_| AtomicUsize::new(0)).collect();
                share(pieces, |piece| {
                    counts[piece].fetch_add(1, Ordering::Relaxed);
                });
                assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1));
            }
        });
    }
}

#[test]
fn thousands_of_small_jobs_follow_each_other() {
    let team = Team::new(4).unwrap();
    let mut values = vec![0u64; 64];
    team.install(|| {
        for _ in 0..20_000 {
            share_runs(&mut values, 5, |_, run| run.iter_mut().for_each(|value| *value += 1));
        }
    });
    assert!(values.iter().all(|value| *value == 20_000));
}

#[test]
fn work_without_a_team_and_work_inside_work_is_done_here() {
    assert_eq!(size(), 1);
    let sum = AtomicUsize::new(0);
    let add = |value: usize| {
        sum.fetch_add(value, Ordering::Relaxed);
    };
    share(10, add);
    assert_eq!(sum.load(Ordering::Relaxed), 45);
    let team = Team::new(3).unwrap();
    team.install(|| share(10, |_| share(10, add)));
    assert_eq!(sum.load(Ordering::Relaxed), 45 * 11);
    assert_eq!(size(), 1, "the team is installed for the work only");
}

#[test]
fn a_piece_that_panics_ends_the_job_and_not_the_team() {
    let team = Team::new(3).unwrap();
    let panics = || team.install(|| share(50, |piece| assert!(piece != 30, "for the test")));
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
    let done = AtomicUsize::new(0);
    team.install(|| {
        share(50, |_| {
            done.fetch_add(1, Ordering::Relaxed);
        });
    });
    assert_eq!(done.load(Ordering::Relaxed), 50);
}

#[test]
fn two_askers_of_one_team_do_not_disturb_each_other() {
    let team = Team::new(3).unwrap();
    let ask = || {
        team.install(|| {
            for _ in 0..2_000 {
                let mut values = [0usize; 32];
                share_runs(&mut values, 1, |piece, run| run[0] = piece + 1);
                assert!(values.iter().enumerate().all(|(at, value)| *value == at + 1));
            }
        });
    };
    std::thread::scope(|scope| {
        scope.spawn(ask);
        ask();
    });
}
