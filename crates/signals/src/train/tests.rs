//! What the learner learns, and that it learns it the same way every time.

use super::{Outcome, TEXTS_MIN, Trained, fit, mix};
use crate::{Error, Models, read};

const SUBJECTS: [&str; 6] = ["lamp", "river", "train", "garden", "letter", "bridge"];
const PLACES: [&str; 5] = ["kitchen", "Berlin", "Madrid", "attic", "harbour"];

/// Questions of two kinds: the device can switch things and cannot reckon, the cloud can do both nearly always.
/// Answers to the second kind are ten times as long.
fn outcomes(count: u64) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for index in 0..count {
        let draw = |what: u64, of: u64| mix(index * 31 + what) % of;
        let (subject, place) = (SUBJECTS[draw(1, 6) as usize], PLACES[draw(2, 5) as usize]);
        let hard = draw(3, 2) == 1;
        let number = draw(4, 900) + 3;
        let text = if hard {
            format!(
                "If a {subject} in {place} costs {number} coins, how much do {} of them cost?",
                draw(5, 40) + 2
            )
        } else {
            format!("switch the {subject} in the {place} on for {number} minutes")
        };
        let noise = |what: u64| draw(what, 20) == 0;
        let output_tokens = if hard { 60 + draw(6, 40) as u32 } else { 6 + draw(6, 4) as u32 };
        let right = [hard == noise(7), !noise(8)];
        for (model, right) in right.into_iter().enumerate() {
            outcomes.push(Outcome { text: text.clone(), model, right, output_tokens });
        }
    }
    outcomes
}

fn logistic(logit: f32) -> f64 {
    1.0 / (1.0 + f64::exp(f64::from(-logit)))
}

#[test]
fn a_rule_is_learned_and_measured_out_of_fold() {
    let Trained { model, report } = fit(&outcomes(600), 7).expect("enough outcomes");
    let [device, cloud] = &report.models;
    assert!(device.auroc.expect("both kinds") > 0.9, "{report:?}");
    assert!(device.ece.expect("outcomes") < 0.06, "{report:?}");
    assert!(device.brier < device.brier_base);
    assert!((cloud.accuracy.expect("outcomes") - 0.95).abs() < 0.03);
    let routing = report.routing.expect("both models answered");
    assert!(routing.apgr > 0.7, "{routing:?}");
    assert!((report.length.p50_coverage.expect("lengths") - 0.5).abs() < 0.1, "{:?}", report.length);
    assert!((report.length.p90_coverage.expect("lengths") - 0.9).abs() < 0.06, "{:?}", report.length);

    let models = Models::from(model);
    let easy = read("switch the lantern in the cellar on for 5 minutes", &models);
    let hard = read("If a boat in Rome costs 45 coins, how much do 7 of them cost?", &models);
    let p = |signals: &crate::Signals, one: usize| logistic(signals.requirement[one] - signals.difficulty);
    assert!(p(&easy, 0) > 0.8 && p(&hard, 0) < 0.2, "{} {}", p(&easy, 0), p(&hard, 0));
    assert!(p(&hard, 1) > 0.85, "{}", p(&hard, 1));
    assert!(easy.output_tokens_p90 < 20.0 && hard.output_tokens_p50 > 40.0);
    assert!(hard.output_tokens_p90 < 150.0);
}

#[test]
fn the_same_outcomes_and_seed_give_the_same_bytes() {
    let outcomes = outcomes(80);
    let train = |seed: u64| fit(&outcomes, seed).expect("enough outcomes");
    let (one, other) = (train(3), train(3));
    assert_eq!(one.model.to_bytes(), other.model.to_bytes());
    assert_eq!(one.report, other.report);
    assert_ne!(one.model.version(), train(4).model.version());
    let bytes = one.model.to_bytes();
    assert!(bytes.len() <= 300_000, "{} bytes", bytes.len());
    let read_back = crate::DifficultyModel::from_bytes(&bytes).expect("what was written can be read");
    assert_eq!(read_back, one.model);
    let hash = |digit: &str| digit.repeat(64);
    let version = one.model.version().to_owned();
    let told = one.clone().taught_by([&hash("a"), &hash("b")]).expect("two hashes");
    assert_eq!(told.model.taught_by(), [hash("a"), hash("b")]);
    assert!(told.report.version == told.model.version() && version != told.model.version());
    let read_back = crate::DifficultyModel::from_bytes(&told.model.to_bytes()).expect("it is read");
    assert_eq!(read_back, told.model);
    assert_eq!(one.taught_by([&hash("a"), "b"]), Err(Error::ModelHash { given: "b".into() }));
}

#[test]
fn what_was_learned_is_the_same_to_the_bit_on_every_target() {
    let trained = fit(&outcomes(80), 3).expect("enough outcomes");
    let version = trained.model.version().to_owned();
    let signals = read("switch the lantern in the cellar on", &Models::from(trained.model));
    let bits =
        [signals.requirement[0], signals.requirement[1], signals.difficulty, signals.output_tokens_p50]
            .map(|number| format!("{:08x}", number.to_bits()))
            .join(" ");
    insta::assert_snapshot!("learned", format!("{version}\n{bits}"));
}

#[test]
fn outcomes_that_teach_nothing_are_refused() {
    let few = outcomes(TEXTS_MIN as u64 / 2);
    assert!(matches!(fit(&few, 1), Err(Error::TooFewOutcomes { given: 50, min: TEXTS_MIN, .. })));
    assert!(matches!(fit(&[], 1), Err(Error::TooFewOutcomes { given: 0, texts: 0, .. })));
    let mut other = outcomes(60);
    other[5].model = 2;
    assert_eq!(fit(&other, 1).err(), Some(Error::ModelUnknown { index: 5, model: 2 }));
}

#[test]
fn one_model_alone_and_answers_that_are_always_right_can_be_learned_from() {
    let mut outcomes = outcomes(60);
    outcomes.retain(|outcome| outcome.model == 0);
    for outcome in &mut outcomes {
        outcome.right = true;
        outcome.output_tokens = 0;
    }
    let Trained { model, report } = fit(&outcomes, 1).expect("enough outcomes");
    assert_eq!(report.models[0].auroc, None);
    assert_eq!(report.models[1].accuracy, None);
    assert_eq!((report.routing, report.length.outcomes), (None, 0));
    let signals = read("switch it on", &Models::from(model));
    assert!(logistic(signals.requirement[0] - signals.difficulty) > 0.9);
}
