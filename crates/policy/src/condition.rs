//! A condition on a request, written in CEL: compiled and bounded when the policy is read, evaluated without allocating.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::error::Code;
use crate::facts::Facts;

mod field;
mod value;
mod lex;
mod tree;
mod parse;
mod types;
mod program;
#[cfg(test)]
mod tests;

pub(crate) use field::{Field, Unknown};
pub(crate) use tree::{Expr, Node, Operator};
pub(crate) use value::{Const, Type};

/// Most bytes of one condition.
pub const CONDITION_BYTES_MAX: usize = 4096;

/// Most work that one condition may cost: operations, with the length of every list that is searched.
pub const CONDITION_COST_MAX: usize = 2048;

/// A compiled condition. Every operation runs at most once, forwards, on a stack of fixed size.
#[derive(Clone, Debug)]
pub struct Condition {
    tree: Expr,
    program: program::Program,
}

/// What a condition says of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Holds,
    /// It does not.
    Fails,
    /// It has no answer: it reads what the request does not have, divides by zero or overflows.
    Undecided,
}

/// Why a text is no condition: where, which kind, what, and the mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Byte in the condition, counted from 0.
    pub at: usize,
    /// Which kind.
    pub code: Code,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub mend: String,
}

// === impl Condition ===

impl Condition {
    /// Compiles a text, or says where it is wrong and how to mend it.
    pub fn compile(text: &str) -> Result<Self, Fault> {
        if text.len() > CONDITION_BYTES_MAX {
            let problem = format!("the condition has {} bytes", text.len());
            return Err(Fault::new(
                0,
                Code::ConditionTooLarge,
                problem,
                format!("give at most {CONDITION_BYTES_MAX}"),
            ));
        }
        let tree = parse::expression(lex::tokens(text)?)?;
        types::check_condition(&tree)?;
        if tree.room() > program::STACK_LEN {
            let problem = format!("the condition holds {} values at a time", tree.room());
            let mend =
                format!("give one of at most {}: put the deepest parentheses first", program::STACK_LEN);
            return Err(Fault::new(0, Code::ConditionTooLarge, problem, mend));
        }
        let program = program::emit(&tree);
        if program.cost() > CONDITION_COST_MAX {
            let problem = format!("the condition costs {} steps", program.cost());
            let mend = format!("give one of at most {CONDITION_COST_MAX}, or split it into two classes");
            return Err(Fault::new(0, Code::ConditionTooLarge, problem, mend));
        }
        Ok(Self { tree, program })
    }

    /// What it says of a request.
    pub fn verdict(&self, facts: &Facts) -> Verdict {
        self.program.run(facts)
    }

    /// Whether it holds; what cannot be decided does not.
    pub fn holds(&self, facts: &Facts) -> bool {
        self.verdict(facts) == Verdict::Holds
    }

    /// The most steps that it can take.
    pub fn cost(&self) -> usize {
        self.program.cost()
    }

    /// What it was compiled from, as a tree.
    pub(crate) fn tree(&self) -> &Expr {
        &self.tree
    }
}

impl PartialEq for Condition {
    /// Two conditions are equal where they are the same but for spaces and parentheses.
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tree.fmt(f)
    }
}

impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

// === impl Fault ===

impl Fault {
    pub(crate) fn new(at: usize, code: Code, problem: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { at, code, problem: problem.into(), mend: mend.into() }
    }
}
