//! One table of a policy file: refuses unknown fields, and reads the known ones with their types and ranges.

use std::ops::Range;

use serde_json::{Map, Value as Json};
use toml_edit::{Item, TableLike, Value};

use super::form::{FieldKind, Form};
use super::probes::{fact_names, overlaid};
use super::source::{Source, suggestion};
use super::{LIST_LEN_MAX, Position};
use crate::condition::Condition;
use crate::error::{Code, Error};
use crate::facts::Facts;
use crate::name::Name;

/// A byte range of the file.
pub(super) type Span = Option<Range<usize>>;

/// A table with its place in the file.
pub(super) struct Section<'a> {
    pub(super) source: Source<'a>,
    form: &'static Form,
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
    /// Opens a table in which only the fields of its form may stand.
    pub(super) fn open(
        source: Source<'a>,
        (table, span): (&'a dyn TableLike, Span),
        form: &'static Form,
    ) -> Result<Self, Error> {
        for (key, item) in table.iter() {
            if form.field(key).is_none() {
                let at = table.key(key).and_then(toml_edit::Key::span).or_else(|| item.span());
                return Err(source.flaw(
                    at,
                    Code::FieldUnknown,
                    format!("{} has no field `{key}`", form.what),
                    suggestion(key, form.keys()),
                ));
            }
        }
        Ok(Self { source, form, table, span })
    }

    /// Where the table stands.
    pub(super) fn position(&self) -> Position {
        self.source.position(self.span.as_ref().map_or(0, |span| span.start))
    }

    /// The table under `key`.
    pub(super) fn table(&self, key: &str, form: &'static Form) -> Result<Option<Section<'a>>, Error> {
        let Some(item) = self.item(key) else { return Ok(None) };
        let Some(table) = item.as_table_like() else {
            return Err(self.wrong_type(key, item.span(), "a table"));
        };
        Section::open(self.source, (table, item.span()), form).map(Some)
    }

    /// The tables under `key`, as `[[key]]` writes them.
    pub(super) fn tables(&self, key: &str, form: &'static Form) -> Result<Vec<Section<'a>>, Error> {
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
            .map(|table| Section::open(self.source, (table as &dyn TableLike, table.span()), form))
            .collect()
    }

    /// A condition.
    pub(super) fn condition(&self, key: &str) -> Result<Option<Condition>, Error> {
        let Some(item) = self.item(key) else { return Ok(None) };
        let Some(text) = item.as_str() else {
            return Err(self.wrong_type(
                key,
                item.span(),
                "a condition in quotes, such as 'topic == \"medical\"'",
            ));
        };
        Condition::compile(text).map(Some).map_err(|fault| {
            self.source.fault(item.span(), text, &format!("`{key}` of {}", self.form.what), fault)
        })
    }

    /// Some facts by name, which must fit.
    pub(super) fn facts(&self, key: &str) -> Result<Map<String, Json>, Error> {
        let mut facts = Map::new();
        let Some(item) = self.item(key) else { return Ok(facts) };
        let Some(table) = item.as_table_like() else {
            return Err(self.wrong_type(key, item.span(), "a table of facts"));
        };
        let known = fact_names();
        for (name, item) in table.iter() {
            let at = || table.key(name).and_then(toml_edit::Key::span).or_else(|| item.span());
            if !known.iter().any(|fact| fact == name) {
                let mend = suggestion(name, known.iter().map(String::as_str));
                return Err(self.source.flaw(
                    at(),
                    Code::NameUnknown,
                    format!("there is no fact `{name}`"),
                    mend,
                ));
            }
            let Some(value) = item.as_value().and_then(json) else {
                return Err(self.wrong_type(
                    name,
                    item.span(),
                    "a text, a number, true, false, a list or a table",
                ));
            };
            facts.insert(name.to_owned(), value);
            overlaid(&Facts::default(), &facts).map_err(|error| {
                let mend = "give it as a record of a decision has it";
                self.source.flaw(
                    at(),
                    Code::TypeWrong,
                    format!("the fact `{name}` does not fit: {error}"),
                    mend,
                )
            })?;
        }
        Ok(facts)
    }

    /// True or false.
    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, Error> {
        let Some(item) = self.item(key) else { return Ok(None) };
        item.as_bool().map(Some).ok_or_else(|| self.wrong_type(key, item.span(), "true or false"))
    }

    /// A number in its range.
    pub(super) fn number(&self, key: &str) -> Result<Option<f64>, Error> {
        let Some(item) = self.item(key) else { return Ok(None) };
        let range = match self.form.field(key).map(|field| field.kind) {
            Some(FieldKind::Number(min, max)) => min..=max,
            _ => f64::MIN..=f64::MAX,
        };
        let Some(number) = number_of(item) else {
            return Err(self.wrong_type(key, item.span(), "a number"));
        };
        if !range.contains(&number) {
            let allowed = format!("from {} to {}", range.start(), range.end());
            return Err(self.out_of_range(key, item.span(), &number.to_string(), &allowed));
        }
        Ok(Some(number))
    }

    /// A number that must be there.
    pub(super) fn number_required(&self, key: &str) -> Result<f64, Error> {
        self.number(key)?.ok_or_else(|| self.missing(key))
    }

    /// A whole number in its range.
    pub(super) fn whole(&self, key: &str) -> Result<Option<u32>, Error> {
        let Some(item) = self.item(key) else { return Ok(None) };
        let min = match self.form.field(key).map(|field| field.kind) {
            Some(FieldKind::Whole(min)) => min,
            _ => 0,
        };
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
                format!("{} knows no `{}` here", self.form.what, spelled.name),
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
            format!("{} lacks `{key}`", self.form.what),
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

    /// The complaint that a limit of nothing is no limit that anybody means.
    pub(super) fn zero(&self, key: &str, then: &str) -> Error {
        self.source.flaw(
            self.span_of(key),
            Code::BudgetZero,
            format!("`{key}` of {} is zero: {then}", self.form.what),
            "give it a value; to let nothing go to a tier, say `closed = true` in its [[tier]], \
             or forbid a class the tier with `tiers_forbidden`",
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
            format!("`{key}` of {} has another type", self.form.what),
            format!("give {wanted}"),
        )
    }
}

fn number_of(item: &Item) -> Option<f64> {
    item.as_float().or_else(|| item.as_integer().map(|whole| whole as f64))
}

/// A value as a record would have it; `None`: dates, which no fact is.
fn json(value: &Value) -> Option<Json> {
    Some(match value {
        Value::String(text) => Json::from(text.value().as_str()),
        Value::Integer(number) => Json::from(*number.value()),
        Value::Float(number) => Json::from(*number.value()),
        Value::Boolean(flag) => Json::from(*flag.value()),
        Value::Array(list) => Json::Array(list.iter().map(json).collect::<Option<_>>()?),
        Value::InlineTable(table) => Json::Object(
            table.iter().map(|(key, value)| Some((key.to_owned(), json(value)?))).collect::<Option<_>>()?,
        ),
        Value::Datetime(_) => return None,
    })
}
