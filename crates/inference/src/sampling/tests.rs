//! Choices: greedy, cut, drawn, penalised, and refused.

use proptest::prelude::*;

use super::{Choice, Draw, Settings, choose, uniform};
use crate::Sampling;

const SCORES: [f32; 5] = [1.0, 3.0, 2.0, 3.0, -1.0];

fn draw(sampling: &Sampling, seed: u64, answer: &[u32]) -> Option<Choice> {
    choose_from(&SCORES, sampling, seed, answer)
}

fn choose_from(scores: &[f32], sampling: &Sampling, seed: u64, answer: &[u32]) -> Option<Choice> {
    let settings = Settings::new(sampling.clone(), &Sampling::default());
    choose(scores, &Draw { settings: &settings, seed, prompt: &[], answer, allowed: None })
}

/// Shares of each id over many seeds.
fn shares(sampling: &Sampling) -> [f64; 5] {
    let mut counts = [0.0; 5];
    for seed in 0..20_000 {
        counts[draw(sampling, seed, &[]).unwrap().id as usize] += 1.0 / 20_000.0;
    }
    counts
}

fn check_shares(sampling: &Sampling, expected: [f64; 5]) {
    let shares = shares(sampling);
    let near = shares.iter().zip(expected).all(|(share, expected)| (share - expected).abs() < 0.015);
    assert!(near, "{sampling:?}: {shares:?} instead of {expected:?}");
}

#[test]
fn greedy_takes_the_first_of_the_greatest() {
    let choice = draw(&Sampling::default(), 0, &[]).unwrap();
    assert_eq!(choice.id, 1);
    let total: f32 = SCORES.iter().map(|s| s.exp()).sum();
    assert!((choice.probability - 3f32.exp() / total).abs() < 1e-6);
}

#[test]
fn draws_follow_the_distribution_and_its_cuts() {
    let warm = Sampling { temperature: Some(1.0), ..Sampling::default() };
    let total: f64 = SCORES.iter().map(|s| f64::from(*s).exp()).sum();
    check_shares(&warm, SCORES.map(|s| f64::from(s).exp() / total));
    check_shares(&Sampling { top_k: Some(2), ..warm.clone() }, [0.0, 0.5, 0.0, 0.5, 0.0]);
    check_shares(&Sampling { top_k: Some(1), ..warm.clone() }, [0.0, 1.0, 0.0, 0.0, 0.0]);
    check_shares(&Sampling { top_p: Some(0.5), ..warm.clone() }, [0.0, 0.5, 0.0, 0.5, 0.0]);
    check_shares(&Sampling { top_p: Some(1e-9), ..warm.clone() }, [0.0, 1.0, 0.0, 0.0, 0.0]);
    check_shares(&Sampling { temperature: Some(1e-30), ..warm.clone() }, [0.0, 0.5, 0.0, 0.5, 0.0]);
}

#[test]
fn a_penalty_lowers_what_occurred_once_however_often() {
    let penalised = Sampling { repetition_penalty: Some(1.4), ..Sampling::default() };
    assert_eq!(draw(&penalised, 0, &[1, 1, 1]).unwrap().id, 3);
    assert_eq!(draw(&penalised, 0, &[1, 3]).unwrap().id, 1, "3.0 / 1.4 is still above 2.0");
    assert_eq!(draw(&penalised, 0, &[1, 3, 99_999]).unwrap().id, 1, "ids beyond the scores are passed by");
    let plain = draw(&Sampling::default(), 0, &[]).unwrap();
    assert_eq!(
        draw(&penalised, 0, &[1, 3]).unwrap().probability,
        plain.probability,
        "confidence is unpenalised"
    );
}

#[test]
fn the_least_share_is_of_the_likeliest() {
    let warm = Sampling { temperature: Some(1.0), ..Sampling::default() };
    let two = |min_p| Sampling { min_p: Some(min_p), ..warm.clone() };
    check_shares(&two(0.5), [0.0, 0.5, 0.0, 0.5, 0.0]);
    check_shares(&two(1.0), [0.0, 0.5, 0.0, 0.5, 0.0]);
    let third = 1.0 / (2.0 + 1.0 / std::f64::consts::E);
    check_shares(&two(0.3), [0.0, third, 1.0 - 2.0 * third, third, 0.0]);
    // At a higher temperature less is cut: e^(-1/2) is above 0.5.
    assert!(shares(&Sampling { temperature: Some(2.0), ..two(0.5) })[2] > 0.1);
}

/// The scores that are left of `scores` after bias, penalties and constraint, as the likeliest one by one tell.
fn adjusted(sampling: Sampling, prompt: &[u32], answer: &[u32], allowed: Option<&[u32]>) -> Vec<f32> {
    let settings = Settings::new(sampling, &Sampling::default());
    let draw = Draw { settings: &settings, seed: 0, prompt, answer, allowed };
    super::adjust(&SCORES, &draw).into_owned()
}

#[test]
fn bias_penalties_and_constraint_apply_in_their_order() {
    let check = |sampling, prompt, answer, expect: [f32; 5]| {
        assert_eq!(adjusted(sampling, prompt, answer, None), expect);
    };
    let plain = Sampling::default();
    let biased = Sampling { logit_bias: [(0, -2.0), (4, 1.5), (99, 1.0)].into(), ..plain.clone() };
    check(biased.clone(), &[], &[], [-1.0, 3.0, 2.0, 3.0, 0.5]);
    let present = Sampling { presence_penalty: 0.5, ..plain.clone() };
    check(present, &[2, 3], &[1, 1, 4, 99], [1.0, 2.5, 2.0, 3.0, -1.5]);
    let frequent = Sampling { frequency_penalty: 0.5, presence_penalty: -0.25, ..plain };
    check(frequent.clone(), &[2, 3], &[1, 1, 4], [1.0, 2.25, 2.0, 3.0, -1.25]);
    // Each sees what the one before it left: the bias turns the sign that the repetition penalty goes by.
    let all = Sampling { repetition_penalty: Some(2.0), logit_bias: biased.logit_bias, ..frequent };
    check(all.clone(), &[0, 3], &[4, 4], [-2.0, 3.0, 2.0, 1.5, 0.25 - 0.75]);
    let least = f32::NEG_INFINITY;
    assert_eq!(adjusted(all, &[], &[], Some(&[0b1_0010])), [least, 3.0, least, least, 0.5]);
    assert_eq!(
        adjusted(Sampling::default(), &[], &[], Some(&[])),
        [least; 5],
        "what is not named is not allowed"
    );
}

/// The draw as it is described, with everything sorted.
fn plainly(scores: &[f32], settings: &Settings, seed: u64) -> usize {
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weight = |at: &usize| f64::from((scores[*at] - most) / settings.temperature).exp();
    let mut kept: Vec<usize> =
        (0..scores.len()).filter(|at| weight(at) > 0.0 && weight(at) >= f64::from(settings.min_p)).collect();
    let by_id: f64 = kept.iter().map(weight).sum();
    kept.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    let cut = settings.top_k > 0 && settings.top_k < kept.len();
    kept.truncate(if cut { settings.top_k } else { usize::MAX });
    let total = if cut { kept.iter().map(weight).sum() } else { by_id };
    let mut mass = total;
    if settings.top_p < 1.0 {
        mass = 0.0;
        let bound = f64::from(settings.top_p) * total;
        let reach = kept.iter().position(|at| {
            mass += weight(at);
            mass >= bound
        });
        kept.truncate(reach.map_or(kept.len(), |reach| reach + 1));
    }
    let mut left = uniform(seed, 0) * mass;
    let drawn = kept.iter().position(|at| {
        left -= weight(at);
        left < 0.0
    });
    kept[drawn.unwrap_or(kept.len() - 1)]
}

proptest! {
    #[test]
    fn sorting_as_far_as_needed_draws_what_sorting_all_draws(
        scores in proptest::collection::vec(-8f32..8.0, 1..700),
        (temperature, top_p, min_p) in (0.05f32..2.0, prop_oneof![Just(1.0f32), 0.01f32..1.0], prop_oneof![Just(0.0f32), 0f32..1.0]),
        (top_k, seed) in (prop_oneof![Just(0usize), 1..800usize], any::<u64>()),
        coarse in any::<bool>(),
    ) {
        // Many equals, so that their order counts.
        let scores: Vec<f32> = scores.iter().map(|s| if coarse { s.round() } else { *s }).collect();
        let sampling = Sampling {
            temperature: Some(temperature), top_p: Some(top_p), min_p: Some(min_p), top_k: Some(top_k),
            logprobs: Some(20), ..Sampling::default()
        };
        let settings = Settings::new(sampling.clone(), &Sampling::default());
        let choice = choose_from(&scores, &sampling, seed, &[]).unwrap();
        prop_assert_eq!(choice.id as usize, plainly(&scores, &settings, seed));
        let top = choice.logprobs.unwrap().top;
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        prop_assert!(top.iter().map(|(id, _)| *id as usize).eq(order.into_iter().take(20)));
    }
}

#[test]
fn randomness_is_a_function_of_seed_and_position() {
    assert_eq!(uniform(5, 9), uniform(5, 9));
    assert_ne!(uniform(5, 9), uniform(5, 10));
    assert_ne!(uniform(5, 9), uniform(6, 9));
    assert!((0..1000).all(|position| (0.0..1.0).contains(&uniform(1, position))));
}

#[test]
fn scores_that_are_not_numbers_are_refused() {
    let warm = Sampling { temperature: Some(1.0), ..Sampling::default() };
    for bad in [f32::NAN, f32::INFINITY] {
        assert_eq!(choose_from(&[0.0, bad, 1.0], &warm, 0, &[]), None);
    }
    for sampling in [warm, Sampling::default()] {
        assert_eq!(choose_from(&[], &sampling, 0, &[]), None);
        assert_eq!(choose_from(&[f32::NEG_INFINITY; 3], &sampling, 0, &[]), None);
        let one = choose_from(&[f32::NEG_INFINITY, 0.0], &sampling, 0, &[]);
        assert_eq!(one.unwrap().id, 1, "a masked token is not a broken one");
    }
}
