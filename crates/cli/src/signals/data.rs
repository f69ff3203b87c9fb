//! Labelled texts as files have them: JSON Lines, gzipped or not, each row known by its fields.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use flate2::read::MultiGzDecoder;
use serde_json::{Map, Value};

/// Longest line that is read, in bytes.
const LINE_BYTES_MAX: u64 = 16 << 20;

/// Most rows of one set.
const ROWS_MAX: usize = 5_000_000;

/// One object of a file.
#[derive(Debug)]
pub(crate) struct Row {
    fields: Map<String, Value>,
    place: String,
}

/// A span as a file has it: characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GoldSpan {
    pub(super) kind: String,
    pub(super) start: u32,
    pub(super) end: u32,
}

// === impl Row ===

impl Row {
    /// The text to be read.
    pub(super) fn text(&self) -> Result<&str> {
        self.text_of("text")
    }

    /// A field that has to be there and to be a string.
    pub(super) fn text_of(&self, field: &str) -> Result<&str> {
        match self.fields.get(field) {
            Some(Value::String(text)) => Ok(text),
            Some(other) => bail!("{}: `{field}` is {other}, and a string is read there", self.place),
            None => bail!("{}: there is no `{field}`; this task needs one in every row", self.place),
        }
    }

    /// A field that may be absent.
    pub(crate) fn maybe(&self, field: &str) -> Option<&str> {
        self.fields.get(field).and_then(Value::as_str)
    }

    pub(crate) fn has(&self, field: &str) -> bool {
        self.fields.contains_key(field)
    }

    /// A field as it stands.
    pub(crate) fn value(&self, field: &str) -> Option<&Value> {
        self.fields.get(field)
    }

    /// Whether the field says this, as a text.
    pub(crate) fn is(&self, field: &str, value: &str) -> bool {
        match self.fields.get(field) {
            Some(Value::String(text)) => text == value,
            Some(Value::Bool(flag)) => value.parse() == Ok(*flag),
            Some(Value::Number(number)) => {
                value.parse().is_ok_and(|parsed: serde_json::Number| parsed == *number)
            }
            Some(_) => false,
            None => false,
        }
    }

    /// File and line.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// `spans` with types and characters.
    pub(super) fn spans(&self) -> Result<Vec<GoldSpan>> {
        let Some(Value::Array(spans)) = self.fields.get("spans") else {
            bail!("{}: `spans` is no list of objects with type, start and end", self.place);
        };
        let span = |value: &Value| {
            let number = |field: &str| value.get(field)?.as_u64().and_then(|number| number.try_into().ok());
            let kind = value.get("type")?.as_str()?.to_owned();
            Some(GoldSpan { kind, start: number("start")?, end: number("end")? })
        };
        let found: Option<Vec<GoldSpan>> = spans.iter().map(span).collect();
        let all = found.with_context(|| format!("{}: a span lacks type, start or end", self.place))?;
        let length = self.text()?.chars().count();
        match all.iter().find(|span| span.start >= span.end || span.end as usize > length) {
            Some(span) => bail!(
                "{}: span {} to {} lies not within the text of {length} characters",
                self.place,
                span.start,
                span.end
            ),
            None => Ok(all),
        }
    }
}

/// All rows of several files, as one set.
pub(crate) fn read_all<P: AsRef<Path>>(paths: &[P]) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for path in paths {
        read(path.as_ref(), &mut rows)?;
    }
    if rows.is_empty() {
        bail!("there is no row in these files");
    }
    Ok(rows)
}

fn read(path: &Path, rows: &mut Vec<Row>) -> Result<()> {
    let named = || path.display().to_string();
    let mut reader = BufReader::new(File::open(path).with_context(named)?);
    let zipped = reader.fill_buf().with_context(named)?.starts_with(&[0x1f, 0x8b]);
    let plain: Box<dyn Read> = if zipped { Box::new(MultiGzDecoder::new(reader)) } else { Box::new(reader) };
    let mut lines = BufReader::new(plain);
    let mut line = String::new();
    for number in 1.. {
        let place = format!("{}:{number}", path.display());
        line.clear();
        let length =
            lines.by_ref().take(LINE_BYTES_MAX).read_line(&mut line).with_context(|| place.clone())?;
        if length == 0 {
            break;
        }
        if length as u64 == LINE_BYTES_MAX || rows.len() == ROWS_MAX {
            bail!("{place}: lines of up to 16 MiB and {ROWS_MAX} rows are read");
        }
        if line.trim().is_empty() {
            continue;
        }
        match serde_json::from_str(&line).with_context(|| place.clone())? {
            Value::Object(fields) => rows.push(Row { fields, place }),
            _ => bail!("{place}: a row is a JSON object"),
        }
    }
    Ok(())
}
