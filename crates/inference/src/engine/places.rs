//! The sequences' blocks: how many there may be, and how the scheduler deals them out.

use std::{collections::BTreeMap, sync::Arc};

use super::sequence::Sequence;
use crate::{
    Error, Options,
    kernels::Layout,
    model::{Cache, Link, Pool},
    scheduler::Room,
};

/// What the cache may take where no option says so, unless one whole context takes more.
const BYTES_DEFAULT: u64 = 1 << 30;

/// The blocks of the pool that the options ask for: by default as large as `sequences_max` whole contexts, and at most 1 GiB.
pub(super) fn blocks_max(
    options: &Options,
    context_tokens_max: usize,
    layout: &Layout,
) -> Result<usize, Error> {
    let (block, bytes) = (layout.block(), layout.bytes(options.kv_type) as u64);
    // One context, and a block to copy a shared one to.
    let least = context_tokens_max.div_ceil(block) + 1;
    let by_bytes = |most: u64| usize::try_from(most / bytes.max(1)).unwrap_or(usize::MAX);
    let by_tokens = options.kv_tokens_max / block;
    let (field, blocks) = match (options.kv_tokens_max, options.kv_bytes_max) {
        (0, 0) => ("", least.saturating_mul(options.sequences_max).min(by_bytes(BYTES_DEFAULT)).max(least)),
        (0, most) => ("kv_bytes_max", by_bytes(most).min(least.saturating_mul(options.sequences_max))),
        (_, 0) => ("kv_tokens_max", by_tokens),
        (_, most) if by_bytes(most) < by_tokens => ("kv_bytes_max", by_bytes(most)),
        _ => ("kv_tokens_max", by_tokens),
    };
    if blocks < least {
        let problem = format!(
            "gives {blocks} blocks of {block} tokens and {bytes} bytes; one context of {context_tokens_max} tokens \
             takes {least}: raise it or lower context_tokens_max"
        );
        return Err(Error::BadOption { field, problem });
    }
    Ok(blocks)
}

/// All sequences and the pool of their blocks.
pub(super) struct Places<'a> {
    pub(super) sequences: &'a mut BTreeMap<u64, Sequence>,
    pub(super) pool: &'a Arc<Pool>,
    /// The model's hash, where blocks are shared.
    pub(super) shares: Option<&'a [u8; 32]>,
}

impl Room for Places<'_> {
    fn free(&self) -> usize {
        self.pool.free()
    }

    fn need(&self, id: u64, tokens: usize) -> usize {
        self.sequences.get(&id).map_or(0, |sequence| sequence.cache.need(tokens))
    }

    fn need_to_end(&self, id: u64) -> usize {
        self.sequences.get(&id).map_or(0, |sequence| sequence.cache.need(sequence.tokens_to_end()))
    }

    fn enter(&mut self, id: u64) -> usize {
        let Some(sequence) = self.sequences.get_mut(&id) else { return 1 };
        let root = self.shares.map(|model| Link::root(model, sequence.tenant()));
        sequence.enter(self.pool.cache(root))
    }

    fn take(&mut self, id: u64, tokens: usize) {
        if let Some(sequence) = self.sequences.get_mut(&id) {
            // What is not there is missed by the step, which fails with the same words.
            let _taken = sequence.cache.make_room(tokens);
        }
    }

    fn leave(&mut self, id: u64) -> usize {
        let Some(sequence) = self.sequences.get_mut(&id) else { return 1 };
        sequence.cache = Cache::default();
        sequence.tokens_known()
    }
}
