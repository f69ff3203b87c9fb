//! The desk: everything that a hop decides with, and what it tells of it.

use std::convert::Infallible;
use std::sync::Arc;

use mesh::journal::Journal;
use mesh::rollout::{Picked, Report, Trial};
use policy::{Candidate, Name, Rules};
use proto::v1;
use proto::v1::feedback::Verdict;

use crate::answered::Answered;
use crate::books;
use crate::budgets::Budgets;
use crate::error::Error;
use crate::log::Log;
use crate::meters::{self, Meters};
use crate::options::DeskOptions;
use crate::policies::Policies;
use crate::vocabulary::Vocabularies;

/// What a hop decides with; clones share it.
#[derive(Clone, Debug)]
pub struct Desk {
    pub(crate) parts: Arc<Parts>,
}

/// What a desk is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    /// What the hop is called in decisions.
    pub(crate) hop: &'static str,
    pub(crate) policies: Policies,
    pub(crate) budgets: Arc<Budgets>,
    pub(crate) log: Log,
    pub(crate) meters: Option<Meters>,
    pub(crate) vocabularies: Vocabularies,
    answered: Answered,
}

// === impl Desk ===

impl Desk {
    /// Opens the log beside the policies that were read.
    ///
    /// # Errors
    /// The log cannot be written.
    pub fn open(policies: Policies, options: DeskOptions<'_>) -> Result<Self, Error> {
        let meters = Meters::of_process(options.hop);
        let log = Journal::open(options.decisions, options.bind)?;
        let file = books::file(options.budgets, options.decisions);
        let parts = Arc::new(Parts {
            hop: options.hop,
            policies,
            budgets: Arc::new(Budgets::open(options.budgets, file, meters.clone())),
            log,
            vocabularies: Vocabularies::default(),
            answered: Answered::new(options.feedback.ids_max),
            meters,
        });
        meters::watch(&parts);
        Ok(Self { parts })
    }

    /// What the hop is called in decisions.
    #[must_use]
    pub fn hop(&self) -> &'static str {
        self.parts.hop
    }

    /// The policy in force.
    #[must_use]
    pub fn live(&self) -> Arc<Rules> {
        self.parts.policies.live()
    }

    /// Tells candidates what their answers so far have taught of them, as facts of the decision.
    #[must_use]
    pub fn informed(&self, mut candidates: Vec<Candidate>, rules: &Rules) -> Vec<Candidate> {
        candidates.iter_mut().for_each(|one| self.parts.vocabularies.inform(one, rules));
        candidates
    }

    /// The policy for one request, by its lot; see [`crate::Reading::lot`].
    #[must_use]
    pub fn pick(&self, lot: u64) -> Picked<Rules> {
        self.parts.policies.pick(lot)
    }

    /// The trial of a request that is about to be decided.
    pub fn try_out(&self, picked: &mut Picked<Rules>) -> Option<Trial> {
        if picked.instead.is_none() {
            self.parts.budgets.sweep(&picked.rules);
        }
        picked.trial.take()
    }

    /// What became of the policies so far: reloads, refusals, differences of the shadow, the canary's fate.
    #[must_use]
    pub fn report(&self) -> Report {
        self.parts.policies.report()
    }

    /// What is spent or reserved of each budget by all who share it, US dollars.
    #[must_use]
    pub fn spent(&self) -> Vec<(Name, f64)> {
        self.parts.budgets.spent(&self.live())
    }

    /// Takes what is said of an answer.
    pub fn hear(&self, feedback: &v1::Feedback) -> v1::FeedbackReceipt {
        let known = self.parts.answered.knows(&feedback.request_id);
        let right = match feedback.verdict {
            Some(Verdict::Right(right)) => Some(right),
            // Whoever asks again in other words was not helped by the first answer.
            Some(Verdict::Retried(true)) => Some(false),
            Some(Verdict::Retried(false)) | None => None,
        };
        if let (true, Some(log), Some(right)) = (known, &self.parts.log, right) {
            log.tell(&feedback.request_id, right);
        }
        v1::FeedbackReceipt { known }
    }

    /// What `Describe` says of the policies and of the log.
    #[must_use]
    pub fn state(&self) -> v1::PolicyState {
        let Report { live, canary, shadowed, differences, .. } = self.report();
        let canary = canary.unwrap_or_default();
        let written = self.parts.log.as_ref().map(Journal::written).unwrap_or_default();
        v1::PolicyState {
            hash: self.live().hash().to_string(),
            reloads: live.reloads,
            reloads_refused: live.refused,
            refusal: live.refusal.unwrap_or_default(),
            shadowed,
            shadow_different: differences.iter().map(|one| one.count).sum(),
            canary_exposed: canary.exposed,
            canary_rollbacks: canary.rollbacks,
            canary_rolled_back: canary.rolled_back.unwrap_or_default(),
            decisions_logged: written.written,
            decisions_dropped: written.dropped,
        }
    }

    /// Looks after the policy files and the books, for as long as it is polled.
    pub async fn watch(&self) -> Infallible {
        tokio::select! {
            never = self.parts.policies.watch() => never,
            never = self.parts.budgets.keep() => never,
        }
    }

    /// Writes what is left of the books and of the log. What is decided later is not in it.
    pub async fn end(&self) {
        self.parts.budgets.write().await;
        if let Some(log) = &self.parts.log {
            log.end().await;
        }
    }

    pub(crate) fn remember(&self, request_id: &str) {
        self.parts.answered.remember(request_id);
    }
}
