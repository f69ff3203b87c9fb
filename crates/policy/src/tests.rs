//! What is decided, why, and which laws every decision keeps.

use crate::{Candidate, Facts, Kind, Latency, Load, Rules};

mod decisions;
mod reasons;
mod laws;
mod golden;
#[cfg(feature = "wire")]
mod wire;

/// The policy of the demo.
fn demo() -> Rules {
    Rules::parse("demo.toml", include_str!("../../../deploy/policies/demo.toml"))
        .unwrap_or_else(|error| panic!("{error}"))
}

/// A policy with one class and the tiers of these tests.
fn rules(class: &str) -> Rules {
    let text = format!(
        r#"
        schema = "causeway.policy/v1"
        [[tier]]
        name = "command"
        kind = "command"
        input_usd_per_million_tokens = 0
        output_usd_per_million_tokens = 0
        [[tier]]
        name = "small"
        kind = "device"
        input_usd_per_million_tokens = 1
        output_usd_per_million_tokens = 2
        abilities = [1, 0]
        [[tier]]
        name = "large"
        kind = "cloud"
        input_usd_per_million_tokens = 10
        cached_input_usd_per_million_tokens = 1
        output_usd_per_million_tokens = 30
        abilities = [0, 1]
        context_tokens_max = 1000
        regions = ["eu"]
        [[class]]
        name = "only"
        {class}
        "#
    );
    Rules::parse("test.toml", &text).unwrap_or_else(|error| panic!("{error}"))
}

/// Worths of an ordinary class.
const WORTH: &str = "second_usd = 0.001\nwrong_answer_usd = 0.01";

fn facts() -> Facts {
    Facts {
        prompt_tokens: 100,
        output_tokens_p50: 50.0,
        output_tokens_p90: 50.0,
        requirement: [0.0, 2.0].into(),
        ..Facts::default()
    }
}

/// A place that is idle and whose speed is known.
fn place(name: &str, tier: &str, kind: Kind) -> Candidate {
    Candidate {
        latency: Some(Latency {
            queue_seconds: 0.0,
            network_seconds: 0.02,
            prefill_seconds_per_token: 1e-4,
            seconds_per_output_token: 4e-3,
        }),
        load: Some(Load::default()),
        ..Candidate::new(name, tier, kind)
    }
}

fn small() -> Candidate {
    place("device", "small", Kind::Device)
}

fn large() -> Candidate {
    place("large/1", "large", Kind::Cloud)
}
