//! What a worker is taken to be when it has said something of itself, whichever way.

use std::time::Duration;

use parking_lot::MutexGuard;
use proto::orca::OrcaLoadReport;
use proto::v1;
use tokio::time::Instant;

use super::super::pick::{self, Kin, Model};
use super::super::report::{Circumstances, Doubt, Heard};
use super::super::standing::Standing;
use super::{Entry, State, Who};

/// No cache has room for more tokens.
const CACHE_TOKENS_MAX: u64 = 1 << 40;

// === impl Entry ===

impl Entry {
    /// Takes a report and says when the next is due.
    pub(in crate::fleet) fn hear(
        &self,
        mut report: v1::Report,
        interval_wanted: Duration,
        now: Instant,
    ) -> Duration {
        let mut state = self.state.lock();
        state.by_call = false;
        let cache = report.cache.take();
        state.cache.heard(cache.as_ref(), report.cache_tokens_max.min(CACHE_TOKENS_MAX));
        self.take(state, Heard::from_report(report, interval_wanted), now)
    }

    /// The same of a report by ORCA.
    pub(in crate::fleet) fn hear_orca(
        &self,
        report: &OrcaLoadReport,
        circumstances: Circumstances,
        now: Instant,
    ) -> Duration {
        let mut state = self.state.lock();
        state.by_call = false;
        self.take(state, Heard::from_orca(report, circumstances), now)
    }

    /// Whether what comes with the answers to calls is all that is known of its load.
    pub(in crate::fleet) fn heeds_calls(&self) -> bool {
        let state = self.state.lock();
        let fresh = || self.moment(&state, Instant::now()).late == 0.0;
        state.by_call || !fresh()
    }

    /// A call's answer brought a report, which is due again after `interval`.
    pub(in crate::fleet) fn hear_call(&self, report: &OrcaLoadReport, interval: Duration, now: Instant) {
        let mut state = self.state.lock();
        let model = state.heard.as_ref().and_then(|(heard, _)| heard.model.clone());
        state.by_call = true;
        self.take(state, Heard::from_orca(report, Circumstances { interval, model }), now);
    }

    fn take(
        &self,
        mut state: MutexGuard<'_, State>,
        (heard, doubts): (Heard, Vec<Doubt>),
        now: Instant,
    ) -> Duration {
        if !doubts.is_empty() && !state.doubted {
            let doubts = doubts.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            tracing::warn!(place = %self.who.place, doubts, "a worker's report is believed in part only");
        }
        state.doubted = !doubts.is_empty();
        let interval = heard.interval;
        self.signs.heard(self.age(now));
        state.is_up(now);
        if heard.load_known {
            state.predictor.heard(heard.said(), self.seconds(now));
        }
        self.place(&mut state, heard.model.as_ref());
        state.room.stated(heard.running_max);
        state.heard = Some((heard, now));
        self.count(&mut state);
        self.rank(&mut state, now);
        self.changed(state);
        interval
    }

    /// Where it stands among its like from now on, where there are too many to weigh all.
    pub(super) fn rank(&self, state: &mut State, now: Instant) {
        if self.strata.is_large() && !state.retired {
            let fit = self.stands(state, now) == Standing::Fit;
            let latency = state.latency(&pick::COMMON, &self.moment(state, now)).filter(|_| fit);
            let seconds = latency.map(|latency| pick::common_seconds(&latency));
            self.strata.weighed(std::iter::once((self.number(), seconds)));
        }
    }

    /// It serves this from now on.
    fn place(&self, state: &mut State, model: Option<&v1::ModelDescription>) {
        let same = match (&state.model, model) {
            (Some(was), Some(is)) => was.is(is),
            (was, is) => was.is_none() && is.is_none(),
        };
        if !same {
            state.model = model.map(Model::of);
            if !state.retired {
                let Who { tier, region, .. } = &self.who;
                let kin = Kin { tier: tier.clone(), region: region.clone(), model: state.model.clone() };
                self.strata.join(self.number(), kin);
            }
        }
    }
}
