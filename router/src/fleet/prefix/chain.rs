//! Names of a prompt's beginnings: a chain of keyed hashes over what was said, cut where a turn ends and every so many
//! bytes within it.

use std::fmt;

/// Bytes of a link of the chain; its first eight name the beginning.
const LINK_BYTES: usize = 16;

/// What keys the hashes: without it nobody can tell which text a name stands for, nor make two texts share one.
#[derive(Clone, Copy)]
pub struct Secret([u8; 32]);

/// One beginning of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Its name: equal for equal beginnings under one root, and for no others.
    pub node: u64,
    /// Where it ends, in bytes from the start or in whatever unit its chain counts.
    pub end: u32,
}

/// A prompt as its beginnings, each of which holds those before it. It grows with the answer.
#[derive(Clone, Debug)]
pub struct Chain {
    secret: Secret,
    last: [u8; LINK_BYTES],
    cuts: Vec<Cut>,
    /// Who speaks, and what is said of the present chunk.
    role: u8,
    open: Vec<u8>,
    chunk_bytes: usize,
    end: u32,
    /// Where the prompt ends: cuts, and bytes.
    prompt: (usize, u32),
}

// === impl Secret ===

impl Secret {
    /// The secret of a process that was started with this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(blake3::derive_key("causeway names of prompts' beginnings", &seed.to_le_bytes()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

// === impl Chain ===

impl Chain {
    /// Nothing said yet, among those who share `root`. Cut after every `chunk_bytes` of a turn.
    #[must_use]
    pub fn new(secret: Secret, root: &[&[u8]], chunk_bytes: usize) -> Self {
        let mut hasher = blake3::Hasher::new_keyed(&secret.0);
        for part in root {
            // Lengths tell the parts apart.
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        let last = link(&hasher);
        let chunk_bytes = chunk_bytes.max(1);
        Self {
            secret,
            last,
            cuts: Vec::new(),
            role: 0,
            open: Vec::new(),
            chunk_bytes,
            end: 0,
            prompt: (0, 0),
        }
    }

    /// Its beginnings, the shortest first.
    #[must_use]
    pub fn cuts(&self) -> &[Cut] {
        &self.cuts
    }

    /// Those of the prompt alone.
    #[must_use]
    pub fn prompt_cuts(&self) -> &[Cut] {
        &self.cuts[..self.prompt.0]
    }

    /// Bytes of the prompt.
    #[must_use]
    pub fn prompt_end(&self) -> u32 {
        self.prompt.1
    }

    /// The turn of this role goes on with `bytes`.
    pub fn say(&mut self, role: u8, mut bytes: &[u8]) {
        self.role = role;
        while !bytes.is_empty() {
            let room = self.chunk_bytes - self.open.len();
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            bytes = rest;
            if now.len() == self.chunk_bytes {
                self.cut(now, false);
                continue;
            }
            self.open.extend_from_slice(now);
            if self.open.len() == self.chunk_bytes {
                self.cut_open(false);
            }
        }
    }

    /// The turn ends.
    pub fn end_turn(&mut self) {
        self.cut_open(true);
    }

    /// What was said until now is the prompt; what follows is its answer.
    pub fn end_prompt(&mut self) {
        self.prompt = (self.cuts.len(), self.end);
        // Until the answer comes, if it ever does, the chain is only held.
        self.cuts.shrink_to_fit();
        self.open = Vec::new();
    }

    /// A beginning that is `units` longer than the last and whose end has a name of its own: recorded traffic has blocks
    /// where its text was.
    pub fn block(&mut self, name: u64, units: u32) {
        self.end = self.end.saturating_add(units);
        self.link(&name.to_le_bytes(), false);
    }

    fn cut_open(&mut self, ends: bool) {
        let mut open = std::mem::take(&mut self.open);
        self.cut(&open, ends);
        open.clear();
        self.open = open;
    }

    fn cut(&mut self, bytes: &[u8], ends: bool) {
        self.end = self.end.saturating_add(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        self.link(bytes, ends);
    }

    fn link(&mut self, bytes: &[u8], ends: bool) {
        let mut hasher = blake3::Hasher::new_keyed(&self.secret.0);
        hasher.update(&self.last).update(&[self.role, u8::from(ends)]).update(bytes);
        self.last = link(&hasher);
        let node = self.last.iter().take(8).fold(0, |name, byte| name << 8 | u64::from(*byte));
        self.cuts.push(Cut { node, end: self.end });
    }
}

fn link(hasher: &blake3::Hasher) -> [u8; LINK_BYTES] {
    let mut link = [0; LINK_BYTES];
    link.copy_from_slice(&hasher.finalize().as_bytes()[..LINK_BYTES]);
    link
}
