//! What must hold of a world that has come to rest: nobody holds anything, everything works, the money is right.

use std::time::Duration;

use proto::v1;
use tokio::time::sleep;

use crate::check;
use crate::client::{Ask, End, Seen};
use crate::hop::{self, Hop};
use crate::world::{CLIENTS, World};

/// How often those that a well world is too full for ask again.
const ROUNDS_MAX: usize = 5;
/// After how long they do: longer than any queue is let become.
const ROUND: Duration = Duration::from_secs(4);

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
            let at_once = hop::IN_FLIGHT_MAX - watchers;
            // Workers that were slow are believed to be so for a while: whoever is told to ask again does.
            let mut left = at_once;
            for round in 0..ROUNDS_MAX {
                let running = (1..=left).map(|number| self.probing(hop, round * at_once + number));
                let seen = self.finish(running.map(|ask| self.ask(CLIENTS, ask)).collect()).await;
                left = seen.iter().filter(|seen| matches!(seen.end, End::Full(_))).count();
                if let Some(first) = seen.iter().find(|seen| matches!(seen.end, End::Status(..))) {
                    let (name, end) = (&hop.name, &first.end);
                    self.trace.violated(format_args!(
                        "{name} takes fewer calls at once than when it began: {end:?}"
                    ));
                }
                all.extend(seen);
                if left == 0 {
                    break;
                }
                sleep(ROUND).await;
            }
            if left > 0 {
                let name = &hop.name;
                self.trace.violated(format_args!("{name} is asked by {left} again and again, and is full"));
            }
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
