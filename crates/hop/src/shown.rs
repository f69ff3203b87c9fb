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

    /// Takes note of an event; how many tokens it shows. An action is the work of at least one.
    pub fn take(&mut self, event: &Event) -> u32 {
        let Event::Delta(delta) = event else {
            self.whole = false;
            return 1;
        };
        let follows = usize::try_from(delta.first_token_index).is_ok_and(|at| at == self.token_ids.len());
        let named = !delta.token_ids.is_empty() || delta.text.is_empty();
        self.whole &= named && (follows || delta.token_ids.is_empty());
        self.token_ids.extend_from_slice(&delta.token_ids);
        u32::try_from(delta.token_ids.len()).unwrap_or(u32::MAX).max(1)
    }

    /// What whoever has the model of this hash is to go on after. `None`: nobody can.
    #[must_use]
    pub fn resume(&self, model_hash: &str) -> Option<v1::Resume> {
        let possible = self.whole && !model_hash.is_empty();
        let token_ids = self.token_ids.clone();
        possible.then(|| v1::Resume { token_ids, model_hash: model_hash.to_owned(), numeric_class: None })
    }
}
