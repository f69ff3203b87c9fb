//! What must hold of a world that has come to rest: nobody holds anything, everything works, the money is right.

use std::time::Duration;

use proto::v1;
use tokio::time::sleep;

use crate::check;
use crate::client::{Ask, End, Seen};
use crate::hop::{self, Hop};
use crate::world::{CLIENTS, World};

// === impl World ===

impl World {
    /// Nobody asks anything: nobody holds anything.
    pub(crate) fn at_rest(&self) {
        for worker in &self.workers {
            let (answers, calls) = worker.holds();
            if answers > 0 || calls != self.routers {
                let (place, routers) = (worker.plan.place, self.routers);
                self.trace.violated(format_args!(
                    "at rest {place} holds {answers} answers and {calls} calls; {routers} routers watch it"
                ));
            }
        }
    }

    /// A world that is well again answers everything, and as much at once as before.
    pub(crate) async fn probe(&self) -> Vec<Seen> {
        let mut all = Vec::new();
        for hop in &self.hops {
            let seen = self.finish(vec![self.ask(CLIENTS, self.probing(hop, 0))]).await;
            seen.iter().for_each(|seen| self.recovered(seen));
            all.extend(seen);
            // Until every router has heard that the workers are idle again.
            sleep(Duration::from_secs(1)).await;
        }
        // What agents watch is a call as well.
        let watchers = self.hops.len() - self.routers;
        for hop in &self.hops[..self.routers] {
            let many = 1..=hop::IN_FLIGHT_MAX - watchers;
            let running = many.map(|number| self.ask(CLIENTS, self.probing(hop, number))).collect();
            let seen = self.finish(running).await;
            let refused = seen.iter().filter(|seen| matches!(seen.end, End::Status(..))).count();
            if refused > 0 {
                let first = seen.iter().find(|seen| matches!(seen.end, End::Status(..)));
                let first = first.map(|seen| &seen.end);
                self.trace.violated(format_args!(
                    "{} takes fewer calls at once than when it began: {refused} were refused, such as {first:?}",
                    hop.name
                ));
            }
            all.extend(seen);
            sleep(Duration::from_secs(1)).await;
        }
        all
    }

    fn probing(&self, hop: &Hop, number: usize) -> Ask {
        let request_id = format!("probe-{}-{number}", hop.name);
        Ask {
            prompt: format!("{request_id} of {}", self.seed),
            request_id,
            at_ms: 0,
            via: hop.host,
            max_tokens: Some(12),
            deadline_ms: Some(60_000),
            leaves_after_tokens: None,
            leaves_after_ms: None,
            reads_ms: 0,
            priority: v1::Priority::Normal,
        }
    }

    /// A probe was answered, by a router that believes every worker to be idle.
    fn recovered(&self, seen: &Seen) {
        let id = &seen.ask.request_id;
        if !matches!(seen.finish(), Some(v1::FinishReason::Stop | v1::FinishReason::Length)) {
            self.trace.violated(format_args!(
                "{id}: all is well, and it ended so: {:?}, {:?}",
                seen.end,
                seen.finish()
            ));
            return;
        }
        let decisions = seen.started.first().map(|started| started.decisions.as_slice()).unwrap_or_default();
        for candidate in decisions.iter().filter(|one| one.hop == "router").flat_map(|one| &one.candidates) {
            let busy = candidate.running + candidate.waiting;
            if busy > 0 || candidate.removal.is_some() {
                let (place, removal) = (&candidate.place, &candidate.removal);
                self.trace.violated(format_args!(
                    "{id}: {place} is idle, and the router counts {busy} requests there; removed: {removal:?}"
                ));
            }
        }
    }

    /// What is spent is what was sold.
    pub(crate) fn count(&self, all: &[Seen]) {
        let efforts = self.efforts.lock();
        let mut bounds = check::Bounds::default();
        for seen in all {
            let at_router = self.hops[..self.routers].iter().any(|hop| hop.host == seen.ask.via);
            let one = check::charged(seen, efforts.get(&seen.ask.request_id), at_router);
            bounds = check::Bounds { least: bounds.least + one.least, most: bounds.most + one.most };
        }
        let spent: u64 = self.hops[..self.routers].iter().map(Hop::spent_usd_micros).sum();
        self.trace.note(format_args!("spent are {spent} millionths, sold {bounds:?}"));
        if spent < bounds.least || spent > bounds.most {
            self.trace
                .violated(format_args!("{spent} millionths of a dollar are spent; sold were {bounds:?}"));
        }
    }

    pub(crate) async fn end(&mut self) {
        for hop in self.hops.iter_mut().rev() {
            hop.drain();
        }
        sleep(hop::DRAIN_MAX).await;
        for hop in &self.hops {
            if !hop.has_ended() {
                self.trace.violated(format_args!("{} did not end", hop.name));
            }
        }
    }
}
