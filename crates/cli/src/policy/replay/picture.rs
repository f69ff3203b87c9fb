//! Pictures of a replay as SVG: bars for shares, marks with their intervals for figures.

use std::fmt::Write as _;

use super::estimate::Interval;

const WIDTH: f64 = 720.0;
/// Where names end and bars begin.
const LEFT: f64 = 180.0;
/// Where bars end.
const RIGHT: f64 = 620.0;
/// Room for a number under an axis.
const LABEL_WIDTH: f64 = 80.0;

/// A name with a share before and after, each from 0 to 1.
pub(super) struct Bar {
    pub(super) name: String,
    pub(super) before: f64,
    pub(super) after: f64,
}

/// Two bars for each name.
pub(super) fn bars(title: &str, bars: &[Bar]) -> String {
    let height = 40.0 + 44.0 * bars.len() as f64;
    let mut svg = open(title, height);
    let most = bars.iter().flat_map(|bar| [bar.before, bar.after]).fold(1e-9, f64::max);
    for (index, bar) in bars.iter().enumerate() {
        let y = 36.0 + 44.0 * index as f64;
        text(&mut svg, (LEFT - 8.0, y + 20.0), "end", &bar.name);
        for (share, class, y) in [(bar.before, "before", y), (bar.after, "after", y + 17.0)] {
            let width = (RIGHT - LEFT) * share / most;
            let _ = write!(
                svg,
                r#"<rect class="{class}" x="{LEFT}" y="{y:.1}" width="{width:.1}" height="14"/>"#
            );
            text(&mut svg, (LEFT + width + 6.0, y + 12.0), "start", &format!("{:.1} %", 100.0 * share));
        }
    }
    svg + "</svg>"
}

/// A mark with its interval for each name, all on one scale that shows zero.
pub(super) fn intervals(title: &str, of: &[(String, Interval)]) -> String {
    let height = 64.0 + 30.0 * of.len() as f64;
    let mut svg = open(title, height);
    let low = of.iter().map(|(_, one)| one.low).fold(0.0, f64::min);
    let high = of.iter().map(|(_, one)| one.high).fold(0.0, f64::max);
    let span = if high > low { high - low } else { 1.0 };
    let x = |value: f64| LEFT + (RIGHT - LEFT) * (value - low) / span;
    let _ = write!(
        svg,
        r#"<line class="zero" x1="{0:.1}" x2="{0:.1}" y1="30" y2="{1:.1}"/>"#,
        x(0.0),
        height - 26.0
    );
    for (index, (name, one)) in of.iter().enumerate() {
        let y = 46.0 + 30.0 * index as f64;
        text(&mut svg, (LEFT - 8.0, y + 4.0), "end", name);
        let _ = write!(
            svg,
            r#"<line class="range" x1="{:.1}" x2="{:.1}" y1="{y}" y2="{y}"/><circle class="after" cx="{:.1}" cy="{y}" r="5"/>"#,
            x(one.low),
            x(one.high),
            x(one.mean)
        );
    }
    let apart = |value: &f64| *value == 0.0 || (x(*value) - x(0.0)).abs() > LABEL_WIDTH;
    for value in [0.0, low, high].into_iter().filter(apart) {
        text(&mut svg, (x(value), height - 8.0), "middle", &label(value));
    }
    svg + "</svg>"
}

fn label(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    // Three digits that say something, without an exponent.
    let digits = (2.0 - value.abs().log10().floor()).clamp(0.0, 12.0) as usize;
    format!("{value:+.digits$}")
}

fn open(title: &str, height: f64) -> String {
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0}" role="img" aria-label="{0}"><title>{0}</title>"#,
        escaped(title)
    );
    text(&mut svg, (8.0, 18.0), "start", title);
    svg
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, text: &str) {
    let _ = write!(svg, r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{}</text>"#, escaped(text));
}

/// Text as it may stand in HTML and SVG: names come from the log, which anybody may have written.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
