//! Decisions as they have always been: a change here changes what recorded traffic replays to.

use crate::{
    Candidate, Excluded, Facts, Kind, Latency, Load, Priority, Privacy, Rules, Topic, Version, decide,
};

/// A policy that nobody tunes.
fn home() -> Rules {
    Rules::parse("home.toml", include_str!("home.toml")).unwrap_or_else(|error| panic!("{error}"))
}

/// A home in the evening: the grammar did not match, the device is idle, two workers differ in speed and price.
fn candidates() -> Vec<Candidate> {
    let place = |name: &str, tier: &str, kind: Kind, [network, prefill, output]: [f64; 3]| Candidate {
        latency: Some(Latency {
            queue_seconds: 0.0,
            network_seconds: network,
            prefill_seconds_per_token: prefill,
            seconds_per_output_token: output,
        }),
        load: Some(Load { running: 1, waiting: 0 }),
        context_tokens_max: Some(512),
        ..Candidate::new(name, tier, kind)
    };
    vec![
        Candidate { certain: Some(1.0), ..place("command", "command", Kind::Command, [0.0; 3]) },
        place("device", "device", Kind::Device, [0.0, 4e-4, 6e-3]),
        place("cloud-fast/worker-1", "cloud-fast", Kind::Cloud, [0.03, 1e-4, 2.5e-3]),
        Candidate {
            cached_prompt_tokens: 12,
            ..place("cloud-economy/worker-2", "cloud-economy", Kind::Cloud, [0.03, 5e-4, 9e-3])
        },
    ]
}

fn question() -> Facts {
    Facts {
        prompt_tokens: 37,
        output_tokens_p50: 14.0,
        output_tokens_p90: 41.0,
        output_tokens_max: Some(256),
        requirement: [0.31, 3.2].into(),
        difficulty: 0.4,
        language: "en".into(),
        priority: Priority::Interactive,
        deadline_seconds: Some(9.5),
        versions: vec![Version::new("difficulty", "difficulty-0000000000000000")],
        excluded: vec![Excluded::new("command", "no command matches")],
        ..Facts::default()
    }
}

#[test]
fn decisions_for_people_read_as_they_did() {
    let check = |name: &str, facts: Facts| {
        insta::assert_snapshot!(name, decide(&home(), &facts, &candidates(), 11).render_table());
    };
    check("a_hard_question", question());
    check("an_easy_question", Facts { requirement: [3.6, 3.9].into(), ..question() });
    check("in_the_background", Facts { priority: Priority::Background, ..question() });
    check("about_medicine", Facts { topic: Topic::Medical, ..question() });
    check("private", Facts { privacy: Privacy::LocalOnly, ..question() });
    check(
        "private_about_medicine",
        Facts { privacy: Privacy::LocalOnly, topic: Topic::Medical, ..question() },
    );
    check(
        "of_unknown_difficulty",
        Facts { requirement: crate::Vector::UNKNOWN, output_tokens_p50: 0.0, ..question() },
    );
}

#[test]
fn the_numbers_are_the_same_to_the_bit() {
    let decision = decide(&home(), &question(), &candidates(), 11);
    let bits = |weighed: &crate::Weighed| {
        let (columns, inputs) = (weighed.columns, weighed.inputs);
        [
            columns.price_usd,
            columns.waiting_usd,
            columns.wrong_usd,
            columns.total_usd,
            inputs.probability_right,
        ]
        .map(|number| format!("{:016x}", number.to_bits()))
        .join(" ")
    };
    let lines: Vec<String> = decision.trail.candidates.iter().map(bits).collect();
    insta::assert_snapshot!("bits", lines.join("\n"));
}

#[test]
fn a_recorded_decision_is_written_as_it_was() {
    let decision = decide(&home(), &question(), &candidates()[2..], 11);
    insta::assert_json_snapshot!("recorded", decision);
}
