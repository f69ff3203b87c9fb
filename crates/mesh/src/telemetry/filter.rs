//! Which spans and events anybody wants: those that belong to traces, and those that the filter of log lines lets through.

use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::{EnvFilter, ParseError, Targets};
use tracing_subscriber::layer::{Context, Layer};

/// Spans of the machinery that sends spans would never come to an end.
const SILENT_TARGETS: [&str; 6] = ["h2", "hyper", "hyper_util", "tonic", "tower", "opentelemetry"];

/// A filter of log lines.
#[derive(Debug)]
pub(super) enum LineFilter {
    /// By targets and levels, and no spans but those of traces: both are kept by one filter, which is asked once for
    /// each place in the code.
    Shared(Targets),
    /// By targets and levels, with spans that no trace has.
    Targets(Targets),
    /// By spans and their fields as well.
    Spans(Box<EnvFilter>),
}

/// The one filter of all layers.
#[derive(Debug)]
pub(super) struct Wanted {
    traced: Targets,
    shown: Targets,
}

/// Spans of the code of this project and of whatever is not part of sending.
pub(super) fn traced_targets() -> Targets {
    let silent = SILENT_TARGETS.map(|target| (target, LevelFilter::OFF));
    Targets::new().with_default(LevelFilter::INFO).with_targets(silent)
}

// === impl LineFilter ===

impl LineFilter {
    /// Reads one. By targets and levels alone it has no need to look at each span that is entered.
    pub(super) fn parse(text: &str) -> Result<Self, ParseError> {
        let of_spans = EnvFilter::try_new(text)?;
        Ok(match text.parse::<Targets>() {
            Ok(targets) if !text.contains(['[', '{']) => {
                let loudest = targets.iter().map(|(_, level)| level).chain(targets.default_level()).max();
                // The machinery's spans are all of lower levels.
                match loudest.is_none_or(|level| level <= LevelFilter::INFO) {
                    true => Self::Shared(targets),
                    false => Self::Targets(targets),
                }
            }
            _ => Self::Spans(Box::new(of_spans)),
        })
    }
}

// === impl Wanted ===

impl Wanted {
    /// What belongs to traces, and of events what is shown as well.
    pub(super) fn new(shown: Targets) -> Self {
        Self { traced: traced_targets(), shown }
    }

    fn wants(&self, of: &Metadata<'_>) -> bool {
        let by = |targets: &Targets| targets.would_enable(of.target(), of.level());
        by(&self.traced) || (of.is_event() && by(&self.shown))
    }
}

impl<S: Subscriber> Layer<S> for Wanted {
    fn register_callsite(&self, of: &'static Metadata<'static>) -> Interest {
        if self.wants(of) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, of: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.wants(of)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::INFO)
    }
}
