//! How long a decision takes: at most 20 µs over 100 candidates is the aim.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use policy::{Candidate, Facts, Kind, Latency, Load, Rules, Version, decide};

const POLICY: &str = include_str!("../../../deploy/policies/demo.toml");

fn candidates(count: usize) -> Vec<Candidate> {
    (0..count)
        .map(|index| {
            let tier = if index % 2 == 0 { "cloud-fast" } else { "cloud-economy" };
            let mut candidate = Candidate::new(format!("{tier}/worker-{index}"), tier, Kind::Cloud);
            candidate.region = Some("eu".into());
            candidate.latency = Some(Latency {
                queue_seconds: 0.01 * index as f64,
                network_seconds: 0.02,
                prefill_seconds_per_token: 1e-4,
                seconds_per_output_token: 5e-3,
            });
            candidate.load = Some(Load { running: 3, waiting: 1 });
            candidate.cached_prompt_tokens = 16;
            candidate
        })
        .collect()
}

#[expect(clippy::expect_used, reason = "the shipped policy parses, as a test of the crate shows")]
fn decisions(criterion: &mut Criterion) {
    let rules = Rules::parse("demo.toml", POLICY).expect("the shipped policy is whole");
    let facts = Facts {
        prompt_tokens: 120,
        output_tokens_p50: 40.0,
        output_tokens_p90: 120.0,
        requirement: [0.4, 2.1].into(),
        difficulty: 0.3,
        language: "en".into(),
        tenant: "home-1".into(),
        deadline_seconds: Some(20.0),
        residency: Some("eu".into()),
        versions: vec![Version::new("difficulty", "difficulty-0123456789abcdef")],
        ..Facts::default()
    };
    for count in [8, 100] {
        let candidates = candidates(count);
        criterion.bench_function(&format!("decide/{count} candidates"), |bench| {
            bench.iter(|| decide(black_box(&rules), black_box(&facts), black_box(&candidates), 7));
        });
    }
}

criterion_group!(benches, decisions);
criterion_main!(benches);
