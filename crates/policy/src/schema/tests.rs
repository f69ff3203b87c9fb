//! The schema accepts what the parser accepts and refuses what it refuses, as far as one field can tell.

use serde_json::Value;

use super::json_schema;
use crate::Rules;

const SHIPPED: &str = include_str!("../../../../deploy/policies/causeway.policy.v1.schema.json");

/// What of `value` is not as the schema says; the keywords that [`json_schema`] uses, and no others.
fn faults(schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (keyword, wanted) in schema.as_object().expect("a schema is an object") {
        let holds = match keyword.as_str() {
            "$schema" | "title" | "description" => true,
            "type" => match wanted.as_str().expect("a type") {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "boolean" => value.is_boolean(),
                "number" => value.is_number(),
                "integer" => value.is_i64() || value.is_u64(),
                other => panic!("unknown type {other}"),
            },
            "const" => value == wanted,
            "enum" => wanted.as_array().is_some_and(|all| all.contains(value)),
            "minimum" => value.as_f64() >= wanted.as_f64(),
            "maximum" => value.as_f64() <= wanted.as_f64(),
            "minLength" => value.as_str().map(|text| text.chars().count() as u64) >= wanted.as_u64(),
            "maxLength" => value.as_str().map(|text| text.chars().count() as u64) <= wanted.as_u64(),
            "minItems" => value.as_array().map(|all| all.len() as u64) >= wanted.as_u64(),
            "maxItems" => value.as_array().map(|all| all.len() as u64) <= wanted.as_u64(),
            "required" => wanted
                .as_array()
                .expect("names")
                .iter()
                .all(|key| value.get(key.as_str().expect("a name")).is_some()),
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    found.extend(faults(wanted, item, &format!("{at}[{index}]")));
                }
                true
            }
            "properties" => {
                for (key, inner) in value.as_object().into_iter().flatten() {
                    if let Some(schema) = wanted.get(key) {
                        found.extend(faults(schema, inner, &format!("{at}.{key}")));
                    }
                }
                true
            }
            "additionalProperties" => {
                let known = &schema["properties"];
                value.as_object().into_iter().flatten().all(|(key, _)| known.get(key).is_some())
            }
            other => panic!("unknown keyword {other}"),
        };
        if !holds {
            found.push(format!("{at}: {keyword}"));
        }
    }
    found
}

fn json(text: &str) -> Value {
    let document: toml_edit::DocumentMut = text.parse().expect("TOML");
    table(document.as_table())
}

fn table(table: &dyn toml_edit::TableLike) -> Value {
    table
        .iter()
        .map(|(key, item)| (key.to_owned(), item_json(item)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn item_json(item: &toml_edit::Item) -> Value {
    match item {
        toml_edit::Item::Value(value) => value_json(value),
        toml_edit::Item::Table(inner) => table(inner),
        toml_edit::Item::ArrayOfTables(list) => list.iter().map(|inner| table(inner)).collect(),
        toml_edit::Item::None => Value::Null,
    }
}

fn value_json(value: &toml_edit::Value) -> Value {
    match value {
        toml_edit::Value::String(text) => Value::from(text.value().as_str()),
        toml_edit::Value::Integer(number) => Value::from(*number.value()),
        toml_edit::Value::Float(number) => Value::from(*number.value()),
        toml_edit::Value::Boolean(flag) => Value::from(*flag.value()),
        toml_edit::Value::Array(list) => list.iter().map(value_json).collect(),
        toml_edit::Value::InlineTable(inner) => table(inner),
        toml_edit::Value::Datetime(date) => Value::from(date.to_string()),
    }
}

#[test]
fn the_shipped_policies_fit() {
    let schema = json_schema();
    for (name, text) in crate::tests::shipped() {
        assert_eq!(faults(&schema, &json(&text), &name), Vec::<String>::new());
    }
}

#[test]
fn the_shipped_schema_is_this_one() {
    let shipped: Value = serde_json::from_str(SHIPPED).expect("the shipped schema");
    assert!(shipped == json_schema(), "write it anew with `causeway policy schema`");
}

#[test]
fn what_one_field_shows_to_be_wrong_is_refused_by_both() {
    let schema = json_schema();
    let (_, whole) = crate::tests::shipped().into_iter().find(|(name, _)| name == "demo.toml").expect("demo");
    let check = |from: &str, to: &str| {
        let broken = whole.replacen(from, to, 1);
        assert_ne!(broken, whole, "{from}");
        assert!(Rules::parse("p.toml", &broken).is_err(), "the parser takes {to}");
        assert!(!faults(&schema, &json(&broken), "p").is_empty(), "the schema takes {to}");
    };
    check("causeway.policy/v1", "causeway.policy/v2");
    check("kind = \"device\"", "kind = \"devise\"");
    check("second_usd = 0.004", "second_usd = -0.004");
    check("second_usd = 0.004", "second_usd = \"0.004\"");
    check("second_usd = 0.004", "seconds_usd = 0.004");
    check("abilities = [1.0, 0.0]", "abilities = []");
    check("expected_seconds_unknown = 2.0", "expected_seconds_unknown = 0.0");
    check("output_tokens_unknown = 64", "colour = 64");
    check("tiers_forbidden = [\"device\"]", "tiers_forbidden = \"device\"");
}
