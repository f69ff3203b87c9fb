//! A simulated worker: continuous batching with chunked prefill. Time is told to it; the same seed gives the same run.

use std::collections::VecDeque;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use router::predict::Said;

use super::kind::{Kind, Step};

/// Tokens of a step, those that decode included.
const STEP_TOKENS: u32 = 512;
/// Sequences that run at once.
const RUNNING_MAX: u32 = 128;
/// A step takes up to this share longer or shorter, by chance.
const JITTER: f64 = 0.05;
/// Weight of the newest step in measured rates.
const RATE_WEIGHT: f64 = 0.05;

/// One simulated worker.
#[derive(Debug)]
pub struct Machine {
    kind: Kind,
    /// Factor on all of its times: a worker that is slower than its kind.
    pub slowness: f64,
    running: Vec<Sequence>,
    waiting: VecDeque<Sequence>,
    planned: Vec<u32>,
    step_seconds: f64,
    prompt_token: Option<f64>,
    output_token: Option<f64>,
    random: ChaCha8Rng,
    /// Seconds in which it worked.
    pub busy_seconds: f64,
}

/// One request at a worker.
#[derive(Clone, Copy, Debug)]
pub struct Sequence {
    /// Which.
    pub request: usize,
    /// Tokens of its prompt.
    pub prompt: u32,
    /// Of these, tokens that the cache held.
    pub cached: u32,
    /// Tokens of its answer.
    pub output: u32,
    computed: u32,
    shown: u32,
}

/// What a step has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// A request's first token.
    First(usize),
    /// A request's last token, which may be its first.
    Last(usize),
}

// === impl Sequence ===

impl Sequence {
    /// Nothing of it is computed but what the cache held; at least one token always is.
    pub fn new(request: usize, prompt: u32, cached: u32, output: u32) -> Self {
        let (prompt, output) = (prompt.max(1), output.max(1));
        let cached = cached.min(prompt - 1);
        Self { request, prompt, cached, output, computed: cached, shown: 0 }
    }

    fn decodes(&self) -> bool {
        self.computed >= self.prompt
    }

    fn held(&self) -> u64 {
        u64::from(self.computed) + u64::from(self.shown)
    }
}

// === impl Machine ===

impl Machine {
    /// An idle one.
    pub fn new(kind: Kind, seed: u64) -> Self {
        Self {
            kind,
            slowness: 1.0,
            running: Vec::new(),
            waiting: VecDeque::new(),
            planned: Vec::new(),
            step_seconds: 0.0,
            prompt_token: None,
            output_token: None,
            random: ChaCha8Rng::seed_from_u64(seed),
            busy_seconds: 0.0,
        }
    }

    /// What it is.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// A request arrives. Returns whether the worker was idle, so that a step must begin.
    pub fn arrive(&mut self, sequence: Sequence) -> bool {
        let idle = self.running.is_empty() && self.waiting.is_empty();
        self.waiting.push_back(sequence);
        idle
    }

    /// Begins a step and says how long it takes, seconds; `None`: there is nothing to do.
    pub fn begin(&mut self) -> Option<f64> {
        self.admit();
        if self.running.is_empty() {
            return None;
        }
        let decoding = self.running.iter().filter(|one| one.decodes());
        let mut step = Step { context: decoding.clone().map(Sequence::held).sum(), ..Step::default() };
        step.tokens = u32::try_from(decoding.count()).unwrap_or(STEP_TOKENS);
        let mut room = STEP_TOKENS.saturating_sub(step.tokens);
        self.planned.clear();
        for one in &self.running {
            let chunk = if one.decodes() { 0 } else { (one.prompt - one.computed).min(room) };
            room -= chunk;
            step.tokens += chunk;
            step.pairs += f64::from(chunk) * (f64::from(one.computed) + f64::from(chunk) / 2.0);
            self.planned.push(chunk);
        }
        let jitter = 1.0 + self.random.random_range(-JITTER..JITTER);
        self.step_seconds = self.kind.seconds(step) * jitter * self.slowness;
        self.busy_seconds += self.step_seconds;
        Some(self.step_seconds)
    }

    /// Ends the step that was begun.
    pub fn end(&mut self, came: &mut Vec<Came>) {
        let decoded = self.running.iter().any(Sequence::decodes);
        let prefilled: u32 = self.planned.iter().sum();
        for (one, chunk) in self.running.iter_mut().zip(&self.planned) {
            let decoding = one.decodes();
            one.computed += chunk;
            if !decoding && !one.decodes() {
                continue;
            }
            one.shown += 1;
            if one.shown == 1 {
                came.push(Came::First(one.request));
            }
            if one.shown >= one.output {
                came.push(Came::Last(one.request));
            }
        }
        self.running.retain(|one| one.shown < one.output);
        if decoded {
            measure(&mut self.output_token, self.step_seconds);
        }
        if prefilled > 0 {
            measure(&mut self.prompt_token, self.step_seconds / f64::from(prefilled));
        }
    }

    /// What it reports of itself.
    pub fn said(&self) -> Said {
        let left = self.running.iter().chain(&self.waiting).map(|one| u64::from(one.prompt - one.computed));
        Said {
            running: u32::try_from(self.running.len()).unwrap_or(u32::MAX),
            waiting: u32::try_from(self.waiting.len()).unwrap_or(u32::MAX),
            running_max: RUNNING_MAX,
            queued_tokens: left.sum(),
            cache_tokens_max: self.kind.cache_tokens,
            seconds_per_prompt_token: self.prompt_token,
            seconds_per_output_token: self.output_token,
            by_batch: None,
        }
    }

    /// Whoever waits enters while there is a place and, but for the first, room for its prompt.
    fn admit(&mut self) {
        let mut held: u64 = self.running.iter().map(|one| u64::from(one.prompt) + u64::from(one.shown)).sum();
        while let Some(next) = self.waiting.front() {
            let prompt = u64::from(next.prompt);
            let room = self.running.is_empty() || held + prompt <= self.kind.cache_tokens;
            if !room || self.running.len() >= RUNNING_MAX as usize {
                return;
            }
            held += prompt;
            self.running.extend(self.waiting.pop_front());
        }
    }
}

fn measure(mean: &mut Option<f64>, seconds: f64) {
    let mean = mean.get_or_insert(seconds);
    *mean += (seconds - *mean) * RATE_WEIGHT;
}
