//! What is spent of the policy's budgets, and how much went up under its caps: looked up before a decision, held while
//! the answer streams, settled by what it did cost.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mesh::journal::now_ms;
use policy::ledger::{Ledger, Reserved, Tallies, usd_micros};
use policy::{Candidate, Decision, Excluded, Facts, Rules};

/// Between two looks for accounts whose time is over, milliseconds.
const SWEEP_INTERVAL_MS: u64 = 60_000;

/// Every account of this process.
#[derive(Debug)]
pub(crate) struct Budgets {
    books: Mutex<Books>,
}

#[derive(Debug)]
struct Books {
    ledger: Ledger,
    tallies: Tallies,
    swept_ms: u64,
}

/// What is reserved for one attempt. When it is dropped it is settled by what was shown until then.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    reserved: Option<(Arc<Budgets>, Reserved)>,
    usd: f64,
}

// === impl Budgets ===

impl Budgets {
    /// Counts at most so many apart.
    pub(crate) fn new(accounts_max: usize) -> Self {
        let books =
            Books { ledger: Ledger::new(accounts_max), tallies: Tallies::new(accounts_max), swept_ms: 0 };
        Self { books: Mutex::new(books) }
    }

    /// Decides with what is spent among the facts, and reserves the most that the answer can cost. A place for which too
    /// little is left is left out, and it is decided again. `facts` are then those of the decision.
    pub(crate) fn decide(
        self: &Arc<Self>,
        rules: &Rules,
        facts: &mut Facts,
        candidates: &[Candidate],
        seed: u64,
    ) -> (Decision, Hold) {
        if rules.budgets().is_empty() && rules.caps().is_empty() {
            return (policy::decide(rules, facts, candidates, seed), Hold::default());
        }
        // One at a time: of two that are decided together, each would find what the other is about to spend.
        let mut books = self.books();
        let now_ms = now_ms();
        let class = rules.class_of(facts).clone();
        facts.spent = books.ledger.spent(rules, (facts, &class), now_ms);
        facts.shares = books.tallies.shares(rules, (facts, &class), now_ms);
        loop {
            let decision = policy::decide(rules, facts, candidates, seed);
            let Some(chosen) = decision.place.as_ref().and_then(|place| candidates.get(place.index)) else {
                books.tallies.count(rules, (facts, &class), None, now_ms);
                return (decision, Hold::default());
            };
            let most = usd_micros(policy::price_bound_usd(rules, facts, chosen));
            match books.ledger.reserve(rules, (facts, &class), most, now_ms) {
                Ok(reserved) => {
                    books.tallies.count(rules, (facts, &class), Some(chosen), now_ms);
                    return (decision, Hold { reserved: Some((self.clone(), reserved)), usd: 0.0 });
                }
                Err(short) => facts.excluded.push(Excluded::new(chosen.place.clone(), short.to_string())),
            }
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets accounts whose time is over, now and then. `rules` are the only ones in use.
    pub(crate) fn sweep(&self, rules: &Rules) {
        let now_ms = now_ms();
        let mut books = self.books();
        if now_ms.saturating_sub(books.swept_ms) >= SWEEP_INTERVAL_MS {
            books.swept_ms = now_ms;
            books.ledger.sweep(rules, now_ms);
            books.tallies.sweep(rules, now_ms);
        }
    }
}

// === impl Hold ===

impl Hold {
    /// The answer has cost this so far, US dollars.
    pub(crate) fn cost(&mut self, usd: f64) {
        self.usd = usd;
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some((budgets, reserved)) = self.reserved.take() {
            budgets.books().ledger.settle(reserved, usd_micros(self.usd));
        }
    }
}
