//! Checks that the pools are large, and that no word is in two splits.

use std::collections::BTreeSet;

use super::*;

const KINDS: [Kind; 6] = [Kind::Given, Kind::Family, Kind::Place, Kind::Room, Kind::Maker, Kind::Topic];

#[test]
fn every_split_has_words_of_every_kind() {
    for (split, least) in Split::ALL.into_iter().zip([500, 40, 40]) {
        for kind in KINDS {
            let words = Pools::of(split).words(kind).len();
            assert!(words >= least, "{split} {kind:?} has {words}");
        }
    }
}

#[test]
fn no_word_is_in_two_splits_whatever_its_kind() {
    let all = |split| -> BTreeSet<String> {
        KINDS
            .into_iter()
            .flat_map(|kind| Pools::of(split).words(kind))
            .map(|word| word.to_lowercase())
            .collect()
    };
    let [train, calibration, test] = Split::ALL.map(all);
    assert!(train.is_disjoint(&test));
    assert!(train.is_disjoint(&calibration));
    assert!(calibration.is_disjoint(&test));
}
