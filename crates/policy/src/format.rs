//! The canonical form of a policy file: fields in the order of their table, one space, one empty line between tables,
//! every comment where it was.

use std::fmt::Write as _;

use toml_edit::{Array, Decor, DocumentMut, InlineTable, Item, RawString, Table, Value};

use crate::error::{Code, Error, Flaw};
use crate::rules::form::{FILE, FieldKind, Form};

#[cfg(test)]
mod tests;

/// Longest line that a list is written on, characters.
const LINE_CHARS_MAX: usize = 110;

/// Writes a policy file in its canonical form. `file_name` only names the file in errors; the text must be TOML, and need
/// not be a policy that could be decided by. Doing it twice changes nothing more.
pub fn format(file_name: &str, text: &str) -> Result<String, Error> {
    let document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        Box::new(Flaw {
            file: file_name.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before.rsplit('\n').next().unwrap_or_default().chars().count() + 1,
            code: Code::Syntax,
            problem: error.message().replace('\n', ", "),
            mend: "write TOML, as on https://toml.io".to_owned(),
        })
    })?;
    let mut out = String::new();
    table(&mut out, document.as_table(), Some(&FILE), "");
    if document.trailing().as_str().is_some_and(|trailing| !trailing.trim().is_empty()) {
        out.push('\n');
        comments(&mut out, Some(document.trailing()));
    }
    Ok(format!("{}\n", out.trim_matches('\n')))
}

/// The fields of a table, then the tables in it, each headed by its path.
fn table(out: &mut String, table: &Table, form: Option<&Form>, path: &str) {
    let keys = ordered(table, form);
    for key in &keys {
        match table.get(key) {
            Some(Item::Value(value)) => field(out, table, key, value),
            Some(Item::Table(inner)) if inner.is_dotted() => dotted(out, inner, &name(key)),
            _ => {}
        }
    }
    for key in &keys {
        let within = if path.is_empty() { name(key) } else { format!("{path}.{}", name(key)) };
        let form = form.and_then(|form| form.field(key)).and_then(|field| match field.kind {
            FieldKind::Table(form) | FieldKind::Tables(form) => Some(form),
            _ => None,
        });
        match table.get(key) {
            Some(Item::Table(inner)) if !inner.is_dotted() => {
                if !inner.is_implicit() {
                    header(out, inner.decor(), &format!("[{within}]"));
                }
                self::table(out, inner, form, &within);
            }
            Some(Item::ArrayOfTables(list)) => {
                for inner in list {
                    header(out, inner.decor(), &format!("[[{within}]]"));
                    self::table(out, inner, form, &within);
                }
            }
            _ => {}
        }
    }
}

/// Known fields in the order of the form, then the others as they come.
fn ordered(table: &Table, form: Option<&Form>) -> Vec<String> {
    let place = |key: &str| {
        form.and_then(|form| form.fields.iter().position(|field| field.key == key)).unwrap_or(usize::MAX)
    };
    let mut keys: Vec<String> = table.iter().map(|(key, _)| key.to_owned()).collect();
    keys.sort_by_key(|key| place(key));
    keys
}

fn header(out: &mut String, decor: &Decor, header: &str) {
    if !out.is_empty() {
        out.push('\n');
    }
    comments(out, decor.prefix());
    let _ = writeln!(out, "{header}{}", remark(decor.suffix()));
}

fn field(out: &mut String, table: &Table, key: &str, value: &Value) {
    comments(out, table.key(key).and_then(|key| key.leaf_decor().prefix()));
    let _ = writeln!(out, "{} = {}{}", name(key), written(value), remark(value.decor().suffix()));
}

/// Fields that are written with their path, such as `facts.topic`.
fn dotted(out: &mut String, table: &Table, path: &str) {
    for (key, item) in table {
        let within = format!("{path}.{}", name(key));
        match item {
            Item::Value(value) => {
                comments(out, table.key(key).and_then(|key| key.leaf_decor().prefix()));
                let _ = writeln!(out, "{within} = {}{}", written(value), remark(value.decor().suffix()));
            }
            Item::Table(inner) => dotted(out, inner, &within),
            _ => {}
        }
    }
}

/// A key, in quotes where it needs them.
fn name(key: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !key.is_empty() && key.bytes().all(bare) {
        key.to_owned()
    } else {
        toml_edit::Key::new(key).to_string()
    }
}

fn written(value: &Value) -> String {
    match value {
        Value::Array(list) => array(list),
        Value::InlineTable(table) => inline(table),
        other => bare(other),
    }
}

/// A value without what stands around it.
fn bare(value: &Value) -> String {
    let mut value = value.clone();
    value.decor_mut().clear();
    value.to_string()
}

/// A list on one line where it fits. One with comments is left as it is: where they belong, its writer knows.
fn array(list: &Array) -> String {
    let as_it_is = bare(&Value::Array(list.clone()));
    if has_comment(&as_it_is) {
        return as_it_is;
    }
    let values: Vec<String> = list.iter().map(written).collect();
    let line = format!("[{}]", values.join(", "));
    if line.chars().count() <= LINE_CHARS_MAX && !line.contains('\n') {
        return line;
    }
    let lines: String = values.iter().map(|value| format!("    {value},\n")).collect();
    format!("[\n{lines}]")
}

fn inline(table: &InlineTable) -> String {
    let as_it_is = bare(&Value::InlineTable(table.clone()));
    let nested =
        table.iter().any(|(_, value)| matches!(value, Value::InlineTable(inner) if inner.is_dotted()));
    if nested || has_comment(&as_it_is) {
        return as_it_is;
    }
    if table.is_empty() {
        return "{}".to_owned();
    }
    let fields: Vec<String> =
        table.iter().map(|(key, value)| format!("{} = {}", name(key), written(value))).collect();
    format!("{{ {} }}", fields.join(", "))
}

/// Whether a `#` stands outside of a text in quotes; a text over several lines counts as one, to be on the safe side.
fn has_comment(written: &str) -> bool {
    let mut quote = None;
    let mut escaped = false;
    for one in written.chars() {
        match quote {
            Some(open) => {
                let closes = one == open && !escaped;
                escaped = open == '"' && one == '\\' && !escaped;
                if closes {
                    quote = None;
                }
            }
            None if one == '"' || one == '\'' => quote = Some(one),
            None if one == '#' => return true,
            None => {}
        }
    }
    written.contains("\"\"\"") || written.contains("'''")
}

/// Comments before something, each on its line. An empty line between them, or after them, is kept as one.
fn comments(out: &mut String, raw: Option<&RawString>) {
    let raw = raw.and_then(RawString::as_str).unwrap_or_default().trim_end_matches([' ', '\t']);
    let mut gap = false;
    let mut begun = false;
    for line in raw.lines().map(str::trim) {
        if line.is_empty() {
            gap = begun;
            continue;
        }
        if gap {
            out.push('\n');
        }
        (gap, begun) = (false, true);
        let _ = writeln!(out, "{line}");
    }
    if gap {
        out.push('\n');
    }
}

/// A comment at the end of a line.
fn remark(raw: Option<&RawString>) -> String {
    match raw.and_then(RawString::as_str).map(str::trim) {
        Some(remark) if !remark.is_empty() => format!(" {remark}"),
        _ => String::new(),
    }
}
