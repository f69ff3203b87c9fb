//! What a worker has to do at a moment: from its last report, and from what this router sent it and saw of it since.

use std::collections::VecDeque;

use super::{Said, Work};

/// Seconds over which the flow of prompts and the mean of the batch are taken.
const FLOW_SECONDS: f64 = 10.0;
/// An answer's tokens until answers were seen.
const OUTPUT_TOKENS_PRIOR: f64 = 64.0;
/// The least weight of a new answer's length: about the last hundred count.
const OUTPUT_WEIGHT_MIN: f64 = 0.01;

/// What lies before a worker. Time is in seconds, from any beginning.
#[derive(Clone, Debug, Default)]
pub(super) struct Backlog {
    at: f64,
    began: Option<f64>,
    /// Prompt tokens not yet computed.
    queued: f64,
    /// This router's prompts that have not brought a first token, in the order in which they were sent.
    pending: VecDeque<(u64, Prompts)>,
    pending_tokens: f64,
    /// This router's requests: all, and those that decode.
    own: f64,
    decoding: f64,
    /// Tokens held by those that decode.
    context: f64,
    /// Requests of others, by the last report.
    others: f64,
    said: Option<Said>,
    /// All that this router sent, and its flow.
    sent: Prompts,
    flow: Prompts,
    /// Sums over time, and means over the last while.
    sums: Sums,
    batch_mean: f64,
    context_mean: f64,
    answers: u32,
    answer_tokens: f64,
}

/// Prompt tokens, and the pairs of tokens that attention looks at for them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Prompts {
    pub(super) tokens: f64,
    pub(super) pairs: f64,
}

/// Sums since the beginning, of which differences tell what happened between two moments.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    sequence_seconds: f64,
    context_seconds: f64,
    prompts: Prompts,
}

/// What a worker did between two moments.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Between {
    /// Sequences in the batch, and tokens that they held, on average.
    pub(super) sequences: f64,
    pub(super) context: f64,
    /// Prompts that were computed.
    pub(super) prompts: Prompts,
}

/// How fast a worker is taken to be while nothing is heard of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Seconds for each prompt token.
    pub(super) prompt_token: f64,
    /// Seconds for each step of the batch.
    pub(super) step: f64,
}

/// How a load is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    /// Seconds.
    pub(super) now: f64,
    /// How fast it works until then.
    pub(super) pace: Pace,
    /// What the last report is still worth.
    pub(super) believed: f64,
    /// Requests of others and queued tokens of a worker on average, which stand for the rest.
    pub(super) usual: (f64, f64),
    /// Requests that this router sends it at once; 0: as many as there are.
    pub(super) sent_max: u32,
}

/// A worker's load at a moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Load {
    /// Prompts to be computed before the next.
    pub(super) queue: Prompts,
    /// Sequences that decode, and tokens that they hold.
    pub(super) sequences: f64,
    pub(super) context: f64,
    /// All requests there.
    pub(super) requests: f64,
    /// The same over the last while.
    pub(super) sequences_mean: f64,
    pub(super) context_mean: f64,
    /// Prompts that come each second.
    pub(super) flow: Prompts,
    /// Requests that must end before the next may begin.
    pub(super) ahead: f64,
    /// The tokens of an answer.
    pub(super) answer_tokens: f64,
}

// === impl Prompts ===

impl Prompts {
    /// What one prompt adds.
    pub(super) fn of(work: &Work) -> Self {
        let fresh = f64::from(work.prompt_tokens.saturating_sub(work.cached_tokens));
        let cached = f64::from(work.cached_tokens.min(work.prompt_tokens));
        Self { tokens: fresh, pairs: fresh * (cached + fresh / 2.0) }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self { tokens: self.tokens + other.tokens, pairs: self.pairs + other.pairs }
    }

    pub(super) fn less(self, other: Self) -> Self {
        Self { tokens: (self.tokens - other.tokens).max(0.0), pairs: (self.pairs - other.pairs).max(0.0) }
    }

    pub(super) fn times(self, factor: f64) -> Self {
        Self { tokens: self.tokens * factor, pairs: self.pairs * factor }
    }

    /// The last so many tokens of one prompt, for which attention looks at the most.
    fn last(self, tokens: f64) -> Self {
        let tokens = tokens.clamp(0.0, self.tokens);
        // The pairs of a prompt of t tokens after c cached ones are t · (c + t / 2); those of its last r, r · (c + t − r / 2).
        let end = if self.tokens > 0.0 { self.pairs / self.tokens + self.tokens / 2.0 } else { 0.0 };
        Self { tokens, pairs: tokens * (end - tokens / 2.0).max(0.0) }
    }
}

// === impl Backlog ===

impl Backlog {
    /// Time passes: prompts are computed, contexts grow.
    pub(super) fn advance(&mut self, now: f64, pace: Pace) {
        let dt = now - self.at;
        self.began.get_or_insert(now);
        if !(dt > 0.0 && dt.is_finite()) {
            return;
        }
        self.at = now;
        self.queued = self.queued_after(dt, pace);
        let before = self.context_all();
        // An answer does not grow without end because its end was not seen.
        let grown = dt.min(FLOW_SECONDS) / pace.step.max(f64::MIN_POSITIVE);
        self.context += grown.min(self.answer_tokens()) * self.decoding;
        let context = f64::midpoint(before, self.context_all());
        let sequences = self.sequences();
        self.sums.sequence_seconds += sequences * dt;
        self.sums.context_seconds += context * dt;
        let kept = (-dt / FLOW_SECONDS).exp();
        self.flow = self.flow.times(kept);
        self.batch_mean = sequences + (self.batch_mean - sequences) * kept;
        self.context_mean = context + (self.context_mean - context) * kept;
    }

    /// A report came.
    pub(super) fn heard(&mut self, said: Said) {
        let reported = f64::from(said.running) + f64::from(said.waiting);
        self.others = (reported - self.own).max(0.0);
        self.queued = said.queued_tokens as f64;
        self.said = Some(said);
    }

    /// A request was sent; its number is greater than those before it.
    pub(super) fn sent(&mut self, number: u64, prompts: Prompts) {
        self.own += 1.0;
        self.queued += prompts.tokens;
        self.pending.push_back((number, prompts));
        self.pending_tokens += prompts.tokens;
        self.sent = self.sent.plus(prompts);
        self.flow = self.flow.plus(prompts.times(FLOW_SECONDS.recip()));
    }

    /// Its prompt, which holds so many tokens now, was computed.
    pub(super) fn first(&mut self, number: u64, context: f64) {
        self.decoding += 1.0;
        self.context += context;
        self.computed(number);
    }

    /// It has left without a first token.
    pub(super) fn left_early(&mut self, number: u64) {
        self.own = (self.own - 1.0).max(0.0);
        self.computed(number);
    }

    /// It has left after its first token, holding so many tokens.
    pub(super) fn left(&mut self, context: f64) {
        self.own = (self.own - 1.0).max(0.0);
        self.decoding = (self.decoding - 1.0).max(0.0);
        self.context = if self.decoding > 0.0 { (self.context - context).max(0.0) } else { 0.0 };
    }

    /// An answer had so many tokens.
    pub(super) fn answered(&mut self, tokens: f64) {
        self.answers = self.answers.saturating_add(1);
        let weight = f64::from(self.answers).recip().max(OUTPUT_WEIGHT_MIN);
        self.answer_tokens += (tokens - self.answer_tokens) * weight;
    }

    /// Sums until now.
    pub(super) fn sums(&self) -> Sums {
        Sums { prompts: self.sent.less(self.queue(self.queued)), ..self.sums }
    }

    /// What happened since `then`, which was so many seconds ago.
    pub(super) fn between(&self, then: Sums, seconds: f64) -> Between {
        let now = self.sums();
        let mean = |now: f64, then: f64| ((now - then) / seconds.max(f64::MIN_POSITIVE)).max(0.0);
        Between {
            sequences: mean(now.sequence_seconds, then.sequence_seconds),
            context: mean(now.context_seconds, then.context_seconds),
            prompts: now.prompts.less(then.prompts).times(self.share().recip()),
        }
    }

    /// The load as a request of these prompts would find it at a moment.
    pub(super) fn load(&self, prompts: Prompts, view: &View) -> Load {
        let (others_usual, queued_usual) = view.usual;
        let believed = view.believed;
        let others = self.others * believed + others_usual * (1.0 - believed);
        let queued = self.queued_after(view.now - self.at, view.pace);
        let queued = queued * believed + queued_usual.max(self.pending_tokens) * (1.0 - believed);
        let said = self.said.unwrap_or_default();
        let requests = self.own + others;
        let decoding = self.decoding + others;
        let (decoding, beyond) = match said.running_max {
            0 => (decoding, f64::from(said.waiting) * believed),
            slots => (decoding.min(f64::from(slots)), (requests + 1.0 - f64::from(slots)).max(0.0)),
        };
        // What it is not sent waits for its own to end.
        let unsent = match view.sent_max {
            0 => 0.0,
            most => (self.own + 1.0 - f64::from(most)).max(0.0),
        };
        let held = self.context_all() + queued + prompts.tokens;
        let beyond_cache = match said.cache_tokens_max {
            0 => 0.0,
            room => (held - room as f64).max(0.0) / (self.context / self.decoding.max(1.0)).max(1.0),
        };
        // Means of a while that is not over yet.
        let grown = 1.0 - (-(self.at - self.began.unwrap_or(self.at)) / FLOW_SECONDS).exp();
        let grown = grown.max(0.05).recip();
        Load {
            queue: self.queue(queued),
            sequences: decoding,
            context: self.context_all(),
            requests,
            sequences_mean: self.batch_mean * grown,
            context_mean: self.context_mean * grown,
            flow: self.flow.times(self.share().recip() * grown),
            ahead: beyond.max(beyond_cache.min(requests)).max(unsent),
            answer_tokens: self.answer_tokens(),
        }
    }

    /// This router's requests there.
    pub(super) fn own(&self) -> f64 {
        self.own
    }

    /// Requests of others there, and prompt tokens that wait, as last known.
    pub(super) fn known(&self) -> (f64, f64) {
        (self.others, self.queued)
    }

    pub(super) fn answer_tokens(&self) -> f64 {
        if self.answers == 0 { OUTPUT_TOKENS_PRIOR } else { self.answer_tokens }
    }

    fn queued_after(&self, seconds: f64, pace: Pace) -> f64 {
        (self.queued - seconds.max(0.0) / pace.prompt_token.max(f64::MIN_POSITIVE)).max(0.0)
    }

    /// So many tokens of queue as prompts: this router's are the last of it, and the one under way lacks its end.
    fn queue(&self, tokens: f64) -> Prompts {
        let mut queue = Prompts::default();
        for (_, prompts) in self.pending.iter().rev() {
            let left = tokens - queue.tokens;
            if left <= 0.0 {
                return queue;
            }
            queue = queue.plus(prompts.last(left));
        }
        let left = (tokens - queue.tokens).max(0.0);
        let pairs = if self.sent.tokens > 0.0 { self.sent.pairs / self.sent.tokens } else { 0.0 };
        queue.plus(Prompts { tokens: left, pairs: left * pairs })
    }

    /// Prompts are computed in turn, so that what was sent before this one is done too, unless others' is among it.
    fn computed(&mut self, number: u64) {
        let Ok(index) = self.pending.binary_search_by_key(&number, |(number, _)| *number) else { return };
        if let Some((_, prompts)) = self.pending.remove(index) {
            self.pending_tokens =
                if self.pending.is_empty() { 0.0 } else { self.pending_tokens - prompts.tokens };
        }
        if self.others < 0.5 {
            self.queued = self.pending_tokens;
        }
    }

    fn sequences(&self) -> f64 {
        let slots = self.said.map_or(0, |said| said.running_max);
        let all = self.decoding + self.others;
        if slots > 0 { all.min(f64::from(slots)) } else { all }
    }

    /// Others' sequences are taken to hold as much as this router's.
    fn context_all(&self) -> f64 {
        if self.decoding > 0.0 {
            self.context * (1.0 + self.others / self.decoding)
        } else {
            self.others * self.answer_tokens()
        }
    }

    /// This router's share of the requests there.
    fn share(&self) -> f64 {
        let all = self.own + self.others;
        if all > 0.0 && self.own > 0.0 { (self.own / all).max(0.05) } else { 1.0 }
    }
}
