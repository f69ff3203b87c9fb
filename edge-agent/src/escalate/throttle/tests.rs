//! Quiet that was asked for, by whom it is kept and for how long.

use std::time::Duration;

use policy::Priority;
use tokio::time::advance;

use super::{Held, Throttle};
use crate::config::ThrottleOptions;

fn throttle() -> Throttle {
    Throttle::new(&ThrottleOptions::default(), 7)
}

#[tokio::test(start_paused = true)]
async fn a_pushback_is_kept_to_by_what_is_no_more_urgent() {
    let throttle = throttle();
    let ticket = throttle.ask(Priority::Normal).unwrap();
    throttle.refused(ticket, Priority::Normal, Some(Duration::from_secs(1)));
    for held in [Priority::Normal, Priority::Background] {
        assert!(matches!(throttle.ask(held), Err(Held::Quiet { rest }) if rest >= Duration::from_secs(1)));
    }
    assert!(throttle.ask(Priority::Interactive).is_ok());
    advance(Duration::from_millis(999)).await;
    assert!(throttle.ask(Priority::Normal).is_err());
    // A quarter more at most.
    advance(Duration::from_millis(252)).await;
    assert!(throttle.ask(Priority::Normal).is_ok());
}

#[tokio::test(start_paused = true)]
async fn agents_that_were_sent_away_together_do_not_come_back_together() {
    let rest = |seed| {
        let throttle = Throttle::new(&ThrottleOptions::default(), seed);
        throttle.quiet(Duration::from_secs(10));
        throttle.ask(Priority::Interactive).unwrap_err().rest()
    };
    let rests: std::collections::BTreeSet<Duration> = (0..100).map(rest).collect();
    assert!(rests.len() > 90);
    assert!(rests.last().unwrap().abs_diff(*rests.first().unwrap()) > Duration::from_secs(2));
    assert!(rests.iter().all(|rest| (10.0..12.5).contains(&rest.as_secs_f64())));
}

#[tokio::test(start_paused = true)]
async fn a_shorter_pushback_does_not_end_a_longer_one() {
    let throttle = throttle();
    throttle.quiet(Duration::from_secs(10));
    throttle.quiet(Duration::from_secs(1));
    advance(Duration::from_secs(9)).await;
    assert!(throttle.ask(Priority::Interactive).is_err());
}
