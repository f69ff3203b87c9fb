//! The JSON Schema of a policy file, for editors: made from the table that the parser reads.

use serde_json::{Map, Value, json};

use crate::condition::CONDITION_BYTES_MAX;
use crate::facts::{Facts, Priority, Privacy, Topic};
use crate::rules::form::{FILE, FieldKind, Form};
use crate::rules::seal::KIND;
use crate::rules::{LIST_LEN_MAX, SCHEMA};

#[cfg(test)]
mod tests;

/// The JSON Schema (draft 7, which editors of TOML read) of a policy file. It is as strict as the parser but for what
/// takes more than one field to see: names that refer to each other, and conditions.
pub fn json_schema() -> Value {
    let mut schema = object(&FILE);
    schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    schema["title"] = json!(SCHEMA);
    schema
}

fn object(form: &Form) -> Value {
    let properties: Map<String, Value> =
        form.fields.iter().map(|field| (field.key.to_owned(), described(field.kind, field.doc))).collect();
    let required: Vec<&str> =
        form.fields.iter().filter(|field| field.required).map(|field| field.key).collect();
    json!({
        "type": "object",
        "description": form.doc,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn described(kind: FieldKind, doc: &str) -> Value {
    let mut value = value(kind);
    value["description"] = json!(doc);
    value
}

fn value(kind: FieldKind) -> Value {
    let text = || json!({ "type": "string", "minLength": 1 });
    match kind {
        FieldKind::Schema => json!({ "const": SCHEMA }),
        FieldKind::Checksum => json!({ "type": "string", "pattern": format!("^{KIND}[0-9a-f]{{64}}$") }),
        FieldKind::Text => text(),
        FieldKind::Texts => json!({ "type": "array", "items": text(), "maxItems": LIST_LEN_MAX }),
        FieldKind::Number(min, max) => json!({ "type": "number", "minimum": min, "maximum": max }),
        FieldKind::Whole(min) => json!({ "type": "integer", "minimum": min, "maximum": u32::MAX }),
        FieldKind::Numbers(most) => {
            json!({ "type": "array", "items": { "type": "number" }, "minItems": 1, "maxItems": most })
        }
        FieldKind::Flag => json!({ "type": "boolean" }),
        FieldKind::Choice(names) => json!({ "enum": names() }),
        FieldKind::Choices(names) => json!({ "type": "array", "items": { "enum": names() } }),
        FieldKind::Condition => json!({ "type": "string", "maxLength": CONDITION_BYTES_MAX }),
        FieldKind::Facts => facts(),
        FieldKind::Table(form) => object(form),
        FieldKind::Tables(form) => {
            json!({ "type": "array", "items": object(form), "maxItems": LIST_LEN_MAX })
        }
    }
}

/// Facts by name, each of the type that a record has it in; what may be absent may be anything.
fn facts() -> Value {
    let all = serde_json::to_value(Facts::default()).unwrap_or_default();
    let named = |names: Vec<&str>| json!({ "enum": names });
    let property = |(name, value): (&String, &Value)| {
        let schema = match (name.as_str(), value) {
            ("topic", _) => named(Topic::ALL.iter().map(|(name, _)| *name).collect()),
            ("privacy", _) => named(Privacy::ALL.iter().map(|(name, _)| *name).collect()),
            ("priority", _) => named(Priority::ALL.iter().map(|(name, _)| *name).collect()),
            (_, Value::String(_)) => json!({ "type": "string" }),
            (_, Value::Bool(_)) => json!({ "type": "boolean" }),
            (_, Value::Number(_)) => json!({ "type": "number" }),
            (_, Value::Array(_)) => json!({ "type": "array" }),
            _ => json!({}),
        };
        (name.clone(), schema)
    };
    let properties: Map<String, Value> = all.as_object().into_iter().flatten().map(property).collect();
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}
