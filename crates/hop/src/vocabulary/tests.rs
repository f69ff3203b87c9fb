//! What is learned of places from the tokens that they count.

use policy::{Candidate, Kind, Rules};

use super::{PLACES_MAX, Vocabularies};

fn rules(stated: &str) -> Rules {
    let text = format!(
        "schema = \"causeway.policy/v1\"\n[[tier]]\nname = \"t\"\nkind = \"cloud\"\n{stated}\n\
         input_usd_per_million_tokens = 1\noutput_usd_per_million_tokens = 1\n\
         [[class]]\nname = \"c\"\nsecond_usd = 0.001\nwrong_answer_usd = 0.01\n"
    );
    Rules::parse("p.toml", &text).unwrap_or_else(|error| panic!("{error}"))
}

/// What a place is told after it counted these prompts: estimated and counted.
fn ratio(prompts: &[(u32, u32)], stated: &str) -> Option<f64> {
    let vocabularies = Vocabularies::default();
    prompts.iter().for_each(|(estimated, counted)| vocabularies.learn(&"t/1".into(), *estimated, *counted));
    let mut candidate = Candidate::new("t/1", "t", Kind::Cloud);
    vocabularies.inform(&mut candidate, &rules(stated));
    candidate.prompt_tokens_ratio
}

fn check(prompts: &[(u32, u32)], stated: &str, between: std::ops::Range<f64>) {
    let is = ratio(prompts, stated).expect("something was learned");
    assert!(between.contains(&is), "{is} is not in {between:?}");
}

#[test]
fn a_finer_vocabulary_is_learned_within_a_few_prompts() {
    check(&[(200, 372); 20], "", 1.8..1.86);
    check(&[(200, 372)], "", 1.5..1.86);
    check(&[(200, 100); 20], "", 0.5..0.55);
    // A new model behind the same place is learned anew.
    check(&[vec![(200, 372); 20], vec![(200, 200); 60]].concat(), "", 1.0..1.06);
}

#[test]
fn nothing_learned_says_nothing_and_a_stated_ratio_is_where_learning_begins() {
    assert_eq!(ratio(&[], ""), None);
    assert_eq!(ratio(&[(0, 12), (12, 0)], ""), None);
    check(&[(4, 8)], "prompt_tokens_ratio = 2.0", 1.99..2.01);
}

#[test]
fn no_prompt_alone_sways_what_is_known() {
    // A chat template adds its own tokens, which are most of a short prompt.
    check(&[(2, 16)], "", 1.0..1.1);
    let known = vec![(200, 200); 20];
    check(&[known.clone(), vec![(1, u32::MAX)]].concat(), "", 1.0..1.01);
    check(&[known, vec![(4_000, 40_000)]].concat(), "", 1.0..1.6);
    check(&[(1, u32::MAX); 1000], "", 1.0..4.0);
}

#[test]
fn no_more_places_are_remembered_than_there_is_room_for() {
    let vocabularies = Vocabularies::default();
    (0..2 * PLACES_MAX).for_each(|place| vocabularies.learn(&place.to_string().into(), 10, 20));
    assert_eq!(vocabularies.places.lock().len(), PLACES_MAX);
}
