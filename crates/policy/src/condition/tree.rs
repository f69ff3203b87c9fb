//! A condition as a tree, which is also how it is written back: one space, no parentheses that mean nothing.

use std::fmt;

use super::field::Field;
use super::value::Const;

/// An expression with the byte at which it begins.
#[derive(Clone, Debug)]
pub(crate) struct Expr {
    pub(crate) at: usize,
    pub(crate) node: Node,
}

/// What an expression is.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Literal(Const),
    List(Vec<Const>),
    Field(Field),
    Has(Field),
    Not(Box<Expr>),
    Negative(Box<Expr>),
    Binary(Operator, Box<Expr>, Box<Expr>),
    Choice(Box<[Expr; 3]>),
    Call(Function, Vec<Expr>),
    Index(Box<Expr>, Box<Expr>),
}

/// What stands between two expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Or,
    And,
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    More,
    MoreOrEqual,
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// What can be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    StartsWith,
    EndsWith,
    Contains,
    Size,
    Int,
    Double,
}

// === impl Expr ===

impl Expr {
    /// Visits every expression in it, itself first.
    pub(crate) fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Expr)) {
        visit(self);
        match &self.node {
            Node::Literal(_) | Node::List(_) | Node::Field(_) | Node::Has(_) => {}
            Node::Not(inner) | Node::Negative(inner) => inner.walk(visit),
            Node::Binary(_, left, right) | Node::Index(left, right) => {
                left.walk(visit);
                right.walk(visit);
            }
            Node::Choice(three) => three.iter().for_each(|one| one.walk(visit)),
            Node::Call(_, arguments) => arguments.iter().for_each(|one| one.walk(visit)),
        }
    }

    /// How many values it needs room for at a time.
    pub(super) fn room(&self) -> usize {
        match &self.node {
            Node::Literal(_) | Node::List(_) | Node::Field(_) | Node::Has(_) => 1,
            Node::Not(inner) | Node::Negative(inner) => inner.room(),
            Node::Binary(_, left, right) | Node::Index(left, right) => left.room().max(1 + right.room()),
            Node::Choice(three) => three.iter().map(Self::room).max().unwrap_or(1),
            Node::Call(_, arguments) => {
                arguments.iter().enumerate().map(|(held, one)| held + one.room()).max().unwrap_or(1)
            }
        }
    }

    /// How tightly it binds; what binds less tightly than its surroundings needs parentheses.
    fn tightness(&self) -> u8 {
        match &self.node {
            Node::Choice(_) => 0,
            Node::Binary(operator, ..) => operator.tightness(),
            Node::Not(_) | Node::Negative(_) => 6,
            _ => 7,
        }
    }

    fn inside(&self, f: &mut fmt::Formatter<'_>, least: u8) -> fmt::Result {
        if self.tightness() < least { write!(f, "({self})") } else { write!(f, "{self}") }
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.node {
            Node::Literal(value) => value.fmt(f),
            Node::List(values) => {
                let values: Vec<String> = values.iter().map(Const::to_string).collect();
                write!(f, "[{}]", values.join(", "))
            }
            Node::Field(field) => write!(f, "{}.{}", field.space(), field.name()),
            Node::Has(field) => write!(f, "has({}.{})", field.space(), field.name()),
            Node::Not(inner) => {
                f.write_str("!")?;
                inner.inside(f, 7)
            }
            Node::Negative(inner) => {
                f.write_str("-")?;
                inner.inside(f, 7)
            }
            Node::Binary(operator, left, right) => {
                let tightness = operator.tightness();
                left.inside(f, tightness)?;
                write!(f, " {} ", operator.sign())?;
                right.inside(f, tightness + 1)
            }
            Node::Choice(three) => {
                three[0].inside(f, 1)?;
                f.write_str(" ? ")?;
                three[1].inside(f, 1)?;
                f.write_str(" : ")?;
                three[2].inside(f, 0)
            }
            Node::Call(function, arguments) => call(f, *function, arguments),
            Node::Index(list, index) => {
                list.inside(f, 7)?;
                write!(f, "[{index}]")
            }
        }
    }
}

fn call(f: &mut fmt::Formatter<'_>, function: Function, arguments: &[Expr]) -> fmt::Result {
    match (function.is_member(), arguments) {
        (true, [on, argument]) => {
            on.inside(f, 7)?;
            write!(f, ".{}({argument})", function.name())
        }
        _ => {
            let arguments: Vec<String> = arguments.iter().map(Expr::to_string).collect();
            write!(f, "{}({})", function.name(), arguments.join(", "))
        }
    }
}

// === impl Operator ===

impl Operator {
    /// Every operator with its sign.
    pub(super) const ALL: [(&'static str, Self); 14] = [
        ("||", Self::Or),
        ("&&", Self::And),
        ("==", Self::Equal),
        ("!=", Self::Unequal),
        ("<", Self::Less),
        ("<=", Self::LessOrEqual),
        (">", Self::More),
        (">=", Self::MoreOrEqual),
        ("in", Self::In),
        ("+", Self::Add),
        ("-", Self::Subtract),
        ("*", Self::Multiply),
        ("/", Self::Divide),
        ("%", Self::Remainder),
    ];

    pub(super) fn sign(self) -> &'static str {
        Self::ALL[self as usize].0
    }

    /// From 1, which binds least.
    pub(super) fn tightness(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And => 2,
            Self::Equal
            | Self::Unequal
            | Self::Less
            | Self::LessOrEqual
            | Self::More
            | Self::MoreOrEqual
            | Self::In => 3,
            Self::Add | Self::Subtract => 4,
            Self::Multiply | Self::Divide | Self::Remainder => 5,
        }
    }
}

// === impl Function ===

impl Function {
    /// Every function with its name.
    pub(super) const ALL: [(&'static str, Self); 6] = [
        ("startsWith", Self::StartsWith),
        ("endsWith", Self::EndsWith),
        ("contains", Self::Contains),
        ("size", Self::Size),
        ("int", Self::Int),
        ("double", Self::Double),
    ];

    pub(super) fn name(self) -> &'static str {
        Self::ALL[self as usize].0
    }

    /// Whether it is called on its first argument, with a dot.
    pub(super) fn is_member(self) -> bool {
        matches!(self, Self::StartsWith | Self::EndsWith | Self::Contains)
    }
}
