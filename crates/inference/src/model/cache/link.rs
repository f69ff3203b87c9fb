//! The names of shared blocks: each is a hash of all tokens up to its end, of the model, and of who may share it.

/// BLAKE3 of what came before and of a block's tokens, cut to 128 bits. Two that are equal hold the same tokens after the
/// same beginning, computed by the same model, for callers that share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Link(u128);

impl Link {
    /// What the first blocks follow: nothing that one salt's blocks are named can be found with another.
    pub(crate) fn root(model: &[u8; 32], salt: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"causeway blocks");
        hasher.update(model);
        hasher.update(salt.as_bytes());
        Self::of(&hasher)
    }

    /// The name of the block that holds `tokens` and follows this one.
    pub(crate) fn then(self, tokens: &[u32]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.0.to_le_bytes());
        for token in tokens {
            hasher.update(&token.to_le_bytes());
        }
        Self::of(&hasher)
    }

    /// The first 64 bits, for those who only compare.
    pub(crate) fn short(self) -> u64 {
        (self.0 >> 64) as u64
    }

    fn of(hasher: &blake3::Hasher) -> Self {
        let hash = hasher.finalize();
        Self(hash.as_bytes().iter().take(16).fold(0, |sum, byte| sum << 8 | u128::from(*byte)))
    }
}
