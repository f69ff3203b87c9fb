//! How long it takes to choose among very many workers, and what it costs not to weigh them all: at most 50 µs at the 99th
//! percentile and 5 % more expected cost than the best of all, over 10,000 workers, are the aims.
//!
//! `cargo bench -p causeway-router --bench pick [-- --workers N --requests N --seed N --json]`. In simulated time, a thousand
//! requests a second go to workers of uneven speed, whose other load wanders and which report five times a second; a third of
//! the requests goes on with an earlier talk, whose beginning its worker holds. Answers come back and are learned from. Timed
//! is what a request waits for: the snapshot of the workers, drawn or whole, and the decision. Now and then a request is
//! decided over all workers as well, at the same moment.

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mesh::process::Rim;
use mesh::transport::Memory;
use policy::{Decision, Facts, Name, Rules, Vector, decide};
use proto::v1;
use proto::v1::content_part::Part;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use router::config::{LoadSource, WorkerOptions};
use router::predict::Work;
use router::{Ask, Fleet, Lease, Offer, Options, Wanted};

const POLICY: &str = r#"
schema = "causeway.policy/v1"
[[tier]]
name = "fast"
kind = "cloud"
input_usd_per_million_tokens = 0.5
cached_input_usd_per_million_tokens = 0.1
output_usd_per_million_tokens = 1.5
abilities = [1.0]
[[tier]]
name = "large"
kind = "cloud"
input_usd_per_million_tokens = 2
cached_input_usd_per_million_tokens = 0.4
output_usd_per_million_tokens = 6
abilities = [3.0]
[[class]]
name = "default"
second_usd = 0.001
wrong_answer_usd = 0.02
"#;

/// Between two requests, microseconds.
const STEP_US: u64 = 1_000;
/// Reports of a worker, each second.
const REPORTS: usize = 5;
/// One request of so many is decided over all workers, too.
const FULL_EVERY: usize = 150;
/// Tokens of an answer.
const ANSWER_TOKENS: u32 = 100;
/// Talks that may go on.
const TALKS: usize = 512;

/// What is asked for.
struct Asked {
    workers: usize,
    requests: usize,
    seed: u64,
    json: bool,
}

/// A fleet and what happens to it.
struct Scene {
    rules: Rules,
    fleet: Fleet,
    places: Vec<Place>,
    /// The next worker to report.
    next: usize,
    now_us: u64,
    /// What comes when, microseconds and a number: answers that begin and that end.
    under_way: BTreeMap<(u64, usize), (Lease, Option<u64>)>,
    talks: VecDeque<Vec<String>>,
    random: StdRng,
}

/// One worker: how much slower than the fastest kind, and what share of its time is others'.
struct Place {
    name: Name,
    slowness: f64,
    busy: f64,
}

/// What was measured.
#[derive(Default)]
struct Measured {
    drawn_us: Vec<f64>,
    full_us: Vec<f64>,
    regret: Vec<f64>,
    weighed: Vec<f64>,
}

// === impl Asked ===

impl Asked {
    fn read() -> Result<Self, Box<dyn Error>> {
        let mut asked = Self { workers: 10_000, requests: 20_000, seed: 7, json: false };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut number = || words.next().unwrap_or_default().parse::<usize>();
            match word.as_str() {
                "--workers" => asked.workers = number()?,
                "--requests" => asked.requests = number()?,
                "--seed" => asked.seed = number()? as u64,
                "--json" => asked.json = true,
                // Cargo says which kind of run it is.
                _ => {}
            }
        }
        Ok(asked)
    }
}

// === impl Scene ===

impl Scene {
    fn new(asked: &Asked) -> Result<Self, Box<dyn Error>> {
        let mut random = StdRng::seed_from_u64(asked.seed);
        let mut options = Options::default();
        let mut places = Vec::new();
        for index in 0..asked.workers {
            let (tier, region) = (["fast", "large"][index % 2], ["eu", "us", "asia"][index / 2 % 3]);
            options.fleet.workers.push(WorkerOptions {
                name: format!("worker-{index:05}"),
                tier: tier.into(),
                address: "127.0.0.1:1".parse()?,
                server_name: "worker.causeway".into(),
                region: Some(region.into()),
                load: LoadSource::default(),
            });
            // Six kinds of hardware, and no two of a kind quite alike.
            let kind = [1.0, 1.4, 2.0, 2.0, 3.5, 5.0][random.random_range(0..6)];
            places.push(Place {
                name: format!("{tier}/worker-{index:05}").into(),
                slowness: kind * random.random_range(0.9..1.1),
                busy: random.random_range(0.0..1.0),
            });
        }
        let rim = Rim { transport: Arc::new(Memory::default()), identity: None, seed: asked.seed };
        let (fleet, rules) = (Fleet::new(&options, &rim), Rules::parse("pick.toml", POLICY)?);
        let (under_way, talks) = (BTreeMap::new(), VecDeque::new());
        let mut scene = Self { rules, fleet, places, next: 0, now_us: 0, under_way, talks, random };
        for worker in 0..asked.workers {
            scene.report(worker);
        }
        Ok(scene)
    }

    /// A worker reports its load, which has wandered.
    fn report(&mut self, worker: usize) {
        let Place { name: place, slowness, busy } = &mut self.places[worker];
        *busy = (*busy + self.random.random_range(-0.05..0.05)).clamp(0.0, 1.0);
        let (busy, slowness) = (busy.powi(2), *slowness);
        let running = (busy * 64.0) as u32;
        let waiting = (busy * busy * 8.0) as u32;
        let name = if place.starts_with("fast") { "small" } else { "large" };
        let size = if name == "small" { 1.0 } else { 3.0 };
        let report = v1::Report {
            interval_ms: 200,
            model: Some(v1::ModelDescription {
                name: name.into(),
                context_tokens_max: 131_072,
                ..v1::ModelDescription::default()
            }),
            running,
            waiting,
            running_max: 128,
            queued_tokens: (busy * busy * 40_000.0) as u64,
            prefill_tokens_per_second: (8_000.0 / slowness / size) as f32,
            seconds_per_output_token: ((0.01 + 0.0003 * f64::from(running)) * slowness * size) as f32,
            cache_tokens_max: 400_000,
            ..v1::Report::default()
        };
        self.fleet.hear(place, report);
    }

    /// A new talk, or the next turn of one.
    fn request(&mut self) -> v1::GenerateRequest {
        let goes_on = self.talks.len() == TALKS && self.random.random_range(0..3) == 0;
        let at = if goes_on { self.random.random_range(0..self.talks.len()) } else { 0 };
        let mut turns = if goes_on { self.talks.remove(at).unwrap_or_default() } else { Vec::new() };
        let bytes = self.random.random_range(200..6_000);
        turns.push((0..bytes).map(|_| char::from(self.random.random_range(b'a'..=b'z'))).collect());
        self.talks.push_back(turns.clone());
        while self.talks.len() > TALKS {
            self.talks.pop_front();
        }
        let turn = |text: String| v1::Turn {
            role: v1::Role::User.into(),
            parts: vec![v1::ContentPart { part: Some(Part::Text(text)) }],
        };
        v1::GenerateRequest { turns: turns.into_iter().map(turn).collect(), ..v1::GenerateRequest::default() }
    }

    /// Answers that begin or end until now do so.
    fn answers(&mut self) {
        while let Some(next) = self.under_way.first_entry()
            && next.key().0 <= self.now_us
        {
            let ((_, number), (mut lease, ends)) = next.remove_entry();
            match ends {
                Some(ends) => {
                    lease.came(1);
                    self.under_way.insert((ends, number), (lease, None));
                }
                None => {
                    lease.came(ANSWER_TOKENS - 1);
                    lease.done(ANSWER_TOKENS);
                }
            }
        }
    }

    fn step(&mut self, number: usize, measured: &mut Measured) -> Option<()> {
        self.answers();
        for _ in 0..self.places.len() * REPORTS * STEP_US as usize / 1_000_000 {
            self.next = (self.next + 1) % self.places.len();
            self.report(self.next);
        }
        let request = self.request();
        let prompt = self.fleet.prompt(&request, "");
        let bytes: usize = request.turns.iter().map(|turn| 4 + turn_bytes(turn)).sum();
        let facts = Facts {
            prompt_tokens: (bytes / 4) as u32,
            output_tokens_p50: 100.0,
            output_tokens_p90: 300.0,
            requirement: Vector::new(&[1.0]),
            ..Facts::default()
        };
        let output_tokens = policy::expected_output_tokens(&self.rules, &facts);
        let work = Work { prompt_tokens: facts.prompt_tokens, cached_tokens: 0, output_tokens };
        let wanted = Wanted::of(&request, None);
        let ask = Ask { rules: &self.rules, work, prompt: &prompt, wanted, seed: number as u64 };
        let choose = |offer: &dyn Fn() -> Offer| {
            let before = Instant::now();
            let decision = decide(ask.rules, &facts, &offer().candidates, ask.seed);
            (decision, before.elapsed().as_secs_f64() * 1e6)
        };
        let (decision, drawn_us) = choose(&|| self.fleet.offer(&ask));
        measured.drawn_us.push(drawn_us);
        measured.weighed.push(decision.trail.candidates.len() as f64);
        if number.is_multiple_of(FULL_EVERY) {
            let (full, full_us) = choose(&|| self.fleet.offer_all(&ask));
            measured.full_us.push(full_us);
            measured.regret.push(cost(&decision)? / cost(&full)? - 1.0);
        }
        let place = decision.place.as_ref()?.place.clone();
        let inputs = decision.winner()?.inputs;
        let work = Work { cached_tokens: inputs.cached_tokens, ..work };
        let lease = self.fleet.lease(&place, work, (prompt, false))?;
        // It takes what was foreseen, more or less.
        let mut after = |seconds: f64| (seconds * self.random.random_range(0.8..1.25) * 1e6) as u64;
        let begins = self.now_us + after(inputs.expected_ttft_seconds);
        let ends = begins + after(inputs.expected_seconds - inputs.expected_ttft_seconds);
        self.under_way.insert((begins, number), (lease, Some(ends)));
        Some(())
    }
}

fn turn_bytes(turn: &v1::Turn) -> usize {
    let text = |part: &v1::ContentPart| match &part.part {
        Some(Part::Text(text)) => text.len(),
        _ => 0,
    };
    turn.parts.iter().map(text).sum()
}

fn cost(decision: &Decision) -> Option<f64> {
    Some(decision.winner()?.columns.total_usd)
}

/// Mean, median and 99th percentile.
fn three(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| values.get((values.len().saturating_sub(1) as f64 * share) as usize);
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    [mean, at(0.5).copied().unwrap_or(f64::NAN), at(0.99).copied().unwrap_or(f64::NAN)]
}

fn main() -> Result<(), Box<dyn Error>> {
    let asked = Asked::read()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?;
    runtime.block_on(run(&asked))
}

async fn run(asked: &Asked) -> Result<(), Box<dyn Error>> {
    let mut scene = Scene::new(asked)?;
    let mut measured = Measured::default();
    for number in 0..asked.requests {
        tokio::time::advance(Duration::from_micros(STEP_US)).await;
        scene.now_us += STEP_US;
        scene.step(number, &mut measured).ok_or("nobody could be asked")?;
        // Who is best is learned by the first requests.
        if number == asked.requests / 10 {
            measured = Measured::default();
        }
    }
    let Measured { drawn_us, full_us, regret, weighed } = measured;
    let rows = [
        ("drawn_us", three(drawn_us)),
        ("full_us", three(full_us)),
        ("regret", three(regret)),
        ("weighed", three(weighed)),
    ];
    let mut out = std::io::stdout().lock();
    if asked.json {
        let row = |(name, [mean, p50, p99]): &(&str, [f64; 3])| {
            format!(r#""{name}":{{"mean":{mean},"p50":{p50},"p99":{p99}}}"#)
        };
        let rows: Vec<_> = rows.iter().map(row).collect();
        let Asked { workers, requests, seed, .. } = *asked;
        let head = format!(r#""workers":{workers},"requests":{requests},"seed":{seed}"#);
        writeln!(out, "{{{head},{}}}", rows.join(","))?;
        return Ok(());
    }
    writeln!(out, "{} workers, {} requests\n", asked.workers, asked.requests)?;
    writeln!(out, "{:12} {:>12} {:>12} {:>12}", "", "mean", "p50", "p99")?;
    for (name, [mean, p50, p99]) in rows {
        writeln!(out, "{name:12} {mean:>12.4} {p50:>12.4} {p99:>12.4}")?;
    }
    Ok(())
}
