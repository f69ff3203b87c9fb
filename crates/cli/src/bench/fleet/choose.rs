//! Ways to choose a worker: by prediction, and the ones that it has to beat.

use clap::ValueEnum;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use router::predict::{Moment, Pool, Predictor, Rates, Work};

/// An answer's tokens until answers were seen.
const ANSWER_TOKENS: f64 = 64.0;
/// Weight of the newest answer.
const ANSWER_WEIGHT_MIN: f64 = 0.01;

/// How a worker is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// The least expected cost, as the router decides, with what it knows of the workers' caches.
    Cached,
    /// The least expected seconds, as the router predicts them.
    Predicted,
    /// Each in turn.
    RoundRobin,
    /// The fewest requests.
    LeastRequests,
    /// The fewer requests of two that are drawn.
    PowerOfTwo,
}

/// Chooses workers.
#[derive(Debug)]
pub(super) struct Chooser {
    way: Way,
    open: Vec<u32>,
    next: usize,
    answers: u32,
    answer_tokens: f64,
    random: ChaCha8Rng,
}

// === impl Way ===

impl Way {
    /// All that do without caches.
    pub const ALL: [Self; 4] = [Self::Predicted, Self::RoundRobin, Self::LeastRequests, Self::PowerOfTwo];

    /// As it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cached => "cached",
            Self::Predicted => "predicted",
            Self::RoundRobin => "round_robin",
            Self::LeastRequests => "least_requests",
            Self::PowerOfTwo => "power_of_two",
        }
    }
}

// === impl Chooser ===

impl Chooser {
    pub(super) fn new(way: Way, workers: usize, seed: u64) -> Self {
        let random = ChaCha8Rng::seed_from_u64(seed ^ 0x9E37_79B9_7F4A_7C15);
        Self { way, open: vec![0; workers], next: 0, answers: 0, answer_tokens: ANSWER_TOKENS, random }
    }

    /// The length of an answer of which nothing is known: the mean of those that ended.
    pub(super) fn answer_tokens(&self) -> f64 {
        self.answer_tokens
    }

    pub(super) fn choose(&mut self, predictors: &[Predictor], work: &Work, moment: &Moment) -> usize {
        match self.way {
            Way::RoundRobin => {
                self.next += 1;
                (self.next - 1) % self.open.len()
            }
            Way::LeastRequests => self.least(0..self.open.len()),
            Way::PowerOfTwo => {
                let pair = [(); 2].map(|()| self.random.random_range(0..self.open.len()));
                self.least(pair.into_iter())
            }
            // Decided elsewhere, unless nothing is known of any cache.
            Way::Cached | Way::Predicted => {
                let expected = |one: &Predictor| Some(one.predict(work, moment)?.total(work.output_tokens));
                let expected: Vec<_> = predictors.iter().map(expected).collect();
                let known = expected.iter().enumerate().filter_map(|(index, one)| Some((index, (*one)?)));
                let best = known.min_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(index, _)| index);
                best.unwrap_or_else(|| self.least(0..self.open.len()))
            }
        }
    }

    pub(super) fn chose(&mut self, worker: usize) {
        self.open[worker] += 1;
    }

    pub(super) fn ended(&mut self, worker: usize, output: u32) {
        self.open[worker] -= 1;
        self.answers += 1;
        let weight = f64::from(self.answers).recip().max(ANSWER_WEIGHT_MIN);
        self.answer_tokens += (f64::from(output) - self.answer_tokens) * weight;
    }

    fn least(&self, among: impl Iterator<Item = usize>) -> usize {
        among.min_by_key(|index| self.open[*index]).unwrap_or(0)
    }
}

/// What the workers have on average.
pub(super) fn pool(predictors: &[Predictor]) -> Pool {
    let count = predictors.len().max(1) as f64;
    let rates: Vec<Rates> = predictors.iter().filter_map(Predictor::rates).collect();
    let mean = |of: fn(&Rates) -> f64| rates.iter().map(of).sum::<f64>() / rates.len() as f64;
    let known = predictors.iter().map(Predictor::known);
    let (others, queued) = known.fold((0.0, 0.0), |(a, b), (c, d)| (a + c, b + d));
    Pool {
        rates: (!rates.is_empty()).then(|| Rates {
            prompt_token: mean(|one| one.prompt_token),
            output_token: mean(|one| one.output_token),
        }),
        others: others / count,
        queued_tokens: queued / count,
    }
}
