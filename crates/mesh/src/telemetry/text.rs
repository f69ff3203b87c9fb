//! Log lines for people: one line an event, whatever a caller put into it.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::logs::{Kept, belongs_to};

/// Time, level, the spans with their fields, target, message, the event's fields, and the call that it belongs to.
///
/// Control characters are written as escapes, so that no text of a caller's can end a line, begin one that was never
/// written, or speak to a terminal.
#[derive(Debug, Clone, Copy)]
pub(super) struct TextLines {
    /// Whether the level is in colour.
    pub(super) colour: bool,
}

/// Collects a message and the fields after it.
#[derive(Debug, Default)]
struct Words {
    message: String,
    fields: String,
}

impl<S, N> FormatEvent<S, N> for TextLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        SystemTime.format_time(&mut writer)?;
        let level = *event.metadata().level();
        match self.colour {
            true => write!(writer, " \u{1b}[{}m{level:>5}\u{1b}[0m ", colour(level))?,
            false => write!(writer, " {level:>5} ")?,
        }
        let mut line = String::new();
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            let extensions = span.extensions();
            // Those that the filter hides have none.
            let Some(fields) = extensions.get::<Kept>() else { continue };
            match fields.is_empty() {
                true => write!(line, "{}:", span.name())?,
                false => write!(line, "{}{{{fields}}}:", span.name())?,
            }
        }
        let mut words = Words::default();
        event.record(&mut words);
        let gap = if line.is_empty() { "" } else { " " };
        write!(line, "{gap}{}: {}{}", event.metadata().target(), words.message, words.fields)?;
        for (name, value) in belongs_to() {
            write!(line, " {name}={value}")?;
        }
        for letter in line.chars() {
            match is_plain(letter) {
                true => writer.write_char(letter)?,
                false => write!(writer, "{}", letter.escape_default())?,
            }
        }
        writeln!(writer)
    }
}

/// Everything but control characters and what breaks a line or turns its direction.
fn is_plain(letter: char) -> bool {
    let turns = matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !letter.is_control() && !turns && !matches!(letter, '\u{2028}' | '\u{2029}')
}

/// The terminal's number for a level's colour.
fn colour(level: Level) -> u8 {
    match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        Level::DEBUG => 34,
        Level::TRACE => 35,
    }
}

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}
