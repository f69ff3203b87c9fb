//! What a worker is taken to be when it has said something of itself, whichever way.

use std::time::Duration;

use proto::orca::OrcaLoadReport;
use proto::v1;
use tokio::time::Instant;

use super::super::report::{Circumstances, Doubt, Heard};
use super::{Entry, State};

// === impl Entry ===

impl Entry {
    /// Takes a report and says when the next is due.
    pub(in crate::fleet) fn hear(
        &self,
        report: v1::Report,
        interval_wanted: Duration,
        now: Instant,
    ) -> Duration {
        let mut state = self.state.lock();
        state.by_call = false;
        self.take(&mut state, Heard::from_report(report, interval_wanted), now)
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
        self.take(&mut state, Heard::from_orca(report, circumstances), now)
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
        self.take(&mut state, Heard::from_orca(report, Circumstances { interval, model }), now);
    }

    fn take(&self, state: &mut State, (heard, doubts): (Heard, Vec<Doubt>), now: Instant) -> Duration {
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
        state.heard = Some((heard, now));
        self.count(state);
        interval
    }
}
