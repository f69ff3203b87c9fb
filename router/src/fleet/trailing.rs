//! What a worker tells of its load behind the last event of an answer, in the trailers.

use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use proto::orca::{self, OrcaLoadReport};
use tokio::time::{Instant, timeout};
use tonic::metadata::MetadataMap;

use super::entry::Entry;
use crate::relay::Frames;

/// Trailers follow the last event at once; a caller's answer does not wait longer for its end than this.
const WAIT_MAX: Duration = Duration::from_millis(100);
/// After so long the next call's report is due.
const INTERVAL: Duration = Duration::from_millis(500);

/// The end of an answer, of which the caller has everything.
#[derive(Debug)]
pub(crate) struct Trailing {
    entry: Arc<Entry>,
    rest: Option<Frames>,
}

// === impl Trailing ===

impl Trailing {
    pub(super) fn new(entry: Arc<Entry>, rest: Option<Frames>) -> Self {
        Self { entry, rest }
    }

    /// Whether its worker tells its load nowhere else.
    pub(crate) fn is_heeded(&self) -> bool {
        self.rest.is_some() && self.entry.heeds_calls()
    }

    /// Waits for the trailers, and takes the worker's load from there.
    pub(crate) async fn heed(self) {
        let Some(mut rest) = self.rest else { return };
        // A worker that does not end its stream has said all the same that its answer is complete.
        let Ok(Ok(Some(trailers))) = timeout(WAIT_MAX, rest.trailers()).await else { return };
        if let Some(report) = report_in(&MetadataMap::from_headers(trailers)) {
            self.entry.hear_call(&report, INTERVAL, Instant::now());
        }
    }
}

/// The report in trailers; one that cannot be read is none.
fn report_in(trailers: &MetadataMap) -> Option<OrcaLoadReport> {
    let bytes = trailers.get_bin(orca::TRAILER)?.to_bytes().ok()?;
    OrcaLoadReport::decode(bytes).ok()
}
