//! Checks that the sequence is the same everywhere and that the splits share nothing they must not.

use std::collections::{BTreeMap, BTreeSet};

use skills::{Item, Skill, Split, Trace, is_right, items};

fn traced(split: Split, count: usize) -> Vec<(Item, Trace)> {
    let mut items = items(split, 1);
    (0..count).map(|_| items.next_traced()).collect()
}

fn hash(split: Split, seed: u64) -> String {
    let mut hash = blake3::Hasher::new();
    for item in items(split, seed).take(1_000) {
        for part in [item.skill.name(), "\t", &item.prompt, "\t", &item.answer, "\n"] {
            hash.update(part.as_bytes());
        }
    }
    hash.finalize().to_hex()[..16].to_owned()
}

/// When this fails the output changed: bump `VERSION` with the new hashes.
#[test]
fn the_first_thousand_items_are_the_golden_ones() {
    let golden = [Split::Train, Split::Calibration, Split::Test].map(|split| hash(split, 1));
    assert_eq!(
        (skills::VERSION, golden),
        (2, ["6335a48e1edb3667", "464f0ce7e634cd9e", "69388e0d216628b8"].map(str::to_owned))
    );
    assert_eq!(hash(Split::Test, 1), hash(Split::Test, 1));
    assert_ne!(hash(Split::Test, 1), hash(Split::Test, 2));
}

#[test]
fn splits_share_no_word_frame_or_combination() {
    let sizes = [(Split::Train, 60_000), (Split::Calibration, 15_000), (Split::Test, 15_000)];
    let all = sizes.map(|(split, count)| traced(split, count));
    let words = all
        .each_ref()
        .map(|items| set(items, |trace| trace.words.iter().map(|w| w.to_lowercase()).collect()));
    let frames = all.each_ref().map(|items| set(items, |trace| trace.frames.clone()));
    let combinations = all.each_ref().map(|items| set(items, |trace| trace.combinations.clone()));
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        assert!(words[a].is_disjoint(&words[b]));
        assert!(frames[a].is_disjoint(&frames[b]));
        assert!(combinations[a].is_disjoint(&combinations[b]));
    }
}

fn set<T: Ord>(items: &[(Item, Trace)], of: impl Fn(&Trace) -> Vec<T>) -> BTreeSet<T> {
    items.iter().flat_map(|(_, trace)| of(trace)).collect()
}

/// A prompt with its open-class words and digits masked: what a reader would call its template.
fn skeleton(item: &Item, trace: &Trace) -> String {
    let mut words: Vec<&str> = trace.words.clone();
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    let masked = words.iter().fold(item.prompt.clone(), |text, word| text.replace(word, "_"));
    masked.chars().map(|c| if c.is_ascii_digit() { '#' } else { c }).collect()
}

/// The hashes above could hide an unused part; the texts themselves cannot. Translations differ by phrase,
/// so their templates are checked by the combinations alone.
#[test]
fn the_tests_templates_are_not_in_the_training_text() {
    let train: BTreeSet<String> =
        traced(Split::Train, 100_000).iter().map(|(item, trace)| skeleton(item, trace)).collect();
    let mut shared: BTreeMap<Skill, Vec<String>> = BTreeMap::new();
    for (item, trace) in traced(Split::Test, 10_000) {
        let skeleton = skeleton(&item, &trace);
        if item.skill != Skill::Translate && train.contains(&skeleton) {
            shared.entry(item.skill).or_default().push(skeleton);
        }
    }
    assert!(shared.is_empty(), "{shared:#?}");
}

#[test]
fn every_split_exercises_every_skill_with_answers_that_are_right() {
    for split in Split::ALL {
        let mut counts: BTreeMap<Skill, usize> = BTreeMap::new();
        for item in items(split, 9).take(20_000) {
            *counts.entry(item.skill).or_default() += 1;
            assert!(is_right(item.skill, &item.answer, &item.answer), "{item:?}");
            assert!(!item.prompt.contains(['{', '}']) && !item.answer.is_empty(), "{item:?}");
            assert!(item.prompt.chars().count() <= 400 && item.answer.chars().count() <= 300, "{item:?}");
            if !matches!(item.skill, Skill::Home | Skill::Photo) {
                assert!(!item.answer.contains(['{', '}']), "{item:?}");
            }
        }
        assert!(counts.len() == Skill::ALL.len() && counts.values().all(|count| *count > 800), "{counts:?}");
    }
}

#[test]
fn ids_count_up_and_prompts_seldom_repeat() {
    let items: Vec<Item> = items(Split::Train, 4).take(50_000).collect();
    assert!(items.iter().enumerate().all(|(i, item)| item.id == i as u64));
    let prompts: BTreeSet<&str> = items.iter().map(|item| item.prompt.as_str()).collect();
    assert!(prompts.len() > 49_900, "{}", prompts.len());
}

/// A prompt that came twice with two answers would make one of them wrong.
#[test]
fn a_prompt_has_one_answer() {
    let mut answers = BTreeMap::new();
    for seed in 0..6 {
        for item in items(Split::Test, seed).take(20_000) {
            let before = answers.insert(item.prompt.clone(), item.answer.clone());
            assert!(before.is_none_or(|before| before == item.answer), "{item:?}");
        }
    }
}
