//! What a desk counts anyway, read whenever metrics are sent.

use std::sync::{Arc, Weak};

use mesh::journal::{Journal, Written};
use mesh::rollout::{Difference, FileReport, Report};
use mesh::telemetry::{About, Attribute, Meter, Observed};
use policy::Name;

use super::names;
use crate::desk::Parts;

/// Tells of a desk from now on. One that is gone tells nothing.
pub(crate) fn watch(parts: &Arc<Parts>) {
    let Some(meter) = Meter::of_process() else { return };
    let counts = |about: About, of: fn(&Parts) -> Observed<u64>| meter.counts(about, read(parts, of));
    counts(names::RELOADS, reloads);
    counts(names::SHADOWED, |parts| vec![(parts.policies.report().shadowed, vec![hop(parts)])]);
    counts(names::DIFFERENCES, differences);
    counts(names::ROLLBACKS, |parts| {
        let canary = parts.policies.report().canary;
        canary.map(|canary| (canary.rollbacks, vec![hop(parts)])).into_iter().collect()
    });
    counts(names::LOG_LINES, lines);
    meter.levels(names::SPENT, read(parts, spent));
}

fn read<T>(
    parts: &Arc<Parts>,
    of: fn(&Parts) -> Observed<T>,
) -> impl Fn() -> Observed<T> + Send + Sync + use<T> {
    let parts: Weak<Parts> = Arc::downgrade(parts);
    move || parts.upgrade().map(|parts| of(&parts)).unwrap_or_default()
}

fn hop(parts: &Parts) -> Attribute {
    Attribute::new("causeway.hop", parts.hop)
}

fn reloads(parts: &Parts) -> Observed<u64> {
    let Report { live, shadow, canary, .. } = parts.policies.report();
    let roles = [("live", Some(live)), ("shadow", shadow), ("canary", canary.map(|canary| canary.file))];
    let one = |(role, file): (&'static str, Option<FileReport>)| {
        let file = file?;
        let results = [("taken", file.reloads), ("refused", file.refused)];
        Some(results.map(|(result, count)| {
            let role = Attribute::new("causeway.policy.role", role);
            (count, vec![hop(parts), role, Attribute::new("result", result)])
        }))
    };
    roles.into_iter().filter_map(one).flatten().collect()
}

fn differences(parts: &Parts) -> Observed<u64> {
    let one = |one: Difference| {
        let class = Attribute::new("causeway.class", one.class);
        let from = Attribute::new("causeway.policy.live.tier", one.from);
        let to = Attribute::new("causeway.policy.shadow.tier", one.to);
        (one.count, vec![hop(parts), class, from, to])
    };
    parts.policies.report().differences.into_iter().map(one).collect()
}

fn lines(parts: &Parts) -> Observed<u64> {
    let Some(Written { written, dropped }) = parts.log.as_ref().map(Journal::written) else {
        return Vec::new();
    };
    let line = |(result, count)| (count, vec![hop(parts), Attribute::new("result", result)]);
    [("written", written), ("dropped", dropped)].map(line).into()
}

fn spent(parts: &Parts) -> Observed<f64> {
    let level = |(budget, usd): (Name, f64)| {
        (usd, vec![hop(parts), Attribute::new("causeway.budget", budget.to_string())])
    };
    parts.budgets.spent(&parts.policies.live()).into_iter().map(level).collect()
}
