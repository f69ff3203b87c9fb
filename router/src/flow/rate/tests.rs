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
