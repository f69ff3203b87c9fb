//! How long a request would take at a worker: what lies before it there, times what each part was seen to take.
//!
//! The time to the first token is a sum of travel, the step under way, prompts before it and its own at so much a token
//! (each chunk of which shares its steps with what decodes: chunked prefill, as in Sarathi-Serve, OSDI 2024), attention
//! over long prompts, and waiting for a place in the batch. The time per output token is that of a step, affine in
//! sequences and in the tokens that they hold (the shape of Vidur's profiles, MLSys 2024), stretched by the share of time
//! that prompts take. Both are lines in features known when a request is sent; each worker's are fitted while it works.
//! Nothing here has a clock or does I/O: time comes in as seconds from any beginning.

mod predictor;
mod batch;
mod features;
mod backlog;
mod fit;
mod errors;

use policy::Latency;

use self::backlog::Sums;
pub use self::batch::BatchLine;
pub use self::predictor::Predictor;

/// Nothing is expected to take longer, seconds.
const SECONDS_MAX: f64 = 3600.0;

/// What a request asks of a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    /// Tokens of its prompt.
    pub prompt_tokens: u32,
    /// Of these, tokens whose keys and values the worker holds.
    pub cached_tokens: u32,
    /// Tokens of its answer, as expected.
    pub output_tokens: f64,
}

/// What a worker's report says of its load and its rates.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Said {
    /// Sequences in the batch.
    pub running: u32,
    /// Sequences that wait for it.
    pub waiting: u32,
    /// Sequences that may run at once; 0: not said.
    pub running_max: u32,
    /// Prompt tokens not yet computed.
    pub queued_tokens: u64,
    /// Room for keys and values, tokens; 0: not said.
    pub cache_tokens_max: u64,
    /// Measured seconds for each prompt token.
    pub seconds_per_prompt_token: Option<f64>,
    /// Measured seconds for each output token at the present batch.
    pub seconds_per_output_token: Option<f64>,
    /// The same by the size of the batch; `None`: not said of two sizes.
    pub by_batch: Option<BatchLine>,
}

/// What a token costs in time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Seconds for each prompt token that is not cached.
    pub prompt_token: f64,
    /// Seconds for each output token at the present batch.
    pub output_token: f64,
}

/// What all workers have on average, which stands in for what one has not said.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pool {
    /// How fast they are; `None`: none has measured.
    pub rates: Option<Rates>,
    /// Requests of others than this router.
    pub others: f64,
    /// Prompt tokens that wait.
    pub queued_tokens: f64,
}

/// The moment of a prediction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moment {
    /// Now, seconds.
    pub now: f64,
    /// Seconds by which the last report has outlived what its worker granted; 0: it is fresh.
    pub late: f64,
    /// The other workers.
    pub pool: Pool,
    /// Requests that this router sends the worker at once; 0: as many as there are.
    pub sent_max: u32,
}

/// Seconds that are expected, as a sum whose parts a decision can show.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// Before its prompt is computed.
    pub queue: f64,
    /// There and back.
    pub network: f64,
    /// For its own prompt.
    pub prefill: f64,
    /// For each token of its answer.
    pub output_token: f64,
    /// Factor on all of them for what is not known yet of the worker: it decides with it, and is measured without.
    pub caution: f64,
    answer: Answer,
}

/// What a token takes, as it changes during an answer: the batch drifts from what it is to what it usually is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Answer {
    step: f64,
    step_usual: f64,
    drift_tokens: f64,
    prompt_share: f64,
    wait: f64,
    bias: f64,
}

/// A request that was sent.
#[derive(Clone, Copy, Debug)]
pub struct Ticket {
    number: u64,
    work: Work,
    sent_at: f64,
    /// `None`: nothing was known.
    predicted: Option<Prediction>,
    scale: Rates,
    features: [f64; 6],
    /// Seconds to the first token without what was corrected of them.
    plain_first: f64,
    first: Option<(f64, Sums)>,
}

/// What was seen beside what was predicted: a relative error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    /// What it took, seconds.
    pub seconds: f64,
    /// How far the prediction was off, as a share of it.
    pub error: f64,
}

// === impl Work ===

impl Work {
    /// Tokens that it takes of a worker: those to be computed of its prompt, and those of its answer.
    pub fn tokens(&self) -> u64 {
        // The cast saturates.
        let output = self.output_tokens.max(0.0).ceil() as u64;
        u64::from(self.prompt_tokens.saturating_sub(self.cached_tokens)).saturating_add(output).max(1)
    }
}

// === impl Prediction ===

impl Prediction {
    /// Seconds to the first token.
    pub fn first_token(&self) -> f64 {
        bounded(self.queue + self.network + self.prefill)
    }

    /// Seconds for each token of an answer of this length.
    pub fn output_token_of(&self, output_tokens: f64) -> f64 {
        self.answer.token(output_tokens)
    }

    /// Seconds to the last token of an answer of this length, with what is added for caution.
    pub fn total(&self, output_tokens: f64) -> f64 {
        bounded((self.first_token() + output_tokens * self.output_token_of(output_tokens)) * self.caution)
    }

    /// As a decision takes it: what a prompt costs is spread over its tokens that are not cached.
    pub fn latency(&self, work: &Work) -> Latency {
        let Self { queue, network, prefill, output_token, caution, .. } = *self;
        let fresh = work.prompt_tokens.saturating_sub(work.cached_tokens);
        Latency {
            queue_seconds: queue * caution,
            network_seconds: network * caution,
            prefill_seconds_per_token: prefill * caution / f64::from(fresh.max(1)),
            seconds_per_output_token: output_token * caution,
        }
    }
}

// === impl Answer ===

impl Answer {
    fn token(&self, output_tokens: f64) -> f64 {
        let tokens = output_tokens.max(1.0);
        let drift = self.drift_tokens.max(1.0);
        let early = drift / tokens * (1.0 - (-tokens / drift).exp());
        let step = self.step_usual + (self.step - self.step_usual) * early;
        bounded((step + self.prompt_share * self.wait / tokens) / (1.0 - self.prompt_share) * self.bias)
    }
}

// === impl Ticket ===

impl Ticket {
    /// What was predicted when it was sent; `None`: nothing was known.
    pub fn predicted(&self) -> Option<Prediction> {
        self.predicted
    }
}

// === impl Said ===

impl Said {
    fn rates(&self) -> Option<Rates> {
        // One that does nothing at present has no present batch.
        let alone = || self.by_batch.map(|line| line.at(1.0)).filter(|seconds| *seconds > 0.0);
        Some(Rates {
            prompt_token: self.seconds_per_prompt_token?,
            output_token: self.seconds_per_output_token.or_else(alone)?,
        })
    }
}

// === impl Rates ===

impl Rates {
    fn times(self, factor: f64) -> Self {
        Self { prompt_token: self.prompt_token * factor, output_token: self.output_token * factor }
    }
}

fn bounded(seconds: f64) -> f64 {
    if seconds.is_nan() { SECONDS_MAX } else { seconds.clamp(0.0, SECONDS_MAX) }
}

#[cfg(test)]
mod tests;
