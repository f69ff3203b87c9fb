//! The report of a replay as one HTML page that needs nothing else.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::estimate::Interval;
use super::picture::{Bar, bars, escaped, intervals};
use super::report::{Report, percent, shown};
use super::row::{Row, Side};
use ::policy::Dollars;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;\
color:#1b1f24;background:#fff}table{border-collapse:collapse;width:100%;margin:1rem 0}td,th{padding:.3rem .6rem;\
border-bottom:1px solid #8884;text-align:right}td:first-child,th:first-child{text-align:left;white-space:nowrap}\
svg{width:100%;height:auto;margin:1rem 0}svg text{font:13px system-ui,sans-serif;fill:currentColor}\
.before{fill:#9aa5b1}.after{fill:#2f6f9f}.range{stroke:#2f6f9f;stroke-width:3}.zero{stroke:#8888;stroke-dasharray:4}\
@media(prefers-color-scheme:dark){body{color:#e6e8ea;background:#14171a}.after{fill:#6fb1e0}.range{stroke:#6fb1e0}}";

/// The page.
pub(super) fn page(report: &Report<'_>) -> String {
    let (requests, moved) = (report.requests(), report.moved());
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Replay of {0}</title><style>{STYLE}</style>\
         <h1>Replay of {0}</h1><p>{requests} requests, of which {moved} move ({1:.1} %). Before: {2}. After: {3}.</p>",
        escaped(&report.log),
        percent(moved, requests),
        escaped(&report.old_name()),
        &report.new_hash[..12]
    );
    html.push_str("<table><tr><th>mean of</th><th>before</th><th>after</th><th>change</th></tr>");
    for one in &report.estimates.figures {
        let cells = [&one.before, &one.after, &one.change].map(|interval| shown(one.name, interval));
        row(&mut html, one.name, &cells);
    }
    html.push_str(
        "</table><p>Intervals hold the middle 95 % of resampled means.</p><h2>How this is known</h2><ul>",
    );
    for sentence in report.honesty() {
        let _ = write!(html, "<li>{}</li>", escaped(&sentence));
    }
    html.push_str("</ul><h2>Where requests go</h2>");
    html.push_str(&bars(
        "share of requests by tier: before above, after below",
        &tiers(&report.replayed.rows),
    ));
    html.push_str("<h2>What changes by class</h2>");
    for (name, of) in [
        (
            "change of price, US dollars a request, as expected",
            (|side| side.expected.usd) as fn(&Side) -> f64,
        ),
        ("change of seconds to the last token, as expected", |side| side.expected.seconds),
        ("change of the probability of being right, as expected", |side| side.expected.right),
    ] {
        html.push_str(&intervals(name, &classes(&report.replayed.rows, of)));
    }
    html.push_str("<h2>Moves</h2><table><tr><th>class: from → to</th><th>requests</th><th>price</th><th>seconds</th><th>right</th></tr>");
    for one in &report.moves {
        let cells = [
            one.requests.to_string(),
            Dollars(one.usd).to_string(),
            format!("{:+.3}", one.seconds),
            format!("{:+.3}", one.right),
        ];
        row(&mut html, &format!("{}: {} → {}", one.class, one.from, one.to), &cells);
    }
    html.push_str("</table>");
    if report.broken.count > 0 {
        let _ = write!(html, "<p>{} lines of the log are broken and were left out.</p>", report.broken.count);
    }
    html + "</html>\n"
}

fn row(html: &mut String, name: &str, cells: &[String]) {
    let _ = write!(html, "<tr><td>{}</td>", escaped(name));
    for cell in cells {
        let _ = write!(html, "<td>{}</td>", escaped(cell));
    }
    html.push_str("</tr>");
}

fn tiers(rows: &[Row]) -> Vec<Bar> {
    let mut shares: BTreeMap<&str, [f64; 2]> = BTreeMap::new();
    for row in rows {
        for (index, side) in [&row.before, &row.after].into_iter().enumerate() {
            let tier = side.tier.as_ref().map_or("no place", |tier| tier.as_str());
            shares.entry(tier).or_default()[index] += 1.0 / rows.len() as f64;
        }
    }
    shares.into_iter().map(|(name, [before, after])| Bar { name: name.to_owned(), before, after }).collect()
}

/// The mean change of each class, with the interval of a normal mean.
fn classes(rows: &[Row], of: fn(&Side) -> f64) -> Vec<(String, Interval)> {
    let mut changes: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for row in rows {
        changes.entry(&row.class).or_default().push(of(&row.after) - of(&row.before));
    }
    let interval = |changes: &[f64]| {
        let len = changes.len() as f64;
        let mean = changes.iter().sum::<f64>() / len;
        let variance = changes.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / (len - 1.0).max(1.0);
        let half = 1.96 * (variance / len).sqrt();
        Interval { mean, low: mean - half, high: mean + half }
    };
    changes.into_iter().map(|(name, changes)| (name.to_owned(), interval(&changes))).collect()
}
