//! One answer in the making: its tokens, its cache, what of it was shown, and its stream's end.

use std::{borrow::Cow, collections::VecDeque, sync::atomic::Ordering, time::Instant};

use tokio::sync::mpsc;

use super::{guess::Pace, inbox::Shared};
use crate::{
    Confidence, Done, Error, Event, Finish, Logprobs, Request, TopLogprob, Usage,
    constraint::{Allowed, Following},
    model::Cache,
    sampling::{Choice, Draw, Likely, Settings, choose},
    scheduler::Ticket,
    text::{Reveal, Shown, Tokenizer},
};

/// Events of an answer besides one per token: a last delta, its end, and room for a mistake in this count.
const EVENTS_BESIDES_TOKENS: usize = 4;

/// What an answer is made from; the conversation is rendered and every field checked.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) prompt: Vec<u32>,
    pub(super) request: Request,
    pub(super) settings: Settings,
    /// At the point that `request.resume` has reached.
    pub(super) constraint: Option<Following>,
    pub(super) context_tokens_max: usize,
    /// Tokens guessed ahead, at most.
    pub(super) draft_tokens_max: usize,
}

/// An accepted request.
#[derive(Debug)]
pub(super) struct Sequence {
    pub(super) id: u64,
    pub(super) cache: Cache,
    /// Prompt, resumed and produced ids.
    tokens: Vec<u32>,
    prompt_tokens: usize,
    resumed_tokens: usize,
    /// Tokens that prompt and answer together may reach.
    tokens_max: usize,
    /// Who may share blocks with it.
    tenant: String,
    /// Tokens that it found in the cache when it began to be computed.
    cached_tokens: usize,
    begun: bool,
    settings: Settings,
    constraint: Option<Following>,
    /// What the next tokens are guessed to be.
    guesses: Vec<u32>,
    pace: Pace,
    seed: u64,
    deadline: Option<Instant>,
    priority: u8,
    reveal: Reveal,
    /// Index within the answer of the next id to show.
    next_index: usize,
    probabilities: Vec<f32>,
    /// Of produced ids that are not yet shown, where they are asked for.
    logprobs: VecDeque<Logprobs>,
    events: mpsc::Sender<Event>,
}

/// Whether an answer goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    GoesOn,
    Ended,
}

impl Sequence {
    /// The sequence and the receiving end of its stream, which can hold every event it will ever send: a reader
    /// however slow never holds up the loop.
    pub(super) fn new(id: u64, from: Prepared, tokenizer: &Tokenizer) -> (Self, mpsc::Receiver<Event>) {
        let Prepared { prompt, request, settings, constraint, context_tokens_max, draft_tokens_max } = from;
        let Request { max_tokens, stop, seed, deadline, priority, resume, tenant, .. } = request;
        let tokens_max = prompt.len().saturating_add(max_tokens).min(context_tokens_max);
        let known = prompt.len() + resume.len();
        let (events, receiver) = mpsc::channel(tokens_max.saturating_sub(known) + EVENTS_BESIDES_TOKENS);
        let mut reveal = Reveal::new(stop);
        for &id in &resume {
            reveal.push(id, tokenizer.bytes(id));
        }
        reveal.forget_ids();
        let (prompt_tokens, resumed_tokens) = (prompt.len(), resume.len());
        let mut tokens = prompt;
        tokens.extend(resume);
        let sequence = Self {
            id,
            cache: Cache::default(),
            tokens,
            prompt_tokens,
            resumed_tokens,
            tokens_max,
            tenant,
            cached_tokens: 0,
            begun: false,
            settings,
            constraint,
            guesses: Vec::new(),
            pace: Pace::new(draft_tokens_max),
            seed,
            deadline,
            priority,
            reveal,
            next_index: resumed_tokens,
            probabilities: Vec::new(),
            logprobs: VecDeque::new(),
            events,
        };
        (sequence, receiver)
    }

    /// Why there is nothing left to generate, where a resumed answer is complete already.
    pub(super) fn complete(&self) -> Option<Finish> {
        if self.reveal.stopped() || self.constraint.as_ref().is_some_and(Following::is_complete) {
            Some(Finish::Stop)
        } else if self.tokens.len() >= self.tokens_max {
            Some(Finish::Length)
        } else {
            None
        }
    }

    pub(super) fn tokens_known(&self) -> usize {
        self.tokens.len()
    }

    pub(super) fn tenant(&self) -> &str {
        &self.tenant
    }

    /// Tokens that may still be computed; the last of an answer never is.
    pub(super) fn tokens_to_end(&self) -> usize {
        self.tokens_max.saturating_sub(1).max(self.tokens.len()) - self.cache.tokens().min(self.tokens.len())
    }

    /// Begins with an empty cache and what can be found of its tokens. Says how many are left to compute: the last at
    /// least, since its scores choose the next.
    pub(super) fn enter(&mut self, cache: Cache) -> usize {
        self.cache = cache;
        let found = self.cache.adopt(&self.tokens[..self.tokens.len() - 1]);
        if !self.begun {
            self.cached_tokens = found;
        }
        self.tokens.len() - found
    }

    /// Its tokens and those that it found in the cache, when its first row is about to be computed.
    pub(super) fn begin(&mut self) -> Option<[usize; 2]> {
        (!std::mem::replace(&mut self.begun, true)).then_some([self.tokens.len(), self.cached_tokens])
    }

    /// The next `count` tokens to compute, after those in `cache`, and the guesses of what follows them.
    pub(super) fn to_compute(&self, cache: &Cache, count: usize) -> Cow<'_, [u32]> {
        let start = cache.tokens().min(self.tokens.len());
        let known = &self.tokens[start..(start + count).min(self.tokens.len())];
        if self.guesses.is_empty() { known.into() } else { [known, &self.guesses].concat().into() }
    }

    pub(super) fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// How many tokens are to be guessed in this step. One is chosen anyway.
    pub(super) fn guesses_wanted(&mut self) -> usize {
        self.pace.next().min((self.tokens_max - self.tokens.len()).saturating_sub(1))
    }

    pub(super) fn guess(&mut self, guesses: Vec<u32>) {
        self.guesses = guesses;
    }

    pub(super) fn guesses(&self) -> &[u32] {
        &self.guesses
    }

    /// What would follow `tokens` by the scores of another model, drawn as this answer draws.
    pub(super) fn guessed(&self, scores: &[f32], tokens: &[u32]) -> Option<u32> {
        let (prompt, answer) = tokens.split_at(self.prompt_tokens);
        let draw = Draw { settings: &self.settings, seed: self.seed, prompt, answer, allowed: None };
        choose(scores, &draw).map(|choice| choice.id)
    }

    pub(super) fn ticket(&self, epoch: Instant) -> Ticket {
        let since_epoch = |at: Instant| at.saturating_duration_since(epoch).as_nanos();
        Ticket {
            id: self.id,
            prefill_tokens: self.tokens.len(),
            priority: self.priority,
            deadline: self.deadline.map(|at| u64::try_from(since_epoch(at)).unwrap_or(u64::MAX)),
        }
    }

    /// Whether the stream was dropped.
    pub(super) fn is_abandoned(&self) -> bool {
        self.events.is_closed()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub(super) fn is_late(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Chooses the next token from its scores, and as many more as were guessed: each guess that is what is chosen makes the
    /// scores after it true. What was computed of the others is forgotten. Says how many were chosen.
    pub(super) fn extend(&mut self, rows: &[Vec<f32>], shared: &Shared) -> (Progress, usize) {
        let guesses = std::mem::take(&mut self.guesses);
        shared.tally.drafted_tokens.fetch_add(guesses.len() as u64, Ordering::Relaxed);
        let (mut chosen, mut right_ones, mut progress) = (0, 0, Progress::GoesOn);
        for scores in rows {
            let guess = guesses.get(chosen).copied();
            let before = self.tokens.len();
            progress = self.extend_one(scores, guess, shared);
            chosen += 1;
            let right = guess.is_some() && self.tokens.get(before).copied() == guess;
            right_ones += usize::from(right);
            if !right || progress == Progress::Ended || self.is_abandoned() {
                break;
            }
        }
        if !guesses.is_empty() {
            self.pace.went(guesses.len(), right_ones);
            // All but the token chosen last, which is computed next.
            self.cache.truncate(self.tokens.len() - 1);
        }
        (progress, chosen)
    }

    /// Chooses the next token from its scores and sends what becomes visible by it.
    fn extend_one(&mut self, scores: &[f32], guess: Option<u32>, shared: &Shared) -> Progress {
        // Counted before anyone can have seen what became of it.
        let (tally, tokenizer) = (&shared.tally, &shared.tokenizer);
        tally.output_tokens.fetch_add(1, Ordering::Relaxed);
        tally.tokens_after_cancel.fetch_add(u64::from(self.is_abandoned()), Ordering::Relaxed);
        let choice = match self.choose(scores) {
            Ok(choice) => choice,
            Err(error) => {
                // What gave no numbers is not to be taken over by others.
                self.cache.disown();
                self.fail(error);
                return Progress::Ended;
            }
        };
        tally.accepted_tokens.fetch_add(u64::from(guess == Some(choice.id)), Ordering::Relaxed);
        self.probabilities.push(choice.probability);
        if tokenizer.ends(choice.id) {
            self.finish(Finish::Stop);
            return Progress::Ended;
        }
        if let Some(Err(error)) = self.constraint.as_mut().map(|following| following.follow(choice.id)) {
            self.fail(error);
            return Progress::Ended;
        }
        self.tokens.push(choice.id);
        self.logprobs.extend(choice.logprobs.map(|likely| spelled(&likely, tokenizer)));
        let shown = self.reveal.push(choice.id, tokenizer.bytes(choice.id));
        self.show(shown);
        match self.complete() {
            None => Progress::GoesOn,
            Some(finish) => {
                self.finish(finish);
                Progress::Ended
            }
        }
    }

    /// The next token by its scores.
    fn choose(&mut self, scores: &[f32]) -> Result<Choice, Error> {
        let allowed = self.constraint.as_mut().map(Following::allowed).transpose()?;
        let (prompt, answer) = self.tokens.split_at(self.prompt_tokens);
        let allowed = allowed.as_ref().map(Allowed::bits);
        let draw = Draw { settings: &self.settings, seed: self.seed, prompt, answer, allowed };
        choose(scores, &draw).ok_or(Error::Poisoned { index: answer.len() })
    }

    /// Sends what is left and the end.
    pub(super) fn finish(&mut self, finish: Finish) {
        let rest = self.reveal.flush();
        self.show(rest);
        let output_tokens = self.tokens.len() - self.prompt_tokens - self.resumed_tokens;
        let cached_tokens = self.cached_tokens.min(self.prompt_tokens);
        let usage = Usage { prompt_tokens: self.prompt_tokens, cached_tokens, output_tokens };
        let confidence = Confidence::of(&mut self.probabilities);
        let blocks = self.cache.names();
        self.send(Event::Done(Done { finish, usage, confidence, blocks }));
    }

    /// Sends the failure.
    pub(super) fn fail(&mut self, error: Error) {
        self.send(Event::Failed(error));
    }

    fn show(&mut self, shown: Shown) {
        let Shown { text, tokens } = shown;
        if text.is_empty() && tokens.is_empty() {
            return;
        }
        let first_index = u32::try_from(self.next_index).unwrap_or(u32::MAX);
        self.next_index += tokens.len();
        let logprobs = self.logprobs.drain(..tokens.len().min(self.logprobs.len())).collect();
        self.send(Event::Delta { text, tokens, first_index, logprobs });
    }

    /// A closed stream is noticed by the loop; a full one cannot be, by the channel's size.
    fn send(&self, event: Event) {
        let _closed = self.events.try_send(event);
    }
}

/// Log-probabilities with the bytes of their tokens.
fn spelled(likely: &Likely, tokenizer: &Tokenizer) -> Logprobs {
    let spelled = |(id, logprob): &(u32, f32)| TopLogprob {
        id: *id,
        logprob: *logprob,
        text: tokenizer.bytes(*id).to_vec(),
    };
    Logprobs { logprob: likely.chosen, top: likely.top.iter().map(spelled).collect() }
}
