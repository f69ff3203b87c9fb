//! One table of a policy file: refuses unknown fields, and reads the known ones with their types and ranges.

use std::ops::{Range, RangeInclusive};

use toml_edit::{Item, TableLike, Value};

use super::LIST_LEN_MAX;
use super::source::{Source, suggestion};
use crate::error::{Code, Error};
use crate::name::Name;

/// A byte range of the file.
pub(super) type Span = Option<Range<usize>>;

/// A table with its place in the file.
pub(super) struct Section<'a> {
    pub(super) source: Source<'a>,
    /// What the table is called in messages, such as `[[class]]`.
    what: &'static str,
    table: &'a dyn TableLike,
    pub(super) span: Span,
}

/// A name as it stands in the file.
#[derive(Clone, Debug)]
pub(super) struct Spelled {
    pub(super) name: Name,
    pub(super) span: Span,
}

// === impl Section ===

impl<'a> Section<'a> {
    /// Opens a table in which only `known` fields may stand.
    pub(super) fn open(
        source: Source<'a>,
        what: &'static str,
        (table, span): (&'a dyn TableLike, Span),
        known: &'static [&'static str],
    ) -> Result<Self, Error> {
        for (key, item) in table.iter() {
            if !known.contains(&key) {
                let at = table.key(key).and_then(toml_edit::Key::span).or_else(|| item.span());
                return Err(source.flaw(
                    at,
                    Code::FieldUnknown,
                    format!("{what} has no field `{key}`"),
                    suggestion(key, known.iter().copied()),
                ));
            }
        }
        Ok(Self { source, what, table, span })
    }

    /// The table under `key`.
    pub(super) fn table(
        &self,
        key: &str,
        what: &'static str,
        known: &'static [&'static str],
    ) -> Result<Option<Section<'a>>, Error> {
        let Some(item) = self.item(key) else { return Ok(None) };
        let Some(table) = item.as_table_like() else {
            return Err(self.wrong_type(key, item.span(), "a table"));
        };
        Section::open(self.source, what, (table, item.span()), known).map(Some)
    }

    /// The tables under `key`, as `[[key]]` writes them.
    pub(super) fn tables(
        &self,
        key: &str,
        what: &'static str,
        known: &'static [&'static str],
    ) -> Result<Vec<Section<'a>>, Error> {
        let Some(item) = self.item(key) else { return Ok(Vec::new()) };
        let Some(tables) = item.as_array_of_tables() else {
            return Err(self.wrong_type(
                key,
                item.span(),
                &format!("a list of tables, each headed `[[{key}]]`"),
            ));
        };
        self.bounded(key, tables.len(), item.span())?;
        tables
            .iter()
            .map(|table| Section::open(self.source, what, (table as &dyn TableLike, table.span()), known))
            .collect()
    }

    /// A number in `range`.
    pub(super) fn number(&self, key: &str, range: RangeInclusive<f64>) -> Result<Option<f64>, Error> {
        let Some(item) = self.item(key) else { return Ok(None) };
        let Some(number) = number_of(item) else {
            return Err(self.wrong_type(key, item.span(), "a number"));
        };
        if !range.contains(&number) {
            let allowed = format!("from {} to {}", range.start(), range.end());
            return Err(self.out_of_range(key, item.span(), &number.to_string(), &allowed));
        }
        Ok(Some(number))
    }

    /// A number in `range` that must be there.
    pub(super) fn number_required(&self, key: &str, range: RangeInclusive<f64>) -> Result<f64, Error> {
        self.number(key, range)?.ok_or_else(|| self.missing(key))
    }

    /// A whole number of at least `min`.
    pub(super) fn whole(&self, key: &str, min: u32) -> Result<Option<u32>, Error> {
        let Some(item) = self.item(key) else { return Ok(None) };
        let Some(integer) = item.as_integer() else {
            return Err(self.wrong_type(key, item.span(), "a whole number"));
        };
        match u32::try_from(integer) {
            Ok(number) if number >= min => Ok(Some(number)),
            _ => {
                let allowed = format!("from {min} to {}", u32::MAX);
                Err(self.out_of_range(key, item.span(), &integer.to_string(), &allowed))
            }
        }
    }

    /// A text that is not empty.
    pub(super) fn text(&self, key: &str) -> Result<Option<Spelled>, Error> {
        let Some(item) = self.item(key) else { return Ok(None) };
        let Some(text) = item.as_str() else {
            return Err(self.wrong_type(key, item.span(), "a text in quotes"));
        };
        self.spelled(key, text, item.span()).map(Some)
    }

    /// A text that must be there.
    pub(super) fn text_required(&self, key: &str) -> Result<Spelled, Error> {
        self.text(key)?.ok_or_else(|| self.missing(key))
    }

    /// A list of texts; a field that is absent is an empty list.
    pub(super) fn texts(&self, key: &str) -> Result<Vec<Spelled>, Error> {
        self.values(key)?
            .into_iter()
            .map(|value| match value.as_str() {
                Some(text) => self.spelled(key, text, value.span()),
                None => Err(self.wrong_type(key, value.span(), "a list of texts in quotes")),
            })
            .collect()
    }

    /// A list of names.
    pub(super) fn names(&self, key: &str) -> Result<Vec<Name>, Error> {
        Ok(self.texts(key)?.into_iter().map(|spelled| spelled.name).collect())
    }

    /// A list of finite numbers; `None` where the field is absent.
    pub(super) fn numbers(&self, key: &str) -> Result<Option<Vec<f64>>, Error> {
        if self.item(key).is_none() {
            return Ok(None);
        }
        let numbers: Result<Vec<f64>, Error> = self
            .values(key)?
            .into_iter()
            .map(|value| {
                let number = value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64));
                number
                    .filter(|number| number.is_finite())
                    .ok_or_else(|| self.wrong_type(key, value.span(), "a list of finite numbers"))
            })
            .collect();
        numbers.map(Some)
    }

    /// Which of `known` a text means.
    pub(super) fn choice<T: Copy>(&self, spelled: &Spelled, known: &[(&'static str, T)]) -> Result<T, Error> {
        known.iter().find(|(name, _)| spelled.name == *name).map(|(_, value)| *value).ok_or_else(|| {
            self.source.flaw(
                spelled.span.clone(),
                Code::NameUnknown,
                format!("{} knows no `{}` here", self.what, spelled.name),
                suggestion(&spelled.name, known.iter().map(|(name, _)| *name)),
            )
        })
    }

    /// Which of `known` each text of a list means.
    pub(super) fn choices<T: Copy>(&self, key: &str, known: &[(&'static str, T)]) -> Result<Vec<T>, Error> {
        self.texts(key)?.iter().map(|spelled| self.choice(spelled, known)).collect()
    }

    /// The complaint that `key` is not there.
    pub(super) fn missing(&self, key: &str) -> Error {
        self.source.flaw(
            self.span.clone(),
            Code::FieldMissing,
            format!("{} lacks `{key}`", self.what),
            format!("add `{key} = …`"),
        )
    }

    /// The complaint that `key` cannot be `value`.
    pub(super) fn out_of_range(&self, key: &str, span: Span, value: &str, allowed: &str) -> Error {
        self.source.flaw(
            span,
            Code::ValueOutOfRange,
            format!("`{key}` is {value}"),
            format!("give {allowed}"),
        )
    }

    /// Where the value of `key` stands.
    pub(super) fn span_of(&self, key: &str) -> Span {
        self.item(key).and_then(Item::span).or_else(|| self.span.clone())
    }

    fn item(&self, key: &str) -> Option<&'a Item> {
        self.table.get(key).filter(|item| !item.is_none())
    }

    fn values(&self, key: &str) -> Result<Vec<&'a Value>, Error> {
        let Some(item) = self.item(key) else { return Ok(Vec::new()) };
        let Some(array) = item.as_array() else {
            return Err(self.wrong_type(key, item.span(), "a list"));
        };
        self.bounded(key, array.len(), item.span())?;
        Ok(array.iter().collect())
    }

    fn bounded(&self, key: &str, len: usize, span: Span) -> Result<(), Error> {
        if len <= LIST_LEN_MAX {
            return Ok(());
        }
        Err(self.source.flaw(
            span,
            Code::TooLarge,
            format!("`{key}` has {len} entries"),
            format!("give at most {LIST_LEN_MAX}"),
        ))
    }

    fn spelled(&self, key: &str, text: &str, span: Span) -> Result<Spelled, Error> {
        if text.trim().is_empty() {
            return Err(self.out_of_range(key, span, "an empty text", "a name"));
        }
        Ok(Spelled { name: text.into(), span })
    }

    fn wrong_type(&self, key: &str, span: Span, wanted: &str) -> Error {
        self.source.flaw(
            span,
            Code::TypeWrong,
            format!("`{key}` of {} has another type", self.what),
            format!("give {wanted}"),
        )
    }
}

fn number_of(item: &Item) -> Option<f64> {
    item.as_float().or_else(|| item.as_integer().map(|whole| whole as f64))
}
