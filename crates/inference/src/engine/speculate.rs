//! Guesses for the sequences of a step: looked up in their own text, or made by a smaller model of the same tokenizer.
//!
//! A guess is right where it is what the sampler chooses from the true scores. The sampler is a function of the scores, the
//! tokens, the seed and the position, so that guesses change no answer, at any temperature.

use std::{collections::BTreeMap, path::Path};

use super::{guess::look_up, sequence::Sequence};
use crate::{
    Device, Error, KvType, Options,
    formats::ModelFile,
    hub,
    model::{Cache, Config, Executor, Pool, Precision, Segment},
    scheduler::Work,
    text::Tokenizer,
};

/// Where guesses come from.
#[derive(Debug)]
pub(super) struct Speculation {
    /// Tokens guessed for one sequence in a step; 0: none ever.
    length_max: usize,
    /// Rows of a step.
    rows_max: usize,
    drafter: Option<Box<Drafter>>,
}

/// A smaller model, and what it has read of each sequence.
#[derive(Debug)]
pub(super) struct Drafter {
    executor: Executor,
    vocabulary: usize,
    context_tokens_max: usize,
    /// As the model's own cache, so that a model drafts for itself without a mistake.
    kv_type: KvType,
    read: BTreeMap<u64, Read>,
}

#[derive(Debug)]
struct Read {
    cache: Cache,
    /// The tokens in the cache.
    tokens: Vec<u32>,
}

/// A sequence that guesses are made for.
struct Wish {
    id: u64,
    count: usize,
    /// The tokens so far and the guesses.
    tokens: Vec<u32>,
    known: usize,
}

impl Speculation {
    /// Loads the drafting model, where the options name one; its tokenizer must be that of the model.
    pub(super) fn open(options: &Options, tokenizer: &Tokenizer) -> Result<Self, Error> {
        let Options { draft_tokens_max: length_max, step_tokens_max: rows_max, context_tokens_max, .. } =
            *options;
        let open = |path: &Path| {
            let path = hub::resolve(path, &options.hub)?;
            Drafter::open(&path, (context_tokens_max, options.kv_type), options.device, tokenizer)
        };
        let drafter = options.draft.as_deref().map(open).transpose()?.map(Box::new);
        Ok(Self { length_max, rows_max, drafter })
    }

    /// Gives the decoding sequences of a plan their guesses, as far as the step has rows and the cache has room left.
    pub(super) fn guess(
        &mut self,
        plan: &[Work],
        (sequences, pool): (&mut BTreeMap<u64, Sequence>, &Pool),
        tokenizer: &Tokenizer,
    ) {
        if self.length_max == 0 {
            return;
        }
        let mut left = self.rows_max.saturating_sub(plan.iter().map(|work| work.tokens).sum());
        let mut free = pool.free();
        let mut wishes = Vec::new();
        for work in plan.iter().filter(|work| !work.prefill) {
            let Some(sequence) = sequences.get_mut(&work.id) else { continue };
            let wanted = sequence.guesses_wanted().min(left);
            let need = |count: usize| sequence.cache.need(work.tokens + count);
            let Some(count) = (1..=wanted).rev().find(|count| need(*count) <= free) else { continue };
            let tokens = sequence.tokens().to_vec();
            wishes.push(Wish { id: work.id, count, known: tokens.len(), tokens });
            left -= count;
            free -= need(count);
        }
        match &mut self.drafter {
            Some(drafter) => drafter.guess(&mut wishes, sequences, (tokenizer, self.rows_max)),
            None => wishes.iter_mut().for_each(|wish| wish.tokens.extend(look_up(&wish.tokens, wish.count))),
        }
        for Wish { id, mut tokens, known, .. } in wishes {
            if let Some(sequence) = sequences.get_mut(&id) {
                sequence.guess(tokens.split_off(known));
            }
        }
    }

    /// Forgets a sequence that is gone.
    pub(super) fn forget(&mut self, id: u64) {
        if let Some(drafter) = &mut self.drafter {
            drafter.read.remove(&id);
        }
    }
}

impl Drafter {
    fn open(
        path: &Path,
        (context_tokens_max, kv_type): (usize, KvType),
        device: Device,
        tokenizer: &Tokenizer,
    ) -> Result<Self, Error> {
        let file = ModelFile::open(path)?;
        let config = Config::read(&file)?.for_context(context_tokens_max);
        let (vocabulary, context_tokens_max) = (config.vocabulary, config.context_tokens_max);
        if !Tokenizer::read(&file, vocabulary)?.spells_as(tokenizer) {
            let problem = "is not the tokenizer of the model that it is to draft for";
            return Err(Error::model(path, "tokenizer", problem));
        }
        let executor = Executor::load(&file, &config, Precision::File, device)?;
        Ok(Self { executor, vocabulary, context_tokens_max, kv_type, read: BTreeMap::new() })
    }

    /// Adds up to `count` guesses to each wish. A model that fails guesses nothing.
    fn guess(&mut self, wishes: &mut [Wish], sequences: &BTreeMap<u64, Sequence>, by: (&Tokenizer, usize)) {
        let fits = |wish: &Wish| {
            let known = wish.tokens.iter().all(|id| (*id as usize) < self.vocabulary);
            known && wish.known + wish.count < self.context_tokens_max
        };
        let mut open: Vec<&mut Wish> = wishes.iter_mut().filter(|wish| fits(wish)).collect();
        while !open.is_empty() {
            let Ok(scores) = self.compute(&open, by.1) else {
                self.read.clear();
                return;
            };
            let mut scores = scores.into_iter();
            open.retain_mut(|wish| {
                // One whose text is not read to its end yet goes on reading in the next step.
                let read = self.read.get(&wish.id).map_or(0, |read| read.tokens.len());
                let Some(scores) = (read == wish.tokens.len()).then(|| scores.next()).flatten() else {
                    return false;
                };
                let choice = sequences.get(&wish.id).and_then(|s| s.guessed(&scores, &wish.tokens));
                let Some(id) = choice.filter(|id| !by.0.ends(*id)) else { return false };
                wish.tokens.push(id);
                wish.tokens.len() < wish.known + wish.count
            });
        }
    }

    /// Reads what is unread of each wish's tokens, at most `rows_max` in all, and scores those read to their end.
    fn compute(&mut self, wishes: &[&mut Wish], rows_max: usize) -> Result<Vec<Vec<f32>>, Error> {
        let mut reads: Vec<Read> = Vec::new();
        for wish in wishes {
            let mut read = match self.read.remove(&wish.id) {
                Some(read) => read,
                None => Read { cache: self.executor.cache_in(self.kv_type)?, tokens: Vec::new() },
            };
            let same = read.tokens.iter().zip(&wish.tokens).take_while(|(a, b)| a == b).count();
            // The last token is read anew where nothing else is: its scores are wanted.
            let kept = same.min(wish.tokens.len() - 1);
            read.cache.truncate(kept);
            read.tokens.truncate(kept);
            reads.push(read);
        }
        let mut left = rows_max;
        let mut segments = Vec::new();
        for (wish, read) in wishes.iter().zip(&mut reads) {
            let unread = &wish.tokens[read.tokens.len()..];
            let tokens = &unread[..unread.len().min(left)];
            left -= tokens.len();
            read.tokens.extend_from_slice(tokens);
            if !tokens.is_empty() {
                segments.push(Segment {
                    tokens,
                    cache: &mut read.cache,
                    scores: tokens.len() == unread.len(),
                });
            }
        }
        let scores = self.executor.forward(&mut segments);
        for (wish, read) in wishes.iter().zip(reads) {
            self.read.insert(wish.id, read);
        }
        scores
    }
}
