//! Cuts what was said into words, and gives up on a text that cannot be a command.

/// Longest command in bytes and in words: whoever says more than this asks for more than a switch.
const TEXT_BYTES_MAX: usize = 240;
const WORDS_MAX: usize = 32;

/// What was said: its words in lower case, and whether a question mark ended it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spoken {
    pub(crate) words: Vec<String>,
    pub(crate) asks: bool,
}

/// Cuts a text into words. `None` when it is too long, empty, or holds a sign that no command holds: quotation
/// marks speak about a command, and what stands in brackets, sums and ranges is for a model to read.
pub(crate) fn spoken(text: &str) -> Option<Spoken> {
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let text = text.trim();
    let (text, asks) = match text.strip_suffix('?') {
        Some(before) => (before, true),
        None => (text, false),
    };
    let words = cut(text)?;
    (1..=WORDS_MAX).contains(&words.len()).then_some(Spoken { words, asks })
}

/// The words of a name, or `None` when it has none or has a sign that is never spoken.
pub(crate) fn words(name: &str) -> Option<Vec<String>> {
    let words = cut(name)?;
    (1..=WORDS_MAX).contains(&words.len()).then_some(words)
}

fn cut(text: &str) -> Option<Vec<String>> {
    let mut cutter = Cutter { words: Vec::new(), word: String::new() };
    let mut before = None;
    let mut signs = text.chars().peekable();
    while let Some(sign) = signs.next() {
        cutter.take(before, sign, signs.peek().copied())?;
        before = Some(sign);
    }
    cutter.end_word();
    Some(cutter.words)
}

/// Letters, digits, and the marks that other scripts put on their letters.
fn is_letter(sign: char) -> bool {
    sign.is_alphanumeric() || ('\u{300}'..'\u{2000}').contains(&sign)
}

struct Cutter {
    words: Vec<String>,
    word: String,
}

impl Cutter {
    fn take(&mut self, before: Option<char>, sign: char, after: Option<char>) -> Option<()> {
        let digit = |sign: Option<char>| sign.is_some_and(|sign| sign.is_ascii_digit());
        let letter = |sign: Option<char>| sign.is_some_and(is_letter);
        match sign {
            // A point between digits belongs to the number; a comma or a colon there makes it another thing.
            '.' if digit(before) && digit(after) => self.word.push('.'),
            ',' | ':' if digit(before) && digit(after) => return None,
            '.' | ',' | '!' | ':' | ';' | '…' => self.end_word(),
            '\'' | '’' if letter(before) && letter(after) => self.word.push('\''),
            // `30-second` is two words; `-5` and `5-10` are not numbers that a device can be set to.
            '-' | '‑' if letter(before) && letter(after) && !(digit(before) && digit(after)) => {
                self.end_word();
            }
            '%' => self.own_word("%"),
            '°' => self.own_word("°"),
            _ if sign.is_whitespace() => self.end_word(),
            _ if is_letter(sign) => {
                // `5min` is two words, as it is spoken.
                if before.is_some_and(|before| digit(Some(before)) != digit(Some(sign)) && before != '.') {
                    self.end_word();
                }
                self.word.extend(sign.to_lowercase());
            }
            _ => return None,
        }
        Some(())
    }

    fn own_word(&mut self, word: &str) {
        self.end_word();
        self.words.push(word.to_owned());
    }

    fn end_word(&mut self) {
        if !self.word.is_empty() {
            self.words.push(std::mem::take(&mut self.word));
        }
    }
}

#[cfg(test)]
mod tests;
