//! The seal of a policy file: a checksum of what it says, however it is written.
//!
//! It covers the names and values of all fields but its own. Comments, white space, line ends, the order of fields, and
//! how a table, a text or a number is written are no part of it: so it outlives editors, formatters and the ways of
//! systems with line ends, and a change that it does not see changes no decision. It tells of what happened to a file,
//! and not who wrote it: whoever can write the file can write the checksum too. A signature would sign the same digest.

use toml_edit::{Item, TableLike, Value};

use super::section::Section;
use super::source::Source;
use super::{Rules, parse};
use crate::error::{Code, Error};

#[cfg(test)]
mod tests;

/// The field that holds it.
const KEY: &str = "checksum";

/// What stands before the digest: how it was made.
pub(crate) const KIND: &str = "blake3:";

/// What is asked of a policy's seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sealing {
    /// There may be none; one that there is has to be right.
    Checked,
    /// There has to be one, and it has to be right.
    Demanded,
    /// It is about to be written.
    Unread,
}

/// Writes the seal of a policy into its text, and leaves all else as it is. `file_name` only names the file in errors.
///
/// # Errors
/// The text is no policy.
pub fn seal(file_name: &str, text: &str) -> Result<String, Error> {
    let source = Source { file: file_name, text };
    parse::rules(source, Sealing::Unread)?;
    let document = parse::document(&source)?;
    let (root, span) = (document.as_table(), |key: &str| document.get(key).and_then(Item::span));
    let checksum = checksum(root);
    if let Some(old) = span(KEY) {
        return Ok(format!("{}\"{checksum}\"{}", &text[..old.start], &text[old.end..]));
    }
    // After the line that says the edition, which every policy has.
    let edition = span("schema").map_or(0, |schema| schema.end);
    let (before, after) = match text[edition..].find('\n') {
        Some(end) => text.split_at(edition + end + 1),
        None => (text, ""),
    };
    let end = if before.ends_with("\r\n") { "\r\n" } else { "\n" };
    let gap = if before.ends_with('\n') { "" } else { end };
    Ok(format!("{before}{gap}{KEY} = \"{checksum}\"{end}{after}"))
}

/// Whether there is a seal; one that is not right is refused.
pub(super) fn check(root: &Section<'_>, table: &dyn TableLike, sealing: Sealing) -> Result<bool, Error> {
    let given = root.text(KEY)?;
    let refuse = |span, code, problem: &str, mend: String| Err(root.source.flaw(span, code, problem, mend));
    let seal = format!("`causeway policy seal {}`", root.source.file);
    match (given, sealing) {
        (_, Sealing::Unread) => Ok(false),
        (None, Sealing::Checked) => Ok(false),
        (None, Sealing::Demanded) => refuse(
            None,
            Code::ChecksumMissing,
            "the policy has no `checksum`, and none is taken here without",
            format!("seal it with {seal}, or say `policy.sealed = false`"),
        ),
        (Some(given), _) if given.name == *checksum(table) => Ok(true),
        (Some(given), _) => refuse(
            given.span,
            Code::ChecksumWrong,
            "the policy no longer says what it said when it was sealed",
            format!("restore the file; if the change is meant, seal it with {seal}"),
        ),
    }
}

/// The checksum of a policy file.
fn checksum(file: &dyn TableLike) -> String {
    let mut said = Said(blake3::Hasher::new());
    said.table(file, Some(KEY));
    format!("{KIND}{}", said.0.finalize().to_hex())
}

/// The digest of what was said so far. Everything begins with what it is and how long, so that no two files that say
/// different things give the same bytes.
struct Said(blake3::Hasher);

// === impl Said ===

impl Said {
    fn begin(&mut self, sort: u8, length: usize) {
        self.0.update(&[sort]);
        self.0.update(&(length as u64).to_le_bytes());
    }

    fn bytes(&mut self, sort: u8, bytes: &[u8]) {
        self.begin(sort, bytes.len());
        self.0.update(bytes);
    }

    /// A text over several lines has the line ends of its file, which are the system's and not the writer's.
    fn text(&mut self, text: &str) {
        self.bytes(b's', text.replace("\r\n", "\n").as_bytes());
    }

    /// Fields by their names, without one of them.
    fn table(&mut self, table: &dyn TableLike, without: Option<&str>) {
        let fields = table.iter().filter(|(key, item)| !item.is_none() && Some(*key) != without);
        let mut fields: Vec<(&str, &Item)> = fields.collect();
        fields.sort_unstable_by_key(|(key, _)| *key);
        self.begin(b't', fields.len());
        for (key, item) in fields {
            self.text(key);
            match item {
                Item::None => {}
                Item::Value(value) => self.value(value),
                Item::Table(table) => self.table(table, None),
                Item::ArrayOfTables(list) => {
                    self.begin(b'a', list.len());
                    list.iter().for_each(|table| self.table(table, None));
                }
            }
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.text(text.value()),
            Value::Integer(number) => self.bytes(b'i', &number.value().to_le_bytes()),
            Value::Float(number) => self.bytes(b'f', &number.value().to_bits().to_le_bytes()),
            Value::Boolean(flag) => self.bytes(b'b', &[u8::from(*flag.value())]),
            Value::Datetime(date) => self.bytes(b'd', date.value().to_string().as_bytes()),
            Value::Array(list) => {
                self.begin(b'a', list.len());
                list.iter().for_each(|value| self.value(value));
            }
            Value::InlineTable(table) => self.table(table, None),
        }
    }
}

// === impl Rules ===

impl Rules {
    /// Reads a policy as [`Rules::parse`] does, and refuses one without a seal.
    ///
    /// # Errors
    /// The text is no policy, or has no seal.
    pub fn parse_sealed(file_name: &str, text: &str) -> Result<Self, Error> {
        parse::rules(Source { file: file_name, text }, Sealing::Demanded)
    }

    /// Whether the file has a seal, which is then right.
    pub fn is_sealed(&self) -> bool {
        self.sealed
    }
}
