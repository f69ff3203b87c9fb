//! From the tokens of a condition to its tree, with the precedence of CEL and a bound on its depth.

use super::Fault;
use super::field::{Field, SPACES};
use super::lex::{Kind, Token};
use super::tree::{Expr, Function, Node, Operator};
use super::value::Const;
use crate::error::Code;
use crate::rules::{LIST_LEN_MAX, nearest, suggestion};

/// Deepest nesting.
const DEPTH_MAX: usize = 24;

/// Functions of CEL that are not read here, with what to write instead.
const OUTSIDE: [(&str, &str); 10] = [
    ("matches", "use startsWith, endsWith or contains"),
    ("exists", "use `in`, such as `\"credit_card\" in personal_data`"),
    ("all", "use `in` and `&&`"),
    ("exists_one", "use `in`"),
    ("map", "use `in`"),
    ("filter", "use `in`"),
    ("string", "compare with a text"),
    ("bool", "write the condition itself"),
    ("timestamp", "times are no facts of a request"),
    ("duration", "seconds are numbers here, such as `deadline_seconds < 2.0`"),
];

/// Reads one expression and nothing after it.
pub(super) fn expression(tokens: Vec<Token>) -> Result<Expr, Fault> {
    let mut parser = Parser { tokens, next: 0, depth: 0 };
    let tree = parser.choice()?;
    match parser.peek().kind {
        Kind::End => Ok(tree),
        _ => Err(parser.unexpected("an operator such as `&&`")),
    }
}

struct Parser {
    tokens: Vec<Token>,
    next: usize,
    depth: usize,
}

// === impl Parser ===

impl Parser {
    /// The last token is the end, and is never passed.
    fn peek(&self) -> &Token {
        &self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    fn take(&mut self) -> Token {
        let token = self.peek().clone();
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        token
    }

    fn accept(&mut self, sign: &str) -> bool {
        let is = matches!(self.peek().kind, Kind::Sign(next) if next == sign);
        if is {
            self.take();
        }
        is
    }

    fn expect(&mut self, sign: &'static str) -> Result<(), Fault> {
        if self.accept(sign) { Ok(()) } else { Err(self.unexpected(&format!("`{sign}`"))) }
    }

    fn unexpected(&self, wanted: &str) -> Fault {
        let token = self.peek();
        let is = match &token.kind {
            Kind::Literal(value) => format!("`{value}`"),
            Kind::Identifier(name) => format!("`{name}`"),
            Kind::Sign(sign) => format!("`{sign}`"),
            Kind::End => "the end".to_owned(),
        };
        let problem = format!("{is} stands where {wanted} is expected");
        Fault::new(token.at, Code::ConditionSyntax, problem, format!("write {wanted}"))
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        if self.depth >= DEPTH_MAX {
            let problem = format!("the condition is nested deeper than {DEPTH_MAX}");
            let mend = "take parentheses out, or split it into two classes";
            return Err(Fault::new(self.peek().at, Code::ConditionTooLarge, problem, mend));
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    fn choice(&mut self) -> Result<Expr, Fault> {
        self.deeper(|parser| {
            let asked = parser.binary(1)?;
            if !parser.accept("?") {
                return Ok(asked);
            }
            let at = asked.at;
            let then = parser.binary(1)?;
            parser.expect(":")?;
            let otherwise = parser.choice()?;
            Ok(Expr { at, node: Node::Choice(Box::new([asked, then, otherwise])) })
        })
    }

    /// Operators of this tightness and above; equals group to the left.
    fn binary(&mut self, tightness: u8) -> Result<Expr, Fault> {
        if tightness > Operator::Multiply.tightness() {
            return self.unary();
        }
        let mut left = self.binary(tightness + 1)?;
        while let Some(operator) = self.operator().filter(|operator| operator.tightness() == tightness) {
            self.take();
            let right = self.binary(tightness + 1)?;
            let at = left.at;
            left = Expr { at, node: Node::Binary(operator, Box::new(left), Box::new(right)) };
        }
        Ok(left)
    }

    fn operator(&self) -> Option<Operator> {
        let Kind::Sign(sign) = self.peek().kind else { return None };
        Operator::ALL.iter().find(|(known, _)| *known == sign).map(|(_, operator)| *operator)
    }

    fn unary(&mut self) -> Result<Expr, Fault> {
        let at = self.peek().at;
        if self.accept("!") {
            let inner = self.deeper(Self::unary)?;
            return Ok(Expr { at, node: Node::Not(Box::new(inner)) });
        }
        if self.accept("-") {
            let inner = self.deeper(Self::unary)?;
            let node = match inner.node {
                Node::Literal(Const::Int(value)) => Node::Literal(Const::Int(-value)),
                Node::Literal(Const::Double(value)) => Node::Literal(Const::Double(-value)),
                _ => Node::Negative(Box::new(inner)),
            };
            return Ok(Expr { at, node });
        }
        self.member()
    }

    fn member(&mut self) -> Result<Expr, Fault> {
        let mut on = self.primary()?;
        loop {
            let at = on.at;
            if self.accept(".") {
                let Token { at: name_at, kind } = self.take();
                let Kind::Identifier(name) = kind else {
                    self.next = self.next.saturating_sub(1);
                    return Err(self.unexpected("a name"));
                };
                if !self.accept("(") {
                    return Err(no_field(&name, name_at));
                }
                let function = function(&name, name_at)?;
                let mut arguments = vec![on];
                arguments.extend(self.arguments()?);
                on = Expr { at, node: Node::Call(function, arguments) };
            } else if self.accept("[") {
                let index = self.choice()?;
                self.expect("]")?;
                on = Expr { at, node: Node::Index(Box::new(on), Box::new(index)) };
            } else {
                return Ok(on);
            }
        }
    }

    /// What follows an opening parenthesis, the closing one included.
    fn arguments(&mut self) -> Result<Vec<Expr>, Fault> {
        let mut arguments = Vec::new();
        if self.accept(")") {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.choice()?);
            if !self.accept(",") {
                self.expect(")")?;
                return Ok(arguments);
            }
        }
    }

    fn primary(&mut self) -> Result<Expr, Fault> {
        let at = self.peek().at;
        if self.accept("(") {
            let inner = self.choice()?;
            self.expect(")")?;
            return Ok(inner);
        }
        if self.accept("[") {
            return Ok(Expr { at, node: Node::List(self.list()?) });
        }
        match self.peek().kind.clone() {
            Kind::Literal(value) => {
                self.take();
                Ok(Expr { at, node: Node::Literal(value) })
            }
            Kind::Identifier(name) => {
                self.take();
                self.named(&name, at)
            }
            _ => Err(self.unexpected("a value or a name")),
        }
    }

    /// The elements of a list, which are constants of one type, and its end.
    fn list(&mut self) -> Result<Vec<Const>, Fault> {
        let mut values: Vec<Const> = Vec::new();
        while !self.accept("]") {
            let at = self.peek().at;
            let Node::Literal(value) = self.unary()?.node else {
                let mend = "write texts or numbers, and compare names with `||`";
                return Err(Fault::new(at, Code::ConditionUnsupported, "a list holds constants only", mend));
            };
            if values.first().is_some_and(|first| first.element() != value.element()) {
                let problem = format!("`{value}` is of another type than the list's first element");
                return Err(Fault::new(at, Code::ConditionType, problem, "give elements of one type"));
            }
            values.push(value);
            if values.len() > LIST_LEN_MAX {
                let problem = format!("the list has more than {LIST_LEN_MAX} elements");
                return Err(Fault::new(at, Code::ConditionTooLarge, problem, "give fewer"));
            }
            if !self.accept(",") {
                self.expect("]")?;
                break;
            }
        }
        Ok(values)
    }

    fn named(&mut self, name: &str, at: usize) -> Result<Expr, Fault> {
        if SPACES.contains(&name) {
            let field = self.selected(name)?;
            return Ok(Expr { at, node: Node::Field(field) });
        }
        if !self.accept("(") {
            let field = Field::named(None, name).ok_or_else(|| no_field(name, at))?;
            return Ok(Expr { at, node: Node::Field(field) });
        }
        if name == "has" {
            let field = self.asked()?;
            return Ok(Expr { at, node: Node::Has(field) });
        }
        let function = function(name, at)?;
        let arguments = self.arguments()?;
        Ok(Expr { at, node: Node::Call(function, arguments) })
    }

    /// The field after the name of a name space.
    fn selected(&mut self, space: &str) -> Result<Field, Fault> {
        self.expect(".")?;
        let Token { at, kind } = self.take();
        let Kind::Identifier(name) = kind else {
            self.next = self.next.saturating_sub(1);
            return Err(self.unexpected(&format!("a name of `{space}`")));
        };
        Field::named(Some(space), &name).ok_or_else(|| {
            let elsewhere = Field::named(None, &name).map(|field| format!("{}.{name}", field.space()));
            let mend = match elsewhere {
                Some(field) => format!("write `{field}`"),
                None => suggestion(&name, Field::names(Some(space))),
            };
            Fault::new(at, Code::ConditionNameUnknown, format!("`{space}` has no `{name}`"), mend)
        })
    }

    /// The argument of `has`, which CEL wants to be a selection, and its end.
    fn asked(&mut self) -> Result<Field, Fault> {
        let Token { at, kind } = self.take();
        let field = match kind {
            Kind::Identifier(space) if SPACES.contains(&space.as_str()) => self.selected(&space)?,
            Kind::Identifier(name) => {
                let field = Field::named(None, &name).ok_or_else(|| no_field(&name, at))?;
                let mend = format!("write `has({}.{name})`", field.space());
                return Err(Fault::new(at, Code::ConditionSyntax, "has() asks for a selected field", mend));
            }
            _ => {
                self.next = self.next.saturating_sub(1);
                return Err(self.unexpected("a field such as `request.residency`"));
            }
        };
        self.expect(")")?;
        Ok(field)
    }
}

fn function(name: &str, at: usize) -> Result<Function, Fault> {
    if let Some((_, function)) = Function::ALL.iter().find(|(known, _)| *known == name) {
        return Ok(*function);
    }
    if let Some((_, mend)) = OUTSIDE.iter().find(|(known, _)| *known == name) {
        let problem = format!("`{name}` is outside of the CEL that is read here");
        return Err(Fault::new(at, Code::ConditionUnsupported, problem, *mend));
    }
    let known = Function::ALL.iter().map(|(known, _)| *known).chain(["has"]);
    Err(Fault::new(
        at,
        Code::ConditionNameUnknown,
        format!("there is no function `{name}`"),
        suggestion(name, known),
    ))
}

fn no_field(name: &str, at: usize) -> Fault {
    let known = Field::names(None).chain(SPACES);
    let mend = match nearest(name, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!(
            "known are {}, and the fields of signals, request and caller; a text stands in quotes",
            Field::names(None).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        ),
    };
    Fault::new(at, Code::ConditionNameUnknown, format!("no request has a `{name}`"), mend)
}
