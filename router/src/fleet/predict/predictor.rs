//! One worker's predictor: what it is told, what it makes of it, what it foresees.

use super::backlog::{Backlog, Load, Pace, Prompts, View};
use super::errors::Errors;
use super::features::{first_features, prompt_features, token_features, token_prior};
use super::fit::Fit;
use super::{Answer, Moment, Prediction, Rates, Said, Seen, Ticket, Work, bounded};

/// A worker that has measured nothing is taken to be this much slower than those that have.
const UNMEASURED_FACTOR: f64 = 2.0;
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
/// Prompts never take more than this share of a worker's time, or no answer would ever end.
const PROMPT_SHARE_MAX: f64 = 0.85;

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
        let token = token_prior(UNSTATED, None);
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
        // How its steps grow with its batch it may know before it was seen: until then its word is all there is.
        if let Some(scale) = self.scale.filter(|_| said.by_batch.is_some() && self.token.lessons() == 0) {
            self.token = Fit::new(token_prior(scale, said.by_batch));
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

    /// How fast it is taken to be, for the pool; `None`: nothing was stated or seen.
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
            sent_max: moment.sent_max,
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
        let view = View { now, pace: self.pace, believed: 1.0, usual: (0.0, 0.0), sent_max: 0 };
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

/// A median is tracked by steps of one size (Robbins and Monro, 1951). What is compared is the factor of now, not the one
/// that a request was sent with: answers come late, and it would overshoot.
fn biased(bias: f64, plain: f64, seconds: f64) -> f64 {
    let step = if seconds > plain * bias { 1.0 + BIAS_STEP } else { (1.0 + BIAS_STEP).recip() };
    (bias * step).clamp(BIAS.0, BIAS.1)
}

fn halved(seconds: f64) -> f64 {
    (-seconds.max(0.0) / HALF_LIFE_SECONDS).exp2()
}
