//! What is kept of each decision: its line of the log, completed when its answer has ended, or dropped with it.

use mesh::journal::{Entry, Journal, now_ms};
use policy::{Decision, DecisionLine, Outcome};
use proto::v1;
use proto::v1::content_part::Part;
use tokio::time::Instant;

/// Most bytes of text that a line keeps.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// The log; `None`: none is kept.
pub(crate) type Log = Option<Journal<Kept>>;

/// A line that waits for its feedback.
#[derive(Debug)]
pub(crate) struct Kept(DecisionLine);

/// The line of a decision whose answer has not ended. Dropped before that, it is written without an outcome.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    kept: Option<(Journal<Kept>, DecisionLine)>,
    decided: Option<Instant>,
    first: Option<Instant>,
}

// === impl Kept ===

impl Entry for Kept {
    type Word = bool;

    fn hear(&mut self, right: bool) {
        if let Some(outcome) = &mut self.0.outcome {
            outcome.right = Some(right);
        }
    }

    fn line(&self) -> String {
        self.0.to_json()
    }
}

// === impl Pending ===

impl Pending {
    /// Begins the line of a decision. `propensity` is the probability with which its place was taken, where chance had a
    /// part.
    pub(crate) fn new(
        log: &Log,
        decision: &Decision,
        (hop, request): (&'static str, &v1::GenerateRequest),
        propensity: Option<f64>,
    ) -> Self {
        let Some(journal) = log else { return Self::default() };
        let trace_id = mesh::telemetry::trace_id().unwrap_or_default();
        let mut line = DecisionLine::new(decision, now_ms(), trace_id, hop);
        line.propensity = propensity;
        line.text = journal.keeps_text().then(|| text(request));
        Self { kept: Some((journal.clone(), line)), decided: Some(Instant::now()), first: None }
    }

    /// The first of the answer is here.
    pub(crate) fn begun(&mut self) {
        self.first.get_or_insert_with(Instant::now);
    }

    /// The answer is complete: its line waits for feedback on this request.
    pub(crate) fn done(mut self, request_id: &str, usd: f64, output_tokens: u32) {
        let Some((journal, mut line)) = self.kept.take() else { return };
        let since = |then: Option<Instant>| {
            self.decided.zip(then).map_or(0.0, |(decided, then)| (then - decided).as_secs_f64())
        };
        line.outcome = Some(Outcome {
            usd: if usd.is_finite() && usd >= 0.0 { usd } else { 0.0 },
            seconds: since(Some(Instant::now())),
            ttft_seconds: since(self.first),
            output_tokens,
            right: None,
        });
        journal.hold(request_id, Kept(line));
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some((journal, line)) = self.kept.take() {
            journal.put(Kept(line));
        }
    }
}

/// What was said last, bounded.
fn text(request: &v1::GenerateRequest) -> String {
    let parts = request.turns.last().map(|turn| turn.parts.as_slice()).unwrap_or_default();
    let texts = parts.iter().filter_map(|part| match &part.part {
        Some(Part::Text(text)) => Some(text.as_str()),
        _ => None,
    });
    let mut text = texts.collect::<Vec<_>>().join("\n");
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}
