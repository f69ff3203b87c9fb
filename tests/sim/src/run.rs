//! Runs worlds: one in this process, or many in processes of their own.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::panic;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::Arguments;
use crate::given;
use crate::mutants;
use crate::trace::{Course, Trace};
use crate::world::{Ends, World};

/// Virtual time after which a world should long have come to rest.
const VIRTUAL_MAX: Duration = Duration::from_secs(300);
/// Real time that one world may take on a machine that has much else to do.
const REAL_MAX: Duration = Duration::from_secs(60);

/// Runs one world and prints what it came to.
pub(crate) fn one(seed: u64, arguments: &Arguments) -> ExitCode {
    given::begin(seed);
    let shown = [arguments.show, arguments.bytes, arguments.log];
    // A thread of its own: this one has drawn its random keys already.
    let run = thread::Builder::new().name("world".to_owned()).spawn(move || world(seed, shown));
    let Ok((course, ends)) = run.expect("a thread can be started").join() else {
        println!("seed {seed}: the world ended in a panic");
        return ExitCode::FAILURE;
    };
    let Course { hash, events, violations } = course;
    let ends: Vec<_> = ends.iter().map(|(kind, count)| format!("{kind}={count}")).collect();
    println!("seed {seed}: trace={hash:016x} events={events} {}", ends.join(" "));
    for violation in &violations {
        println!("  {violation}");
    }
    if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn world(seed: u64, [show, bytes, log]: [bool; 3]) -> (Course, Ends) {
    if log {
        let logs = tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).without_time();
        logs.init();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime can be built");
    let panics = Arc::new(Mutex::new(Vec::new()));
    let said = panics.clone();
    panic::set_hook(Box::new(move |panic| said.lock().push(panic.to_string())));
    let ran = runtime.block_on(async {
        let trace = Arc::new(Trace::begin(show, bytes));
        let world = World::new(seed, trace.clone());
        let ends = tokio::time::timeout(VIRTUAL_MAX, world.run()).await;
        if ends.is_err() {
            trace.violated(format_args!("the world did not come to rest in {VIRTUAL_MAX:?}"));
        }
        for panic in panics.lock().iter() {
            trace.violated(format_args!("{panic}"));
        }
        (trace.course(), ends.unwrap_or_default())
    });
    // What is left of the world is nobody's: the process ends with it.
    std::mem::forget(runtime);
    ran
}

/// What a process of its own came to.
#[derive(Debug)]
struct Ran {
    seed: u64,
    said: String,
    right: bool,
    /// Another run of it said something else.
    differs: Option<String>,
}

/// Runs many worlds and prints a line for each in which something was wrong.
pub(crate) fn many(arguments: &Arguments) -> ExitCode {
    if !arguments.mutated
        && let Err(problem) = mutants::fit()
    {
        println!("{problem}");
        return ExitCode::FAILURE;
    }
    let began = Instant::now();
    let last = arguments.first + arguments.seeds;
    let next = Arc::new(AtomicU64::new(arguments.first));
    let ends = Arc::new(AtomicBool::new(false));
    let (sender, ran) = channel();
    for _ in 0..arguments.jobs.max(1) {
        let (next, ends, sender) = (next.clone(), ends.clone(), sender.clone());
        let twice_every = arguments.twice_every;
        thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                let twice = twice_every > 0 && seed % twice_every == 0;
                if seed >= last || sender.send(process(seed, twice)).is_err() {
                    return;
                }
            }
        });
    }
    drop(sender);
    let mut sums = BTreeMap::new();
    let wrong = collect(&ran, arguments, (&ends, &mut sums));
    let seconds = began.elapsed().as_secs_f64();
    let all = arguments.seeds;
    let sums: Vec<_> = sums.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    println!("simulation: {all} worlds in {seconds:.1} s, {} of them wrong", wrong.len());
    println!("  {}", sums.join(", "));
    for (seed, said) in &wrong {
        println!("{said}  again: cargo test -p causeway-sim -- --seed {seed} --show");
    }
    if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn collect(
    ran: &Receiver<Ran>,
    arguments: &Arguments,
    (ends, sums): (&AtomicBool, &mut BTreeMap<String, u64>),
) -> BTreeMap<u64, String> {
    let mut wrong = BTreeMap::new();
    for one in ran {
        let first = one.said.lines().next().unwrap_or_default();
        for (kind, count) in first.split(' ').filter_map(|word| word.split_once('=')) {
            if kind != "trace" {
                *sums.entry(kind.to_owned()).or_default() += count.parse().unwrap_or(0);
            }
        }
        let differs = one.differs.map(|other| format!("  another run of it came to {other}"));
        if !one.right || differs.is_some() {
            wrong.insert(one.seed, format!("{}{}", one.said, differs.unwrap_or_default()));
            if arguments.until_wrong {
                ends.store(true, Ordering::Relaxed);
            }
        }
    }
    wrong
}

/// Runs a world in a process of its own, or in two.
fn process(seed: u64, twice: bool) -> Ran {
    let (said, right) = spawn(seed);
    let differs = twice.then(|| spawn(seed).0).filter(|again| *again != said);
    Ran { seed, said, right, differs }
}

fn spawn(seed: u64) -> (String, bool) {
    let program = std::env::current_exe().expect("this program has a path");
    let mut command = Command::new(program);
    command.args(["--seed", &seed.to_string()]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("this program can be started again");
    wait(seed, child)
}

/// Reads what a process says until it ends, or ends it where it hangs.
fn wait(seed: u64, mut child: Child) -> (String, bool) {
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    let (sender, said) = channel();
    thread::spawn(move || {
        let (mut text, mut errors) = (String::new(), String::new());
        out.as_mut().map(|out| out.read_to_string(&mut text));
        err.as_mut().map(|err| err.read_to_string(&mut errors));
        drop(sender.send(text + &errors));
    });
    let said = said.recv_timeout(REAL_MAX).unwrap_or_else(|_| {
        drop(child.kill());
        format!("seed {seed}: nothing came of it in {REAL_MAX:?} of real time\n")
    });
    let right = child.wait().is_ok_and(|status| status.success());
    (said, right)
}
