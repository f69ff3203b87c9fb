//! The lanes of all tiers: what a request would wait in each, and whether it is of use to let it in at all.

use std::sync::Arc;

use parking_lot::RwLock;
use policy::{Facts, Name, Priority};
use tokio::time::Instant;

use super::lane::Lane;
use super::options::FlowOptions;
use super::queue::{Asker, class_of};
use super::refusal::{Refusal, Why};

/// One lane for each tier that has, or had, a worker.
#[derive(Debug)]
pub(crate) struct Lanes {
    options: FlowOptions,
    lanes: RwLock<Vec<Arc<Lane>>>,
    born: Instant,
}

// === impl Lanes ===

impl Lanes {
    /// No tier has a worker yet.
    pub(crate) fn new(options: FlowOptions) -> Self {
        Self { options, lanes: RwLock::default(), born: Instant::now() }
    }

    /// How they are configured.
    pub(crate) fn options(&self) -> &FlowOptions {
        &self.options
    }

    /// The lane of a tier.
    pub(crate) fn of(&self, tier: &Name) -> Arc<Lane> {
        if let Some(lane) = self.find(tier) {
            return lane;
        }
        let mut lanes = self.lanes.write();
        if let Some(lane) = lanes.iter().find(|lane| lane.tier() == tier) {
            return lane.clone();
        }
        let lane = Arc::new(Lane::new(tier.clone(), &self.options));
        lanes.push(lane.clone());
        lane
    }

    /// Every lane.
    pub(crate) fn all(&self) -> Vec<Arc<Lane>> {
        self.lanes.read().clone()
    }

    /// A request as it waits: its tokens, its deadline, its class and who pays.
    pub(crate) fn asker(&self, facts: &Facts, tokens: f64, deadline: Option<Instant>) -> Asker {
        let us = |at: Instant| u64::try_from(at.saturating_duration_since(self.born).as_micros());
        Asker {
            class: class_of(facts.priority),
            tenant: facts.tenant.clone(),
            weight: self.options.weights.get(facts.tenant.as_str()).copied().unwrap_or(1.0),
            // The cast saturates.
            tokens: (tokens.ceil() as u64).max(1),
            deadline_us: deadline.and_then(|at| us(at).ok()).unwrap_or(u64::MAX),
        }
    }

    /// Whether anybody waits anywhere.
    pub(crate) fn are_busy(&self) -> bool {
        self.lanes.read().iter().any(|lane| lane.is_busy())
    }

    /// The lanes in which somebody waits.
    pub(crate) fn busy(&self) -> Vec<Arc<Lane>> {
        self.lanes.read().iter().filter(|lane| lane.is_busy()).cloned().collect()
    }

    /// The refusal of one that no tier has room for, nor lets wait.
    pub(crate) fn would_refuse(&self, asker: &Asker) -> Option<Refusal> {
        let mut least: Option<Refusal> = None;
        for lane in self.lanes.read().iter().filter(|lane| lane.is_alive()) {
            let refusal = (!lane.is_open()).then(|| lane.would_refuse(asker)).flatten()?;
            if least.as_ref().is_none_or(|least| refusal.pushback < least.pushback) {
                least = Some(refusal);
            }
        }
        least.map(|refusal| Refusal { tier: None, ..refusal })
    }

    /// The refusal of one that could be answered in time if less waited.
    pub(crate) fn too_late(&self) -> Option<Refusal> {
        let lanes = self.lanes.read();
        let full = lanes.iter().filter(|lane| lane.is_full());
        full.map(|lane| lane.refusal(Why::Deadline)).min_by_key(|refusal| refusal.pushback)
    }

    /// Milliseconds that agents should hold back: until there is room for what is most urgent; 0 while there is, for
    /// that may be all that comes, or takes the place of what is less so.
    pub(crate) fn pushback_ms(&self, tokens: f64) -> u32 {
        if !self.are_busy() {
            return 0;
        }
        let urgent = Facts { priority: Priority::Interactive, ..Facts::default() };
        let refusal = self.would_refuse(&self.asker(&urgent, tokens, None));
        refusal.map_or(0, |refusal| u32::try_from(refusal.pushback.as_millis()).unwrap_or(u32::MAX))
    }

    fn find(&self, tier: &Name) -> Option<Arc<Lane>> {
        self.lanes.read().iter().find(|lane| lane.tier() == tier).cloned()
    }
}
