//! Every hard constraint, and the order in which they are named.

use super::{WORTH, facts, large, rules, small};
use crate::{Candidate, Capabilities, Decision, Excluded, Facts, Kind, Latency, Privacy, decide};

fn code(decision: &Decision) -> Option<&'static str> {
    decision.trail.candidates[0].removal.as_ref().map(crate::Reason::code)
}

#[expect(clippy::needless_pass_by_value, reason = "a table of cases reads better without borrows")]
fn check(class: &str, facts: Facts, candidate: Candidate, wanted: Option<&str>, says: &str) {
    let decision = decide(&rules(&format!("{WORTH}\n{class}")), &facts, &[candidate], 1);
    assert_eq!(code(&decision), wanted, "{decision}");
    assert_eq!(decision.place.is_none(), wanted.is_some());
    assert!(decision.to_string().contains(says), "`{says}` is missing in\n{decision}");
}

#[test]
fn each_constraint_removes_with_its_reason() {
    let home = |kind: Kind| Candidate { kind, ..small() };
    let private = |privacy: Privacy| Facts { privacy, ..facts() };
    check("", private(Privacy::LocalOnly), large(), Some("privacy"), "may not leave the device");
    check("", private(Privacy::LocalOnly), home(Kind::Home), Some("privacy"), "may not leave the device");
    check("", private(Privacy::LocalOnly), small(), None, "device wins");
    check("", private(Privacy::HomeOnly), large(), Some("privacy"), "may not leave the home");
    check("", private(Privacy::HomeOnly), home(Kind::Home), None, "device wins");

    let region = |region: Option<&str>| Candidate { region: region.map(Into::into), ..large() };
    let resident = |region: &str| Facts { residency: Some(region.into()), ..facts() };
    check("", resident("eu"), region(None), None, "large/1 wins");
    check("", resident("in"), region(None), Some("residency"), "must stay in in; this place computes in eu");
    check(
        "",
        resident("eu"),
        region(Some("us")),
        Some("residency"),
        "must stay in eu; this place computes in us",
    );
    check("", resident("in"), Candidate { tier: "new".into(), ..large() }, Some("residency"), "does not say");
    check("", resident("in"), small(), None, "device wins");

    check("places_forbidden = [\"large/1\"]", facts(), large(), Some("forbidden"), "class only forbids it");
    check("tiers_forbidden = [\"large\"]", facts(), large(), Some("forbidden"), "class only forbids it");
    check("tiers_only = [\"small\"]", facts(), large(), Some("not_allowed"), "class only allows only other");
    check("tiers_only = [\"small\"]", facts(), small(), None, "device wins");
    let only = |name: &str| Facts { only_place: Some(name.into()), ..facts() };
    check("", only("device"), large(), Some("not_allowed"), "the request allows only other places");
    check("", only("large"), large(), None, "large/1 wins");
    check("", only("large/1"), large(), None, "large/1 wins");

    let needs = |needs: Capabilities| Facts { needs, ..facts() };
    let images = Capabilities::TEXT.with(Capabilities::IMAGE);
    check("", needs(images), large(), Some("capability"), "it lacks image");
    check("", needs(images), Candidate { capabilities: Some(images), ..large() }, None, "large/1 wins");

    check("", facts(), Candidate { healthy: false, ..large() }, Some("unhealthy"), "it takes no work");
    let failed = Facts { excluded: vec![Excluded::new("large/1", "it failed before")], ..facts() };
    check("", failed, large(), Some("excluded"), "left out: it failed before");

    let until = |seconds: f64| Facts { deadline_seconds: Some(seconds), ..facts() };
    check("", until(0.24), large(), None, "large/1 wins");
    check("", until(0.22), large(), Some("deadline"), "it would take 0.230 s and 0.220 s remain");
    let unmeasured = Candidate { latency: None, ..large() };
    check("", until(0.22), unmeasured.clone(), None, "latency_unknown");
    check("", until(0.0), unmeasured, Some("deadline"), "0.000 s remain");
    check("", until(f64::NAN), large(), Some("deadline"), "0.000 s remain");

    let at_most = |usd: f64| Facts { price_max_usd: Some(usd), ..facts() };
    check("", at_most(0.0025), large(), None, "large/1 wins");
    check("", at_most(0.002), large(), Some("budget"), "$0.002500 of at most $0.002000");
    check("", at_most(f64::NAN), large(), Some("budget"), "of at most $0");
    check("price_max_usd = 0.002", facts(), large(), Some("budget"), "of at most $0.002000");
    check("probability_right_min = 0.9", facts(), large(), Some("probability_too_low"), "right with 0.881");
    check("probability_right_min = 0.8", facts(), large(), None, "large/1 wins");
}

#[test]
fn what_does_not_fit_a_context_is_removed_and_a_guess_is_no_evidence() {
    let long = |prompt_tokens: u32| Facts { prompt_tokens, ..facts() };
    // How long the answer will be is a guess, and a guess is no evidence that it would not fit; what was asked for is.
    check("", long(999), large(), None, "large/1 wins");
    let says = "a prompt of 1000 tokens and 1 token of output do not fit its context of 1000";
    check("", long(1000), large(), Some("context_length"), says);
    let asked = |prompt_tokens, max| Facts { output_tokens_max: Some(max), ..long(prompt_tokens) };
    check("", asked(900, 100), large(), None, "large/1 wins");
    let says = "a prompt of 901 tokens and 100 tokens of output do not fit its context of 1000";
    check("", asked(901, 100), large(), Some("context_length"), says);
    check("", long(u32::MAX), large(), Some("context_length"), "4294967295 tokens");
    check("", long(1000), Candidate { context_tokens_max: Some(2000), ..large() }, None, "large/1 wins");
    let cuts = |ratio: f64| Candidate { prompt_tokens_ratio: Some(ratio), ..large() };
    check("", long(500), cuts(1.9), None, "large/1 wins");
    check("", long(500), cuts(2.0), Some("context_length"), "a prompt of 1000 tokens");
}

#[test]
fn the_reason_given_is_the_one_hardest_to_mend() {
    let slow = Latency { queue_seconds: 100.0, ..Latency::default() };
    let bad = Candidate { healthy: false, latency: Some(slow), region: Some("us".into()), ..large() };
    let facts = Facts {
        privacy: Privacy::LocalOnly,
        residency: Some("eu".into()),
        deadline_seconds: Some(1.0),
        ..facts()
    };
    let check = |facts: &Facts, wanted: &str| {
        assert_eq!(code(&decide(&rules(WORTH), facts, std::slice::from_ref(&bad), 1)), Some(wanted));
    };
    check(&facts, "privacy");
    check(&Facts { privacy: Privacy::Normal, ..facts.clone() }, "residency");
    check(&Facts { privacy: Privacy::Normal, residency: None, ..facts }, "unhealthy");
}

#[test]
fn no_candidate_and_no_remaining_candidate_are_decisions_too() {
    let nobody = decide(&rules(WORTH), &facts(), &[], 1);
    assert!(nobody.place.is_none() && nobody.trail.candidates.is_empty());
    assert!(nobody.to_string().ends_with("no place remained"));
    let facts = Facts { privacy: Privacy::LocalOnly, ..facts() };
    let removed = decide(&rules(WORTH), &facts, &[large(), large()], 1);
    assert_eq!(
        removed.removals().map(|(_, reason)| reason.code()).collect::<Vec<_>>(),
        ["privacy", "privacy"]
    );
}
