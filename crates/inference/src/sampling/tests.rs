//! Choices: greedy, cut, drawn, penalised, and refused.

use super::{Choice, Draw, choose, uniform};
use crate::Sampling;

const SCORES: [f32; 5] = [1.0, 3.0, 2.0, 3.0, -1.0];

fn draw(sampling: &Sampling, seed: u64, tokens: &[u32]) -> Option<Choice> {
    choose(&SCORES, &Draw { sampling, seed, position: 4, tokens })
}

/// Shares of each id over many seeds.
fn shares(sampling: &Sampling) -> [f64; 5] {
    let mut counts = [0.0; 5];
    for seed in 0..20_000 {
        counts[draw(sampling, seed, &[]).unwrap().id as usize] += 1.0 / 20_000.0;
    }
    counts
}

fn check_shares(sampling: Sampling, expected: [f64; 5]) {
    let shares = shares(&sampling);
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
    let warm = Sampling { temperature: 1.0, ..Sampling::default() };
    let total: f64 = SCORES.iter().map(|s| f64::from(*s).exp()).sum();
    check_shares(warm, SCORES.map(|s| f64::from(s).exp() / total));
    check_shares(Sampling { top_k: 2, ..warm }, [0.0, 0.5, 0.0, 0.5, 0.0]);
    check_shares(Sampling { top_k: 1, ..warm }, [0.0, 1.0, 0.0, 0.0, 0.0]);
    check_shares(Sampling { top_p: 0.5, ..warm }, [0.0, 0.5, 0.0, 0.5, 0.0]);
    check_shares(Sampling { top_p: 1e-9, ..warm }, [0.0, 1.0, 0.0, 0.0, 0.0]);
    check_shares(Sampling { temperature: 1e-30, ..warm }, [0.0, 0.5, 0.0, 0.5, 0.0]);
}

#[test]
fn a_penalty_lowers_what_occurred_once_however_often() {
    let penalised = Sampling { repetition_penalty: 1.4, ..Sampling::default() };
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
fn randomness_is_a_function_of_seed_and_position() {
    assert_eq!(uniform(5, 9), uniform(5, 9));
    assert_ne!(uniform(5, 9), uniform(5, 10));
    assert_ne!(uniform(5, 9), uniform(6, 9));
    assert!((0..1000).all(|position| (0.0..1.0).contains(&uniform(1, position))));
}

#[test]
fn scores_that_are_not_numbers_are_refused() {
    for bad in [f32::NAN, f32::INFINITY] {
        let sampling = Sampling { temperature: 1.0, ..Sampling::default() };
        let scores = [0.0, bad, 1.0];
        assert_eq!(choose(&scores, &Draw { sampling: &sampling, seed: 0, position: 0, tokens: &[] }), None);
    }
    let nothing = Draw { sampling: &Sampling::default(), seed: 0, position: 0, tokens: &[] };
    assert_eq!(choose(&[], &nothing), None);
    assert_eq!(choose(&[f32::NEG_INFINITY; 3], &nothing), None);
    assert_eq!(
        choose(&[f32::NEG_INFINITY, 0.0], &nothing).unwrap().id,
        1,
        "a masked token is not a broken one"
    );
}
