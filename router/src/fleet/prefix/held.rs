//! One worker's cache as this router knows it, and what one request leaves in it.

use std::sync::Arc;

use proto::v1;

use super::super::roster::Number;
use super::asked::answer_role;
use super::{Chain, Matches, Prefixes, Prompt, Told, way};
use crate::relay::Event;

/// Weight of the newest answer in what predictions are trusted for.
const TRUST_WEIGHT: f64 = 0.05;
/// Tokens of a block where nobody says: what fills none cannot be taken over. Most engines' blocks hold so many.
const BLOCK_TOKENS_UNSAID: u32 = 16;
/// Longest answer whose text is followed, bytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// What is known of one worker's cache beside who holds what.
#[derive(Debug)]
pub struct Cache {
    prefixes: Arc<Prefixes>,
    worker: Arc<Number>,
    way: Option<usize>,
    block_tokens: u32,
    /// How much of what it was taken to hold it did hold, on average.
    trust: f64,
    /// Which cache the last report told of, and the change that it tells next.
    id: u64,
    next: u64,
}

/// A prompt at a worker, and the answer that follows it there. Dropped before the first token, it was not kept.
#[derive(Debug)]
pub struct Held {
    prefixes: Arc<Prefixes>,
    worker: Arc<Number>,
    chain: Chain,
    /// Beginnings that the worker held before, and their share of the prompt.
    before: (usize, f64),
    begun: bool,
    /// Whether the answer's text is followed; one that goes on after another worker has no beginning here.
    follows: bool,
}

// === impl Cache ===

impl Cache {
    /// Of a worker that was never heard of.
    #[must_use]
    pub fn new(prefixes: Arc<Prefixes>, worker: Arc<Number>) -> Self {
        let way = way(v1::CacheSharing::Unspecified);
        prefixes.shares(None, way);
        {
            let mut index = prefixes.index.write();
            // The number may have been another's.
            index.forget_all(worker.get());
            index.room(worker.get(), prefixes.options.tokens_unsaid);
        }
        Self { prefixes, worker, way, block_tokens: 0, trust: 1.0, id: 0, next: 0 }
    }

    /// Tokens of a prompt of so many that it is taken to hold.
    pub fn cached_tokens(&self, matches: &Matches, prompt_tokens: u32) -> u32 {
        let share = self.way.map_or(0.0, |way| matches.share(way, self.worker.get()));
        let tokens = share * self.trust * f64::from(prompt_tokens);
        let block = f64::from(self.block());
        // The last token is always computed: its scores choose the next.
        let most = prompt_tokens.saturating_sub(1);
        ((tokens / block).floor() * block).min(f64::from(most)) as u32
    }

    /// Where the next watch of its reports goes on.
    pub fn following(&self) -> (u64, u64) {
        (self.id, self.next)
    }

    /// A report came, of a cache with this room in tokens; 0: not said.
    pub fn heard(&mut self, told: Option<&v1::CacheReport>, room: u64) {
        let Some(told) = told else { return };
        let is = way(told.sharing());
        if is != self.way {
            self.prefixes.shares(self.way, is);
        }
        let other = told.cache_id != self.id && self.id != 0;
        let changed = is != self.way || other || told.changes_missed;
        (self.way, self.block_tokens) = (is, told.block_tokens);
        (self.id, self.next) = (told.cache_id, told.changes_next);
        if !changed && told.changes.is_empty() && room == 0 {
            return;
        }
        let mut index = self.prefixes.index.write();
        if changed {
            index.forget_all(self.worker.get());
        }
        if room > 0 {
            index.room(self.worker.get(), room);
        }
        for change in &told.changes {
            if let Some(v1::block_change::Change::Removed(block)) = change.change {
                index.removed(self.worker.get(), block);
            }
        }
    }

    /// A request is sent to it, of a prompt that is taken to have so many tokens.
    pub fn sent(&self, prompt: Prompt, prompt_tokens: u32, resumed: bool) -> Option<Held> {
        let chain = prompt.into_chain(self.way?)?;
        let bytes = chain.prompt_end().max(1);
        let per_byte = f64::from(prompt_tokens) / f64::from(bytes);
        let held = self.prefixes.index.write().store(self.worker.get(), chain.prompt_cuts(), per_byte);
        let end = held.checked_sub(1).map_or(0, |last| chain.prompt_cuts()[last].end);
        let before = (held, f64::from(end) / f64::from(bytes));
        let prefixes = self.prefixes.clone();
        Some(Held { prefixes, worker: self.worker.clone(), chain, before, begun: false, follows: !resumed })
    }

    /// An answer told how much of its prompt was held, where `share` of it was taken to be.
    pub fn learn(&mut self, share: f64, usage: &v1::Usage) {
        let taken = share * f64::from(usage.prompt_tokens);
        // Less than a block says nothing.
        if taken >= f64::from(self.block()) {
            // What the last block holds of it cannot be taken over, and is no fault.
            let seen = f64::from(usage.cached_prompt_tokens) + f64::from(self.block());
            self.trust += ((seen / taken).min(1.0) - self.trust) * TRUST_WEIGHT;
        }
    }

    /// Tokens of a block of its cache.
    pub fn block(&self) -> u32 {
        if self.block_tokens == 0 { BLOCK_TOKENS_UNSAID } else { self.block_tokens }
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.prefixes.shares(self.way, None);
        self.prefixes.index.write().forget_all(self.worker.get());
    }
}

// === impl Held ===

impl Held {
    /// The first token came: its prompt is kept.
    pub fn begun(&mut self) {
        self.begun = true;
    }

    /// The caller is shown this.
    pub fn shows(&mut self, shown: &Event) {
        match shown {
            Event::Delta(delta) if self.follows => {
                let end = self.chain.cuts().last().map_or(0, |cut| cut.end);
                let bytes = (end - self.chain.prompt_end()) as usize + delta.text().len();
                self.follows = bytes <= ANSWER_BYTES_MAX;
                self.chain.say(answer_role(), delta.text());
            }
            _ => self.follows = false,
        }
    }

    /// The share of the prompt that was taken to be held when it was sent.
    pub fn share(&self) -> f64 {
        self.before.1
    }

    /// The answer is complete: it is kept, too, and the worker told its names of what it keeps, in blocks of so many tokens.
    pub fn done(mut self, usage: &v1::Usage, (blocks, block_tokens): (&[u64], u32)) {
        self.begun = true;
        if self.follows {
            self.chain.end_turn();
        }
        let (prompt_end, cuts) = (self.chain.prompt_end(), self.chain.cuts());
        let mut index = self.prefixes.index.write();
        if self.follows && cuts.len() > self.chain.prompt_cuts().len() {
            let end = cuts.last().map_or(0, |cut| cut.end);
            let tokens = f64::from(usage.prompt_tokens) + f64::from(usage.output_tokens);
            index.store(self.worker.get(), cuts, tokens / f64::from(end.max(1)));
        }
        if !blocks.is_empty() && prompt_end > 0 {
            let (prompt_tokens, output_tokens) = (usage.prompt_tokens, usage.output_tokens);
            let told = Told { blocks, block_tokens, prompt_tokens, output_tokens };
            index.join(self.worker.get(), &self.chain, &told);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.begun {
            let cuts = &self.chain.prompt_cuts()[self.before.0..];
            self.prefixes.index.write().forget(self.worker.get(), cuts);
        }
    }
}
