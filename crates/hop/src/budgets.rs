//! What is spent of the policy's budgets, and how much went up under its caps: looked up before a decision, held while
//! the answer streams, settled by what it did cost.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mesh::journal::now_ms;
use parking_lot::Mutex;
use policy::ledger::{Ledger, Reserved, Tallies, usd_micros};
use policy::{Candidate, Decision, Excluded, Facts, Name, Rules};
use tokio::time::{MissedTickBehavior, interval};

use crate::books;
use crate::meters::Meters;
use crate::options::BudgetOptions;

/// Between two looks for accounts whose time is over, milliseconds.
const SWEEP_INTERVAL_MS: u64 = 60_000;

/// Every account of this process.
#[derive(Debug)]
pub(crate) struct Budgets {
    books: Mutex<Books>,
    meters: Option<Meters>,
    /// Where the books outlive the process.
    file: Option<PathBuf>,
    write_interval: Duration,
    /// Held while the file is written: whoever writes last finds what was written before on the disk.
    writing: Mutex<()>,
}

#[derive(Debug)]
struct Books {
    ledger: Ledger,
    tallies: Tallies,
    swept_ms: u64,
    /// Something was counted since the books were written.
    changed: bool,
}

/// What is reserved for one attempt. When it is dropped it is settled by what was shown until then.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    reserved: Option<(Arc<Budgets>, Reserved)>,
    usd: f64,
}

// === impl Budgets ===

impl Budgets {
    /// Takes up what the file has kept.
    pub(crate) fn open(options: &BudgetOptions, file: Option<PathBuf>, meters: Option<Meters>) -> Self {
        let mut ledger = Ledger::new(options.accounts_max);
        let mut tallies = Tallies::new(options.accounts_max);
        if let Some(file) = &file {
            let kept = books::read(file);
            ledger.restore(kept.accounts);
            tallies.restore(kept.tallies);
        }
        let books = Books { ledger, tallies, swept_ms: 0, changed: false };
        let write_interval = Duration::from_millis(options.write_interval_ms.max(1));
        Self { books: Mutex::new(books), meters, file, write_interval, writing: Mutex::new(()) }
    }

    /// Writes the books when they have changed, now and then, for as long as it is polled.
    pub(crate) async fn keep(self: &Arc<Self>) -> Infallible {
        if self.file.is_none() {
            return std::future::pending().await;
        }
        let mut ticks = interval(self.write_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.write().await;
        }
    }

    /// Writes the books if they have changed. No thread is asked for where there is nothing to write to.
    pub(crate) async fn write(self: &Arc<Self>) {
        if self.file.is_none() {
            return;
        }
        let budgets = self.clone();
        // It fails only where the runtime ends.
        let _ = tokio::task::spawn_blocking(move || budgets.write_now()).await;
    }

    fn write_now(&self) {
        let Some(file) = &self.file else { return };
        let _writing = self.writing.lock();
        let kept = {
            let mut books = self.books.lock();
            if !std::mem::take(&mut books.changed) {
                return;
            }
            books::Books::new(books.ledger.kept(), books.tallies.kept())
        };
        if let Err(error) = books::write(file, &kept) {
            let file = file.display();
            tracing::error!(%file, %error, "the books cannot be written; set `budgets.path` to a file that can");
            self.books.lock().changed = true;
        }
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
        let mut books = self.books.lock();
        books.changed = true;
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
                Err(short) => {
                    if let Some(meters) = &self.meters {
                        meters.refused(&short.budget);
                    }
                    facts.excluded.push(Excluded::new(chosen.place.clone(), short.to_string()));
                }
            }
        }
    }

    /// What is spent or reserved of each budget by all who share it, US dollars.
    pub(crate) fn spent(&self, rules: &Rules) -> Vec<(Name, f64)> {
        self.books.lock().ledger.totals(rules, now_ms())
    }

    /// Forgets accounts whose time is over, now and then. `rules` are the only ones in use.
    pub(crate) fn sweep(&self, rules: &Rules) {
        let now_ms = now_ms();
        let mut books = self.books.lock();
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
            let mut books = budgets.books.lock();
            books.changed = true;
            books.ledger.settle(reserved, usd_micros(self.usd));
        }
    }
}
