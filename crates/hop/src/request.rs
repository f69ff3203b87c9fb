//! A request as a hop takes it in: checked, named, its signals believed or read, its lot drawn.

use std::sync::atomic::{AtomicU64, Ordering};

use mesh::process::Limits;
use mesh::tls::Peer;
use mesh::token::Class;
use policy::Name;
use policy::wire::request::{self, Invalid};
use proto::v1;

/// Bytes of the hash that an id made here shows.
const ID_BYTES: usize = 16;

/// Takes requests in.
#[derive(Debug)]
pub struct Requests {
    limits: request::Limits,
    /// Only this machine can call, so that every caller is believed.
    callers_local: bool,
    /// Begins every sequence of random numbers.
    seed: u64,
    models: signals::Models,
    output_tokens_default: u32,
    unnamed: AtomicU64,
}

/// A request that was taken in.
#[derive(Clone, Debug)]
pub struct Reading {
    /// As it came, with its id.
    pub request: v1::GenerateRequest,
    /// What is known of its text.
    pub signals: v1::Signals,
    /// Who asks; empty: unknown.
    pub tenant: Name,
    /// The most tokens of an answer that asks for no number of them.
    pub output_tokens_default: u32,
    /// Breaks ties: the same request is decided alike, whenever it comes.
    pub seed: u64,
    /// What says whether a policy that is tried decides it: the same for a whole conversation, and for all that a tenant
    /// asks outside of any.
    pub lot: u64,
}

/// Lowers the priority of a request to what its caller's token allows at most.
pub fn hold(peer: &Peer, request: &mut v1::GenerateRequest) {
    let Some(class) = peer.token.as_deref().and_then(|token| token.class) else { return };
    let asked = match request.priority() {
        v1::Priority::Background => Class::Background,
        v1::Priority::Normal | v1::Priority::Unspecified => Class::Normal,
        v1::Priority::Interactive => Class::Interactive,
    };
    if asked > class {
        request.set_priority(match class {
            Class::Background => v1::Priority::Background,
            Class::Normal => v1::Priority::Normal,
            Class::Interactive => v1::Priority::Interactive,
        });
    }
}

// === impl Requests ===

impl Requests {
    /// With the signal models that ship. `callers_local`: only this machine can call. `seed` begins every sequence of
    /// random numbers.
    #[must_use]
    pub fn new(limits: &Limits, callers_local: bool, seed: u64) -> Self {
        let Limits { prompt_bytes_max, output_tokens_max, output_tokens_default, .. } = *limits;
        let limits = request::Limits { prompt_bytes_max, output_tokens_max };
        let models = signals::Models::shipped();
        Self { limits, callers_local, seed, models, output_tokens_default, unnamed: AtomicU64::new(0) }
    }

    /// Takes one in.
    ///
    /// # Errors
    /// It breaks a rule of the wire contract or a limit of this hop.
    pub fn read(&self, peer: &Peer, mut request: v1::GenerateRequest) -> Result<Reading, Invalid> {
        request::check(&request, &self.limits)?;
        hold(peer, &mut request);
        if request.request_id.is_empty() {
            request.request_id = self.new_id();
        }
        mesh::telemetry::name_request(&request.request_id);
        // Anyone may say anything of a text; only a known peer is spared having it read again.
        let believed = peer.spiffe.is_some() || self.callers_local;
        let signals = match request.signals.take().filter(|_| believed) {
            Some(signals) => signals::wire::complete(signals, &request, &self.models),
            None => signals::wire::read(&request, &self.models),
        };
        let tenant = peer.tenant().map(Name::from).unwrap_or_default();
        let seed = leading(&self.hash(request.request_id.as_bytes()));
        let lot = lot_of(&request, &tenant);
        let output_tokens_default = self.output_tokens_default;
        Ok(Reading { request, signals, tenant, output_tokens_default, seed, lot })
    }

    fn new_id(&self) -> String {
        let number = self.unnamed.fetch_add(1, Ordering::Relaxed);
        let hash = self.hash(&number.to_le_bytes());
        hash.to_hex()[..ID_BYTES * 2].to_owned()
    }

    fn hash(&self, of: &[u8]) -> blake3::Hash {
        blake3::Hasher::new().update(&self.seed.to_le_bytes()).update(of).finalize()
    }
}

fn lot_of(request: &v1::GenerateRequest, tenant: &str) -> u64 {
    let names = [request.conversation_id.as_str(), tenant, request.request_id.as_str()];
    let name = names.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
    leading(&blake3::hash(name.as_bytes()))
}

/// The first eight bytes as a number.
fn leading(hash: &blake3::Hash) -> u64 {
    hash.as_bytes().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}
