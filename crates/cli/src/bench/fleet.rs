//! `causeway bench fleet`: recorded traffic against simulated workers of uneven speed, through the router's own
//! predictor, in simulated time.

pub mod trace;
pub mod kind;
pub mod machine;
mod choose;
mod caches;
pub mod replay;
mod hits;
mod report;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, ensure};

pub use self::choose::Way;
use self::hits::hits;
use self::replay::replay;
use self::report::{Report, Row};
use self::trace::Request;
use super::args::Fleet;

/// Made-up requests, where nothing recorded is there.
const MADE_UP_REQUESTS: usize = 10_000;
/// Which traces, and at what multiples of their own pace: a conversation's prompts grow to a hundred thousand tokens, for
/// which a fleet of six is small.
const TRACES: [(&str, [f64; 3]); 2] =
    [("azure_2023_conversation", [0.5, 1.0, 2.0]), ("mooncake_conversation", [0.0625, 0.125, 0.25])];
/// The same for made-up requests.
const MADE_UP: (&str, [f64; 3]) = ("made_up", [0.5, 1.0, 2.0]);

/// Runs it.
pub(super) fn run(asked: &Fleet, out: &mut impl Write) -> Result<ExitCode> {
    let data = asked.data.as_deref().filter(|data| data.join("traces").is_dir());
    let kinds = trace::fleet(data)?;
    let (mut rows, mut found) = (Vec::new(), Vec::new());
    for (name, paces) in traces(asked, data)? {
        let requests = requests(asked, data, name)?;
        if asked.caches != Some(false)
            && let Some(one) = hits((name, &paces), &requests, &kinds, asked.seed)?
        {
            found.push(one);
        }
        let paces = if asked.caches == Some(true) { Vec::new() } else { paces };
        for pace in paces {
            for way in &asked.ways() {
                let replayed = replay(&requests, pace, &kinds, *way, asked.seed);
                rows.push(Row::new(name, pace, *way, &replayed));
            }
        }
    }
    let report = Report {
        recorded: data.is_some(),
        data: asked.data.as_deref(),
        kinds: &kinds,
        rows: &rows,
        hits: &found,
    };
    if asked.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&report.json(asked.seed))?)?;
    } else {
        report.print(out)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn traces(asked: &Fleet, data: Option<&Path>) -> Result<Vec<(&'static str, Vec<f64>)>> {
    let known = if data.is_some() { &TRACES[..] } else { &[MADE_UP] };
    let wanted = |name: &str| asked.trace.as_deref().is_none_or(|wanted| name.starts_with(wanted));
    let pace = |own: &[f64; 3]| asked.pace.map_or_else(|| own.to_vec(), |pace| vec![pace]);
    let found: Vec<_> =
        known.iter().filter(|(name, _)| wanted(name)).map(|(name, own)| (*name, pace(own))).collect();
    let names = known.iter().map(|(name, _)| *name).collect::<Vec<_>>().join("`, `");
    ensure!(!found.is_empty(), "--trace: there is no such trace; known are `{names}`");
    Ok(found)
}

fn requests(asked: &Fleet, data: Option<&Path>, name: &str) -> Result<Vec<Request>> {
    let mut requests = match data {
        Some(data) => trace::recorded(data, name)?,
        None => trace::made_up(MADE_UP_REQUESTS, asked.seed),
    };
    if let Some(max) = asked.requests {
        requests.truncate(max);
    }
    ensure!(!requests.is_empty(), "--requests leaves no request");
    Ok(requests)
}
