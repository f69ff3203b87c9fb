//! Prints how fast the kernels are, beside the tensor library's own, or how fast a model's steps are.
//!
//! `cargo run --release -p causeway-inference --example speed -- kernels [threads] [forms]`
//! `cargo run --release -p causeway-inference --example speed -- MODEL [threads] [forms] [repeats] [part of a line]`
//!
//! With one thread kernels are timed by the processor time of the thread, so that other processes show less; the tensor
//! library's threads are set by `RAYON_NUM_THREADS` and `CANDLE_NUM_THREADS`.

use std::{
    io::{Read, Seek, Write},
    time::{Duration, Instant},
};

use inference::{
    Error, Options,
    speed::{Model, Product, TYPES, hold_forms},
};

const SHAPES: [[usize; 2]; 2] = [[3072, 1024], [512, 1024]];
const ROWS: [usize; 7] = [1, 2, 4, 8, 16, 128, 512];
/// Measurements of each product; the least counts.
const REPEATS: usize = 5;
/// Operations of a measurement: long beside the steps of the clock of processor time.
const OPERATIONS: f64 = 2e10;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().ok_or("usage: speed kernels|MODEL [THREADS] [FORMS] [REPEATS]")?;
    let threads = arguments.next().map_or(Ok(2), |n| n.parse())?;
    let forms: usize = arguments.next().map_or(Ok(9), |n| n.parse())?;
    let repeats: usize = arguments.next().map_or(Ok(3), |n| n.parse())?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{threads} threads, {}", hold_forms(forms))?;
    let only = arguments.next().unwrap_or_default();
    if what == "kernels" {
        kernels(&mut out, threads)
    } else {
        model(&mut out, (&what, &only), threads, repeats)
    }
}

fn kernels(out: &mut impl Write, threads: usize) -> Result<(), Box<dyn std::error::Error>> {
    let started = Instant::now();
    let wall = move || started.elapsed();
    let clock: &dyn Fn() -> Duration = if threads == 1 { &processor_time } else { &wall };
    for kind in TYPES {
        for shape in SHAPES {
            let work = 2.0 * (shape[0] * shape[1]) as f64;
            let mut product = Product::new(kind, shape, 1, threads)?;
            write!(out, "{kind} {}x{} GOP/s, ours/candle:", shape[0], shape[1])?;
            for rows in ROWS {
                let (mut ours, mut candle) = (Duration::MAX, Duration::MAX);
                // The library's product is several times slower.
                let count = (OPERATIONS / work / rows as f64).ceil() as usize;
                let fewer = count.div_ceil(4);
                for _ in 0..REPEATS {
                    ours = ours.min(product.time(rows, count, clock) / count as u32);
                    candle = candle.min(product.time_candle(rows, fewer, clock)? / fewer as u32);
                }
                let speed = |took: Duration| work * rows as f64 / took.as_secs_f64() / 1e9;
                write!(out, "  m={rows} {:.0}/{:.0}", speed(ours), speed(candle))?;
                out.flush()?;
            }
            writeln!(out)?;
        }
        from_memory(out, kind, threads)?;
    }
    Ok(())
}

/// Products of matrices that do not fit the caches.
fn from_memory(out: &mut impl Write, kind: &str, threads: usize) -> Result<(), Box<dyn std::error::Error>> {
    let shape = SHAPES[0];
    let copies = 48;
    let mut product = Product::new(kind, shape, copies, threads)?;
    let bits = match kind {
        "Q4_0" => 4.5,
        "Q4_1" => 5.0,
        "Q5_0" => 5.5,
        "Q5_1" => 6.0,
        "Q8_0" => 8.5,
        "Q4_K" => 4.625,
        "Q5_K" => 5.625,
        _ => 6.5625,
    };
    let bytes = (shape[0] * shape[1]) as f64 * bits / 8.0;
    write!(out, "{kind} from memory, GB/s of weights:")?;
    for rows in [1, 4, 16] {
        let mut best = f64::MAX;
        for _ in 0..6 {
            let started = Instant::now();
            let took = product.time(rows, copies, &|| started.elapsed());
            best = best.min(took.as_secs_f64() / copies as f64);
        }
        write!(out, "  m={rows} {:.1} ({:.0} GOP/s)", bytes / best / 1e9, work(shape, rows) / best / 1e9)?;
    }
    writeln!(out)?;
    Ok(())
}

fn work(shape: [usize; 2], rows: usize) -> f64 {
    2.0 * (shape[0] * shape[1] * rows) as f64
}

/// Nanoseconds that this thread has been on a processor.
fn processor_time() -> Duration {
    let mut text = String::new();
    let read = std::fs::File::open("/proc/thread-self/schedstat").and_then(|mut file| {
        file.rewind()?;
        file.read_to_string(&mut text)
    });
    let first = text.split_whitespace().next().and_then(|n| n.parse().ok());
    Duration::from_nanos(read.ok().and(first).unwrap_or(0))
}

/// What all threads of this process have spent on processors.
fn process_time() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = text.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
    // A tick of this file is a hundredth of a second on Linux.
    Duration::from_millis(10u64.saturating_mul(ticks))
}

fn model(
    out: &mut impl Write,
    (path, only): (&str, &str),
    threads: usize,
    repeats: usize,
) -> Result<(), Box<dyn std::error::Error>> {
    let options = Options { model: path.into(), threads, step_tokens_max: 512, ..Options::default() };
    let started = Instant::now();
    let model = Model::load(&options)?;
    writeln!(out, "loaded in {:.2?}", started.elapsed())?;
    tell_memory(out)?;
    let mut print = |what: String, tokens: usize, run: &dyn Fn() -> Result<Duration, Error>| {
        if !what.contains(only) {
            return Ok(());
        }
        let used = process_time();
        let mut times = (0..repeats).map(|_| run()).collect::<Result<Vec<_>, _>>()?;
        let used = (process_time() - used).as_secs_f64() / repeats as f64;
        times.sort();
        let speed = |took: Duration| tokens as f64 / took.as_secs_f64();
        let (median, best) = (speed(times[times.len() / 2]), speed(times[0]));
        let per_used = tokens as f64 / used;
        writeln!(
            out,
            "{what}: {median:.1} median, {best:.1} best tokens/s, {per_used:.1} per processor second"
        )
        .map_err(Box::<dyn std::error::Error>::from)
    };
    for tokens in [128, 512] {
        print(format!("prefill {tokens}"), tokens, &|| model.prefill(tokens))?;
    }
    for batch in [1, 4, 16] {
        let steps = 64;
        print(format!("decode batch {batch}"), batch * steps, &|| model.decode(batch, 32, steps))?;
    }
    print("decode at 4096".into(), 16, &|| model.decode(1, 4096, 16))?;
    tell_memory(out)
}

/// The memory that is resident and that was at its peak.
fn tell_memory(out: &mut impl Write) -> Result<(), Box<dyn std::error::Error>> {
    let memory = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    for line in memory.lines().filter(|line| line.starts_with("VmHWM") || line.starts_with("VmRSS")) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}
