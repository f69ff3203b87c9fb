//! The decision log: one line of JSON for each decision, with what came of it once that is known.

use serde::{Deserialize, Serialize};

use crate::decision::{Decision, Record, Weighed};
use crate::error::Error;
use crate::name::Name;
use crate::number;
use crate::rules::LIST_LEN_MAX;

#[cfg(test)]
mod tests;

/// The edition of a line.
pub const LOG_SCHEMA: &str = "causeway.decision-log/v1";

/// Most bytes of a line; a longer one is not read.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// One decision of one hop. The prompt's text is not in it unless its writer was told so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionLine {
    /// [`LOG_SCHEMA`].
    pub schema: Name,
    /// When it was decided, milliseconds since 1970-01-01 UTC.
    pub time_ms: u64,
    /// The trace of the request; empty: none.
    pub trace_id: Name,
    /// Who decided, such as `router`.
    pub hop: Name,
    /// What it was decided from.
    pub record: Record,
    /// The class that it was decided as.
    pub class: Name,
    /// The place that was taken; `None`: every one was removed.
    pub place: Option<Name>,
    /// What each place was expected to cost, in the order of the record; empty where the line's writer did not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weighed: Vec<LoggedPlace>,
    /// The probability with which this place was taken, where chance had a part; `None`: it had none.
    pub propensity: Option<f64>,
    /// What came of it; `None`: not known yet, or never.
    pub outcome: Option<Outcome>,
    /// What was asked, where its writer was told to keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// One place as it was weighed, for those who read a log without deciding again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoggedPlace {
    /// The place.
    pub place: Name,
    /// Its tier.
    pub tier: Name,
    /// Tokens in and out, US dollars.
    #[serde(with = "number::f64")]
    pub price_usd: f64,
    /// Expected seconds times what a second is worth, US dollars.
    #[serde(with = "number::f64")]
    pub waiting_usd: f64,
    /// Probability of being wrong times what a wrong answer costs, US dollars.
    #[serde(with = "number::f64")]
    pub wrong_usd: f64,
    /// The sum of the three, US dollars.
    #[serde(with = "number::f64")]
    pub total_usd: f64,
    /// Seconds to the last token.
    #[serde(with = "number::f64")]
    pub expected_seconds: f64,
    /// In [0, 1].
    #[serde(with = "number::f64")]
    pub probability_right: f64,
    /// Why it could not be chosen, such as `privacy`; `None`: it could.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removal: Option<Name>,
}

/// What came of a decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// What the answer cost, US dollars.
    pub usd: f64,
    /// Seconds to the last token.
    pub seconds: f64,
    /// Seconds to the first token.
    pub ttft_seconds: f64,
    /// Output tokens.
    pub output_tokens: u32,
    /// Whether the answer was right; `None`: nobody said.
    pub right: Option<bool>,
}

// === impl DecisionLine ===

impl DecisionLine {
    /// The line of a decision that was just made: its outcome is not known yet, and chance had no part in it.
    pub fn new(decision: &Decision, time_ms: u64, trace_id: impl Into<Name>, hop: impl Into<Name>) -> Self {
        Self {
            schema: LOG_SCHEMA.into(),
            time_ms,
            trace_id: trace_id.into(),
            hop: hop.into(),
            record: decision.record(),
            class: decision.class.clone(),
            place: decision.place.as_ref().map(|place| place.place.clone()),
            weighed: decision.trail.candidates.iter().map(LoggedPlace::of).collect(),
            propensity: None,
            outcome: None,
            text: None,
        }
    }

    /// Reads a line, or says what is wrong with it.
    pub fn parse(line: &str) -> Result<Self, Error> {
        let wrong = |problem: String| Error::Line { problem };
        if line.len() > LINE_BYTES_MAX {
            return Err(wrong(format!(
                "the line has {} bytes; at most {LINE_BYTES_MAX} are read",
                line.len()
            )));
        }
        let line: Self = serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
        let candidates = &line.record.candidates;
        let known = |place: &Name| candidates.iter().any(|candidate| candidate.place == *place);
        let sound = |outcome: &Outcome| {
            let numbers = [outcome.usd, outcome.seconds, outcome.ttft_seconds];
            numbers.iter().all(|number| number.is_finite() && *number >= 0.0)
        };
        if line.schema != LOG_SCHEMA {
            return Err(wrong(format!("this is a `{}`; a `{LOG_SCHEMA}` is read", line.schema)));
        }
        if line.weighed.len() > LIST_LEN_MAX {
            let many = line.weighed.len();
            return Err(wrong(format!("{many} weighed places; at most {LIST_LEN_MAX} are read")));
        }
        if candidates.len() > LIST_LEN_MAX {
            return Err(wrong(format!("{} candidates; at most {LIST_LEN_MAX} are read", candidates.len())));
        }
        if let Some(place) = line.place.as_ref().filter(|place| !known(place)) {
            return Err(wrong(format!("`{place}` was taken and is no candidate")));
        }
        if let Some(propensity) = line.propensity.filter(|one| !(*one > 0.0 && *one <= 1.0)) {
            return Err(wrong(format!("the propensity is {propensity}; it is above 0 and at most 1")));
        }
        if !line.outcome.as_ref().is_none_or(sound) {
            return Err(wrong("the outcome has a number that is negative or not finite".to_owned()));
        }
        Ok(line)
    }

    /// The line, without its end.
    pub fn to_json(&self) -> String {
        // Every number of a record that JSON has not is written as its name, so that writing does not fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

// === impl LoggedPlace ===

impl LoggedPlace {
    fn of(weighed: &Weighed) -> Self {
        Self {
            place: weighed.candidate.place.clone(),
            tier: weighed.candidate.tier.clone(),
            price_usd: weighed.columns.price_usd,
            waiting_usd: weighed.columns.waiting_usd,
            wrong_usd: weighed.columns.wrong_usd,
            total_usd: weighed.columns.total_usd,
            expected_seconds: weighed.inputs.expected_seconds,
            probability_right: weighed.inputs.probability_right,
            removal: weighed.removal.as_ref().map(|reason| reason.code().into()),
        }
    }
}
