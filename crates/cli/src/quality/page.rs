//! The evaluation as one HTML page: the curve, the reliability diagram, and every figure.

use std::fmt::Write as _;

use ::signals::train::irt::OutOfFold;
use serde_json::Value;

use super::outcomes::Outcomes;
use super::pair::Pair;
use super::sureness;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;\
color:#1b1f24;background:#fff}table{border-collapse:collapse}\
td{padding:.2rem .6rem;border-bottom:1px solid #8884}td+td{text-align:right;font-variant-numeric:tabular-nums}svg{width:100%;max-width:36rem;\
height:auto;margin:1rem 0}svg text{font:13px system-ui,sans-serif;fill:currentColor}path{fill:none;stroke-width:2}\
.routed{stroke:#2f6f9f;fill:#2f6f9f}.length{stroke:#b3762d;fill:#b3762d}.oracle{stroke:#4f8a4c;fill:#4f8a4c}\
.plain{stroke:#8888;fill:#8888;stroke-dasharray:4}path.routed,path.length,path.oracle,path.plain{fill:none}\
@media(prefers-color-scheme:dark){body{color:#e6e8ea;background:#14171a}}";

/// A named line of points, x and y.
struct Line<'a> {
    name: &'a str,
    class: &'a str,
    points: Vec<(f64, f64)>,
}

/// The page.
pub(super) fn page(report: &Value, pair: &Pair, outcomes: &Outcomes, predicted: &OutOfFold) -> String {
    let ends =
        |points: &[(f64, f64)]| points.first().copied().into_iter().chain(points.last().copied()).collect();
    let routed = pair.routed.drawn(100);
    let lines = [
        Line { name: "random", class: "plain", points: ends(&routed) },
        Line { name: "prompt length", class: "length", points: pair.length.drawn(100) },
        Line { name: "hindsight", class: "oracle", points: pair.oracle.drawn(100) },
        Line { name: "routed", class: "routed", points: routed },
    ];
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Evaluation of routing</title>\
         <style>{STYLE}</style><h1>Evaluation of routing</h1><p>Weak: {}; strong: {}. Every prediction is of a text \
         that was not learned from.</p><h2>Accuracy by the share sent to the strong model</h2>{}",
        escaped(report["weak"].as_str().unwrap_or_default()),
        escaped(report["strong"].as_str().unwrap_or_default()),
        picture("share sent up", "accuracy", &lines)
    );
    html.push_str("<h2>Reliability</h2>");
    let mut reliable =
        vec![Line { name: "as it should be", class: "plain", points: vec![(0.0, 0.0), (1.0, 1.0)] }];
    let shown: Vec<Vec<(f64, f64)>> = [report["weak"].as_str(), report["strong"].as_str()]
        .into_iter()
        .flatten()
        .filter_map(|name| outcomes.table.models.iter().position(|model| model == name))
        .map(|model| {
            let bins = sureness::bins(&sureness::of_model(outcomes, predicted, model));
            bins.iter().map(|bin| (bin.predicted, bin.observed)).collect()
        })
        .collect();
    for (points, (name, class)) in shown.into_iter().zip([("weak", "length"), ("strong", "routed")]) {
        reliable.push(Line { name, class, points });
    }
    html.push_str(&picture("predicted", "observed", &reliable));
    if let Some(curve) = report["fleet"]["curve"].as_array() {
        let point = |value: &Value| Some((value["price"].as_f64()?, value["score"].as_f64()?));
        let points = curve.iter().filter_map(point).collect();
        let lines = [Line { name: "routed", class: "routed", points }];
        html.push_str("<h2>Score by price, all models</h2>");
        html.push_str(&picture("price", "score", &lines));
    }
    html.push_str("<h2>Figures</h2><table>");
    let mut figures = Vec::new();
    super::flatten("", report, &mut figures);
    for (name, value) in figures {
        let _ = write!(html, "<tr><td>{}</td><td>{}</td></tr>", escaped(&name), escaped(&value));
    }
    html + "</table></html>\n"
}

/// Lines on two axes that show their ends.
fn picture(x: &str, y: &str, lines: &[Line<'_>]) -> String {
    let all = || lines.iter().flat_map(|line| line.points.iter());
    let bound = |of: fn(&(f64, f64)) -> f64| {
        let low = all().map(of).fold(f64::INFINITY, f64::min);
        let high = all().map(of).fold(f64::NEG_INFINITY, f64::max);
        (low, if high > low { high } else { low + 1.0 })
    };
    let (xs, ys) = (bound(|point| point.0), bound(|point| point.1));
    let place = |point: &(f64, f64)| {
        let at = |value: f64, (low, high): (f64, f64)| (value - low) / (high - low);
        (60.0 + 420.0 * at(point.0, xs), 320.0 - 290.0 * at(point.1, ys))
    };
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 370" role="img" aria-label="{y} by {x}"><title>{y} by {x}</title>"#
    );
    for (at, line) in lines.iter().enumerate() {
        let path: Vec<String> =
            line.points.iter().map(place).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let (class, name, row) = (line.class, escaped(line.name), 40 + 20 * at);
        let _ = write!(svg, r#"<path class="{class}" d="M{}"/>"#, path.join(" "));
        let _ = write!(svg, r#"<rect class="{class}" x="500" y="{}" width="12" height="4"/>"#, row - 6);
        let _ = write!(svg, r#"<text x="518" y="{row}">{name}</text>"#);
    }
    for (value, px) in [(xs.0, 60), (xs.1, 480)] {
        let _ = write!(svg, r#"<text x="{px}" y="338" text-anchor="middle">{value:.2}</text>"#);
    }
    for (value, py) in [(ys.0, 324), (ys.1, 34)] {
        let _ = write!(svg, r#"<text x="52" y="{py}" text-anchor="end">{value:.2}</text>"#);
    }
    let _ =
        write!(svg, r#"<text x="270" y="360" text-anchor="middle">{x}</text><text x="8" y="20">{y}</text>"#);
    svg + "</svg>"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
