//! Values of a condition: constants of its text, and what is read of a request while it runs.

use std::fmt;

use crate::capabilities::Capabilities;
use crate::name::Name;

/// A constant.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Const {
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(Name),
}

/// A value on the stack; nothing in it is owned.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    /// No value: whatever uses it has none either, unless `&&` or `||` is decided by the other side.
    Undecided,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(&'a str),
    Names(&'a [Name]),
    Floats(&'a [f32]),
    Capabilities(Capabilities),
    Consts(&'a [Const]),
}

/// The type of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Bool,
    Int,
    Double,
    Text,
    List(Element),
}

/// The type of a list's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    /// Of the empty list.
    Any,
    Bool,
    Int,
    Double,
    Text,
}

// === impl Const ===

impl Const {
    pub(super) fn value(&self) -> Value<'_> {
        match self {
            Self::Bool(value) => Value::Bool(*value),
            Self::Int(value) => Value::Int(*value),
            Self::Double(value) => Value::Double(*value),
            Self::Text(value) => Value::Text(value),
        }
    }

    pub(super) fn element(&self) -> Element {
        match self {
            Self::Bool(_) => Element::Bool,
            Self::Int(_) => Element::Int,
            Self::Double(_) => Element::Double,
            Self::Text(_) => Element::Text,
        }
    }
}

impl fmt::Display for Const {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Double(value) => write!(f, "{value:?}"),
            Self::Text(value) => write!(f, "{:?}", value.as_str()),
        }
    }
}

// === impl Value ===

impl Value<'_> {
    /// Whether two values are the same; numbers of both kinds are compared as numbers.
    pub(super) fn same(self, other: Self) -> Option<bool> {
        Some(match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Undecided, _) | (_, Self::Undecided) => return None,
            (a, b) => return Some(a.order(b)?.is_eq()),
        })
    }

    /// How two values stand to each other; `None` where one is no number, as NaN.
    pub(super) fn order(self, other: Self) -> Option<std::cmp::Ordering> {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(&b)),
            (Self::Double(a), Self::Double(b)) => a.partial_cmp(&b),
            (Self::Int(a), Self::Double(b)) => (a as f64).partial_cmp(&b),
            (Self::Double(a), Self::Int(b)) => a.partial_cmp(&(b as f64)),
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(&b)),
            _ => None,
        }
    }

    /// Whether this is one of a list's elements.
    pub(super) fn is_in(self, list: Self) -> Option<bool> {
        match (self, list) {
            (Self::Undecided, _) | (_, Self::Undecided) => None,
            (Self::Text(text), Self::Names(names)) => Some(names.iter().any(|name| name == text)),
            (Self::Text(text), Self::Capabilities(set)) => Some(set.names().any(|name| name == text)),
            (element, Self::Consts(list)) => {
                Some(list.iter().any(|one| element.same(one.value()) == Some(true)))
            }
            (element, Self::Floats(list)) => {
                Some(list.iter().any(|one| element.same(Value::Double(f64::from(*one))) == Some(true)))
            }
            _ => None,
        }
    }

    /// Characters of a text, elements of a list.
    pub(super) fn size(self) -> Option<i64> {
        let len = match self {
            Self::Text(text) => text.chars().count(),
            Self::Names(names) => names.len(),
            Self::Floats(list) => list.len(),
            Self::Capabilities(set) => set.names().count(),
            Self::Consts(list) => list.len(),
            _ => return None,
        };
        i64::try_from(len).ok()
    }
}

impl<'a> Value<'a> {
    /// The element of a list.
    pub(super) fn at(self, index: i64) -> Option<Self> {
        let index = usize::try_from(index).ok()?;
        match self {
            Self::Names(names) => names.get(index).map(|name| Value::Text(name)),
            Self::Floats(list) => list.get(index).map(|one| Value::Double(f64::from(*one))),
            Self::Capabilities(set) => set.names().nth(index).map(Value::Text),
            Self::Consts(list) => list.get(index).map(Const::value),
            _ => None,
        }
    }

    /// The value as a constant, where it is none of a list.
    #[cfg(test)]
    pub(super) fn kept(self) -> Option<Const> {
        match self {
            Self::Bool(value) => Some(Const::Bool(value)),
            Self::Int(value) => Some(Const::Int(value)),
            Self::Double(value) => Some(Const::Double(value)),
            Self::Text(value) => Some(Const::Text(value.into())),
            _ => None,
        }
    }
}

// === impl Type ===

impl Type {
    /// What people call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bool => "a bool",
            Self::Int => "an int",
            Self::Double => "a double",
            Self::Text => "a string",
            Self::List(_) => "a list",
        }
    }

    pub(super) fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Double)
    }
}

// === impl Element ===

impl Element {
    /// The type of an element; `None`: there is none.
    pub(super) fn alone(self) -> Option<Type> {
        match self {
            Self::Any => None,
            Self::Bool => Some(Type::Bool),
            Self::Int => Some(Type::Int),
            Self::Double => Some(Type::Double),
            Self::Text => Some(Type::Text),
        }
    }
}
