//! How long a decision takes: at most 20 µs over 100 candidates is the aim.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use policy::{Candidate, Facts, Kind, Latency, Load, Rules, Session, Share, Spent, Version, decide};

const POLICY: &str = include_str!("../../../deploy/policies/demo.toml");

/// Classes whose conditions are all asked before the last one takes the request, and limits that count it.
const CONDITIONS: &str = r#"
[[class]]
name = "records"
when = 'topic != "self_harm" && ("health" in private_content || "records" in private_content)'
second_usd = 0.004
wrong_answer_usd = 1
[[class]]
name = "clinics"
when = 'topic == "medical" && tenant.startsWith("clinic-") && signals.difficulty > 0.5'
second_usd = 0.004
wrong_answer_usd = 1
[[class]]
name = "abroad"
when = 'has(request.residency) && !(residency in ["eu", "de", "fr"]) && prompt_tokens > 64 * 2'
second_usd = 0.004
wrong_answer_usd = 1
[[class]]
name = "urgent"
when = 'has(request.deadline_seconds) && deadline_seconds < (priority == "interactive" ? 2.0 : 0.5)'
second_usd = 0.004
wrong_answer_usd = 1
[[class]]
name = "card"
when = 'size(personal_data) > 2 || "credit_card" in personal_data || "iban_code" in personal_data'
second_usd = 0.004
wrong_answer_usd = 1
"#;

const LIMITS: &str = r#"
[[budget]]
name = "tenant-day"
when = 'tenant != "house"'
per = "tenant"
usd_max = 1
window_seconds = 86400
[[escalation_cap]]
name = "up-too"
share_max = 0.5
window_seconds = 3600
[session]
cache_seconds = 300
"#;

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
    let (tiers, classes) = POLICY.split_once("[[class]]").expect("the shipped policy has classes");
    let (classes, _) = classes.split_once("[[probe]]").expect("the shipped policy has probes");
    let text = format!("{tiers}{CONDITIONS}[[class]]{classes}{LIMITS}");
    let rules = Rules::parse("demo.toml", &text).expect("the shipped policy is whole");
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
        session: Some(Session { place: "cloud-fast/worker-2".into(), cached_tokens: 100, idle_seconds: 9.0 }),
        spent: vec![Spent { budget: "tenant-day".into(), usd: 0.1 }],
        shares: vec![Share { cap: "up".into(), up: 3, all: 100 }],
        personal_data: vec!["email_address".into(), "person".into()],
        versions: vec![Version::new("difficulty", "difficulty-0123456789abcdef")],
        ..Facts::default()
    };
    assert_eq!(rules.class_of(&facts).name, "default", "every condition is asked");
    criterion.bench_function("class of a request", |bench| {
        bench.iter(|| rules.class_of(black_box(&facts)));
    });
    for count in [8, 100] {
        let candidates = candidates(count);
        criterion.bench_function(&format!("decide/{count} candidates"), |bench| {
            bench.iter(|| decide(black_box(&rules), black_box(&facts), black_box(&candidates), 7));
        });
    }
}

criterion_group!(benches, decisions);
criterion_main!(benches);
