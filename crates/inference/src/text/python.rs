//! Values written as Python writes them, which is what chat templates were made with.

use std::fmt::Write as _;

use minijinja::{
    Error, ErrorKind, Value,
    value::{Kwargs, ValueKind},
};

/// Deeper values are refused.
const DEPTH_MAX: usize = 64;
/// Wider indents are refused.
const INDENT_MAX: usize = 64;

/// How a value is written.
#[derive(Debug, Clone)]
struct Style {
    /// As JSON rather than as Python's `repr`.
    json: bool,
    indent: Option<usize>,
    item: String,
    key: String,
    sorted: bool,
    ascii: bool,
}

/// `str(value)` of Python.
pub(super) fn text(value: &Value) -> Result<String, Error> {
    if let Some(text) = value.as_str() {
        return Ok(text.to_owned());
    }
    let style =
        Style { json: false, indent: None, item: ", ".into(), key: ": ".into(), sorted: false, ascii: false };
    let mut out = String::new();
    write(&mut out, value, &style, 0)?;
    Ok(out)
}

/// `json.dumps` with the arguments that templates give it.
#[expect(clippy::needless_pass_by_value, reason = "filters are given their arguments by value")]
pub(super) fn to_json(value: &Value, arguments: Kwargs) -> Result<Value, Error> {
    let indent: Option<Option<usize>> = arguments.get("indent")?;
    let indent = indent.flatten();
    if indent.is_some_and(|indent| indent > INDENT_MAX) {
        return Err(Error::new(ErrorKind::InvalidOperation, "the indent is too wide"));
    }
    let separators: Option<Vec<String>> = arguments.get("separators")?;
    let mut separators = separators.unwrap_or_default().into_iter();
    let item = separators.next().unwrap_or_else(|| if indent.is_some() { "," } else { ", " }.to_owned());
    let style = Style {
        json: true,
        indent,
        item,
        key: separators.next().unwrap_or_else(|| ": ".into()),
        sorted: arguments.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
        ascii: arguments.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false),
    };
    arguments.assert_all_used()?;
    let mut out = String::new();
    write(&mut out, value, &style, 0)?;
    Ok(Value::from_safe_string(out))
}

fn write(out: &mut String, value: &Value, style: &Style, depth: usize) -> Result<(), Error> {
    if depth > DEPTH_MAX {
        return Err(Error::new(ErrorKind::InvalidOperation, "a value is nested too deeply"));
    }
    match value.kind() {
        ValueKind::None | ValueKind::Undefined => {
            out.push_str(if style.json { "null" } else { "None" });
        }
        ValueKind::Bool => out.push_str(match (value.is_true(), style.json) {
            (true, true) => "true",
            (false, true) => "false",
            (true, false) => "True",
            (false, false) => "False",
        }),
        ValueKind::Number => number(out, value),
        ValueKind::String => quoted(out, value.as_str().unwrap_or_default(), style),
        ValueKind::Map => {
            let mut keys: Vec<Value> = value.try_iter()?.collect();
            if style.sorted {
                keys.sort();
            }
            let entry = |out: &mut String, key: &Value| {
                match key.as_str() {
                    Some(name) => quoted(out, name, style),
                    None if style.json => quoted(out, &text(key)?, style),
                    None => write(out, key, style, depth + 1)?,
                }
                out.push_str(&style.key);
                write(out, &value.get_item(key)?, style, depth + 1)
            };
            list(out, ['{', '}'], (&keys, style, depth), entry)?;
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let items: Vec<Value> = value.try_iter()?.collect();
            let entry = |out: &mut String, item: &Value| write(out, item, style, depth + 1);
            list(out, ['[', ']'], (&items, style, depth), entry)?;
        }
        _ => {
            let problem = format!("a value of kind {} cannot be written", value.kind());
            return Err(Error::new(ErrorKind::InvalidOperation, problem));
        }
    }
    Ok(())
}

/// Entries between brackets, on lines of their own where there is an indent.
fn list(
    out: &mut String,
    brackets: [char; 2],
    (entries, style, depth): (&[Value], &Style, usize),
    mut entry: impl FnMut(&mut String, &Value) -> Result<(), Error>,
) -> Result<(), Error> {
    let line = |out: &mut String, depth: usize| {
        if let Some(indent) = style.indent.filter(|_| !entries.is_empty()) {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent * depth));
        }
    };
    out.push(brackets[0]);
    for (at, value) in entries.iter().enumerate() {
        if at > 0 {
            out.push_str(&style.item);
        }
        line(out, depth + 1);
        entry(out, value)?;
    }
    line(out, depth);
    out.push(brackets[1]);
    Ok(())
}

fn number(out: &mut String, value: &Value) {
    match (value.is_integer(), f64::try_from(value.clone())) {
        (false, Ok(float)) => out.push_str(&float_text(float)),
        _ => out.push_str(&value.to_string()),
    }
}

/// The shortest digits that read back alike, in Python's choice of plain or scientific form.
fn float_text(value: f64) -> String {
    if !value.is_finite() {
        let name = if value.is_nan() { "NaN" } else { "Infinity" };
        return if value < 0.0 { format!("-{name}") } else { name.to_owned() };
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let plain = value.to_string();
        return if plain.contains('.') { plain } else { plain + ".0" };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

fn quoted(out: &mut String, text: &str, style: &Style) {
    // Python prefers single quotes and takes double ones where only single ones occur.
    let quote = match style.json {
        true => '"',
        false if text.contains('\'') && !text.contains('"') => '"',
        false => '\'',
    };
    out.push(quote);
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' if style.json => out.push_str("\\b"),
            '\u{c}' if style.json => out.push_str("\\f"),
            _ if character == quote => {
                out.push('\\');
                out.push(quote);
            }
            '\0'..='\x1f' if style.json => escaped(out, character),
            '\0'..='\x1f' | '\x7f'..='\u{a0}' if !style.json => {
                // Writing to a string cannot fail.
                let _written = write!(out, "\\x{:02x}", u32::from(character));
            }
            _ if style.ascii && !character.is_ascii() => escaped(out, character),
            _ => out.push(character),
        }
    }
    out.push(quote);
}

fn escaped(out: &mut String, character: char) {
    for unit in character.encode_utf16(&mut [0; 2]) {
        // Writing to a string cannot fail.
        let _written = write!(out, "\\u{unit:04x}");
    }
}
