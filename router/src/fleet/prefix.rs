//! What of a prompt is in a worker's cache already.
//!
//! A worker names the blocks of its cache by hashes over token ids, which a router, having no tokenizer, cannot compute. So
//! it keeps names of its own: hashes over the text, chained from the beginning and keyed by a secret of this process and by
//! those who may share, so that what one tenant asked is found for no other. What was sent to a worker is taken to be held
//! there until its cache must have given it up; a worker that tells which blocks an answer left, and which it gave up
//! since, is known up to the block. The text itself is not kept.

mod chain;
mod order;
mod index;
mod asked;
mod held;
#[cfg(test)]
mod tests;

pub(crate) use self::asked::salt;
pub use self::asked::{Matches, Prompt};
pub use self::chain::{Chain, Cut, Secret};
pub use self::held::{Cache, Held};
pub use self::index::{Bounds, Found, Index, Told};
pub use super::roster::Number;

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::RwLock;
use proto::v1;
use proto::v1::CacheSharing;

use crate::config::PrefixOptions;

/// Ways in which workers share, in the order of [`Ways`].
const WAYS: usize = 3;

/// Something for each way in which workers share: by conversation, by tenant, with everyone.
type Ways<T> = [T; WAYS];

/// What is known of all caches.
#[derive(Debug)]
pub struct Prefixes {
    secret: Secret,
    options: PrefixOptions,
    index: RwLock<Index>,
    /// How many workers share in each way: prompts are named for those only.
    in_use: Ways<AtomicUsize>,
}

// === impl Prefixes ===

impl Prefixes {
    /// Nothing is known yet. `seed` makes the secret.
    pub fn new(options: &PrefixOptions, seed: u64) -> Self {
        let bounds = Bounds {
            holds_max: options.holds_max,
            worker_holds_max: options.worker_holds_max,
            holders_max: options.holders_max,
        };
        let index = RwLock::new(Index::new(bounds));
        Self { secret: Secret::new(seed), options: options.clone(), index, in_use: Default::default() }
    }

    /// The names of a request's prompt.
    pub fn prompt(&self, request: &v1::GenerateRequest, tenant: &str) -> Prompt {
        let used = |way: usize| self.in_use[way].load(Ordering::Relaxed) > 0 && self.options.holds_max > 0;
        let ways: Ways<bool> = std::array::from_fn(used);
        Prompt::new(ways, (&self.secret, self.options.chunk_bytes), request, tenant)
    }

    /// Who holds how much of it.
    pub fn find(&self, prompt: &Prompt) -> Matches {
        if prompt.is_empty() {
            return Matches::default();
        }
        let index = self.index.read();
        Matches::new(prompt, |chain| index.found(chain.prompt_cuts()))
    }

    /// Another worker shares in this way from now on, instead of as it did before.
    fn shares(&self, was: Option<usize>, is: Option<usize>) {
        if let Some(way) = is {
            self.in_use[way].fetch_add(1, Ordering::Relaxed);
        }
        if let Some(way) = was {
            self.in_use[way].fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Where a way of sharing stands among [`Ways`]; `None`: nothing is shared.
fn way(sharing: CacheSharing) -> Option<usize> {
    match sharing {
        CacheSharing::None => None,
        CacheSharing::Conversation => Some(0),
        // Whoever does not say is taken to hold what it was sent, for those who sent it.
        CacheSharing::Unspecified | CacheSharing::Salt => Some(1),
        CacheSharing::Everyone => Some(2),
    }
}
