//! Ropes against numbers worked out by hand.

use super::{Rope, Scaling};

#[test]
fn a_ramp_keeps_fast_pairs_and_divides_slow_ones() {
    let scaling =
        Scaling::Yarn { factor: 4.0, original: 64.0, fast: 32.0, slow: 1.0, whole: true, magnitude: 1.0 };
    let plain = Rope { base: 10_000.0, width: 16, interleaved: false, scaling: Scaling::None };
    let bent = Rope { scaling, ..plain.clone() }.frequencies();
    assert_eq!(bent[0], plain.frequencies()[0]);
    assert_eq!(bent[7], plain.frequencies()[7] / 4.0);
}

#[test]
fn a_long_context_takes_the_long_list() {
    let list = |value: f32| vec![value; 2];
    let scaling =
        Scaling::Long { short: list(1.0), long: list(2.0), original: 8, magnitude: 1.0, is_long: true };
    let mut rope = Rope { base: 100.0, width: 4, interleaved: false, scaling };
    assert_eq!(rope.frequencies(), [0.5, 0.05]);
    rope.choose(8);
    assert_eq!(rope.frequencies(), [1.0, 0.1]);
    rope.choose(9);
    assert_eq!(rope.frequencies(), [0.5, 0.05]);
}
