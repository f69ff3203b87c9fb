//! A condition as a flat program: jumps go forwards only, so that each operation runs at most once.

use super::Verdict;
use super::field::Field;
use super::tree::{Expr, Function, Node, Operator};
use super::value::{Const, Value};
use crate::facts::Facts;

/// Values that a program may hold at a time; a tree that needs more is refused.
pub(super) const STACK_LEN: usize = 32;

/// Operations over constants.
#[derive(Clone, Debug)]
pub(super) struct Program {
    ops: Vec<Op>,
    constants: Vec<Const>,
    lists: Vec<Vec<Const>>,
    cost: usize,
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Constant(usize),
    List(usize),
    Read(Field),
    Has(Field),
    Not,
    Negative,
    Binary(Operator),
    /// Jumps where the top decides an `&&` or `||` alone, which is where it is this.
    JumpIf(bool, usize),
    /// Takes the top: goes on where it is true, jumps to the first where it is false; where it is undecided, so is all,
    /// and the second is the end.
    Choose(usize, usize),
    Jump(usize),
    Call(Function),
    Index,
}

/// Turns a tree whose types are right into a program.
pub(super) fn emit(tree: &Expr) -> Program {
    let mut program = Program { ops: Vec::new(), constants: Vec::new(), lists: Vec::new(), cost: 0 };
    program.expr(tree);
    program.cost = program.ops.len() + program.lists.iter().map(Vec::len).sum::<usize>();
    program
}

// === impl Program ===

impl Program {
    pub(super) fn cost(&self) -> usize {
        self.cost
    }

    pub(super) fn run(&self, facts: &Facts) -> Verdict {
        match self.value(facts) {
            Value::Bool(true) => Verdict::Holds,
            Value::Bool(false) => Verdict::Fails,
            _ => Verdict::Undecided,
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.node {
            Node::Literal(value) => {
                self.ops.push(Op::Constant(self.constants.len()));
                self.constants.push(value.clone());
            }
            Node::List(values) => {
                self.ops.push(Op::List(self.lists.len()));
                self.lists.push(values.clone());
            }
            Node::Field(field) => self.ops.push(Op::Read(*field)),
            Node::Has(field) => self.ops.push(Op::Has(*field)),
            Node::Not(inner) => {
                self.expr(inner);
                self.ops.push(Op::Not);
            }
            Node::Negative(inner) => {
                self.expr(inner);
                self.ops.push(Op::Negative);
            }
            Node::Binary(operator, left, right) => self.binary(*operator, left, right),
            Node::Choice(three) => self.choice(three),
            Node::Call(function, arguments) => {
                arguments.iter().for_each(|argument| self.expr(argument));
                self.ops.push(Op::Call(*function));
            }
            Node::Index(list, index) => {
                self.expr(list);
                self.expr(index);
                self.ops.push(Op::Index);
            }
        }
    }

    fn binary(&mut self, operator: Operator, left: &Expr, right: &Expr) {
        self.expr(left);
        let jump = self.ops.len();
        if matches!(operator, Operator::And | Operator::Or) {
            self.ops.push(Op::JumpIf(operator == Operator::Or, 0));
        }
        self.expr(right);
        self.ops.push(Op::Binary(operator));
        let end = self.ops.len();
        if let Some(Op::JumpIf(_, to)) = self.ops.get_mut(jump) {
            *to = end;
        }
    }

    fn choice(&mut self, [asked, then, otherwise]: &[Expr; 3]) {
        self.expr(asked);
        let choose = self.ops.len();
        self.ops.push(Op::Choose(0, 0));
        self.expr(then);
        let jump = self.ops.len();
        self.ops.push(Op::Jump(0));
        let other = self.ops.len();
        self.expr(otherwise);
        let end = self.ops.len();
        self.ops[choose] = Op::Choose(other, end);
        self.ops[jump] = Op::Jump(end);
    }

    pub(super) fn value<'a>(&'a self, facts: &'a Facts) -> Value<'a> {
        let mut stack = Stack { values: [Value::Undecided; STACK_LEN], len: 0 };
        let mut next = 0;
        while let Some(op) = self.ops.get(next) {
            next += 1;
            match *op {
                Op::Constant(index) => stack.push(self.constants[index].value()),
                Op::List(index) => stack.push(Value::Consts(&self.lists[index])),
                Op::Read(field) => stack.push(field.read(facts)),
                Op::Has(field) => stack.push(Value::Bool(!matches!(field.read(facts), Value::Undecided))),
                Op::Not => {
                    let value = match stack.pop() {
                        Value::Bool(value) => Value::Bool(!value),
                        _ => Value::Undecided,
                    };
                    stack.push(value);
                }
                Op::Negative => {
                    let value = negative(stack.pop());
                    stack.push(value);
                }
                Op::Binary(operator) => {
                    let (right, left) = (stack.pop(), stack.pop());
                    stack.push(binary(operator, left, right));
                }
                Op::JumpIf(wanted, to) => {
                    if matches!(stack.top(), Value::Bool(is) if is == wanted) {
                        next = to;
                    }
                }
                Op::Choose(other, end) => match stack.pop() {
                    Value::Bool(true) => {}
                    Value::Bool(false) => next = other,
                    _ => {
                        stack.push(Value::Undecided);
                        next = end;
                    }
                },
                Op::Jump(to) => next = to,
                Op::Call(function) => {
                    let last = stack.pop();
                    let value = call(function, last, &mut stack);
                    stack.push(value);
                }
                Op::Index => {
                    let (index, list) = (stack.pop(), stack.pop());
                    let value = if let Value::Int(index) = index { list.at(index) } else { None };
                    stack.push(value.unwrap_or(Value::Undecided));
                }
            }
        }
        stack.pop()
    }
}

struct Stack<'a> {
    values: [Value<'a>; STACK_LEN],
    len: usize,
}

// === impl Stack ===

impl<'a> Stack<'a> {
    /// There is room: it was counted when the condition was compiled.
    fn push(&mut self, value: Value<'a>) {
        if let Some(slot) = self.values.get_mut(self.len) {
            *slot = value;
        }
        self.len += 1;
    }

    fn pop(&mut self) -> Value<'a> {
        self.len = self.len.saturating_sub(1);
        self.values.get(self.len).copied().unwrap_or(Value::Undecided)
    }

    fn top(&self) -> Value<'a> {
        self.values.get(self.len.wrapping_sub(1)).copied().unwrap_or(Value::Undecided)
    }
}

fn negative(value: Value<'_>) -> Value<'_> {
    match value {
        Value::Int(value) => value.checked_neg().map_or(Value::Undecided, Value::Int),
        Value::Double(value) => Value::Double(-value),
        _ => Value::Undecided,
    }
}

fn call<'a>(function: Function, last: Value<'a>, stack: &mut Stack<'a>) -> Value<'a> {
    let text = |stack: &mut Stack<'a>, test: fn(&str, &str) -> bool| match (stack.pop(), last) {
        (Value::Text(on), Value::Text(argument)) => Value::Bool(test(on, argument)),
        _ => Value::Undecided,
    };
    match function {
        Function::StartsWith => text(stack, |on, argument| on.starts_with(argument)),
        Function::EndsWith => text(stack, |on, argument| on.ends_with(argument)),
        Function::Contains => text(stack, |on, argument| on.contains(argument)),
        Function::Size => last.size().map_or(Value::Undecided, Value::Int),
        Function::Int => match last {
            // Within these bounds the cast is exact but for the fraction, which CEL drops too.
            Value::Double(value) if value.abs() < 9.2e18 => Value::Int(value as i64),
            Value::Int(value) => Value::Int(value),
            _ => Value::Undecided,
        },
        Function::Double => match last {
            Value::Int(value) => Value::Double(value as f64),
            Value::Double(value) => Value::Double(value),
            _ => Value::Undecided,
        },
    }
}

fn binary<'a>(operator: Operator, left: Value<'a>, right: Value<'a>) -> Value<'a> {
    use Operator as O;
    let truth = |value: Option<bool>| value.map_or(Value::Undecided, Value::Bool);
    match operator {
        O::And => match (left, right) {
            (Value::Bool(false), _) | (_, Value::Bool(false)) => Value::Bool(false),
            (Value::Bool(true), Value::Bool(true)) => Value::Bool(true),
            _ => Value::Undecided,
        },
        O::Or => match (left, right) {
            (Value::Bool(true), _) | (_, Value::Bool(true)) => Value::Bool(true),
            (Value::Bool(false), Value::Bool(false)) => Value::Bool(false),
            _ => Value::Undecided,
        },
        O::Equal => truth(equal(left, right)),
        O::Unequal => truth(equal(left, right).map(|same| !same)),
        O::Less => truth(ordered(left, right, std::cmp::Ordering::is_lt)),
        O::LessOrEqual => truth(ordered(left, right, std::cmp::Ordering::is_le)),
        O::More => truth(ordered(left, right, std::cmp::Ordering::is_gt)),
        O::MoreOrEqual => truth(ordered(left, right, std::cmp::Ordering::is_ge)),
        O::In => truth(left.is_in(right)),
        O::Add | O::Subtract | O::Multiply | O::Divide | O::Remainder => arithmetic(operator, left, right),
    }
}

/// NaN equals nothing, itself included.
fn equal(left: Value<'_>, right: Value<'_>) -> Option<bool> {
    match (left, right) {
        (Value::Undecided, _) | (_, Value::Undecided) => None,
        _ => Some(left.same(right).unwrap_or(false)),
    }
}

fn ordered(left: Value<'_>, right: Value<'_>, test: fn(std::cmp::Ordering) -> bool) -> Option<bool> {
    match (left, right) {
        (Value::Undecided, _) | (_, Value::Undecided) => None,
        _ => Some(left.order(right).is_some_and(test)),
    }
}

fn arithmetic<'a>(operator: Operator, left: Value<'a>, right: Value<'a>) -> Value<'a> {
    use Operator as O;
    match (left, right) {
        (Value::Int(a), Value::Int(b)) => match operator {
            O::Add => a.checked_add(b),
            O::Subtract => a.checked_sub(b),
            O::Multiply => a.checked_mul(b),
            O::Divide => a.checked_div(b),
            _ => a.checked_rem(b),
        }
        .map_or(Value::Undecided, Value::Int),
        (Value::Double(a), Value::Double(b)) => Value::Double(match operator {
            O::Add => a + b,
            O::Subtract => a - b,
            O::Multiply => a * b,
            _ => a / b,
        }),
        _ => Value::Undecided,
    }
}
