//! The columns of a bound log: what each is called, and what of a line it holds.

use policy::{DecisionLine, LoggedPlace, Outcome};
use serde_json::{Map, Value};

/// The column that holds the whole line.
pub(super) const LINE: &str = "line";

/// What a column holds. Nothing is null that a line says; a text that is empty is not said.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// The line itself.
    Line,
    /// A name, or words.
    Text(fn(&DecisionLine) -> Option<String>),
    /// Milliseconds since 1970-01-01 UTC.
    Time(fn(&DecisionLine) -> Option<u64>),
    /// A count.
    Whole(fn(&DecisionLine) -> Option<u64>),
    /// A measure, in the unit that its column's name ends with.
    Number(fn(&DecisionLine) -> Option<f64>),
    /// Yes or no.
    Truth(fn(&DecisionLine) -> Option<bool>),
}

/// Every column in order.
pub(super) const COLUMNS: &[(&str, Kind)] = &[
    ("time", Kind::Time(|line| Some(line.time_ms))),
    ("trace_id", Kind::Text(|line| Some(line.trace_id.to_string()))),
    ("hop", Kind::Text(|line| Some(line.hop.to_string()))),
    ("class", Kind::Text(|line| Some(line.class.to_string()))),
    ("place", Kind::Text(|line| line.place.as_ref().map(ToString::to_string))),
    ("tier", Kind::Text(|line| taken(line).map(|taken| taken.tier.to_string()))),
    ("policy_hash", Kind::Text(|line| Some(line.record.policy_hash.to_string()))),
    ("propensity", Kind::Number(|line| line.propensity)),
    ("tenant", Kind::Text(|line| Some(line.record.facts.tenant.to_string()))),
    ("device", Kind::Text(|line| Some(line.record.facts.device.to_string()))),
    ("conversation", Kind::Text(|line| Some(line.record.facts.conversation.to_string()))),
    ("language", Kind::Text(|line| Some(line.record.facts.language.to_string()))),
    ("intent", Kind::Text(|line| Some(line.record.facts.intent.to_string()))),
    ("topic", Kind::Text(|line| Some(line.record.facts.topic.name().to_owned()))),
    ("privacy", Kind::Text(|line| Some(line.record.facts.privacy.name().to_owned()))),
    ("priority", Kind::Text(|line| Some(line.record.facts.priority.name().to_owned()))),
    ("difficulty", Kind::Number(|line| Some(line.record.facts.difficulty.into()))),
    ("turns", Kind::Whole(|line| Some(line.record.facts.turns.into()))),
    ("prompt_tokens", Kind::Whole(|line| Some(line.record.facts.prompt_tokens.into()))),
    ("expected_output_tokens_p50", Kind::Number(|line| Some(line.record.facts.output_tokens_p50.into()))),
    ("expected_output_tokens_p90", Kind::Number(|line| Some(line.record.facts.output_tokens_p90.into()))),
    ("price_usd", Kind::Number(|line| taken(line).map(|taken| taken.price_usd))),
    ("waiting_usd", Kind::Number(|line| taken(line).map(|taken| taken.waiting_usd))),
    ("wrong_usd", Kind::Number(|line| taken(line).map(|taken| taken.wrong_usd))),
    ("total_usd", Kind::Number(|line| taken(line).map(|taken| taken.total_usd))),
    ("expected_seconds", Kind::Number(|line| taken(line).map(|taken| taken.expected_seconds))),
    ("probability_right", Kind::Number(|line| taken(line).map(|taken| taken.probability_right))),
    ("runner_up", Kind::Text(|line| runner_up(line).map(|second| second.place.to_string()))),
    ("margin_usd", Kind::Number(margin_usd)),
    ("candidates", Kind::Whole(|line| Some(line.record.candidates.len() as u64))),
    ("removed", Kind::Whole(|line| Some(removals(line).count() as u64))),
    ("removals", Kind::Text(removals_json)),
    ("outcome_usd", Kind::Number(|line| of(line, |outcome| outcome.usd))),
    ("outcome_seconds", Kind::Number(|line| of(line, |outcome| outcome.seconds))),
    ("outcome_ttft_seconds", Kind::Number(|line| of(line, |outcome| outcome.ttft_seconds))),
    ("outcome_output_tokens", Kind::Whole(|line| of(line, |outcome| outcome.output_tokens.into()))),
    ("outcome_right", Kind::Truth(|line| line.outcome.as_ref().and_then(|outcome| outcome.right))),
    ("text", Kind::Text(|line| line.text.clone())),
    (LINE, Kind::Line),
];

/// The schema in Parquet's own words.
pub(super) fn schema() -> String {
    let column = |(name, kind): &(&str, Kind)| match kind {
        Kind::Line => format!("required byte_array {name} (UTF8);"),
        Kind::Text(_) => format!("optional byte_array {name} (UTF8);"),
        Kind::Time(_) => format!("optional int64 {name} (TIMESTAMP(MILLIS,true));"),
        Kind::Whole(_) => format!("optional int64 {name};"),
        Kind::Number(_) => format!("optional double {name};"),
        Kind::Truth(_) => format!("optional boolean {name};"),
    };
    let columns: Vec<String> = COLUMNS.iter().map(column).collect();
    format!("message decision {{ {} }}", columns.join(" "))
}

fn taken(line: &DecisionLine) -> Option<&LoggedPlace> {
    let place = line.place.as_ref()?;
    line.weighed.iter().find(|weighed| weighed.place == *place)
}

/// The cheapest of those that could have been taken instead.
fn runner_up(line: &DecisionLine) -> Option<&LoggedPlace> {
    let others = line.weighed.iter().filter(|weighed| line.place.as_ref() != Some(&weighed.place));
    let could = others.filter(|weighed| weighed.removal.is_none());
    could.min_by(|a, b| a.total_usd.total_cmp(&b.total_usd))
}

fn margin_usd(line: &DecisionLine) -> Option<f64> {
    Some(runner_up(line)?.total_usd - taken(line)?.total_usd)
}

fn removals(line: &DecisionLine) -> impl Iterator<Item = (String, String)> + '_ {
    let removal =
        |weighed: &LoggedPlace| Some((weighed.place.to_string(), weighed.removal.as_ref()?.to_string()));
    line.weighed.iter().filter_map(removal)
}

/// A JSON object, place → reason.
fn removals_json(line: &DecisionLine) -> Option<String> {
    let all: Map<String, Value> = removals(line).map(|(place, reason)| (place, reason.into())).collect();
    (!all.is_empty()).then(|| Value::from(all).to_string())
}

fn of<T>(line: &DecisionLine, of: fn(&Outcome) -> T) -> Option<T> {
    line.outcome.as_ref().map(of)
}
