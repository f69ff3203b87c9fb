//! Checks that abilities and requirements that made a table are found again.

use super::*;

/// Texts of two kinds, hard words and hard sums; one model knows words, one sums, one both.
fn table(count: usize) -> Table {
    let mut table =
        Table { models: ["words", "sums", "both"].map(str::to_owned).to_vec(), ..Table::default() };
    for at in 0..count {
        let state = mix(at as u64);
        let sum = state & 1 == 0;
        let text = match sum {
            true => format!("What is {} plus {} minus {at}?", state % 97, state % 89),
            false => format!("Which word means the same as {} {at}?", ["calm", "bold", "meek"][at % 3]),
        };
        table.texts.push(text);
        let luck = |model: u64| (mix(state ^ model) % 100) as f64 / 100.0;
        let chances = [if sum { 0.1 } else { 0.9 }, if sum { 0.8 } else { 0.2 }, 0.9];
        for (model, chance) in chances.into_iter().enumerate() {
            let right = f64::from(u8::from(luck(model as u64 + 7) < chance));
            table.scores.push((at % 7 != model).then_some(right));
        }
    }
    table
}

#[test]
fn probabilities_of_unseen_texts_are_near_the_truth() {
    let table = table(400);
    let predicted = out_of_fold(&table, 1).unwrap();
    for (text, right) in table.texts.iter().zip(predicted.right.chunks(3)) {
        let sum = text.contains("plus");
        let truth = [if sum { 0.1 } else { 0.9 }, if sum { 0.8 } else { 0.2 }, 0.9];
        for (right, truth) in right.iter().zip(truth) {
            assert!((right - truth).abs() < 0.2, "{text}: {right} for {truth}");
        }
    }
}

#[test]
fn a_new_model_is_added_from_few_outcomes() {
    let table = table(400);
    let two = fit(&table.of_models(&[0, 2]), 1).unwrap();
    let outcomes: Vec<(&str, f64)> =
        (0..80).filter_map(|text| Some((table.texts[text].as_str(), table.score(text, 1)?))).collect();
    let added = two.ability(&outcomes);
    let right = |text: &str| added.right(&two.requirement.of(text));
    let (sum, word) = (right("What is 31 plus 12 minus 5?"), right("Which word means the same as calm 5?"));
    assert!(sum > 0.6 && word < sum - 0.25, "{sum} {word} {added:?} {:?}", two.abilities);
}

#[test]
fn the_same_table_gives_the_same_bits() {
    let table = table(120);
    assert_eq!(out_of_fold(&table, 3).unwrap(), out_of_fold(&table, 3).unwrap());
}

#[test]
fn too_few_texts_are_refused() {
    assert!(matches!(out_of_fold(&table(10), 1), Err(Error::TooFewOutcomes { .. })));
}
