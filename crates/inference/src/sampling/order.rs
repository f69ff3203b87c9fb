//! Candidates from the likeliest down, sorted only as far as someone looks.

use std::cmp::Ordering;

/// A token that may be chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candidate {
    pub(super) id: u32,
    pub(super) score: f32,
}

/// Candidates; the first `sorted` are the likeliest, in order. A vocabulary has a hundred thousand and more, of which a
/// draw mostly looks at a few.
#[derive(Debug)]
pub(super) struct Ordered {
    candidates: Vec<Candidate>,
    sorted: usize,
}

/// Candidates sorted at first; each time more are looked at, as many again.
const SORTED_AT_FIRST: usize = 64;

impl Ordered {
    pub(super) fn of(scores: impl Iterator<Item = (usize, f32)>) -> Self {
        let candidate = |(id, score)| Some(Candidate { id: u32::try_from(id).ok()?, score });
        Self { candidates: scores.filter_map(candidate).collect(), sorted: 0 }
    }

    /// Keeps the likeliest `count`.
    pub(super) fn truncate(&mut self, count: usize) {
        if count < self.candidates.len() {
            self.sort_to(count);
            self.candidates.truncate(count);
            self.sorted = self.sorted.min(count);
        }
    }

    /// The candidate before which `at` are likelier.
    pub(super) fn at(&mut self, at: usize) -> Option<Candidate> {
        if at >= self.sorted && at < self.candidates.len() {
            self.sort_to((2 * at).max(SORTED_AT_FIRST));
        }
        self.candidates.get(at).copied()
    }

    /// The likeliest `count`, in order.
    pub(super) fn first(mut self, count: usize) -> Vec<Candidate> {
        self.truncate(count);
        self.sort_to(count);
        self.candidates
    }

    /// All of them, in an order that depends on them only.
    pub(super) fn any_order(&self) -> impl Iterator<Item = &Candidate> {
        self.candidates.iter()
    }

    fn sort_to(&mut self, count: usize) {
        let count = count.min(self.candidates.len());
        let Some(rest) = self.candidates.get_mut(self.sorted..).filter(|_| count > self.sorted) else {
            return;
        };
        let more = count - self.sorted;
        if more < rest.len() {
            rest.select_nth_unstable_by(more - 1, likelier_first);
        }
        rest[..more].sort_unstable_by(likelier_first);
        self.sorted = count;
    }
}

/// By score, and the lower id first among equals.
fn likelier_first(a: &Candidate, b: &Candidate) -> Ordering {
    b.score.total_cmp(&a.score).then(a.id.cmp(&b.id))
}
