//! Prints how a model's weights come in, what memory they take, and how a bound on its experts works out.
//!
//! `cargo run --release -p causeway-inference --example load -- MODEL [folder of packed files, or -] [experts, MiB] [threads]`
//!
//! One model a run, since a peak of memory is the process's.

use std::{io::Write, path::PathBuf};

use inference::{ExpertCounters, Options, speed::Model};

/// Tokens of the prompt, and of the answer after it.
const PROMPT: usize = 128;
const ANSWER: usize = 128;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let model: PathBuf = arguments.next().ok_or("usage: load MODEL [FOLDER|-] [MIB] [THREADS]")?.into();
    let packed_cache = arguments.next().filter(|folder| folder != "-").map(PathBuf::from);
    let mebibytes =
        arguments.next().filter(|bound| bound != "-").map(|bound| bound.parse::<u64>()).transpose()?;
    let threads = arguments.next().map_or(Ok(2), |threads| threads.parse())?;
    let experts_resident_bytes_max = mebibytes.map(|bound| bound << 20);
    let options = Options { model, packed_cache, experts_resident_bytes_max, threads, ..Options::default() };
    let mut out = std::io::stdout().lock();
    let model = Model::load(&options)?;
    let loading = model.loading();
    writeln!(
        out,
        "loaded in {:.3} s, packed weights {:?}, {} MiB of them in a file",
        loading.took.as_secs_f64(),
        loading.packed,
        loading.packed_bytes >> 20
    )?;
    tell_memory(&mut out, "after load")?;
    let prompt = model.prefill(PROMPT)?;
    writeln!(out, "prompt of {PROMPT}: {:.1} tokens/s", PROMPT as f64 / prompt.as_secs_f64())?;
    let before = model.experts();
    let answer = model.decode(1, 1, ANSWER)?;
    writeln!(out, "answer of {ANSWER}: {:.1} tokens/s", ANSWER as f64 / answer.as_secs_f64())?;
    if mebibytes.is_some() {
        tell_experts(&mut out, &before, &model.experts())?;
    }
    tell_memory(&mut out, "at the end")?;
    Ok(())
}

/// What the answer needed of experts.
fn tell_experts(
    out: &mut impl Write,
    before: &ExpertCounters,
    after: &ExpertCounters,
) -> std::io::Result<()> {
    let answer = ExpertCounters {
        hits: after.hits - before.hits,
        misses: after.misses - before.misses,
        guessed: after.guessed - before.guessed,
        guessed_right: after.guessed_right - before.guessed_right,
        ..*after
    };
    writeln!(
        out,
        "experts in memory {} MiB; of those needed {:.1} % were there, of those guessed {:.1} % were needed; {} fetched \
         early, {} of them used; {} given back",
        after.resident_bytes >> 20,
        100.0 * answer.hit_rate(),
        100.0 * answer.guess_rate(),
        after.fetched - before.fetched,
        after.fetched_used - before.fetched_used,
        after.given_back - before.given_back,
    )
}

/// The process's memory: its peak, and what it has now, of its own and of files.
fn tell_memory(out: &mut impl Write, when: &str) -> std::io::Result<()> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mebibytes = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|kilobytes| kilobytes.parse::<u64>().ok()).unwrap_or(0) >> 10
    };
    let [peak, now, own, files] = ["VmHWM", "VmRSS", "RssAnon", "RssFile"].map(mebibytes);
    writeln!(out, "{when}: peak {peak} MiB, now {now} MiB: {own} of its own, {files} of files")
}
