//! What a caller has of an answer that may have to be gone on with elsewhere.

use proto::v1;
use proto::v1::generate_event::Event;

/// The tokens that were shown, and whether they are enough to go on after.
#[derive(Clone, Debug)]
pub struct Shown {
    token_ids: Vec<u32>,
    /// Of these, the ones that the request came with.
    given: usize,
    /// Whether these are all that the caller has: something that has no ids cannot be gone on after.
    whole: bool,
}

// === impl Shown ===

impl Shown {
    /// Of an answer to this request, of which nothing was shown here yet.
    #[must_use]
    pub fn of(request: &v1::GenerateRequest) -> Self {
        let token_ids = request.resume.as_ref().map(|resume| resume.token_ids.clone()).unwrap_or_default();
        Self { given: token_ids.len(), token_ids, whole: true }
    }

    /// Every token id that the caller has, those that its request came with among them.
    #[must_use]
    pub fn token_ids(&self) -> &[u32] {
        &self.token_ids
    }

    /// Tokens that were shown here.
    #[must_use]
    pub fn tokens(&self) -> u32 {
        u32::try_from(self.token_ids.len() - self.given).unwrap_or(u32::MAX)
    }

    /// Takes note of an event; how many tokens it shows.
    pub fn take(&mut self, event: &Event) -> u32 {
        let Event::Delta(delta) = event else { return self.take_action() };
        self.take_tokens(delta.first_token_index, delta.token_ids.iter().copied(), delta.text.is_empty())
    }

    /// Takes note of an action, which is the work of at least one token; so many.
    pub fn take_action(&mut self) -> u32 {
        self.whole = false;
        1
    }

    /// Takes note of tokens from the one of this index on, and whether no text came with them; how many they are.
    pub fn take_tokens(&mut self, first: u32, ids: impl Iterator<Item = u32>, textless: bool) -> u32 {
        let before = self.token_ids.len();
        self.token_ids.extend(ids);
        let count = self.token_ids.len() - before;
        let follows = usize::try_from(first).is_ok_and(|at| at == before);
        let named = count > 0 || textless;
        self.whole &= named && (follows || count == 0);
        u32::try_from(count).unwrap_or(u32::MAX).max(1)
    }

    /// What whoever has the model of this hash is to go on after. `None`: nobody can.
    #[must_use]
    pub fn resume(&self, model_hash: &str) -> Option<v1::Resume> {
        let possible = self.whole && !model_hash.is_empty();
        let token_ids = self.token_ids.clone();
        possible.then(|| v1::Resume { token_ids, model_hash: model_hash.to_owned(), numeric_class: None })
    }
}
