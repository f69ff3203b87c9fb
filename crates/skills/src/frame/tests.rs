//! Checks the filling of slots and the small text tools.

use super::*;

#[test]
fn slots_are_filled_once_and_unknown_ones_stay() {
    let check = |template: &str, expect: &str| {
        assert_eq!(fill(template, &[("n", "Mira"), ("v", "{n}")]), expect);
    };
    check("", "");
    check("no slot", "no slot");
    check("{n} and {n}", "Mira and Mira");
    check("{v} stays", "{n} stays");
    check("{x} {n}", "{x} Mira");
    check("open { brace", "open { brace");
}

#[test]
fn a_sentence_starts_high() {
    assert_eq!(sentence("l'école"), "L'école");
    assert_eq!(sentence("öl"), "Öl");
    assert_eq!(sentence(""), "");
}

#[test]
fn a_clock_wraps_at_midnight() {
    assert_eq!(clock(5), "0:05");
    assert_eq!(clock(23 * 60 + 59), "23:59");
    assert_eq!(clock(24 * 60 + 30), "0:30");
}

#[test]
fn dice_stay_in_range_and_follow_their_weights() {
    let mut dice = Dice::new(Split::Train, 7);
    let mut counts = [0; 3];
    for _ in 0..10_000 {
        assert!((3..=9).contains(&dice.between(3, 9)));
        counts[dice.weighted(&[10, 0, 30])] += 1;
    }
    assert_eq!(counts[1], 0);
    assert!((2_300..2_700).contains(&counts[0]), "{counts:?}");
    let mut some = dice.some(&[1, 2, 3, 4], 3);
    some.sort_unstable();
    some.dedup();
    assert_eq!(some.len(), 3);
}
