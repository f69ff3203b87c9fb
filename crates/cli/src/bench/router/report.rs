//! The tables, and the same as JSON.

use std::io::Write;

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::phase::Phase;
use super::results::{Figures, Results};
use super::targets::targets;
use super::way::Way;

/// All that was measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Report<'a> {
    pub(super) results: &'a Results,
    pub(super) ways: &'a [Way],
    /// What the others' programs say they are.
    pub(super) peers: &'a [String],
}

/// Where a number is missing.
const BLANK: &str = "-";

impl Report<'_> {
    /// `grpc_unary.router.cpu_us` and so on.
    pub(super) fn json(&self) -> Value {
        let of = |one: &dyn Fn(&str) -> Value| {
            let rows = self.ways.iter().map(|way| (way.key().to_owned(), one(way.key())));
            Value::Object(rows.collect::<Map<_, _>>())
        };
        let all = targets(self.results).into_iter().map(|target| {
            let pass = target.is_met();
            json!({ "name": target.name, "unit": target.unit, "target": target.most, "measured": target.measured, "pass": pass })
        });
        json!({
            "peers": self.peers,
            "grpc_unary": of(&|key| self.unary(key)),
            "grpc_stream": of(&|key| self.stream(key)),
            "memory": of(&|key| self.memory(key)),
            "targets": all.collect::<Vec<_>>(),
        })
    }

    fn unary(&self, key: &str) -> Value {
        let (fast, timed) = (self.results.of(key, Phase::Unary), self.results.of(key, Phase::UnaryAtRate));
        let between = key != Way::Direct.key();
        json!({
            "cpu_us": fast.filter(|_| between).map(|one| one.cpu_us),
            "cpu_us_per_chunk": fast.filter(|_| between).map(|one| one.cpu_us_per_chunk),
            "cpu_us_at_rate": timed.filter(|_| between).map(|one| one.cpu_us),
            "requests_per_s": fast.map(|one| one.answers_per_second),
            "busy": fast.filter(|_| between).map(|one| one.busy),
            "rss_mib": self.results.of(key, Phase::Memory).and_then(|one| Some(one.memory?[0])),
            "times": self.times(key, Phase::UnaryAtRate),
        })
        .flat()
    }

    fn stream(&self, key: &str) -> Value {
        let (fast, paced) = (self.results.of(key, Phase::Stream), self.results.of(key, Phase::Paced));
        let between = key != Way::Direct.key();
        json!({
            "cpu_us": fast.filter(|_| between).map(|one| one.cpu_us),
            "cpu_us_per_chunk": fast.filter(|_| between).map(|one| one.cpu_us_per_chunk),
            "cpu_us_per_chunk_paced": paced.filter(|_| between).map(|one| one.cpu_us_per_chunk),
            "chunks_per_s": fast.map(|one| one.chunks_per_second),
            "busy": fast.filter(|_| between).map(|one| one.busy),
            "rss_mib": self.results.of(key, Phase::Memory).and_then(|one| Some(one.memory?[1])),
            "times": self.times(key, Phase::StreamAtRate),
        })
        .flat()
    }

    fn times(&self, key: &str, phase: Phase) -> Value {
        let Some(figures) = self.results.of(key, phase) else {
            return json!({ "p50_us": null, "p99_us": null });
        };
        let (times, late) = (figures.times.unwrap_or_default(), figures.lateness.unwrap_or_default());
        let added = self.results.added(key, phase);
        json!({
            "p50_us": times[0],
            "p99_us": times[1],
            "added_p50_us": added.map(|added| added[0]),
            "added_p99_us": added.map(|added| added[1]),
            "lateness_p50_us": late[0],
            "lateness_p99_us": late[1],
            "runs": figures.runs,
            "dropped": figures.dropped,
            "disturbed": figures.disturbed,
        })
    }

    fn memory(&self, key: &str) -> Value {
        let (held, open) = (self.results.of(key, Phase::Memory), self.results.of(key, Phase::Connections));
        let each = held.and_then(|one| one.kib_each);
        json!({
            "idle_mib": held.and_then(|one| Some(one.memory?[0])),
            "streams_1000_mib": held.and_then(|one| Some(one.memory?[1])),
            "kib_per_stream": each.map(|each| each[0]),
            "kib_per_stream_own": each.map(|each| each[1]),
            "kib_per_stream_without_own": each.map(|each| each[0] - each[1]),
            "connections_10000_mib": open.and_then(|one| Some(one.memory?[1])),
            "kib_per_connection": open.and_then(|one| Some(one.kib_each?[0])),
        })
    }

    /// Tables for people.
    pub(super) fn print(&self, out: &mut impl Write) -> Result<()> {
        writeln!(out, "one core for each way, another for load and worker; {}", self.peers.join("; "))?;
        writeln!(out, "CPU is the process's own; `*`: in every run the load was too late to tell times\n")?;
        let names =
            ["unary CPU µs", "at 2,000/s", "1/s", "of core", "p50 µs", "p99 µs", "+p50", "+p99", "late p99"];
        self.table(out, "gRPC unary", &names, |key| {
            let (fast, timed) =
                (self.results.of(key, Phase::Unary), self.results.of(key, Phase::UnaryAtRate));
            let mut row = vec![
                show(fast, 1, |one| one.cpu_us),
                show(timed, 1, |one| one.cpu_us),
                show(fast, 0, |one| one.answers_per_second),
                show(fast, 2, |one| one.busy),
            ];
            row.extend(self.print_times(key, Phase::UnaryAtRate));
            row
        })?;
        let names = [
            "chunk CPU µs",
            "at 20 ms",
            "chunks/s",
            "of core",
            "TTFT p50",
            "p99 µs",
            "+p50",
            "+p99",
            "late p99",
        ];
        self.table(out, "gRPC stream", &names, |key| {
            let (fast, paced) = (self.results.of(key, Phase::Stream), self.results.of(key, Phase::Paced));
            let mut row = vec![
                show(fast, 2, |one| one.cpu_us_per_chunk),
                show(paced, 2, |one| one.cpu_us_per_chunk),
                show(fast, 0, |one| one.chunks_per_second),
                show(fast, 2, |one| one.busy),
            ];
            row.extend(self.print_times(key, Phase::StreamAtRate));
            row
        })?;
        let names = ["idle", "1,000 streams", "KiB each", "own of it", "10,000 conns", "KiB each"];
        self.table(out, "memory, MiB", &names, |key| {
            let (held, open) =
                (self.results.of(key, Phase::Memory), self.results.of(key, Phase::Connections));
            let pair = |of: Option<[f64; 2]>, at: usize| text(of.map(|pair| pair[at]), 1);
            let (held, open) =
                (held.map(|one| (one.memory, one.kib_each)), open.map(|one| (one.memory, one.kib_each)));
            let (memory, each) = held.unwrap_or_default();
            let (all, of_open) = open.unwrap_or_default();
            vec![
                pair(memory, 0),
                pair(memory, 1),
                pair(each, 0),
                pair(each, 1),
                pair(all, 1),
                pair(of_open, 0),
            ]
        })?;
        self.print_targets(out)
    }

    fn print_times(&self, key: &str, phase: Phase) -> Vec<String> {
        let figures = self.results.of(key, phase);
        let mark = if figures.is_some_and(|one| one.disturbed) { "*" } else { "" };
        let times = figures.and_then(|one| one.times);
        let added = self.results.added(key, phase);
        let late = figures.and_then(|one| one.lateness);
        let pair = |of: Option<[f64; 2]>, at: usize| text(of.map(|pair| pair[at]), 0) + mark;
        vec![pair(times, 0), pair(times, 1), pair(added, 0), pair(added, 1), pair(late, 1)]
    }

    fn table(
        &self,
        out: &mut impl Write,
        title: &str,
        names: &[&str],
        row: impl Fn(&str) -> Vec<String>,
    ) -> Result<()> {
        let heads = names.iter().map(|name| format!("{name:>14}")).collect::<String>();
        writeln!(out, "{title:<22}{heads}")?;
        for way in self.ways {
            let cells = row(way.key());
            if cells.iter().any(|cell| cell != BLANK) {
                let cells = cells.iter().map(|cell| format!("{cell:>14}")).collect::<String>();
                writeln!(out, "{:<22}{cells}", way.key())?;
            }
        }
        writeln!(out)?;
        Ok(())
    }

    fn print_targets(&self, out: &mut impl Write) -> Result<()> {
        for target in targets(self.results) {
            let mark = match target.is_met() {
                Some(true) => "reached",
                Some(false) => "missed",
                None => "not measured",
            };
            let measured = text(target.measured, 2);
            writeln!(
                out,
                "{:<48} {measured:>9} of {:>6} {:<7} {mark}",
                target.name, target.most, target.unit
            )?;
        }
        Ok(())
    }
}

fn show(figures: Option<Figures>, digits: usize, read: impl Fn(&Figures) -> f64) -> String {
    text(figures.as_ref().map(read), digits)
}

fn text(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| BLANK.to_owned(), |value| format!("{value:.digits$}"))
}

/// Puts the fields of `times` beside the others.
trait Flat {
    fn flat(self) -> Value;
}

impl Flat for Value {
    fn flat(mut self) -> Value {
        if let Some(map) = self.as_object_mut()
            && let Some(Value::Object(times)) = map.remove("times")
        {
            map.extend(times);
        }
        self
    }
}
