//! The agent's decision on one attempt, over the places that it sees as they are now.

use hop::Weighed;
use policy::{Decision, Facts, Name, Reason, Rules};

use super::{Asked, Attempt, Places};
use crate::commands::Match;
use crate::error::{Error, Failure, Removed, UNHEALTHY};
use crate::escalate::Upstreams;

// === impl Places ===

impl Places {
    /// Weighs every place as it is now.
    pub(super) fn decide(&self, asked: &mut Asked, failures: &mut Vec<Failure>) -> Result<Attempt, Error> {
        let Asked { asked, command } = asked;
        let (command, first) = (command.as_ref(), failures.is_empty());
        let candidates = self.candidates(asked, command, &asked.picked.rules);
        let again = |asked: &hop::Asked, rules: &Rules| self.again(asked, command, (rules, first));
        let Weighed { decision, decide_us, stake } = self.desk.weigh(asked, &candidates, first, again);
        let number = u32::try_from(failures.len()).unwrap_or(u32::MAX).saturating_add(1);
        let wire = decision.to_wire(self.desk.hop(), decide_us);
        match decision.place {
            Some(place) => Ok(Attempt { number, place, decision: wire, stake }),
            None => {
                Err(Error::NoPlace { removed: self.removed(&decision), failures: std::mem::take(failures) })
            }
        }
    }

    /// The same request under another policy, which may know other tiers. `first`: nothing was tried before.
    fn again(&self, asked: &hop::Asked, command: Option<&Match>, (rules, first): (&Rules, bool)) -> Decision {
        let candidates = self.candidates(asked, command, rules);
        let mut facts: Facts = asked.facts.clone();
        if first && let Ok(excluded) = self.left_out(asked, command, rules) {
            facts.excluded = excluded;
        }
        policy::decide(rules, &facts, &candidates, asked.seed)
    }

    fn removed(&self, decision: &Decision) -> Vec<Removed> {
        let removed = |(place, reason): (&Name, &Reason)| {
            let problem =
                self.upstream.as_ref().filter(|_| reason.code() == UNHEALTHY).and_then(Upstreams::problem);
            let text = match problem {
                Some(problem) => problem,
                None => reason.to_string(),
            };
            Removed { place: place.clone(), code: reason.code(), text }
        };
        decision.removals().map(removed).collect()
    }
}
