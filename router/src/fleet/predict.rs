//! How long a request would take at a worker: what lies before it there, times what each part was seen to take.
//!
//! The time to the first token is a sum of travel, the step under way, prompts before it and its own at so much a token
//! (each chunk of which shares its steps with what decodes: chunked prefill, as in Sarathi-Serve, OSDI 2024), attention
//! over long prompts, and waiting for a place in the batch. The time per output token is that of a step, affine in
//! sequences and in the tokens that they hold (the shape of Vidur's profiles, MLSys 2024), stretched by the share of time
//! that prompts take. Both are lines in features known when a request is sent; each worker's are fitted while it works.
//! Nothing here has a clock or does I/O: time comes in as seconds from any beginning.

mod backlog;
mod errors;
mod fit;

use self::backlog::{Backlog, Load, Pace, Prompts, Sums, View};
use self::errors::Errors;
use self::fit::Fit;

/// Nothing is expected to take longer, seconds.
const SECONDS_MAX: f64 = 3600.0;
/// A worker that has measured nothing is taken to be this much slower than those that have.
const UNMEASURED_FACTOR: f64 = 2.0;
/// Prompt tokens that a step takes beside what decodes, in the scale of features only.
const CHUNK_TOKENS: f64 = 512.0;
/// Tokens before which attention costs about a token's other work.
const ATTENTION_TOKENS: f64 = 16_384.0;
/// Sequences and held tokens of a common batch, in the scale of features only.
const BATCH: (f64, f64) = (64.0, 65_536.0);
/// Travel, in the scale of features only, seconds.
const TRAVEL_SECONDS: f64 = 0.01;
/// Prompts never take more than this share of a worker's time, or no answer would ever end.
const PROMPT_SHARE_MAX: f64 = 0.85;
/// Half of what is not confirmed is forgotten after so many seconds: a worker that was slow once must be asked again to
/// be seen as mended.
const HALF_LIFE_SECONDS: f64 = 30.0;
/// What was seen under other rates than those that a worker now states, this factor apart, is not about this worker.
const RESTATED_FACTOR: f64 = 3.0;
/// Where a fit begins for a worker that states nothing, beside others that do not either.
const UNSTATED: Rates = Rates { prompt_token: 1e-3, output_token: 0.05 };
/// Lessons before which a worker that states nothing is not known at all.
const LESSONS_MIN: u32 = 4;
/// Lessons after which what a worker states of itself no longer counts.
const LESSONS_OWN: u32 = 16;
/// Fewer tokens say little of the time that each takes.
const TIMED_TOKENS_MIN: f64 = 4.0;
/// Step of the tracked median of what predictions were off by.
const BIAS_STEP: f64 = 0.005;
/// Bounds of the same.
const BIAS: (f64, f64) = (0.25, 4.0);

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

/// One worker's predictor.
#[derive(Clone, Debug)]
pub struct Predictor {
    scale: Option<Rates>,
    /// Whether the scale is the worker's own statement.
    stated: bool,
    first: Fit<6>,
    token: Fit<4>,
    /// Medians of seen over predicted.
    bias: [f64; 2],
    backlog: Backlog,
    pace: Pace,
    numbers: u64,
    learned_at: f64,
    first_errors: Errors,
    token_errors: Errors,
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

// === impl Predictor ===

impl Default for Predictor {
    fn default() -> Self {
        Self::new()
    }
}

impl Predictor {
    /// Of a worker that was never heard of.
    pub fn new() -> Self {
        // Travel; the step under way; prompts; the batch beside them; attention; waiting for a place.
        let first = [(0.0, 2.0), (0.5, 0.5), (1.0, 0.5), (0.0, 0.5), (0.0, 0.5), (1.0, 0.5)];
        // A step; sequences; what they hold; prompts beside them.
        let token = [(1.0, 0.5), (0.0, 0.4), (0.0, 0.4), (1.0, 0.4)];
        Self {
            scale: None,
            stated: false,
            first: Fit::new(first),
            token: Fit::new(token),
            bias: [1.0; 2],
            backlog: Backlog::default(),
            pace: Pace { prompt_token: 1.0, step: 1.0 },
            numbers: 0,
            learned_at: 0.0,
            first_errors: Errors::new(),
            token_errors: Errors::new(),
        }
    }

    /// A report came.
    pub fn heard(&mut self, said: Said, now: f64) {
        self.advance(now);
        self.backlog.heard(said);
        let Some(rates) = said.rates() else { return self.set_pace(now) };
        let apart = |is: f64, was: f64| is > was * RESTATED_FACTOR || was > is * RESTATED_FACTOR;
        let restated = self.scale.is_none_or(|scale| {
            let other = apart(rates.prompt_token, scale.prompt_token)
                || apart(rates.output_token, scale.output_token);
            !self.stated || (other && self.lessons() < LESSONS_OWN)
        });
        if restated && (self.scale.is_none() || self.lessons() < LESSONS_OWN) {
            self.rescale(rates, true);
        }
        self.set_pace(now);
    }

    /// What a request would take, without its being sent; `None`: nothing is known of how fast any worker is.
    pub fn predict(&self, work: &Work, moment: &Moment) -> Option<Prediction> {
        self.scale_at(moment).map(|scale| self.expect(scale, work, moment).0)
    }

    /// A request is sent.
    pub fn sent(&mut self, work: Work, moment: &Moment) -> Ticket {
        self.advance(moment.now);
        if self.scale.is_none() {
            let rates = moment.pool.rates.map_or(UNSTATED, |rates| rates.times(UNMEASURED_FACTOR));
            self.rescale(rates, false);
        }
        let scale = self.scale.unwrap_or(UNSTATED);
        let known = self.scale_at(moment).is_some();
        let (prediction, features) = self.expect(scale, &work, moment);
        self.numbers += 1;
        self.backlog.sent(self.numbers, Prompts::of(&work));
        self.set_pace(moment.now);
        Ticket {
            number: self.numbers,
            work,
            sent_at: moment.now,
            predicted: known.then_some(prediction),
            scale,
            features,
            plain_first: self.first.seconds(&features),
            first: None,
        }
    }

    /// Its first token came, with `more` tokens behind it that came at once.
    pub fn began(&mut self, ticket: &mut Ticket, more: u32, now: f64) -> Option<Seen> {
        if ticket.first.is_some() {
            return None;
        }
        self.advance(now);
        let context = f64::from(ticket.work.prompt_tokens);
        self.backlog.first(ticket.number, context);
        self.set_pace(now);
        ticket.first = Some((now, self.backlog.sums()));
        let output_token = self.step(ticket.scale, 1.0, 0.0);
        // What came behind the first token was decoded, not prefilled.
        let decode = f64::from(more) * ticket.predicted.map_or(output_token, |one| one.output_token);
        let seconds = (now - ticket.sent_at - decode).max(0.0);
        if self.scale == Some(ticket.scale) {
            self.first.observe(&ticket.features, seconds);
        }
        self.learned_at = now;
        let predicted = ticket.predicted?;
        self.bias[0] = biased(self.bias[0], ticket.plain_first, seconds);
        let error = self.first_errors.observe(predicted.first_token(), seconds)?;
        Some(Seen { seconds, error })
    }

    /// It ended after so many tokens, `later` of which came after the first, over `seconds`; `None`: what it took says
    /// nothing of the worker.
    pub fn done(
        &mut self,
        ticket: Ticket,
        timed: Option<(u32, f64)>,
        output_tokens: u32,
        now: f64,
    ) -> Option<Seen> {
        self.advance(now);
        let Some((first_at, then)) = ticket.first else {
            self.backlog.left_early(ticket.number);
            return None;
        };
        let between = self.backlog.between(then, now - first_at);
        self.backlog.left(f64::from(ticket.work.prompt_tokens) + f64::from(output_tokens));
        self.backlog.answered(f64::from(output_tokens));
        let (later, seconds) = timed?;
        let (later, scale) = (f64::from(later), self.scale?);
        if later < TIMED_TOKENS_MIN || !(seconds.is_finite() && seconds > 0.0) {
            return None;
        }
        let prompts = between.prompts.times(later.recip());
        let features =
            token_features(scale, between.sequences, between.context, self.prompts(scale, prompts));
        self.token.observe(&features, seconds / later);
        self.learned_at = now;
        let answer = ticket.predicted?.answer;
        let predicted = answer.token(f64::from(output_tokens));
        let plain = predicted / answer.bias.max(f64::MIN_POSITIVE);
        self.bias[1] = biased(self.bias[1], plain, seconds / later);
        let error = self.token_errors.observe(predicted, seconds / later)?;
        Some(Seen { seconds: seconds / later, error })
    }

    /// It ended without an answer that says anything.
    pub fn dropped(&mut self, ticket: &Ticket, now: f64) {
        self.advance(now);
        match ticket.first {
            None => self.backlog.left_early(ticket.number),
            Some((at, _)) => {
                let tokens = (now - at).max(0.0) / self.pace.step;
                let context = f64::from(ticket.work.prompt_tokens) + tokens.min(self.backlog.answer_tokens());
                self.backlog.left(context);
            }
        }
    }

    /// Observations that its parameters rest on.
    pub fn lessons(&self) -> u32 {
        self.first.lessons().saturating_add(self.token.lessons())
    }

    /// How fast it is taken to be, for [`Pool`]; `None`: nothing was stated or seen.
    pub fn rates(&self) -> Option<Rates> {
        let scale = self.scale.filter(|_| self.stated || self.lessons() > 0)?;
        Some(Rates {
            prompt_token: scale.prompt_token * self.first.parameter(2).max(0.05),
            output_token: self.step(scale, 1.0, 0.0),
        })
    }

    /// Requests of others, and prompt tokens that wait there, as last known.
    pub fn known(&self) -> (f64, f64) {
        self.backlog.known()
    }

    /// This router's requests there.
    pub fn in_flight(&self) -> u32 {
        self.backlog.own() as u32
    }

    /// Median and 95th percentile of the relative error of the last first tokens, and of the last times per token.
    pub fn errors(&self) -> [Option<[f64; 2]>; 2] {
        [self.first_errors.quantiles(), self.token_errors.quantiles()]
    }

    /// How fast it is, in round numbers; `None`: nothing is known of how fast any worker is.
    fn scale_at(&self, moment: &Moment) -> Option<Rates> {
        let own = self.scale.filter(|_| self.stated || self.lessons() >= LESSONS_MIN);
        own.or_else(|| moment.pool.rates.map(|rates| rates.times(UNMEASURED_FACTOR)))
    }

    fn expect(&self, scale: Rates, work: &Work, moment: &Moment) -> (Prediction, [f64; 6]) {
        let prompts = Prompts::of(work);
        let view = View {
            now: moment.now,
            pace: self.pace,
            believed: halved(moment.late),
            usual: (moment.pool.others, moment.pool.queued_tokens),
        };
        let load = self.backlog.load(prompts, &view);
        let step = self.step(scale, load.sequences, load.context);
        let features = first_features(scale, &load, prompts, step);
        // Nothing confirms what was learned of a worker that has nothing to do.
        let idle = if load.requests < 0.5 { halved(moment.now - self.learned_at) } else { 1.0 };
        let bias = 1.0 + (self.bias[0] - 1.0) * idle;
        let seconds = |features: &[f64; 6]| self.first.seconds(features) * bias;
        let network = seconds(&[features[0], 0.0, 0.0, 0.0, 0.0, 0.0]) * idle;
        let prefill = seconds(&prompt_features(scale, prompts, step));
        let queue = seconds(&[0.0, features[1], 0.0, 0.0, 0.0, features[5]])
            + seconds(&prompt_features(scale, load.queue, step));
        let answer = self.answer(scale, work, &load, (queue + prefill, idle));
        let prediction = Prediction {
            queue: bounded(queue),
            network: bounded(network),
            prefill: bounded(prefill),
            output_token: answer.token(work.output_tokens),
            caution: self.caution(load.requests),
            answer,
        };
        (prediction, features)
    }

    fn answer(&self, scale: Rates, work: &Work, load: &Load, (wait, idle): (f64, f64)) -> Answer {
        // It joins those that decode, and those before it in the queue have joined by then.
        let ahead = (load.requests - load.sequences).max(0.0);
        let context = f64::from(work.prompt_tokens);
        let step = self.step(scale, load.sequences + 1.0 + ahead, load.context + load.queue.tokens + context);
        let sequences = load.sequences_mean.max(1.0);
        let step_usual = self.step(scale, sequences, load.context_mean.max(context));
        let prompts = self.prompts(scale, load.flow);
        let share = self.token.seconds(&[0.0, 0.0, 0.0, prompts]).clamp(0.0, PROMPT_SHARE_MAX);
        Answer {
            step,
            step_usual,
            drift_tokens: load.answer_tokens.max(1.0),
            prompt_share: share,
            wait,
            bias: 1.0 + (self.bias[1] - 1.0) * idle,
        }
    }

    /// Seconds that these prompts take by themselves, as first tokens have taught.
    fn prompts(&self, scale: Rates, prompts: Prompts) -> f64 {
        self.first.seconds(&prompt_features(scale, prompts, 0.0))
    }

    /// Seconds of a step of this batch, without prompts in it.
    fn step(&self, scale: Rates, sequences: f64, context: f64) -> f64 {
        let features = token_features(scale, sequences, context, 0.0);
        bounded(self.token.seconds(&features)).max(scale.output_token * 1e-3)
    }

    /// What is not known yet is costed: the more, the more was sent there before the first answers came back.
    fn caution(&self, requests: f64) -> f64 {
        let lessons = f64::from(self.lessons());
        let unsure = (1.0 + lessons * lessons / 16.0).recip();
        1.0 + unsure * self.backlog.own().min(requests).ln_1p()
    }

    fn advance(&mut self, now: f64) {
        self.backlog.advance(now, self.pace);
    }

    /// How fast prompts and contexts move until more is heard.
    fn set_pace(&mut self, now: f64) {
        let Some(scale) = self.scale else { return };
        let view = View { now, pace: self.pace, believed: 1.0, usual: (0.0, 0.0) };
        let Load { queue, sequences, context, .. } = self.backlog.load(Prompts::default(), &view);
        let step = self.step(scale, sequences, context);
        // The first of what waits tells how fast it goes; with nothing there, nothing does.
        let queue = if queue.tokens > 0.0 { queue } else { Prompts { tokens: 1.0, pairs: 0.0 } };
        let prompt_token = self.first.seconds(&prompt_features(scale, queue, step)) / queue.tokens;
        self.pace = Pace { prompt_token: prompt_token.max(scale.prompt_token * 1e-3), step };
    }

    /// Begins anew in the scale of these rates.
    fn rescale(&mut self, rates: Rates, stated: bool) {
        let Self { backlog, numbers, first_errors, token_errors, .. } = std::mem::take(self);
        let kept = Self { backlog, numbers, first_errors, token_errors, ..Self::new() };
        *self = Self { scale: Some(rates), stated, ..kept };
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
        Some(Rates {
            prompt_token: self.seconds_per_prompt_token?,
            output_token: self.seconds_per_output_token?,
        })
    }
}

// === impl Rates ===

impl Rates {
    fn times(self, factor: f64) -> Self {
        Self { prompt_token: self.prompt_token * factor, output_token: self.output_token * factor }
    }
}

/// Features of a time to the first token: travel, the step under way, prompts, the batch beside them, attention, waiting
/// for a place in the batch.
fn first_features(scale: Rates, load: &Load, own: Prompts, step: f64) -> [f64; 6] {
    let busy = if load.requests > 0.0 { step } else { 0.0 };
    let [.., prompts, batch, pairs, _] = prompt_features(scale, load.queue.plus(own), step);
    let place = load.ahead * load.answer_tokens * step / load.sequences.max(1.0);
    [TRAVEL_SECONDS, busy, prompts, batch, pairs, place]
}

/// Of these, what prompts add.
fn prompt_features(scale: Rates, prompts: Prompts, step: f64) -> [f64; 6] {
    let tokens = prompts.tokens * scale.prompt_token;
    let batch = prompts.tokens / CHUNK_TOKENS * step;
    [0.0, 0.0, tokens, batch, prompts.pairs / ATTENTION_TOKENS * scale.prompt_token, 0.0]
}

/// Features of a time per output token: a step, sequences, what they hold, seconds of prompts in each step.
fn token_features(scale: Rates, sequences: f64, context: f64, prompts: f64) -> [f64; 4] {
    let step = scale.output_token;
    [step, step * sequences / BATCH.0, step * context / BATCH.1, prompts]
}

/// A median is tracked by steps of one size (Robbins and Monro, 1951). What is compared is the factor of now, not the one
/// that a request was sent with: answers come late, and it would overshoot.
fn biased(bias: f64, plain: f64, seconds: f64) -> f64 {
    let step = if seconds > plain * bias { 1.0 + BIAS_STEP } else { (1.0 + BIAS_STEP).recip() };
    (bias * step).clamp(BIAS.0, BIAS.1)
}

fn halved(seconds: f64) -> f64 {
    (-seconds.max(0.0) / HALF_LIFE_SECONDS).exp2()
}

fn bounded(seconds: f64) -> f64 {
    if seconds.is_nan() { SECONDS_MAX } else { seconds.clamp(0.0, SECONDS_MAX) }
}

#[cfg(test)]
mod tests;
