//! What is made of what runs and of what was done.

use super::{Rate, Running};

fn running(now_us: u64, done: u64) -> Running {
    Running { now_us, done, held: 240, expected: 240.0 }
}

#[test]
fn what_runs_is_done_as_expected_until_nothing_is() {
    let mut rate = Rate::default();
    assert_eq!(rate.now(&Running::default()), None, "nobody knows");
    rate.begin(&running(60_000_000, 700));
    assert_eq!(rate.now(&running(60_000_000, 700)), Some(240.0));
    // All that runs may end together, a second after it began together.
    assert_eq!(rate.now(&running(61_000_000, 700)), Some(240.0));
    rate.look(&running(61_000_000, 940));
    assert_eq!(rate.now(&running(62_000_000, 940)), Some(240.0));
    assert_eq!(rate.now(&running(65_000_000, 940)), Some(60.0));
    assert_eq!(rate.now(&running(1_000_000_000, 940)), Some(1.0), "slow, but not endless");
}

#[test]
fn an_idle_time_is_no_stall() {
    let mut rate = Rate::default();
    rate.begin(&running(1_000_000, 100));
    rate.begin(&running(500_000_000, 100));
    assert_eq!(rate.now(&running(500_000_000, 100)), Some(240.0));
}

/// The rate after so many tenths of a second, each with so many tokens done.
fn seen(rate: &mut Rate, tokens: u64, tenths: u64) -> f64 {
    for _ in 0..tenths {
        rate.look(&running(rate.since_us + 100_000, rate.done + tokens));
    }
    now(rate)
}

fn now(rate: &Rate) -> f64 {
    rate.now(&running(rate.since_us, rate.done)).unwrap_or_default().round()
}

#[test]
fn what_is_seen_to_be_done_outweighs_what_was_expected() {
    let mut rate = Rate::default();
    rate.begin(&running(0, 0));
    // Ten times as many as expected, as where answers are left early. Of the second .9 is remembered.
    assert_eq!(seen(&mut rate, 240, 10), ((0.896 * 2400.0 + 0.5 * 240.0) / (0.896 + 0.5_f64)).round());
    assert_eq!(seen(&mut rate, 240, 400), 2163.0);
    // While nobody waits it fades, and does not change.
    rate.begin(&running(rate.since_us + 2_000_000, rate.done + 7));
    assert_eq!(now(&rate), 2035.0);
    // Half as many as expected.
    assert_eq!(seen(&mut rate, 12, 400), 133.0);
    rate.begin(&running(rate.since_us + 90_000_000, rate.done));
    assert_eq!(now(&rate), 240.0, "nothing is left of it");
}
