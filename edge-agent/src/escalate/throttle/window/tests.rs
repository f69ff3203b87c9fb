//! The odds over time, with lots and clocks of the tests' own.

use proptest::prelude::*;

use super::{PARTS, Window};
use crate::config::ThrottleOptions;

const SECOND: u64 = 1_000_000;

fn window() -> Window {
    Window::new(&ThrottleOptions { factor: 2.0, window_ms: 120_000, requests_min: 10 })
}

/// Lots that fall evenly.
fn lot(number: u64) -> f64 {
    (number as f64 * 0.618_033_988_749_895).fract()
}

#[test]
fn what_is_taken_is_never_held_back() {
    let mut window = window();
    for number in 0..10_000 {
        assert!(window.ask(number * SECOND / 10, 0.0).is_ok());
    }
}

#[test]
fn an_upstream_that_takes_a_quarter_is_sent_twice_what_it_takes() {
    // Forty requests a second, of which it takes ten.
    let mut window = window();
    let (mut sent, mut taken) = (0, 0);
    let mut allowed = 0.0;
    for number in 0..40 * 240 {
        allowed = f64::min(allowed + 0.25, 10.0);
        if number == 40 * 120 {
            (sent, taken) = (0, 0);
        }
        let Ok(ticket) = window.ask(number * SECOND / 40, lot(number)) else { continue };
        sent += 1;
        if allowed >= 1.0 {
            allowed -= 1.0;
            taken += 1;
        } else {
            window.refused(ticket);
        }
    }
    let ratio = f64::from(sent) / f64::from(taken);
    assert!((1.8..=2.2).contains(&ratio), "{sent} for {taken}");
    assert!(taken >= 1100, "it is sent no less than it takes: {taken} of 1200");
}

#[test]
fn a_few_refusals_hold_nothing_back_and_all_are_forgotten() {
    let mut window = window();
    for number in 0..10 {
        let ticket = window.ask(number, 0.0).unwrap();
        window.refused(ticket);
    }
    let held = window.ask(10, 0.9).unwrap_err();
    assert_eq!((held.requests, held.accepts), (11, 0));
    assert!(window.ask(11, 0.95).is_ok(), "now and then it is asked all the same");
    assert!(window.ask(120 * SECOND + 5 * SECOND, 0.0).is_ok());
    assert_eq!((window.requests, window.accepts), (1, 1));
}

#[test]
fn answers_that_are_slow_to_begin_are_no_refusals() {
    let mut window = window();
    let tickets: Vec<_> = (0..100).map(|_| window.ask(0, 0.0).unwrap()).collect();
    for ticket in tickets {
        window.refused(ticket);
    }
    assert!(window.ask(1, 0.9).is_err());
}

proptest! {
    /// The sums are those of the parts, whatever comes when.
    #[test]
    fn sums_stay_sums(acts in proptest::collection::vec((0_u64..200 * SECOND, any::<bool>(), 0.0..1.0), 1..300)) {
        let mut window = window();
        let mut now = 0;
        let mut tickets = Vec::new();
        for (step, refuse, lot) in acts {
            now += step / 7;
            if let Ok(ticket) = window.ask(now, lot) {
                tickets.push(ticket);
            }
            if refuse && !tickets.is_empty() {
                window.refused(tickets.swap_remove(0));
            }
            prop_assert_eq!(window.requests, window.ring.iter().map(|part| part.requests).sum::<u64>());
            prop_assert_eq!(window.accepts, window.ring.iter().map(|part| part.accepts).sum::<u64>());
            prop_assert!(window.accepts <= window.requests);
            prop_assert!(window.ring.len() as u64 == PARTS);
        }
    }
}
