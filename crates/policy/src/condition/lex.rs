//! From the text of a condition to its tokens.

use super::Fault;
use super::value::Const;
use crate::error::Code;

/// A token with the byte at which it begins.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) at: usize,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Literal(Const),
    Identifier(String),
    /// An operator or a bracket.
    Sign(&'static str),
    End,
}

/// Most tokens of a condition.
const TOKENS_MAX: usize = 1024;

/// Longer signs come first.
const SIGNS: [&str; 21] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "+", "-", "*", "/", "%", "?", ":", "(", ")", "[", "]",
    ",",
];

/// Words that CEL keeps for itself.
const RESERVED: [&str; 16] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "while",
];

/// Reads all tokens; the last is [`Kind::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, Fault> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        if tokens.len() >= TOKENS_MAX {
            let problem = format!("the condition has more than {TOKENS_MAX} words and signs");
            return Err(Fault::new(at, Code::ConditionTooLarge, problem, "split it into two classes"));
        }
        let rest = &text[at..];
        let (kind, len) = if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        } else if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
            continue;
        } else if first == '"' || first == '\'' {
            string(rest, at, false)?
        } else if matches!(first, 'r' | 'R') && rest[1..].starts_with(['"', '\'']) {
            let (kind, len) = string(&rest[1..], at + 1, true)?;
            (kind, len + 1)
        } else if first.is_ascii_digit()
            || (first == '.' && rest[1..].starts_with(|next: char| next.is_ascii_digit()))
        {
            number(rest, at)?
        } else if first.is_ascii_alphabetic() || first == '_' {
            word(rest, at)?
        } else if first == '.' {
            (Kind::Sign("."), 1)
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            (Kind::Sign(sign), sign.len())
        } else {
            return Err(stray(first, at));
        };
        tokens.push(Token { at, kind });
        at += len;
    }
    tokens.push(Token { at: text.len(), kind: Kind::End });
    Ok(tokens)
}

fn stray(sign: char, at: usize) -> Fault {
    let mend = match sign {
        '&' => "write `&&`".to_owned(),
        '|' => "write `||`".to_owned(),
        '=' => "write `==` to compare".to_owned(),
        _ => "take it out".to_owned(),
    };
    Fault::new(at, Code::ConditionSyntax, format!("`{sign}` has no meaning here"), mend)
}

fn word(rest: &str, at: usize) -> Result<(Kind, usize), Fault> {
    let len = rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
    let word = &rest[..len];
    let kind = match word {
        "true" => Kind::Literal(Const::Bool(true)),
        "false" => Kind::Literal(Const::Bool(false)),
        "in" => Kind::Sign("in"),
        "null" => {
            return Err(Fault::new(
                at,
                Code::ConditionUnsupported,
                "`null` is outside of the CEL that is read here",
                "ask with has(), such as `has(request.residency)`",
            ));
        }
        _ if RESERVED.contains(&word) => {
            let problem = format!("`{word}` is a word that CEL keeps for itself");
            return Err(Fault::new(at, Code::ConditionSyntax, problem, "use another name"));
        }
        _ => Kind::Identifier(word.to_owned()),
    };
    Ok((kind, len))
}

fn number(rest: &str, at: usize) -> Result<(Kind, usize), Fault> {
    let bytes = rest.as_bytes();
    let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    if rest.starts_with("0x") || rest.starts_with("0X") {
        let len = 2 + bytes[2..].iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let value = i64::from_str_radix(&rest[2..len], 16).ok();
        return finish(rest, at, len, value.map(Const::Int));
    }
    let mut len = digits(0);
    let mut double = false;
    if bytes.get(len) == Some(&b'.') && bytes.get(len + 1).is_some_and(u8::is_ascii_digit) {
        double = true;
        len += 1 + digits(len + 1);
    }
    if matches!(bytes.get(len), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(len + 1), Some(b'+' | b'-')));
        let exponent = bytes.get(len + 1 + sign..).map_or(0, |_| digits(len + 1 + sign));
        if exponent > 0 {
            double = true;
            len += 1 + sign + exponent;
        }
    }
    let value = if double {
        rest[..len].parse().ok().filter(|value: &f64| value.is_finite()).map(Const::Double)
    } else {
        rest[..len].parse().ok().map(Const::Int)
    };
    finish(rest, at, len, value)
}

/// A number may not run into a letter: `3u` is an unsigned int, which no fact is.
fn finish(rest: &str, at: usize, len: usize, value: Option<Const>) -> Result<(Kind, usize), Fault> {
    if rest[len..].starts_with(['u', 'U']) {
        let mend = "write the number without `u`";
        return Err(Fault::new(at, Code::ConditionUnsupported, "unsigned ints are not read here", mend));
    }
    match value {
        Some(value) if !rest[len..].starts_with(|next: char| next.is_alphanumeric() || next == '_') => {
            Ok((Kind::Literal(value), len))
        }
        _ => {
            let shown: String = rest.chars().take(24).take_while(|one| !one.is_whitespace()).collect();
            let problem = format!("`{shown}` is no number");
            Err(Fault::new(at, Code::ConditionSyntax, problem, "write one such as 12, 0.5 or 1e3"))
        }
    }
}

/// A text in single or double quotes, once or three times.
fn string(rest: &str, at: usize, raw: bool) -> Result<(Kind, usize), Fault> {
    let quote = &rest[..1];
    let triple = quote.repeat(3);
    let quote = if rest.starts_with(&triple) { triple.as_str() } else { quote };
    let unclosed =
        || Fault::new(at, Code::ConditionSyntax, "the text has no end", format!("close it with {quote}"));
    let mut value = String::new();
    let mut from = quote.len();
    loop {
        let left = rest.get(from..).ok_or_else(unclosed)?;
        if left.starts_with(quote) {
            return Ok((Kind::Literal(Const::Text(value.into())), from + quote.len()));
        }
        let one = left.chars().next().ok_or_else(unclosed)?;
        if one == '\n' && quote.len() == 1 {
            return Err(unclosed());
        }
        if one == '\\' && !raw {
            let (escaped, len) = escape(&left[1..]).ok_or_else(|| {
                let mend = "use one of \\n \\t \\r \\\\ \\\" \\' \\xHH \\uHHHH, or a raw text r\"…\"";
                Fault::new(at + from, Code::ConditionSyntax, "this escape is not known", mend)
            })?;
            value.push(escaped);
            from += 1 + len;
        } else {
            value.push(one);
            from += one.len_utf8();
        }
    }
}

/// What follows a backslash, and how many bytes of it were read.
fn escape(rest: &str) -> Option<(char, usize)> {
    let hex = |digits: usize| {
        let code = u32::from_str_radix(rest.get(1..=digits)?, 16).ok()?;
        char::from_u32(code).map(|one| (one, 1 + digits))
    };
    match rest.chars().next()? {
        'n' => Some(('\n', 1)),
        't' => Some(('\t', 1)),
        'r' => Some(('\r', 1)),
        one @ ('\\' | '"' | '\'' | '`' | '?') => Some((one, 1)),
        'x' | 'X' => hex(2),
        'u' => hex(4),
        'U' => hex(8),
        _ => None,
    }
}
