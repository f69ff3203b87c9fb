//! The table, and the same as JSON.

use std::io::Write;

use anyhow::Result;
use inference::speed::Limits;
use serde_json::{Map, Value, json};

use super::rounds::{Rounds, Row, Runs, Spread};
use super::task::{Task, Unit};

/// All that was measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Report<'a> {
    pub(super) rounds: &'a Rounds,
    pub(super) rows: &'a [Row],
    pub(super) limits: Limits,
    /// Seconds of the load that packed the weights.
    pub(super) first_load: f64,
}

impl Report<'_> {
    /// One object; a row's key is its path, as in `decode.batch_1.ratio`.
    pub(super) fn json(&self) -> Value {
        let mut all = Map::new();
        all.insert("model".to_owned(), json!(self.rounds.own.model));
        all.insert("threads".to_owned(), json!(self.rounds.own.threads));
        all.insert("form".to_owned(), json!(self.form()));
        all.insert("foreign_max".to_owned(), json!(self.rounds.foreign_max));
        let read = self.limits.bytes_per_second / 1e9;
        let peak = self.limits.operations_per_second.map(|peak| peak / 1e9);
        all.insert("machine".to_owned(), json!({ "read_gb_per_s": read, "int8_gop_per_s": peak }));
        let load = spread_json(Spread::of(&self.loads()));
        all.insert("load".to_owned(), json!({ "unit": "s", "first": self.first_load, "packed": load }));
        for row in self.rows {
            let key = row.task.key();
            let value = self.row_json(row);
            match key.split_once('.') {
                Some((group, name)) => {
                    let group = all.entry(group).or_insert_with(|| json!({}));
                    if let Some(group) = group.as_object_mut() {
                        group.insert(name.to_owned(), value);
                    }
                }
                None => {
                    all.insert(key, value);
                }
            }
        }
        Value::Object(all)
    }

    fn row_json(&self, row: &Row) -> Value {
        let mut value = json!({ "unit": row.task.unit().name(), "ours": runs_json(&row.own) });
        if let Some([default, off]) = &row.others {
            value["llama_cpp"] = runs_json(default);
            value["llama_cpp_no_repack"] = runs_json(off);
        }
        value["ratio"] = json!(row.ratio());
        if let Some(why) = row.missing() {
            value["missing"] = json!(why);
        }
        if let Some((limit, share)) = self.share(row) {
            value[limit] = json!(share);
        }
        value
    }

    /// A few lines of conditions, then the rows.
    pub(super) fn print(&self, out: &mut impl Write) -> Result<()> {
        let Rounds { own, other, foreign_max, .. } = self.rounds;
        let against = if other.is_some() { ", in turns with llama.cpp" } else { "" };
        writeln!(out, "{}, {} threads, {}{against}", own.model.display(), own.threads, self.form())?;
        write!(out, "reads {:.1} GB/s", self.limits.bytes_per_second / 1e9)?;
        if let Some(peak) = self.limits.operations_per_second {
            write!(out, ", multiplies 8-bit numbers at {:.0} GOP/s", peak / 1e9)?;
        }
        writeln!(out, "; runs beside more than {:.0} % of foreign work are dropped", foreign_max * 100.0)?;
        if let Some(load) = Spread::of(&self.loads()) {
            let Spread { median, min, max } = load;
            write!(out, "loads in {:.2} s the first time, ", self.first_load)?;
            writeln!(out, "in {median:.2} s ({min:.2}–{max:.2}) when its weights are packed already")?;
        }
        let names = ["ours", "llama.cpp", "--repack 0"].map(|name| format!("{name:>24}")).concat();
        writeln!(
            out,
            "\n{:<20}{names}{:>7}{:>6}{:>6}  of the limit",
            "median (min–max)", "ratio", "runs", "drops"
        )?;
        for row in self.rows {
            self.print_row(row, out)?;
        }
        Ok(())
    }

    fn print_row(&self, row: &Row, out: &mut impl Write) -> Result<()> {
        let unit = row.task.unit();
        let others = row.others.as_ref().map(<[Runs; 2]>::each_ref).into_iter().flatten();
        let all: Vec<&Runs> = [&row.own].into_iter().chain(others).collect();
        write!(out, "{:<20}", row.task.key())?;
        for at in 0..3 {
            write!(out, "{:>24}", all.get(at).map_or_else(String::new, |runs| spread_text(unit, runs)))?;
        }
        let ratio = row.ratio().map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
        let drops: usize = all.iter().map(|runs| runs.dropped).sum();
        // Processes of each engine that count, and samples of each.
        let runs = format!("{}×{}", row.own.values.len(), row.task.steps().1);
        write!(out, "{ratio:>7}{runs:>6}{drops:>6}")?;
        if let Some((limit, share)) = self.share(row) {
            write!(out, "  {:.0} % of {}", share * 100.0, limit.trim_end_matches("_share"))?;
        }
        let less = if unit.more_is_better() { "" } else { ", less is better" };
        write!(out, "  {}{less}", unit.name())?;
        if let Some(why) = row.missing() {
            write!(out, "  ({why})")?;
        }
        writeln!(out)?;
        Ok(())
    }

    /// What our speed is of the machine's: of its memory where one token is computed at a time, else of its arithmetic.
    fn share(&self, row: &Row) -> Option<(&'static str, f64)> {
        let (said, speed) = (row.said.as_ref()?, row.own.spread()?.median);
        match row.task {
            Task::Decode(1) => {
                Some(("bandwidth_share", speed * said.bytes_per_token / self.limits.bytes_per_second))
            }
            Task::Prefill(_) | Task::Decode(16) => {
                let peak = self.limits.operations_per_second?;
                Some(("arithmetic_share", speed * 2.0 * said.weights_per_token / peak))
            }
            _ => None,
        }
    }

    fn form(&self) -> &str {
        self.rows.iter().find_map(|row| Some(row.said.as_ref()?.form.as_str())).unwrap_or_default()
    }

    /// Loads beside other work are slower; the least of each row stand for it.
    fn loads(&self) -> Vec<f64> {
        let least = |row: &Row| row.loads.iter().copied().reduce(f64::min);
        self.rows.iter().filter_map(least).collect()
    }
}

fn spread_text(unit: Unit, runs: &Runs) -> String {
    let Some(Spread { median, min, max }) = runs.spread() else { return "-".to_owned() };
    let digits = if unit == Unit::Seconds { 2 } else { 1 };
    format!("{median:.digits$} ({min:.digits$}–{max:.digits$})")
}

fn spread_json(spread: Option<Spread>) -> Value {
    spread.map_or(Value::Null, |s| json!({ "median": s.median, "min": s.min, "max": s.max }))
}

fn runs_json(runs: &Runs) -> Value {
    let mut value = spread_json(runs.spread());
    if value.is_null() {
        value = json!({ "median": null });
    }
    value["runs"] = json!(runs.values.len());
    value["dropped"] = json!(runs.dropped);
    value
}
