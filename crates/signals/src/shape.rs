//! What a text looks like: sizes, numbers, lists, code, whether it asks.

use serde::Serialize;

use crate::words::{HEAD_BYTES_MAX, TAIL_BYTES_MAX, ends_of};

/// The look of a text. Counts of a long text but its characters are scaled up from its beginning and its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Shape {
    /// Characters.
    pub chars: u32,
    /// Runs of letters and digits.
    pub words: u32,
    /// Runs of digits.
    pub numbers: u32,
    /// Lines that are not empty.
    pub lines: u32,
    /// Lines that begin like an item of a list.
    pub list_items: u32,
    /// Whether it seems to contain program code.
    pub code: bool,
    /// Whether it seems to ask.
    pub question: bool,
    /// Letters beyond ASCII.
    pub letters_beyond_ascii: u32,
}

const ASKING: &[&str] = &[
    "what",
    "who",
    "whom",
    "whose",
    "when",
    "where",
    "why",
    "how",
    "which",
    "is",
    "are",
    "was",
    "were",
    "do",
    "does",
    "did",
    "can",
    "could",
    "should",
    "would",
    "will",
    "qué",
    "quién",
    "cuándo",
    "dónde",
    "cómo",
    "cuál",
    "cuánto",
    "qui",
    "quand",
    "où",
    "comment",
    "pourquoi",
    "quel",
    "quelle",
    "combien",
    "wer",
    "was",
    "wann",
    "wo",
    "warum",
    "wie",
    "welche",
    "welcher",
    "क्या",
    "कौन",
    "कब",
    "कहाँ",
    "क्यों",
    "कैसे",
    "कितना",
    "कितने",
];

/// Signs of program code of two bytes or more, the fence first.
const CODE: &[&str] = &[
    "```", "();", "){", ") {", "=>", "->", "==", "!=", "&&", "</", "/>", "fn ", "def ", "class ", "import ",
    "#include", "SELECT ", "return ", "const ", "let ", "var ", "};",
];

/// The signs that begin with a byte, a bit each.
const CODE_BY_FIRST: [u32; 256] = {
    let mut by_first = [0; 256];
    let mut sign = 0;
    while sign < CODE.len() {
        by_first[CODE[sign].as_bytes()[0] as usize] |= 1 << sign;
        sign += 1;
    }
    by_first
};

/// The shape of `text`.
pub(crate) fn shape(text: &str) -> Shape {
    let (head, tail) = ends_of(text, HEAD_BYTES_MAX, TAIL_BYTES_MAX);
    let mut shape = Shape::default();
    for part in [head, tail] {
        shape.count(part);
    }
    let counts = [
        &mut shape.words,
        &mut shape.numbers,
        &mut shape.lines,
        &mut shape.list_items,
        &mut shape.letters_beyond_ascii,
    ];
    for count in counts {
        *count = scaled(*count, head.len() + tail.len(), text.len());
    }
    shape.chars = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
    shape.question = asks(head) || asks(tail);
    shape.code = is_code(head);
    shape
}

/// What a count in `read` bytes would be in `all` bytes.
pub(crate) fn scaled(count: u32, read: usize, all: usize) -> u32 {
    if read == all {
        return count;
    }
    let scaled = u64::from(count) * all as u64 / read.max(1) as u64;
    u32::try_from(scaled).unwrap_or(u32::MAX)
}

// === impl Shape ===

impl Shape {
    fn count(&mut self, text: &str) {
        if text.is_ascii() {
            self.count_runs(
                text.bytes().map(|one| (one.is_ascii_alphanumeric(), one.is_ascii_digit(), false)),
            );
        } else {
            let sort = |one: char| (one.is_alphanumeric(), one.is_ascii_digit(), !one.is_ascii());
            self.count_runs(text.chars().map(sort));
        }
        for line in text.lines().map(str::trim_start).filter(|line| !line.is_empty()) {
            self.lines += 1;
            self.list_items += u32::from(is_item(line));
        }
    }

    /// Of each character: whether it is a letter or digit, whether a digit, whether beyond ASCII.
    fn count_runs(&mut self, characters: impl Iterator<Item = (bool, bool, bool)>) {
        let (mut in_word, mut in_number) = (false, false);
        for (word, number, beyond) in characters {
            self.words += u32::from(word && !in_word);
            self.numbers += u32::from(number && !in_number);
            self.letters_beyond_ascii += u32::from(word && beyond);
            (in_word, in_number) = (word, number);
        }
    }
}

/// `- x`, `* x`, `• x`, `3. x`, `3) x`.
fn is_item(line: &str) -> bool {
    let rest = line.trim_start_matches(|one: char| one.is_ascii_digit());
    let mark = if rest.len() < line.len() {
        rest.strip_prefix(['.', ')'])
    } else {
        line.strip_prefix(['-', '*', '•'])
    };
    mark.is_some_and(|rest| rest.starts_with(' '))
}

fn asks(text: &str) -> bool {
    let trimmed = text.trim();
    let goes_on = trimmed.split('?').skip(1).any(|rest| rest.starts_with(' '));
    if goes_on || trimmed.ends_with('?') || trimmed.contains('？') {
        return true;
    }
    let first = trimmed.split_whitespace().next().unwrap_or_default();
    let first = first.trim_start_matches('¿').to_lowercase();
    ASKING.contains(&first.as_str())
}

/// A fence says it alone; any other sign needs a second one, and prose without any bracket needs no second look.
fn is_code(text: &str) -> bool {
    if !text.bytes().any(|byte| matches!(byte, b'`' | b'{' | b'}' | b';' | b'=' | b'<' | b'>' | b'#' | b'('))
    {
        return false;
    }
    let bytes = text.as_bytes();
    let mut seen = 0_u32;
    for (at, pair) in bytes.windows(2).enumerate() {
        let mut may = CODE_BY_FIRST[usize::from(pair[0])];
        while may != 0 {
            let sign = CODE[may.trailing_zeros() as usize].as_bytes();
            if sign[1] == pair[1] && bytes[at..].starts_with(sign) {
                seen |= may & may.wrapping_neg();
                if seen & 1 != 0 || !seen.is_power_of_two() {
                    return true;
                }
            }
            may &= may - 1;
        }
    }
    false
}
