//! What a policy may name is what signals tell.

use std::collections::BTreeSet;

use signals::{Content, SpanKind};

#[test]
fn the_kinds_that_conditions_know_are_those_that_signals_tell() {
    let told =
        |names: Vec<String>| names.into_iter().filter(|name| !name.is_empty()).collect::<BTreeSet<String>>();
    let known = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<String>>();
    let personal = SpanKind::all().filter(|kind| kind.identifies()).map(|kind| kind.name().to_lowercase());
    assert_eq!(known(&policy::PERSONAL_DATA), told(personal.collect()));
    let content = Content::all().map(|kind| kind.name().to_owned());
    assert_eq!(known(&policy::PRIVATE_CONTENT), told(content.collect()));
}
