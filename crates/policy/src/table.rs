//! A decision for people: one table, three columns in dollars, the reasons of what was removed.

use std::fmt::{self, Write as _};

use crate::decision::{Decision, Weighed};

/// Dollars to the cent above a dollar, to three digits or more below: `$12.50`, `$0.003400`, `$0.0000120`.
#[derive(Clone, Copy, Debug)]
pub struct Dollars(pub f64);

const HEADINGS: [&str; 8] = ["", "place", "price", "waiting", "wrong", "total", "seconds", "p(right)"];

// === impl Decision ===

impl Decision {
    /// The decision as a table of fixed width, for a terminal.
    pub fn render_table(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: Vec<[String; 8]> = self
            .trail
            .candidates
            .iter()
            .enumerate()
            .map(|(index, weighed)| self.cells(index, weighed))
            .collect();
        let mut widths = HEADINGS.map(str::len);
        widths[0] = 1;
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        writeln!(f, "class {}: {}", self.class, self.worths())?;
        writeln!(f, "{}", line(&widths, &HEADINGS.map(str::to_owned)))?;
        for (row, weighed) in rows.iter().zip(&self.trail.candidates) {
            writeln!(f, "{}{}", line(&widths, row), remark(weighed))?;
        }
        f.write_str(&self.outcome())
    }
}

impl Decision {
    fn worths(&self) -> String {
        let (second, wrong) = (Dollars(self.trail.second_usd), Dollars(self.trail.wrong_answer_usd));
        format!("a second is worth {second}, a wrong answer costs {wrong}")
    }

    fn cells(&self, index: usize, weighed: &Weighed) -> [String; 8] {
        let won = self.place.as_ref().is_some_and(|place| place.index == index);
        let mark = match (won, &weighed.removal) {
            (true, _) => ">",
            (false, Some(_)) => "x",
            (false, None) => " ",
        };
        let columns = &weighed.columns;
        [
            mark.to_owned(),
            weighed.candidate.place.to_string(),
            Dollars(columns.price_usd).to_string(),
            Dollars(columns.waiting_usd).to_string(),
            Dollars(columns.wrong_usd).to_string(),
            Dollars(columns.total_usd).to_string(),
            format!("{:.3}", weighed.inputs.expected_seconds),
            format!("{:.3}", weighed.inputs.probability_right),
        ]
    }

    fn outcome(&self) -> String {
        match (&self.place, &self.trail.runner_up, self.trail.margin_usd) {
            (Some(place), Some(second), Some(margin)) => {
                format!("{} wins; {second} would cost {} more", place.place, Dollars(margin))
            }
            (Some(place), ..) => format!("{} wins; nothing else remained", place.place),
            (None, ..) => "no place remained".to_owned(),
        }
    }
}

/// What follows a row: why it was removed, or what was not known of it.
fn remark(weighed: &Weighed) -> String {
    let mut remark = String::new();
    if let Some(reason) = &weighed.removal {
        let _ = write!(remark, "  {reason}");
    }
    for note in weighed.inputs.notes.iter() {
        let _ = write!(remark, "  ({})", note.code());
    }
    remark
}

fn line(widths: &[usize; 8], cells: &[String; 8]) -> String {
    let mut line = String::new();
    for (column, (width, cell)) in widths.iter().zip(cells).enumerate() {
        // The mark and the place are words and stand left, numbers stand right.
        let _ = match column {
            0 => write!(line, "{cell:<width$}"),
            1 => write!(line, " {cell:<width$}"),
            _ => write!(line, "  {cell:>width$}"),
        };
    }
    line
}

// === impl Dollars ===

impl fmt::Display for Dollars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.0.abs();
        let decimals = match size {
            _ if size == 0.0 => 0,
            _ if size >= 1.0 => 2,
            _ if size >= 0.01 => 4,
            _ => small_decimals(size),
        };
        let sign = if self.0 < 0.0 { "-" } else { "" };
        f.pad(&format!("{sign}${size:.decimals$}"))
    }
}

/// At least six decimals, and as many more as show three digits, up to a millionth of a millionth.
fn small_decimals(size: f64) -> usize {
    let (mut decimals, mut shown) = (6, 1e-4);
    while size < shown && decimals < 12 {
        decimals += 1;
        shown /= 10.0;
    }
    decimals
}

#[cfg(test)]
mod tests {
    use super::Dollars;

    #[test]
    fn dollars_show_three_digits_or_more_however_small() {
        let check = |usd: f64, text: &str| assert_eq!(Dollars(usd).to_string(), text);
        check(0.0, "$0");
        check(12.5, "$12.50");
        check(0.034, "$0.0340");
        check(0.0034, "$0.003400");
        check(0.000_012, "$0.0000120");
        check(0.000_000_15, "$0.000000150");
        check(1e-15, "$0.000000000000");
        check(-0.5, "-$0.5000");
    }
}
