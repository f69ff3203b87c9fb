//! Reads a TOML file into values that remember where they were written.

use std::io::Read as _;
use std::ops::Range;
use std::path::Path;

use figment::value::{Dict, Value};
use toml_edit::{Document, Item, Table, TableLike};

use super::origin::Origin;
use super::report::Problem;

/// A configuration is written by people; a larger file is a mistake, such as a model given as a configuration.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What a file says: its values, and the place of each key in document order.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) dict: Dict,
    pub(super) places: Vec<Place>,
}

/// Where one key stands in the file.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) path: Vec<String>,
    /// Whether it is a table, which gives no value by itself.
    pub(super) heading: bool,
    pub(super) origin: Origin,
}

struct Reader<'a> {
    file: &'a Path,
    text: &'a str,
    places: Vec<Place>,
}

/// Reads and parses a file.
pub(super) fn read(path: &Path) -> Result<Written, Problem> {
    let text = text_of(path).map_err(|cause| {
        Problem::new(
            Origin::Whole(path.to_owned()),
            format!("the configuration file cannot be read: {cause}"),
        )
    })?;
    parse(path, &text)
}

/// Parses the text of a file.
pub(super) fn parse(path: &Path, text: &str) -> Result<Written, Problem> {
    let document = Document::parse(text).map_err(|error| {
        let (line, column) = line_and_column(text, error.span().map_or(0, |span| span.start));
        let message = error.message().trim().replace('\n', ", ");
        Problem::new(
            Origin::File { path: path.to_owned(), line, column },
            format!("not valid TOML: {message}"),
        )
    })?;
    let mut reader = Reader { file: path, text, places: Vec::new() };
    let dict = reader.table(document.as_table(), &[]);
    Ok(Written { dict, places: reader.places })
}

fn text_of(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(std::io::Error::other(format!("it is larger than {FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}

fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset.min(text.len())).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

// === impl Reader ===

impl Reader<'_> {
    fn table(&mut self, table: &dyn TableLike, above: &[String]) -> Dict {
        let mut dict = Dict::new();
        for (name, item) in table.iter() {
            let mut path = above.to_vec();
            path.push(name.to_owned());
            let span = table.key(name).and_then(toml_edit::Key::span).or_else(|| item.span());
            self.place(&path, item.is_table_like(), span);
            if let Some(value) = self.item(item, &path) {
                dict.insert(name.to_owned(), value);
            }
        }
        dict
    }

    fn item(&mut self, item: &Item, path: &[String]) -> Option<Value> {
        match item {
            Item::None => None,
            Item::Value(value) => Some(self.value(value, path)),
            Item::Table(table) => Some(Value::from(self.table(table, path))),
            Item::ArrayOfTables(tables) => {
                let elements = tables.iter().enumerate().map(|(at, table)| self.element(table, path, at));
                Some(Value::from(elements.collect::<Vec<_>>()))
            }
        }
    }

    fn element(&mut self, table: &Table, path: &[String], at: usize) -> Value {
        let path = [path, &[at.to_string()]].concat();
        self.place(&path, true, table.span());
        Value::from(self.table(table, &path))
    }

    fn value(&mut self, value: &toml_edit::Value, path: &[String]) -> Value {
        match value {
            toml_edit::Value::InlineTable(table) => Value::from(self.table(table, path)),
            toml_edit::Value::Array(array) => {
                let mut elements = Vec::with_capacity(array.len());
                for (at, element) in array.iter().enumerate() {
                    let path = [path, &[at.to_string()]].concat();
                    self.place(&path, element.is_inline_table(), element.span());
                    elements.push(self.value(element, &path));
                }
                Value::from(elements)
            }
            scalar => plain(scalar),
        }
    }

    fn place(&mut self, path: &[String], heading: bool, span: Option<Range<usize>>) {
        let (line, column) = line_and_column(self.text, span.map_or(0, |span| span.start));
        let origin = Origin::File { path: self.file.to_owned(), line, column };
        self.places.push(Place { path: path.to_vec(), heading, origin });
    }
}

/// A TOML value without its place.
pub(super) fn plain(value: &toml_edit::Value) -> Value {
    match value {
        toml_edit::Value::String(text) => Value::from(text.value().as_str()),
        toml_edit::Value::Integer(number) => Value::from(*number.value()),
        toml_edit::Value::Float(number) => Value::from(*number.value()),
        toml_edit::Value::Boolean(flag) => Value::from(*flag.value()),
        toml_edit::Value::Datetime(time) => Value::from(time.value().to_string()),
        toml_edit::Value::Array(array) => Value::from(array.iter().map(plain).collect::<Vec<_>>()),
        toml_edit::Value::InlineTable(table) => {
            let entries = table.iter().map(|(name, value)| (name.to_owned(), plain(value)));
            Value::from(entries.collect::<Dict>())
        }
    }
}
