//! Requests against simulated workers, in simulated time: who is chosen, what was predicted, what it took.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use router::predict::{Moment, Pool, Predictor, Said, Ticket, Work};

use super::caches::{Caches, Chosen};
use super::choose::{Chooser, Way, pool};
use super::kind::Kind;
use super::machine::{Came, Machine, Sequence};
use super::trace::Request;

/// Seconds between a worker's reports.
const REPORT_SECONDS: f64 = 0.2;
/// Bounds of the seconds that a message travels one way; each worker has its own.
const TRAVEL_SECONDS: (f64, f64) = (0.001, 0.01);
/// By which share travel varies.
const TRAVEL_JITTER: f64 = 0.2;
/// Later tokens from which a time per token is told.
const LATER_TOKENS_MIN: u32 = 4;

/// What became of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outcome {
    /// The worker.
    pub worker: usize,
    /// Tokens of its prompt.
    pub prompt: u32,
    /// Seconds to its first token, and per later token; `None`: too few to tell.
    pub first: f64,
    /// See above.
    pub token: Option<f64>,
    /// Seconds to its last token.
    pub total: f64,
    /// What was predicted of the first two when it was sent, the second given the true length.
    pub predicted: Option<(f64, f64)>,
    /// Prompt tokens that its worker held.
    pub cached: u32,
}

/// What happened.
#[derive(Debug)]
pub struct Replayed {
    /// Of each request, in the order of the trace.
    pub outcomes: Vec<Outcome>,
    /// The share of time that each worker worked.
    pub busy: Vec<f64>,
    /// The share of the prompts' blocks that their workers held; 0 where they have no caches.
    pub found: f64,
}

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Event {
    Arrives(usize),
    Reaches { worker: usize, sequence: Sequence },
    StepEnds(usize),
    Reports(usize),
    Heard { worker: usize, said: Said },
    First { worker: usize, request: usize },
    Last { worker: usize, request: usize },
}

/// An event at a moment; of equal moments the earlier planned comes first.
#[derive(Debug)]
struct Planned {
    at: f64,
    number: u64,
    event: Event,
}

/// The connection to a worker.
#[derive(Clone, Copy, Debug)]
struct Travel {
    /// One way.
    seconds: f64,
    /// When the last message arrived, back and there.
    last: [f64; 2],
}

/// A replay under way.
struct Replay<'a> {
    requests: &'a [Request],
    speed: f64,
    machines: Vec<Machine>,
    travel: Vec<Travel>,
    predictors: Vec<Predictor>,
    chooser: Chooser,
    way: Way,
    caches: Option<Caches>,
    tickets: Vec<Option<(Ticket, f64)>>,
    outcomes: Vec<Outcome>,
    agenda: BinaryHeap<Reverse<Planned>>,
    planned: u64,
    random: ChaCha8Rng,
    now: f64,
    open: usize,
    pool: Pool,
}

/// Replays `requests` at `speed` times their pace.
pub fn replay(requests: &[Request], speed: f64, kinds: &[Kind], way: Way, seed: u64) -> Replayed {
    replay_with((requests, speed), kinds, (way, None), seed)
}

/// The same where workers have caches.
pub(super) fn replay_with(
    (requests, speed): (&[Request], f64),
    kinds: &[Kind],
    (way, caches): (Way, Option<Caches>),
    seed: u64,
) -> Replayed {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut travels =
        |_| Travel { seconds: random.random_range(TRAVEL_SECONDS.0..TRAVEL_SECONDS.1), last: [0.0; 2] };
    let travel = kinds.iter().map(&mut travels).collect();
    let machine =
        |(index, kind): (usize, &Kind)| Machine::new(kind.clone(), seed.wrapping_add(index as u64 + 1));
    let mut replay = Replay {
        requests,
        speed,
        machines: kinds.iter().enumerate().map(machine).collect(),
        travel,
        predictors: kinds.iter().map(|_| Predictor::new()).collect(),
        chooser: Chooser::new(way, kinds.len(), seed),
        way,
        caches,
        tickets: vec![None; requests.len()],
        outcomes: vec![Outcome::default(); requests.len()],
        agenda: BinaryHeap::new(),
        planned: 0,
        random,
        now: 0.0,
        open: requests.len(),
        pool: Pool::default(),
    };
    replay.run();
    let busy =
        replay.machines.iter().map(|one| one.busy_seconds / replay.now.max(f64::MIN_POSITIVE)).collect();
    let found = replay.caches.map_or(0.0, |caches| caches.found as f64 / caches.blocks.max(1) as f64);
    Replayed { outcomes: replay.outcomes, busy, found }
}

// === impl Replay ===

impl Replay<'_> {
    fn run(&mut self) {
        for worker in 0..self.machines.len() {
            // They were not all started at once.
            let first = self.random.random_range(0.0..REPORT_SECONDS);
            self.plan(first, Event::Reports(worker));
        }
        for index in 0..self.requests.len() {
            self.plan(self.requests[index].t_ms / 1e3 / self.speed, Event::Arrives(index));
        }
        let mut came = Vec::new();
        while self.open > 0
            && let Some(Reverse(Planned { at, event, .. })) = self.agenda.pop()
        {
            self.now = at;
            match event {
                Event::Arrives(request) => self.arrives(request),
                Event::Reaches { worker, sequence } => self.reaches(worker, sequence),
                Event::StepEnds(worker) => {
                    self.machines[worker].end(&mut came);
                    let back = self.arrival(worker, false);
                    for one in came.drain(..) {
                        let event = match one {
                            Came::First(request) => Event::First { worker, request },
                            Came::Last(request) => Event::Last { worker, request },
                        };
                        self.plan(back, event);
                    }
                    self.step(worker);
                }
                Event::Reports(worker) => {
                    let said = self.machines[worker].said();
                    if let Some(caches) = &mut self.caches {
                        caches.reports(worker);
                    }
                    let back = self.arrival(worker, false);
                    self.plan(back, Event::Heard { worker, said });
                    self.plan(at + REPORT_SECONDS, Event::Reports(worker));
                }
                Event::Heard { worker, said } => {
                    self.predictors[worker].heard(said, at);
                    if let Some(caches) = &mut self.caches {
                        caches.heard(worker);
                    }
                    self.pool = pool(&self.predictors);
                }
                Event::First { worker, request } => self.first(worker, request),
                Event::Last { worker, request } => self.last(worker, request),
            }
        }
    }

    fn arrives(&mut self, index: usize) {
        let request = &self.requests[index];
        let moment = Moment { now: self.now, pool: self.pool, ..Moment::default() };
        let work = Work {
            prompt_tokens: request.input_tokens,
            cached_tokens: 0,
            output_tokens: self.chooser.answer_tokens(),
        };
        let Chosen { worker, cached_tokens } = self.choose(index, &work, &moment);
        self.chooser.chose(worker);
        if let Some(caches) = &mut self.caches {
            caches.sent((request, index), worker);
        }
        let work = Work { cached_tokens, ..work };
        let ticket = self.predictors[worker].sent(work, &moment);
        let predicted = ticket.predicted();
        let length = f64::from(request.output_tokens);
        let outcome = &mut self.outcomes[index];
        (outcome.worker, outcome.prompt) = (worker, request.input_tokens);
        outcome.predicted = predicted.map(|one| (one.first_token(), one.output_token_of(length)));
        self.tickets[index] = Some((ticket, self.now));
        let sequence = Sequence::new(index, request.input_tokens, 0, request.output_tokens);
        let at = self.arrival(worker, true);
        self.plan(at, Event::Reaches { worker, sequence });
    }

    fn choose(&mut self, index: usize, work: &Work, moment: &Moment) -> Chosen {
        let request = &self.requests[index];
        let decided = self.caches.as_ref().filter(|_| self.way == Way::Cached);
        if let Some(chosen) =
            decided.and_then(|caches| caches.decide((request, index), &self.predictors, (work, moment)))
        {
            return chosen;
        }
        let worker = self.chooser.choose(&self.predictors, work, moment);
        let expected = |caches: &Caches| caches.expected(request, worker, work);
        Chosen { worker, cached_tokens: self.caches.as_ref().map_or(0, expected) }
    }

    fn reaches(&mut self, worker: usize, sequence: Sequence) {
        let Sequence { request, prompt, output, .. } = sequence;
        let cached = self.caches.as_mut().map_or(0, |caches| caches.reached(&self.requests[request], worker));
        let sequence = Sequence::new(request, prompt, cached, output);
        self.outcomes[request].cached = sequence.cached;
        if self.machines[worker].arrive(sequence) {
            self.step(worker);
        }
    }

    fn first(&mut self, worker: usize, request: usize) {
        if let Some(caches) = &mut self.caches {
            caches.began((&self.requests[request], request), worker);
        }
        if let Some((ticket, sent)) = &mut self.tickets[request] {
            self.outcomes[request].first = self.now - *sent;
            self.predictors[worker].began(ticket, 0, self.now);
        }
    }

    fn last(&mut self, worker: usize, request: usize) {
        self.open -= 1;
        let Some((ticket, sent)) = self.tickets[request].take() else { return };
        let output = self.requests[request].output_tokens.max(1);
        let outcome = &mut self.outcomes[request];
        outcome.total = self.now - sent;
        let (later, seconds) = (output - 1, outcome.total - outcome.first);
        outcome.token = (later >= LATER_TOKENS_MIN).then(|| seconds / f64::from(later));
        self.predictors[worker].done(ticket, Some((later, seconds)), output, self.now);
        self.chooser.ended(worker, output);
        if let Some(caches) = &mut self.caches {
            caches.ended((&self.requests[request], request), worker, self.outcomes[request].cached);
        }
    }

    fn step(&mut self, worker: usize) {
        if let Some(seconds) = self.machines[worker].begin() {
            self.plan(self.now + seconds, Event::StepEnds(worker));
        }
    }

    /// When a message that leaves now arrives, there or back: on one connection none overtakes another.
    fn arrival(&mut self, worker: usize, there: bool) -> f64 {
        let varied = 1.0 + self.random.random_range(-TRAVEL_JITTER..TRAVEL_JITTER);
        let Travel { seconds, last } = &mut self.travel[worker];
        let last = &mut last[usize::from(there)];
        *last = last.max(self.now + *seconds * varied);
        *last
    }

    fn plan(&mut self, at: f64, event: Event) {
        self.planned += 1;
        self.agenda.push(Reverse(Planned { at, number: self.planned, event }));
    }
}

// === impl Planned ===

impl PartialEq for Planned {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Planned {}

impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Planned {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.total_cmp(&other.at).then(self.number.cmp(&other.number))
    }
}
