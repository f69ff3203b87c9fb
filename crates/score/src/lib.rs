//! One line by which a test tells what it measured of a row of the router's scorecard, and how that line is read.

use serde_json::{Value, json};

/// What such a line begins with, wherever in a line of the test's output that is.
const PREFIX: &str = "scorecard: ";

/// What a test measured of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The row, such as `B1`.
    pub id: String,
    /// What was measured, with its units.
    pub measured: String,
    /// Whether that is all that the row asks of this test; a test that tries less than the row says so by `false`.
    pub pass: bool,
}

/// Tells what was measured of a row: `score!("B1", lost == 0, "{lost} of {all} lost")`. To be called before anything is
/// asserted of it, so that a miss is told, too.
#[macro_export]
macro_rules! score {
    ($id:literal, $pass:expr, $($measured:tt)+) => {{
        let told = $crate::Told { id: $id.to_owned(), measured: format!($($measured)+), pass: $pass };
        println!("{}", told.line());
    }};
}

// === impl Told ===

impl Told {
    /// The line, without its end.
    #[must_use]
    pub fn line(&self) -> String {
        let Self { id, measured, pass } = self;
        format!("{PREFIX}{}", json!({ "id": id, "measured": measured, "pass": pass }))
    }

    /// Reads a line of a test's output; `None` where it tells nothing.
    #[must_use]
    pub fn read(line: &str) -> Option<Self> {
        let (_, told) = line.split_once(PREFIX)?;
        let told: Value = serde_json::from_str(told).ok()?;
        let text = |key: &str| Some(told.get(key)?.as_str()?.to_owned());
        Some(Self { id: text("id")?, measured: text("measured")?, pass: told.get("pass")?.as_bool()? })
    }
}

#[cfg(test)]
mod tests;
