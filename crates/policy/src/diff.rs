//! What two policies say differently; how they are written does not matter.

use serde::Serialize;
use serde_json::Value;

use crate::rules::Rules;

#[cfg(test)]
mod tests;

/// One thing that two policies say differently.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// What, such as `class medical: wrong_answer_usd`.
    pub what: String,
    /// What the old one says; `None`: nothing.
    pub old: Option<Value>,
    /// What the new one says; `None`: nothing.
    pub new: Option<Value>,
}

/// What `new` says otherwise than `old`, in the order of the file; empty: both decide alike.
pub fn diff(old: &Rules, new: &Rules) -> Vec<Change> {
    let value = |rules: &Rules| serde_json::to_value(rules).unwrap_or_default();
    let mut changes = Vec::new();
    fields(&value(old), &value(new), "", &mut changes);
    changes
}

/// Fields of two objects; lists of named things are compared by name.
fn fields(old: &Value, new: &Value, path: &str, changes: &mut Vec<Change>) {
    let (Some(before), Some(after)) = (old.as_object(), new.as_object()) else {
        if old != new {
            changes.push(Change { what: path.to_owned(), old: given(old), new: given(new) });
        }
        return;
    };
    let added = after.keys().filter(|key| !before.contains_key(*key));
    for key in before.keys().chain(added) {
        let (old, new) = (&before.get(key).unwrap_or(&Value::Null), &after.get(key).unwrap_or(&Value::Null));
        match (names(old), names(new)) {
            (Some(old_names), Some(new_names)) => {
                named(key, (old, &old_names), (new, &new_names), changes);
            }
            _ => fields(old, new, &within(path, key), changes),
        }
    }
}

fn named(
    kind: &str,
    (old, before): (&Value, &[&str]),
    (new, after): (&Value, &[&str]),
    changes: &mut Vec<Change>,
) {
    let of = |list: &Value, name: &str| {
        let mut all = list.as_array().into_iter().flatten();
        all.find(|one| one["name"] == *name).cloned().unwrap_or(Value::Null)
    };
    for name in before {
        fields(&of(old, name), &of(new, name), &format!("{kind} {name}"), changes);
    }
    for name in after.iter().filter(|name| !before.contains(name)) {
        fields(&Value::Null, &of(new, name), &format!("{kind} {name}"), changes);
    }
    // The first class that holds is taken: for classes the order says something.
    let kept = |names: &[&str], others: &[&str]| -> Vec<String> {
        names.iter().filter(|name| others.contains(name)).map(|name| (*name).to_owned()).collect()
    };
    let (was, is) = (kept(before, after), kept(after, before));
    if kind == "class" && was != is {
        changes.push(Change { what: "order of classes".into(), old: Some(was.into()), new: Some(is.into()) });
    }
}

/// The names in a list of named things; `None`: it is no such list.
fn names(list: &Value) -> Option<Vec<&str>> {
    list.as_array()?.iter().map(|one| one.get("name")?.as_str()).collect()
}

fn within(path: &str, key: &str) -> String {
    match path {
        "" => key.to_owned(),
        path if path.contains(": ") => format!("{path}.{key}"),
        path => format!("{path}: {key}"),
    }
}

fn given(value: &Value) -> Option<Value> {
    (!value.is_null()).then(|| value.clone())
}
