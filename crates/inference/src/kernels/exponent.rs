//! The exponential function of many numbers at once, with the same bits in every form.

use super::form::wide;

/// Beyond this the result is infinite.
const GREATEST: f32 = 88.722_84;
/// Below this the result is zero; it would be too small for a normal number.
const LEAST: f32 = -87.336_54;
/// ln 2 as the sum of a short number, whose multiples are exact, and the rest.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;
/// Adding and subtracting this rounds to the nearest whole number, ties to even.
const ROUNDING: f32 = 12_582_912.0;

/// `e^x` to about one unit in the last place: 2 to a whole power times a polynomial of degree 6 (Taylor's, whose error
/// within half of ln 2 is below 2⁻²⁵).
#[inline(always)]
fn exp(x: f32) -> f32 {
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUNDING);
    let whole = shifted - ROUNDING;
    let rest = whole.mul_add(-LN_2_LOW, whole.mul_add(-LN_2_HIGH, x));
    let mut sum = 1.0 / 720.0;
    for factor in [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        sum = rest.mul_add(sum, factor);
    }
    // The power in two factors, since 2^128 alone is no number.
    let power = (shifted.to_bits() as i32).wrapping_sub(ROUNDING.to_bits() as i32);
    let half = power >> 1;
    let two_to = |power: i32| f32::from_bits((power.wrapping_add(127) as u32) << 23);
    let value = sum * two_to(half) * two_to(power.wrapping_sub(half));
    let value = if x > GREATEST { f32::INFINITY } else { value };
    if x < LEAST { 0.0 } else { value }
}

/// Scores of a block of positions.
type Scores = [f32; 64];
/// Sums lane by lane.
type Lanes = [f32; 16];

#[inline(always)]
fn share_plain(scores: &mut Scores, greatest: &mut f32, shares: &mut Lanes, fade: &mut f32) {
    let mut most = [f32::NEG_INFINITY; 16];
    for run in scores.as_chunks::<16>().0 {
        for (most, score) in most.iter_mut().zip(run) {
            *most = if *score > *most { *score } else { *most };
        }
    }
    let most = most.iter().fold(*greatest, |most, score| if *score > most { *score } else { most });
    *fade = exp(*greatest - most);
    *greatest = most;
    let mut sum = [0f32; 16];
    for run in scores.as_chunks_mut::<16>().0 {
        for (score, sum) in run.iter_mut().zip(&mut sum) {
            *score = exp(*score - most);
            *sum += *score;
        }
    }
    for (share, sum) in shares.iter_mut().zip(sum) {
        *share = share.mul_add(*fade, sum);
    }
}

/// Each of `scores` becomes `e^(score - greatest)`, where `greatest` was raised to the greatest of them, and is added to
/// `shares`, which fade by the result: what earlier shares are to be multiplied with.
pub(crate) fn share(scores: &mut Scores, greatest: &mut f32, shares: &mut Lanes) -> f32 {
    let mut fade = 1.0;
    share_wide(scores, greatest, shares, &mut fade);
    fade
}

#[inline(always)]
fn silu_times_plain(gates: &mut [f32], ups: &[f32]) {
    for (gate, up) in gates.iter_mut().zip(ups) {
        *gate = *gate / (1.0 + exp(-*gate)) * up;
    }
}

wide!(
    /// As [`share`].
    share_wide, share_plain, (scores: &mut Scores, greatest: &mut f32, shares: &mut Lanes, fade: &mut f32)
);
/// Infinite, or no number.
#[inline(always)]
fn is_broken(score: f32) -> bool {
    score.is_nan() || score == f32::INFINITY
}

#[inline(always)]
fn greatest_plain(scores: &[f32], greatest: &mut f32) {
    let mut most = [f32::NEG_INFINITY; 16];
    let mut broken = [0u32; 16];
    let (runs, rest) = scores.as_chunks::<16>();
    for run in runs {
        for ((most, broken), score) in most.iter_mut().zip(&mut broken).zip(run) {
            *most = if *score > *most { *score } else { *most };
            *broken |= u32::from(is_broken(*score));
        }
    }
    *greatest = most.iter().chain(rest).fold(f32::NEG_INFINITY, |most, score| most.max(*score));
    if broken.iter().any(|broken| *broken != 0) || rest.iter().any(|score| is_broken(*score)) {
        *greatest = f32::NAN;
    }
}

/// The greatest of `scores`; NaN where one of them is infinite or no number. Minus infinity is a score like others.
pub(crate) fn greatest(scores: &[f32]) -> f32 {
    let mut greatest = f32::NEG_INFINITY;
    greatest_wide(scores, &mut greatest);
    greatest
}

#[inline(always)]
fn total_plain(scores: &[f32], greatest: f32, total: &mut f64) {
    for run in scores.chunks(1024) {
        let mut sums = [0f32; 16];
        let (whole, rest) = run.as_chunks::<16>();
        for scores in whole {
            for (sum, score) in sums.iter_mut().zip(scores) {
                *sum += exp(score - greatest);
            }
        }
        let rest: f32 = rest.iter().map(|score| exp(score - greatest)).sum();
        *total += f64::from(sums.iter().sum::<f32>() + rest);
    }
}

/// The sum of `e^(score - greatest)` over all scores.
pub(crate) fn total(scores: &[f32], greatest: f32) -> f64 {
    let mut total = 0.0;
    total_wide(scores, greatest, &mut total);
    total
}

wide!(
    /// As [`greatest`].
    greatest_wide, greatest_plain, (scores: &[f32], greatest: &mut f32)
);
wide!(
    /// As [`total`].
    total_wide, total_plain, (scores: &[f32], greatest: f32, total: &mut f64)
);
wide!(
    /// `gate / (1 + e^-gate) × up`, in place of the gates.
    silu_times, silu_times_plain, (gates: &mut [f32], ups: &[f32])
);

#[cfg(test)]
mod tests {
    use super::{exp, greatest, share, share_plain, silu_times, total, total_plain};

    #[test]
    fn the_exponential_is_near_the_true_one_and_keeps_what_is_not_finite() {
        for at in -87_000..88_000 {
            let x = at as f32 / 1000.0;
            let (value, expected) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((value / expected - 1.0).abs() < 2.5e-7, "{x}: {value} instead of {expected}");
        }
        assert_eq!((exp(0.0), exp(-200.0), exp(f32::NEG_INFINITY)), (1.0, 0.0, 0.0));
        assert_eq!((exp(89.0), exp(f32::INFINITY)), (f32::INFINITY, f32::INFINITY));
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn every_width_gives_the_plain_bits() {
        let values: Vec<f32> = (0..999).map(|at| (at as f32 * 0.37).sin() * 90.0).collect();
        for scores in values.as_chunks::<64>().0 {
            let (mut wide, mut plain) = (*scores, *scores);
            let (mut greatest, mut shares, mut fade) = (3.0, [0.7; 16], 1.0);
            share_plain(&mut plain, &mut greatest, &mut shares, &mut fade);
            let (mut wide_greatest, mut wide_shares) = (3.0, [0.7; 16]);
            let wide_fade = share(&mut wide, &mut wide_greatest, &mut wide_shares);
            assert_eq!((wide, wide_greatest, wide_shares, wide_fade), (plain, greatest, shares, fade));
        }
        let mut gates = values.clone();
        silu_times(&mut gates, &values);
        let plain: Vec<f32> = values.iter().map(|g| *g / (1.0 + exp(-*g)) * g).collect();
        assert_eq!(gates, plain);
    }

    #[test]
    fn the_greatest_and_the_total_of_many_scores() {
        for length in [1, 15, 16, 17, 3000] {
            let mut scores: Vec<f32> = (0..length).map(|at| (at as f32 * 0.7).sin() * 9.0).collect();
            let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert_eq!(greatest(&scores), most);
            let expected: f64 = scores.iter().map(|score| f64::from(score - most).exp()).sum();
            assert!((total(&scores, most) / expected - 1.0).abs() < 1e-6);
            let mut plain = 0.0;
            total_plain(&scores, most, &mut plain);
            assert_eq!(total(&scores, most), plain);
            for bad in [f32::NAN, f32::INFINITY] {
                scores[length / 2] = bad;
                assert!(greatest(&scores).is_nan());
            }
        }
    }
}
