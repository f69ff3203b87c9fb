//! The way in: checks a request on the caller's thread and puts it in line.

use std::sync::Arc;

use super::{
    Stream,
    inbox::{Shared, State},
    sequence::{Prepared, Sequence},
};
use crate::{
    BlockChanges, Counters, Error, Load, ModelInfo, Request, Sampling, Turn, constraint::Following,
    sampling::Settings,
};

/// Asks the engine for answers; cheap to clone. When the last one is dropped the engine finishes what it has and
/// ends.
#[derive(Debug, Clone)]
pub struct Handle {
    owner: Arc<Owner>,
}

/// Lets the engine drain when the last handle goes.
#[derive(Debug)]
struct Owner {
    shared: Arc<Shared>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.enter(State::Draining);
    }
}

impl Handle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { owner: Arc::new(Owner { shared }) }
    }

    /// Starts an answer. Tokenises on the calling thread; never waits.
    ///
    /// # Errors
    ///
    /// [`Error::BadRequest`] and [`Error::OverLong`] for the request itself, [`Error::QueueFull`] when the line is
    /// full, [`Error::Draining`] and [`Error::Stopped`] when nothing new is taken.
    pub fn generate(&self, request: Request) -> Result<Stream, Error> {
        let shared = &self.owner.shared;
        request.validate()?;
        let context_tokens_max = shared.model.context_tokens_max;
        let prompt = shared.tokenizer.render(&request.conversation, context_tokens_max - 1)?;
        let unusable = |id: &u32| *id as usize >= shared.model.vocabulary || shared.tokenizer.ends(*id);
        if let Some(id) = request.resume.iter().find(|id| unusable(id)) {
            return Err(Error::bad_request(
                "resume",
                format!("holds {id}, which no unfinished answer holds"),
            ));
        }
        let unknown = |id: &&u32| **id as usize >= shared.model.vocabulary;
        if let Some(id) = request.sampling.logit_bias.keys().find(unknown) {
            let problem = format!("holds {id}; ids below {} are known", shared.model.vocabulary);
            return Err(Error::bad_request("logit_bias", problem));
        }
        let prompt_tokens = prompt.len() + request.resume.len();
        if prompt_tokens >= context_tokens_max {
            return Err(Error::OverLong { prompt_tokens, max: context_tokens_max - 1 });
        }
        let constraint = self.constrained(&request)?;
        let draft_tokens_max = shared.bounds.draft_tokens_max;
        let settings = Settings::new(request.sampling.clone(), &shared.sampling);
        let prepared =
            Prepared { prompt, request, settings, constraint, context_tokens_max, draft_tokens_max };
        let (mut sequence, events) = Sequence::new(shared.next_id(), prepared, &shared.tokenizer);
        match sequence.complete() {
            Some(finish) => sequence.finish(finish),
            None => shared.accept(sequence)?,
        }
        Ok(Stream::new(events, Arc::clone(shared)))
    }

    /// The same for callers on a runtime that must not be held up: compiling a constraint takes tens of milliseconds, and
    /// a thread of its own here.
    ///
    /// # Errors
    ///
    /// As [`Handle::generate`].
    pub async fn begin(&self, request: Request) -> Result<Stream, Error> {
        if request.constraint.is_none() {
            return self.generate(request);
        }
        let handle = self.clone();
        let begun = tokio::task::spawn_blocking(move || handle.generate(request)).await;
        begun.unwrap_or(Err(Error::Stopped))
    }

    /// The request's grammar, where it has one, after what was produced already.
    fn constrained(&self, request: &Request) -> Result<Option<Following>, Error> {
        let shared = &self.owner.shared;
        let Some(constraint) = &request.constraint else { return Ok(None) };
        let mut following = shared.grammars.start(constraint, &shared.tokenizer)?;
        for id in &request.resume {
            following.follow(*id).map_err(|error| {
                let problem = format!("holds what `{}` does not allow: {error}", constraint.field());
                Error::bad_request("resume", problem)
            })?;
        }
        Ok(Some(following))
    }

    /// How the model's own files say that tokens are chosen where a request says nothing.
    #[must_use]
    pub fn sampling(&self) -> &Sampling {
        &self.owner.shared.sampling
    }

    /// The loaded model.
    #[must_use]
    pub fn model(&self) -> &ModelInfo {
        &self.owner.shared.model
    }

    /// The load as of the last step, with the requests that arrived since.
    #[must_use]
    pub fn load(&self) -> Load {
        self.owner.shared.load()
    }

    /// Work done since build.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.owner.shared.counters()
    }

    /// Changes of the blocks that later requests can take over, from number `since` on and at most `max`. The newest few
    /// thousand are kept; who is further behind is told that changes were missed.
    #[must_use]
    pub fn block_changes(&self, since: u64, max: usize) -> BlockChanges {
        self.owner.shared.events.read(since, max)
    }

    /// Tokens of a conversation as the model will read it. For one far beyond the context, a lower bound.
    #[must_use]
    pub fn count_tokens(&self, conversation: &[Turn]) -> usize {
        let shared = &self.owner.shared;
        match shared.tokenizer.render(conversation, shared.model.context_tokens_max) {
            Ok(ids) => ids.len(),
            Err(Error::OverLong { prompt_tokens, .. }) => prompt_tokens,
            Err(_) => 0,
        }
    }

    /// Takes nothing new; what was accepted is finished, then the service's `run` returns.
    pub fn drain(&self) {
        self.owner.shared.enter(State::Draining);
    }

    /// Ends at the next step; unfinished answers fail with [`Error::Stopped`].
    pub fn stop(&self) {
        self.owner.shared.enter(State::Stopping);
    }
}
