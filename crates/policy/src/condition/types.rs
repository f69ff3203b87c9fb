//! The types of a condition: what CEL would refuse when it runs is refused when the policy is read.

use super::Fault;
use super::field::Field;
use super::tree::{Expr, Function, Node, Operator};
use super::value::{Const, Element, Type};
use crate::error::Code;
use crate::rules::suggestion;

/// A condition is a bool.
pub(super) fn check_condition(tree: &Expr) -> Result<(), Fault> {
    match type_of(tree)? {
        Type::Bool => Ok(()),
        other => Err(wrong(tree, format!("the condition is {}", other.name()), "compare it with something")),
    }
}

fn type_of(expr: &Expr) -> Result<Type, Fault> {
    match &expr.node {
        Node::Literal(value) => Ok(value.element().alone().unwrap_or(Type::Bool)),
        Node::List(values) => Ok(Type::List(values.first().map_or(Element::Any, Const::element))),
        Node::Field(field) => Ok(field.r#type()),
        Node::Has(_) => Ok(Type::Bool),
        Node::Not(inner) => {
            needs(inner, Type::Bool)?;
            Ok(Type::Bool)
        }
        Node::Negative(inner) => match type_of(inner)? {
            number if number.is_number() => Ok(number),
            other => Err(wrong(inner, format!("`-` is before {}", other.name()), "give a number")),
        },
        Node::Binary(operator, left, right) => binary(*operator, left, right),
        Node::Choice(three) => {
            needs(&three[0], Type::Bool)?;
            let (then, otherwise) = (type_of(&three[1])?, type_of(&three[2])?);
            if then == otherwise {
                return Ok(then);
            }
            let problem = format!("one branch is {} and the other {}", then.name(), otherwise.name());
            Err(wrong(&three[2], problem, "give branches of one type"))
        }
        Node::Call(function, arguments) => call(expr, *function, arguments),
        Node::Index(list, index) => {
            needs(index, Type::Int)?;
            match type_of(list)? {
                Type::List(element) => element.alone().ok_or_else(|| {
                    wrong(list, "the empty list has no elements", "name a list that has some")
                }),
                other => Err(wrong(list, format!("{} has no elements", other.name()), "index a list")),
            }
        }
    }
}

fn binary(operator: Operator, left: &Expr, right: &Expr) -> Result<Type, Fault> {
    use Operator as O;
    match operator {
        O::And | O::Or => {
            needs(left, Type::Bool)?;
            needs(right, Type::Bool)?;
            Ok(Type::Bool)
        }
        O::Equal | O::Unequal | O::Less | O::LessOrEqual | O::More | O::MoreOrEqual => {
            let (a, b) = (type_of(left)?, type_of(right)?);
            if matches!(a, Type::List(_)) || matches!(b, Type::List(_)) {
                let problem = format!("`{}` compares a list", operator.sign());
                return Err(wrong(left, problem, "ask with `in` or size()"));
            }
            if a != b && !(a.is_number() && b.is_number()) {
                let problem = format!("`{}` compares {} with {}", operator.sign(), a.name(), b.name());
                return Err(wrong(right, problem, format!("compare with {}", a.name())));
            }
            possible(left, right)?;
            possible(right, left)?;
            Ok(Type::Bool)
        }
        O::In => membership(left, right),
        O::Add | O::Subtract | O::Multiply | O::Divide | O::Remainder => arithmetic(operator, left, right),
    }
}

fn membership(left: &Expr, right: &Expr) -> Result<Type, Fault> {
    let (element, list) = (type_of(left)?, type_of(right)?);
    let Type::List(of) = list else {
        return Err(wrong(
            right,
            format!("`in` looks into {}", list.name()),
            "give a list such as [\"a\", \"b\"]",
        ));
    };
    let fits = of.alone().is_none_or(|of| of == element || (of.is_number() && element.is_number()));
    if !fits {
        let problem = format!("{} is never in this list", element.name());
        return Err(wrong(left, problem, "compare values of one type"));
    }
    possible(left, right)?;
    possible(right, left)?;
    Ok(Type::Bool)
}

fn arithmetic(operator: Operator, left: &Expr, right: &Expr) -> Result<Type, Fault> {
    let (a, b) = (type_of(left)?, type_of(right)?);
    let sign = operator.sign();
    if !a.is_number() || !b.is_number() {
        let (expr, other) = if a.is_number() { (right, b) } else { (left, a) };
        return Err(wrong(expr, format!("`{sign}` is applied to {}", other.name()), "give numbers"));
    }
    if a != b {
        let problem = format!("`{sign}` is applied to {} and {}", a.name(), b.name());
        return Err(wrong(right, problem, "write 2.0 for 2, or convert with double()"));
    }
    if operator == Operator::Remainder && a != Type::Int {
        return Err(wrong(left, "`%` is applied to a double", "give ints"));
    }
    Ok(a)
}

fn call(expr: &Expr, function: Function, arguments: &[Expr]) -> Result<Type, Fault> {
    let wanted = if function.is_member() { 2 } else { 1 };
    if arguments.len() != wanted {
        let given = arguments.len() + 1 - wanted;
        let problem = format!("`{}` takes one argument and is given {given}", function.name());
        return Err(wrong(expr, problem, "give one"));
    }
    let on = type_of(&arguments[0])?;
    match function {
        Function::StartsWith | Function::EndsWith | Function::Contains => {
            if let Type::List(_) = on {
                let mend = "write `\"x\" in …`";
                return Err(wrong(expr, format!("`{}` asks a list", function.name()), mend));
            }
            needs(&arguments[0], Type::Text)?;
            needs(&arguments[1], Type::Text)?;
            Ok(Type::Bool)
        }
        Function::Size if matches!(on, Type::Text | Type::List(_)) => Ok(Type::Int),
        Function::Size => Err(wrong(expr, format!("{} has no size", on.name()), "give a string or a list")),
        Function::Int | Function::Double if !on.is_number() => {
            Err(wrong(expr, format!("{} is converted", on.name()), "give a number"))
        }
        Function::Int => Ok(Type::Int),
        Function::Double => Ok(Type::Double),
    }
}

/// A field whose values are few is compared with one of them only: anything else is a mistake in writing.
fn possible(field: &Expr, with: &Expr) -> Result<(), Fault> {
    let Node::Field(field) = &field.node else { return Ok(()) };
    let Some(values) = Field::values(*field) else { return Ok(()) };
    let constants = match &with.node {
        Node::Literal(value) => std::slice::from_ref(value),
        Node::List(values) => values,
        _ => return Ok(()),
    };
    for constant in constants {
        let Const::Text(text) = constant else { continue };
        if !values.iter().any(|value| text == value) {
            let problem = format!("`{}` is never {constant}", field.name());
            let mend = suggestion(text, values.iter().copied());
            return Err(Fault::new(with.at, Code::ConditionNameUnknown, problem, mend));
        }
    }
    Ok(())
}

fn needs(expr: &Expr, wanted: Type) -> Result<(), Fault> {
    let is = type_of(expr)?;
    if is == wanted {
        return Ok(());
    }
    let problem = format!("{} stands where {} is expected", is.name(), wanted.name());
    Err(wrong(expr, problem, format!("give {}", wanted.name())))
}

fn wrong(expr: &Expr, problem: impl Into<String>, mend: impl Into<String>) -> Fault {
    Fault::new(expr.at, Code::ConditionType, problem, mend)
}
