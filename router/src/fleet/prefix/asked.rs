//! A request's prompt by the names of its beginnings, for each way in which workers share.

use policy::Name;
use proto::v1;
use proto::v1::content_part::Part;

use super::chain::{Chain, Secret};
use super::index::Found;
use super::{WAYS, Ways};

/// A prompt's names.
#[derive(Clone, Debug, Default)]
pub struct Prompt {
    chains: Ways<Option<Chain>>,
}

/// Who holds how much of a prompt.
#[derive(Debug, Default)]
pub struct Matches {
    found: Ways<Vec<Found>>,
    bytes: u32,
}

/// Text or bytes of a turn, with what begins them.
type Said<'a> = (u8, &'a [u8]);

// === impl Prompt ===

impl Prompt {
    /// Of which nothing is known anywhere.
    pub const NONE: Self = Self { chains: [const { None }; WAYS] };

    /// Names it in the `ways` that are wanted.
    pub(super) fn new(
        ways: Ways<bool>,
        (secret, chunk_bytes): (&Secret, usize),
        request: &v1::GenerateRequest,
        tenant: &str,
    ) -> Self {
        let salt = request.cache.as_ref().map_or("", |cache| &cache.salt).as_bytes();
        let (tenant, talk) = (tenant.as_bytes(), request.conversation_id.as_bytes());
        let roots: Ways<Option<[&[u8]; 4]>> = [
            // Nobody comes back to a request that belongs to no conversation.
            (!talk.is_empty()).then_some([&b"talk"[..], tenant, salt, talk]),
            Some([&b"tenant"[..], tenant, salt, b""]),
            Some([&b"all"[..], b"", b"", b""]),
        ];
        let chain = |way: usize| {
            let root = roots[way].filter(|_| ways[way])?;
            let mut chain = Chain::new(*secret, &root, chunk_bytes);
            for turn in &request.turns {
                say(&mut chain, turn);
            }
            chain.end_prompt();
            Some(chain)
        };
        Self { chains: std::array::from_fn(chain) }
    }

    /// Whether nothing of it could be found anywhere.
    pub(super) fn is_empty(&self) -> bool {
        self.chains.iter().all(Option::is_none)
    }

    /// Its names among workers that share in this way.
    pub(super) fn into_chain(mut self, way: usize) -> Option<Chain> {
        self.chains[way].take()
    }
}

fn say(chain: &mut Chain, turn: &v1::Turn) {
    // Roles are few; what a later version has is told apart all the same.
    let role = turn.role.to_le_bytes()[0];
    for part in &turn.parts {
        let said: [Said<'_>; 2] = match &part.part {
            Some(Part::Text(text)) => [(role, text.as_bytes()), (role, b"")],
            Some(Part::Image(blob) | Part::Audio(blob)) => {
                [(!role, blob.media_type.as_bytes()), (!role, &blob.data)]
            }
            None => [(role, b""); 2],
        };
        for (role, bytes) in said {
            chain.say(role, bytes);
        }
    }
    chain.end_turn();
}

/// The turn that an answer becomes.
pub(super) fn answer_role() -> u8 {
    i32::from(v1::Role::Assistant).to_le_bytes()[0]
}

// === impl Matches ===

impl Matches {
    /// As `find` finds each of the prompt's chains.
    pub(super) fn new(prompt: &Prompt, find: impl Fn(&Chain) -> Vec<Found>) -> Self {
        let chains = prompt.chains.iter().flatten();
        let bytes = chains.map(Chain::prompt_end).max().unwrap_or_default();
        let found = |way: usize| prompt.chains[way].as_ref().map(&find).unwrap_or_default();
        Self { found: std::array::from_fn(found), bytes }
    }

    /// The share of the prompt that a worker which shares in this way holds, in [0, 1].
    pub(super) fn share(&self, way: usize, worker: u32) -> f64 {
        let found = &self.found[way];
        let Ok(at) = found.binary_search_by_key(&worker, |one| one.worker) else { return 0.0 };
        f64::from(found[at].end) / f64::from(self.bytes.max(1))
    }

    /// Workers that hold some of it, those that hold the most first, at most so many.
    pub fn holders(&self, max: usize) -> Vec<u32> {
        let mut all: Vec<Found> = self.found.iter().flatten().copied().collect();
        all.sort_unstable_by_key(|one| (std::cmp::Reverse(one.end), one.worker));
        all.truncate(max);
        all.into_iter().map(|one| one.worker).collect()
    }
}

/// The salt with which a request goes on: its caller's own, joined to who the caller is. Both empty: none.
pub(crate) fn salt(tenant: &Name, own: &str) -> String {
    const BYTES: usize = 16;
    if tenant.is_empty() && own.is_empty() {
        return String::new();
    }
    let mut hasher = blake3::Hasher::new_derive_key("causeway cache salts");
    hasher.update(&(tenant.len() as u64).to_le_bytes()).update(tenant.as_bytes()).update(own.as_bytes());
    hasher.finalize().to_hex()[..BYTES * 2].to_owned()
}

const _: () = assert!(WAYS == 3, "one root for each way");
