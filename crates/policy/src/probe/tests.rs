//! What probes ask, and what is said where the answer is another.

use crate::{Facts, Kind, Rules};

fn rules(probe: &str) -> Rules {
    let text = format!(
        r#"
        schema = "causeway.policy/v1"
        [[tier]]
        name = "command"
        kind = "command"
        input_usd_per_million_tokens = 0
        output_usd_per_million_tokens = 0
        [[tier]]
        name = "device"
        kind = "device"
        joules_per_output_token = 0.5
        usd_per_joule = 0.00001
        abilities = [1.0]
        languages = ["en", "de"]
        [[tier]]
        name = "cloud"
        kind = "cloud"
        input_usd_per_million_tokens = 1
        output_usd_per_million_tokens = 1
        abilities = [4.0]
        regions = ["eu", "in"]
        network_seconds = 0.05
        [[class]]
        name = "health"
        when = '"health" in private_content'
        privacy = "local_only"
        second_usd = 0.001
        wrong_answer_usd = 1
        [[class]]
        name = "default"
        second_usd = 0.001
        wrong_answer_usd = 1
        [[probe]]
        name = "it"
        {probe}
        "#
    );
    Rules::parse("probes.toml", &text).unwrap_or_else(|error| panic!("{error}"))
}

fn unmet(probe: &str) -> Vec<String> {
    let rules = rules(probe);
    let facts = Facts { requirement: [1.0].into(), ..Facts::default() };
    let tried = rules.try_probe(&rules.probes()[0], &facts, &rules.described_candidates());
    tried.unmet.iter().map(|unmet| format!("{}: {}", unmet.expected, unmet.found)).collect()
}

#[test]
fn probes_say_what_is_not_as_expected() {
    let check = |probe: &str, wanted: &[&str]| assert_eq!(unmet(probe), wanted, "{probe}");
    check("expect_kind = \"cloud\"\nexpect_tier = \"cloud\"\nexpect_class = \"default\"", &[]);
    check("expect_not_kind = \"cloud\"", &["not kind cloud: kind cloud"]);
    check(
        "expect_not_tier = \"cloud\"\nexpect_class = \"health\"",
        &["class health: class default", "not tier cloud: tier cloud"],
    );
    check(
        "facts = { private_content = [\"health\"] }\nexpect_tier = \"device\"\nexpect_class = \"health\"",
        &[],
    );
    check(
        "facts = { private_content = [\"health\"] }\nexpect_kind = \"cloud\"",
        &["kind cloud: kind device"],
    );
    check("facts = { residency = \"in\" }\nexpect_place = \"cloud/in\"", &[]);
    check("facts = { residency = \"in\" }\nexpect_place = \"cloud/eu\"", &["place cloud/eu: place cloud/in"]);
    check("facts = { residency = \"us\" }\nexpect_kind = \"device\"", &[]);
    check("facts = { privacy = \"local_only\", language = \"hi\" }\nexpect_no_place = true", &[]);
    check("expect_no_place = true", &["no place: place cloud/eu"]);
    check(
        "facts = { privacy = \"local_only\", language = \"hi\" }\nexpect_no_place = false",
        &["some place: no place"],
    );
    // Where the grammar is asked, it is right.
    check("facts = { excluded = [] }\nexpect_kind = \"command\"", &[]);
}

#[test]
fn described_places_are_as_fast_as_their_tier_states() {
    let rules = rules("expect_no_place = false");
    let places = rules.described_candidates();
    let names: Vec<&str> = places.iter().map(|place| place.place.as_str()).collect();
    assert_eq!(names, ["command", "device", "cloud/eu", "cloud/in"]);
    assert!(places[1].latency.is_none() && places[2].latency.is_some());
    assert_eq!(places[0].kind, Kind::Command);
}

#[test]
fn energy_costs_what_a_joule_costs_the_class() {
    let rules = rules("expect_no_place = false");
    let facts = Facts { output_tokens_p50: 10.0, output_tokens_p90: 10.0, ..Facts::default() };
    let decision = crate::decide(&rules, &facts, &rules.described_candidates(), 0);
    assert!((decision.trail.candidates[1].inputs.price_usd - 10.0 * 0.5 * 0.00001).abs() < 1e-15);
}
