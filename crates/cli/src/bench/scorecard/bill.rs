//! What somebody who writes prefixes can make of the bill.

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::row::Measured;
use crate::deploy::Deploy;
use crate::policy::args::{Attack, Policy};

/// Prefixes that are searched for.
const PREFIXES: u32 = 50;
/// Tries of each search.
const EVALUATIONS: u32 = 2_000;
/// Points by which the share that goes up may rise.
const POINTS_MAX: f64 = 5.0;

/// D8: prefixes that make questions look hard, found by hill climbing and tried on other questions, under the demo's
/// policy.
pub(super) async fn prefixes() -> Result<Measured> {
    let climb = || -> Result<Value> {
        let attack = Attack {
            file: None,
            candidates: None,
            prefixes: PREFIXES,
            evaluations: EVALUATIONS,
            shift_points_max: POINTS_MAX,
            seed: 1,
            json: true,
        };
        let mut out = Vec::new();
        crate::policy::run(&Deploy::find(None)?, Policy::Attack(attack), &mut out)?;
        Ok(serde_json::from_slice(&out)?)
    };
    let found = tokio::task::spawn_blocking(climb).await??;
    let points = |key: &str| found.get(key).and_then(Value::as_f64).with_context(|| format!("no {key}"));
    let (capped, uncapped) = (points("capped_shift_points")?, points("uncapped_shift_points")?);
    let questions = points("questions")?;
    let text = format!(
        "{PREFIXES} prefixes on {questions} questions: {capped:+.1} points, {uncapped:+.1} without the demo's cap"
    );
    Ok(Measured { text, pass: capped <= POINTS_MAX })
}
