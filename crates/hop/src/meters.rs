//! What a hop measures of its decisions and answers, by the names of the OpenTelemetry conventions where there are any.
//!
//! Attributes are names of the configuration and of the policy: hop, tier, place, class, budget. What a caller chooses
//! (tenant, device, model, text) is none.

mod names;
mod watched;

use std::time::Duration;

use mesh::telemetry::{Attribute, Counter, Histogram, Meter};
use policy::{Decision, Reason};
use proto::v1;

pub(crate) use self::watched::watch;

/// Bounds of times of whole answers, seconds, as the conventions advise them.
const OPERATION_SECONDS_BOUNDS: [f64; 14] =
    [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
/// Bounds of times to the first token, seconds, as the conventions advise them.
const FIRST_SECONDS_BOUNDS: [f64; 16] =
    [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// Bounds of times for each token after the first, seconds, as the conventions advise them.
const TOKEN_SECONDS_BOUNDS: [f64; 13] =
    [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5];
/// Bounds of token counts, as the conventions advise them.
const TOKENS_BOUNDS: [f64; 14] = [
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];
/// Bounds of times that a decision takes, seconds.
const DECISION_SECONDS_BOUNDS: [f64; 10] = [5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 1e-2, 1e-1];
/// Bounds of expected costs, US dollars.
const COST_USD_BOUNDS: [f64; 12] = [1e-6, 1e-5, 5e-5, 1e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 5e-2, 1e-1, 1.0];
/// What stands for no place.
const NOWHERE: &str = "-";

/// Instruments of one hop.
#[derive(Clone, Debug)]
pub(crate) struct Meters {
    hop: &'static str,
    decisions: Counter,
    decision_seconds: Histogram,
    expected_cost: Histogram,
    capped: Counter,
    refusals: Counter,
    client_seconds: Histogram,
    client_tokens: Histogram,
    server_seconds: Histogram,
    first_seconds: Histogram,
    token_seconds: Histogram,
}

/// How long an answer took, from the caller's side and from that of the attempt that gave it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// From the request's arrival.
    pub(crate) asked: Duration,
    /// From the attempt's decision.
    pub(crate) decided: Duration,
    /// From the request's arrival to the first token; `None`: there was none.
    pub(crate) first: Option<Duration>,
}

// === impl Meters ===

impl Meters {
    /// The instruments; `None`: this process exports none.
    pub(crate) fn of_process(hop: &'static str) -> Option<Self> {
        let meter = Meter::of_process()?;
        Some(Self {
            hop,
            decisions: meter.counter(names::DECISIONS),
            decision_seconds: meter.histogram(names::DECISION_SECONDS, &DECISION_SECONDS_BOUNDS),
            expected_cost: meter.histogram(names::EXPECTED_COST, &COST_USD_BOUNDS),
            capped: meter.counter(names::CAPPED),
            refusals: meter.counter(names::REFUSALS),
            client_seconds: meter.histogram(names::CLIENT_SECONDS, &OPERATION_SECONDS_BOUNDS),
            client_tokens: meter.histogram(names::CLIENT_TOKENS, &TOKENS_BOUNDS),
            server_seconds: meter.histogram(names::SERVER_SECONDS, &OPERATION_SECONDS_BOUNDS),
            first_seconds: meter.histogram(names::FIRST_SECONDS, &FIRST_SECONDS_BOUNDS),
            token_seconds: meter.histogram(names::TOKEN_SECONDS, &TOKEN_SECONDS_BOUNDS),
        })
    }

    /// What is told of a decision.
    pub(crate) fn decided(&self, decision: &Decision, took: Duration) {
        let class = Attribute::new("causeway.class", decision.class.to_string());
        let (hop, place) = (self.hop(), decision.place.as_ref());
        let tier = place.map_or(NOWHERE, |place| &place.tier).to_owned();
        let tier = Attribute::new("causeway.tier", tier);
        let name = place.map_or(NOWHERE, |place| &place.place).to_owned();
        let name = Attribute::new("causeway.place", name);
        self.decisions.add(1, &[hop.clone(), name, tier.clone(), class.clone()]);
        self.decision_seconds.record(took.as_secs_f64(), std::slice::from_ref(&hop));
        if let Some(winner) = decision.winner() {
            self.expected_cost.record(winner.columns.total_usd, &[hop.clone(), tier, class.clone()]);
        }
        let mut budgets: Vec<&str> = Vec::new();
        let mut capped = false;
        for (_, reason) in decision.removals() {
            match reason {
                Reason::EscalationCap { .. } => capped = true,
                Reason::BudgetSpent { budget, .. } if !budgets.contains(&budget.as_str()) => {
                    budgets.push(budget);
                }
                _ => {}
            }
        }
        if capped {
            self.capped.add(1, &[hop.clone(), class]);
        }
        budgets.into_iter().for_each(|budget| self.refused(budget));
    }

    /// A budget had too little left.
    pub(crate) fn refused(&self, budget: &str) {
        self.refusals.add(1, &[self.hop(), Attribute::new("causeway.budget", budget.to_owned())]);
    }

    /// What an answer's numbers are told with.
    pub(crate) fn labels(&self, decision: &Decision) -> Vec<Attribute> {
        let tier = decision.place.as_ref().map_or(NOWHERE, |place| &place.tier);
        vec![
            Attribute::new("gen_ai.operation.name", "chat"),
            Attribute::new("gen_ai.provider.name", "causeway"),
            self.hop(),
            Attribute::new("causeway.tier", tier.to_owned()),
            Attribute::new("causeway.class", decision.class.to_string()),
        ]
    }

    /// What is told of an answer that is complete.
    pub(crate) fn answered(&self, labels: &[Attribute], usage: &v1::Usage, times: Times) {
        self.client_seconds.record(times.decided.as_secs_f64(), labels);
        self.server_seconds.record(times.asked.as_secs_f64(), labels);
        for (kind, tokens) in [("input", usage.prompt_tokens), ("output", usage.output_tokens)] {
            let labels = [labels, &[Attribute::new("gen_ai.token.type", kind)]].concat();
            self.client_tokens.record(f64::from(tokens), &labels);
        }
        let Some(first) = times.first else { return };
        self.first_seconds.record(first.as_secs_f64(), labels);
        if usage.output_tokens > 1 {
            let rest = times.asked.saturating_sub(first).as_secs_f64();
            self.token_seconds.record(rest / f64::from(usage.output_tokens - 1), labels);
        }
    }

    /// What is told of an attempt that gave no whole answer. `begun`: its caller has seen a part of it.
    pub(crate) fn failed(&self, labels: &[Attribute], error: &'static str, (times, begun): (Times, bool)) {
        let labels = [labels, &[Attribute::new("error.type", error)]].concat();
        self.client_seconds.record(times.decided.as_secs_f64(), &labels);
        if begun {
            self.server_seconds.record(times.asked.as_secs_f64(), &labels);
        }
    }

    fn hop(&self) -> Attribute {
        Attribute::new("causeway.hop", self.hop)
    }
}
