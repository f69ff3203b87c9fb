//! What a person reads: one answer with who gave it, what it cost, and the columns that decided it.

use std::fmt::Write as _;
use std::time::Duration;

use policy::Dollars;
use proto::v1::{CandidateCost, Decision};

use crate::ask::Answer;

/// Widest place name that the table makes room for.
const PLACE_WIDTH: usize = 24;

/// The line under an answer: who, how soon, for how much.
pub(crate) fn summary(answer: &Answer) -> String {
    let who = describe_place(&answer.place);
    let output_tokens = answer.usage.map_or(0, |usage| usage.output_tokens);
    let mut line = format!(
        "{who} · first token {} · done {} · {}",
        milliseconds(answer.first_token),
        milliseconds(answer.total),
        Dollars(answer.price_usd)
    );
    if output_tokens > 0 {
        let _ = write!(line, " · {output_tokens} tokens");
    }
    if answer.interrupted {
        line.push_str(" · interrupted, this is not all");
    }
    if answer.attempt > 1 {
        let _ = write!(line, " · attempt {}", answer.attempt);
    }
    line
}

/// The decision of every hop, as a table of the three cost columns.
pub(crate) fn decisions(decisions: &[Decision]) -> String {
    decisions.iter().map(decision).collect::<Vec<_>>().join("\n")
}

/// One hop's decision.
pub(crate) fn decision(decision: &Decision) -> String {
    let mut text = format!("{} ({})\n", decision.hop, decision.class);
    let _ = writeln!(
        text,
        "  {:PLACE_WIDTH$} {:>11} {:>11} {:>11} {:>11}  {:>8} {:>6}",
        "place", "price", "waiting", "wrong", "= cost", "seconds", "p"
    );
    for candidate in &decision.candidates {
        let chosen = candidate.place == decision.place;
        let _ = writeln!(text, "{} {}", if chosen { "›" } else { " " }, row(candidate));
    }
    text
}

fn row(candidate: &CandidateCost) -> String {
    let place = &candidate.place;
    if let Some(removal) = &candidate.removal {
        return format!("{place:PLACE_WIDTH$} {}", removal.text);
    }
    let columns = [candidate.price_usd, candidate.waiting_usd, candidate.wrong_usd, candidate.total_usd];
    let [price, waiting, wrong, total] = columns.map(|usd| Dollars(usd).to_string());
    format!(
        "{place:PLACE_WIDTH$} {price:>11} {waiting:>11} {wrong:>11} {total:>11}  {:>8.3} {:>6.3}",
        candidate.expected_seconds, candidate.probability_right
    )
}

/// `command`, `device model`, or the worker with its tier.
fn describe_place(place: &str) -> String {
    match place.split_once('/') {
        Some((tier, worker)) => format!("{worker} (tier {tier})"),
        None if place == "device" => "device model".to_owned(),
        None => place.to_owned(),
    }
}

/// A duration as people compare them: `0.4 ms`, `12 ms`.
pub(crate) fn milliseconds(duration: Duration) -> String {
    let milliseconds = duration.as_secs_f64() * 1e3;
    if milliseconds < 10.0 { format!("{milliseconds:.1} ms") } else { format!("{milliseconds:.0} ms") }
}

/// One hop's decision as JSON.
pub(crate) fn as_json(decision: &Decision) -> serde_json::Value {
    let candidates: Vec<_> = decision.candidates.iter().map(candidate_json).collect();
    serde_json::json!({
        "hop": decision.hop,
        "place": decision.place,
        "class": decision.class,
        "policy_hash": decision.policy_hash,
        "seed": decision.seed,
        "margin_usd": decision.margin_usd,
        "decide_us": decision.decide_us,
        "candidates": candidates,
    })
}

fn candidate_json(candidate: &CandidateCost) -> serde_json::Value {
    serde_json::json!({
        "place": candidate.place,
        "tier": candidate.tier,
        "price_usd": candidate.price_usd,
        "waiting_usd": candidate.waiting_usd,
        "wrong_usd": candidate.wrong_usd,
        "total_usd": candidate.total_usd,
        "expected_seconds": candidate.expected_seconds,
        "probability_right": candidate.probability_right,
        "removal": candidate.removal.as_ref().map(|removal| &removal.text),
        "notes": candidate.notes,
    })
}
