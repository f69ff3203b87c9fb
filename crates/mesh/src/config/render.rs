//! Writes a configuration as TOML lines, each with the origin of its value.

use figment::value::{Dict, Num, Value};

use super::origin::Origins;

/// Every leaf on a line of its own: `key = value   # from origin`.
pub(super) fn lines(tree: &Value, origins: &Origins) -> String {
    let mut rows = Vec::new();
    if let Value::Dict(_, dict) = tree {
        rows_of(dict, &[], &mut rows);
    }
    let width =
        rows.iter().map(|(_, text)| text.chars().count()).filter(|width| *width <= 60).max().unwrap_or(0);
    rows.iter().map(|(path, text)| format!("{text:width$}   # from {}\n", origins.of(path))).collect()
}

fn rows_of(dict: &Dict, above: &[String], rows: &mut Vec<(Vec<String>, String)>) {
    for (name, value) in dict {
        let path = [above, std::slice::from_ref(name)].concat();
        let key = path.iter().map(|name| bare_or_quoted(name)).collect::<Vec<_>>().join(".");
        match value {
            Value::Dict(_, below) if !below.is_empty() => rows_of(below, &path, rows),
            // TOML has no word for "unset", so the line is a comment.
            Value::Empty(..) => rows.push((path, format!("# {key} is unset"))),
            value => rows.push((path, format!("{key} = {}", toml(value)))),
        }
    }
}

fn toml(value: &Value) -> String {
    match value {
        Value::String(_, text) => quoted(text),
        Value::Char(_, letter) => quoted(&letter.to_string()),
        Value::Bool(_, flag) => flag.to_string(),
        Value::Num(_, number) => number_text(*number),
        Value::Empty(..) => "\"\"".to_owned(),
        Value::Array(_, elements) => {
            format!("[{}]", elements.iter().map(toml).collect::<Vec<_>>().join(", "))
        }
        Value::Dict(_, dict) => {
            let set = dict.iter().filter(|(_, value)| !matches!(value, Value::Empty(..)));
            let entries: Vec<_> =
                set.map(|(name, value)| format!("{} = {}", bare_or_quoted(name), toml(value))).collect();
            if entries.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", entries.join(", ")) }
        }
    }
}

fn number_text(number: Num) -> String {
    match (number.to_i128(), number.to_u128(), number.to_f64()) {
        (Some(whole), _, _) => whole.to_string(),
        (_, Some(whole), _) => whole.to_string(),
        (_, _, Some(real)) => format!("{real:?}").to_lowercase(),
        _ => "nan".to_owned(),
    }
}

fn bare_or_quoted(name: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !name.is_empty() && name.bytes().all(bare) { name.to_owned() } else { quoted(name) }
}

fn quoted(text: &str) -> String {
    toml_edit::Value::from(text).to_string()
}
