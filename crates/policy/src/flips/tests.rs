//! At the point that was solved for, winner and runner-up cost the same.

use proptest::prelude::*;

use super::{Flip, Input};
use crate::{Candidate, Decision, Facts, Kind, Latency, Load, Price, Rules, decide};

fn rules(second_usd: f64, wrong_answer_usd: f64) -> Rules {
    let text = format!(
        r#"
        schema = "causeway.policy/v1"
        [[tier]]
        name = "a"
        kind = "cloud"
        input_usd_per_million_tokens = 1
        output_usd_per_million_tokens = 1
        [[class]]
        name = "default"
        second_usd = {second_usd:?}
        wrong_answer_usd = {wrong_answer_usd:?}
        "#
    );
    Rules::parse("flips.toml", &text).unwrap_or_else(|error| panic!("{error}"))
}

fn place(name: &str, [price, seconds, right]: [f64; 3]) -> Candidate {
    Candidate {
        price: Some(Price { output_usd_per_million_tokens: price * 1e6, ..Price::default() }),
        latency: Some(Latency { network_seconds: seconds, ..Latency::default() }),
        certain: Some(right),
        load: Some(Load::default()),
        ..Candidate::new(name, "a", Kind::Cloud)
    }
}

/// One output token, so that the price of a token is the price of the answer.
fn facts() -> Facts {
    Facts { output_tokens_p50: 1.0, output_tokens_p90: 1.0, ..Facts::default() }
}

fn decided(worths: [f64; 2], places: &[(String, [f64; 3])]) -> Decision {
    let candidates: Vec<Candidate> = places.iter().map(|(name, inputs)| place(name, *inputs)).collect();
    decide(&rules(worths[0], worths[1]), &facts(), &candidates, 1)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn with_the_solved_value_both_cost_the_same(
        worths in prop::array::uniform2(0.001..10.0_f64),
        inputs in prop::array::uniform3((0.0..1.0_f64, 0.0..10.0_f64, 0.0..=1.0_f64)),
    ) {
        let places: Vec<(String, [f64; 3])> = inputs
            .iter()
            .enumerate()
            .map(|(index, (price, seconds, right))| (format!("p{index}"), [*price, *seconds, *right]))
            .collect();
        let decision = decided(worths, &places);
        let (winner, second) = (decision.winner().expect("a winner"), decision.runner_up().expect("a second"));
        for Flip { input, place, at, .. } in decision.flips() {
            let (mut worths, mut places) = (worths, places.clone());
            match (input, &place) {
                (Input::SecondUsd, _) => worths[0] = at,
                (Input::WrongAnswerUsd, _) => worths[1] = at,
                (_, Some(name)) => {
                    let slot = match input {
                        Input::PriceUsd => 0,
                        Input::ExpectedSeconds => 1,
                        _ => 2,
                    };
                    let one = places.iter_mut().find(|one| *name == one.0.as_str()).expect("a place");
                    one.1[slot] = at;
                }
                _ => prop_assert!(false, "an input of no place"),
            }
            // Worths and seconds beyond what a policy or the estimates hold are not tried.
            if worths.iter().any(|worth| *worth > 1e6) || places.iter().any(|one| one.1[1] > 1e8 || one.1[0] > 1e8) {
                continue;
            }
            let again = decided(worths, &places);
            let total = |name: &str| {
                let mut all = again.trail.candidates.iter();
                all.find(|one| one.candidate.place == *name).map(|one| one.columns.total_usd).unwrap_or(f64::NAN)
            };
            let (a, b) = (total(&winner.candidate.place), total(&second.candidate.place));
            prop_assert!((a - b).abs() <= 1e-6 * a.abs().max(1e-6), "{input:?} of {place:?} at {at}: {a} and {b}");
        }
    }
}

#[test]
fn a_price_that_would_have_to_be_negative_is_left_out() {
    let decision = decided([1.0, 1.0], &[("a".into(), [0.0, 0.0, 1.0]), ("b".into(), [0.1, 1.0, 0.5])]);
    let flips = decision.flips();
    assert!(flips.iter().all(|flip| flip.place.as_ref().is_none_or(|place| *place == "a")), "{flips:?}");
    assert!(flips.iter().any(|flip| flip.input == Input::PriceUsd && (flip.at - 1.6).abs() < 1e-9));
    assert!(decided([1.0, 1.0], &[("a".into(), [0.0; 3])]).flips().is_empty());
}
