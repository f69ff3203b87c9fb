//! Personal data that has a form: what has a checksum is checked, what has a form is matched, the rest is left alone.

use serde::Serialize;

use crate::spans::SpanKind;
use crate::wide::wide;
use crate::words::is_word;

mod web;

/// How many pieces of each kind were found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sensitivity {
    /// Addresses of electronic mail.
    pub emails: u16,
    /// Payment card numbers whose Luhn digit is right.
    pub cards: u16,
    /// Telephone numbers.
    pub phones: u16,
    /// International bank account numbers whose remainder is right.
    pub ibans: u16,
    /// Phrases that announce a password or the like.
    pub secrets: u16,
}

/// A piece that was found, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) kind: SpanKind,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// Most pieces whose places are kept; beyond that they are only counted.
const FORMS_MAX: usize = 64;

const CARD_DIGITS: std::ops::RangeInclusive<usize> = 13..=19;
/// The same where a word says that a card is meant: some old ones are shorter.
const CARD_DIGITS_SAID: std::ops::RangeInclusive<usize> = 12..=19;
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 7..=15;
/// The same where the neighbours tell: short ones of a town, and long ones with an extension.
const PHONE_DIGITS_MARKED: std::ops::RangeInclusive<usize> = 5..=15;
const IBAN_CHARS: std::ops::RangeInclusive<usize> = 15..=34;

/// Words after which a bare number is taken for a telephone's.
const PHONE_WORDS: &[&str] = &[
    "phone",
    "telephone",
    "tel",
    "mobile",
    "cell",
    "call",
    "calling",
    "dial",
    "ring",
    "sms",
    "fax",
    "answering",
    "messages",
    "whatsapp",
    "teléfono",
    "móvil",
    "llama",
    "téléphone",
    "portable",
    "appelle",
    "telefon",
    "telefonnummer",
    "handy",
    "handynummer",
    "फोन",
    "मोबाइल",
    "电话",
    "手机",
];

/// Words after which a number with a right Luhn digit is taken for a card's, whoever issued it.
const CARD_WORDS: &[&str] = &["card", "credit", "debit", "tarjeta", "carte", "karte", "kreditkarte", "कार्ड"];

// === impl Sensitivity ===

impl Sensitivity {
    /// Whether anything was found.
    pub fn any(&self) -> bool {
        *self != Self::default()
    }
}

/// Bytes that are passed over together.
const BLOCK_BYTES: usize = 32;

/// The bytes by which a form is noticed: all others are passed over.
const TELLING: [bool; 256] = {
    let mut telling = [false; 256];
    let mut digit = b'0';
    while digit <= b'9' {
        telling[digit as usize] = true;
        digit += 1;
    }
    telling[b'@' as usize] = true;
    telling[b'+' as usize] = true;
    telling[b'(' as usize] = true;
    telling[b':' as usize] = true;
    telling
};

wide! {
    /// Where the next of these bytes is.
    fn next_telling(bytes: &[u8]) -> Option<usize> {
        let (blocks, rest) = bytes.as_chunks::<BLOCK_BYTES>();
        let telling = |byte: &u8| TELLING[usize::from(*byte)];
        for (index, block) in blocks.iter().enumerate() {
            // All of a block at once, and one after the other only where there is any. The digits and the colon are
            // neighbours.
            let any = block.iter().fold(false, |any, byte| {
                any | (byte.wrapping_sub(b'0') <= b':' - b'0') | (*byte == b'@') | (*byte == b'+') | (*byte == b'(')
            });
            if let Some(at) = any.then(|| block.iter().position(telling)).flatten() {
                return Some(index * BLOCK_BYTES + at);
            }
        }
        rest.iter().position(telling).map(|at| blocks.len() * BLOCK_BYTES + at)
    }
}

/// Looks through all of `text` for what has a form, and tells the pieces in order; phrases that announce secrets were
/// counted with the words.
pub(crate) fn find(text: &str, secrets: u16) -> (Sensitivity, Vec<Form>) {
    let mut search = Search { found: Sensitivity { secrets, ..Sensitivity::default() }, forms: Vec::new() };
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(ahead) = next_telling(&bytes[at..]) {
        let from = at;
        at += ahead;
        let starts_word = at == 0 || !bytes[at - 1].is_ascii_alphanumeric();
        match bytes[at] {
            b'@' => {
                if let Some((start, end)) = web::email(text, at) {
                    search.keep(SpanKind::EmailAddress, start, end);
                }
                at += 1;
            }
            b'0'..=b'9' | b'+' | b'(' if starts_word => at = number(text, at, &mut search),
            b'0'..=b'9' => {
                let begins = at.checked_sub(2).filter(|start| *start >= from && begins_iban(bytes, *start));
                let end = begins.and_then(|start| iban(bytes, start, &mut search));
                at = end.unwrap_or(at + 1);
            }
            b':' if bytes[at..].starts_with(b"://") => {
                if let Some((start, end)) = web::address(text, at) {
                    search.keep(SpanKind::DomainName, start, end);
                }
                at += 3;
            }
            _ => at += 1,
        }
    }
    (search.found, search.forms)
}

/// Whether a piece that its neighbours make look like one of this type can be one: what has a checksum has to pass it.
pub(crate) fn may_be(kind: SpanKind, written: &str) -> bool {
    match kind {
        SpanKind::CreditCard => {
            let run = Run::read(written.as_bytes(), 0);
            let digits = &run.digits[..run.count.min(run.digits.len())];
            let varied = digits.iter().any(|digit| *digit != digits[0]);
            run.end == written.len() && CARD_DIGITS_SAID.contains(&run.count) && luhn(digits) && varied
        }
        SpanKind::PhoneNumber => {
            PHONE_DIGITS_MARKED.contains(&written.bytes().filter(u8::is_ascii_digit).count())
        }
        // A letter alone is nobody's name.
        SpanKind::Person => written.chars().filter(|one| one.is_alphabetic()).nth(1).is_some(),
        // These have a form that is looked for everywhere.
        SpanKind::IbanCode | SpanKind::EmailAddress | SpanKind::IpAddress => false,
        _ => true,
    }
}

struct Search {
    found: Sensitivity,
    forms: Vec<Form>,
}

// === impl Search ===

impl Search {
    fn keep(&mut self, kind: SpanKind, start: usize, end: usize) {
        let count = match kind {
            SpanKind::EmailAddress => &mut self.found.emails,
            SpanKind::CreditCard => &mut self.found.cards,
            SpanKind::PhoneNumber => &mut self.found.phones,
            SpanKind::IbanCode => &mut self.found.ibans,
            _ => &mut 0,
        };
        *count = count.saturating_add(1);
        let free = self.forms.last().is_none_or(|last| last.end <= start);
        if free && self.forms.len() < FORMS_MAX {
            self.forms.push(Form { kind, start, end });
        }
    }
}

/// A run of digits with single separators between, from `start`; returns where to go on.
fn number(text: &str, start: usize, search: &mut Search) -> usize {
    if let Some(end) = web::internet_address(text, start) {
        search.keep(SpanKind::IpAddress, start, end);
        return end;
    }
    let run = Run::read(text.as_bytes(), start);
    let ends_word = !text[run.end..].chars().next().is_some_and(is_word);
    if !ends_word {
        return run.end.max(start + 1);
    }
    if run.is_card(&text[..start]) {
        search.keep(SpanKind::CreditCard, start, run.end);
    } else if run.is_security_number(&text[start..run.end]) {
        search.keep(SpanKind::UsSsn, start, run.end);
    } else if run.is_phone(&text[..start]) {
        search.keep(SpanKind::PhoneNumber, start, run.end);
    }
    run.end.max(start + 1)
}

/// Digits as they were written in groups.
struct Run {
    plus: bool,
    digits: [u8; 20],
    count: usize,
    /// Sizes of the first groups.
    groups: [u8; 6],
    group_count: usize,
    end: usize,
}

// === impl Run ===

impl Run {
    fn read(bytes: &[u8], start: usize) -> Self {
        let plus = bytes.get(start) == Some(&b'+');
        let mut run = Self { plus, digits: [0; 20], count: 0, groups: [0; 6], group_count: 0, end: start };
        let mut at = start + usize::from(plus);
        let mut in_group = false;
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'0'..=b'9' => {
                    run.take(byte - b'0', in_group);
                    in_group = true;
                    run.end = at + 1;
                }
                // One separator, or a bracket with a space, stands between groups; two of a kind end the number.
                b' ' | b'-' | b'.' | b'(' | b')' => {
                    let same_twice = at > start && bytes[at - 1] == *byte;
                    if same_twice || run.count > run.digits.len() {
                        break;
                    }
                    in_group = false;
                }
                _ => break,
            }
            at += 1;
        }
        run
    }

    fn take(&mut self, digit: u8, in_group: bool) {
        if let Some(slot) = self.digits.get_mut(self.count) {
            *slot = digit;
        }
        self.count += 1;
        if !in_group {
            self.group_count += 1;
        }
        if let Some(size) = self.group_count.checked_sub(1).and_then(|group| self.groups.get_mut(group)) {
            *size = size.saturating_add(1);
        }
    }

    fn is_card(&self, before: &str) -> bool {
        if self.plus || !CARD_DIGITS_SAID.contains(&self.count) || !luhn(&self.digits[..self.count]) {
            return false;
        }
        let issuer = matches!(self.digits[0], 2..=6) && CARD_DIGITS.contains(&self.count);
        issuer || announced(before, CARD_WORDS)
    }

    /// Three, two and four digits with hyphens; an area is never 000 or 666.
    fn is_security_number(&self, written: &str) -> bool {
        let hyphens = written.bytes().filter(|byte| *byte == b'-').count();
        self.groups[..self.group_count.min(self.groups.len())] == [3, 2, 4]
            && hyphens == 2
            && !matches!(self.digits[..3], [0, 0, 0] | [6, 6, 6])
    }

    fn is_phone(&self, before: &str) -> bool {
        if !PHONE_DIGITS.contains(&self.count) {
            return false;
        }
        let groups = &self.groups[..self.group_count.min(self.groups.len())];
        let american = matches!(groups, [3, 3, 4] | [1, 3, 3, 4]);
        self.plus || american || announced(before, PHONE_WORDS)
    }
}

/// Whether one of these words is among the last four before the number.
fn announced(before: &str, by: &[&str]) -> bool {
    let mut from = before.len().saturating_sub(96);
    while !before.is_char_boundary(from) {
        from += 1;
    }
    let near = before[from..].to_lowercase();
    let mut last = near.rsplit(|one: char| !is_word(one)).filter(|word| !word.is_empty()).take(4);
    last.any(|word| by.contains(&word))
}

/// Luhn's check: every second digit from the right doubled, digits summed, a multiple of ten.
fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2, digit * 2) {
            (0, _) => u32::from(*digit),
            (_, double @ 10..) => u32::from(double - 9),
            (_, double) => u32::from(double),
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Whether a word begins at `start` with two letters and two digits: few do, and only those are looked at closely.
fn begins_iban(bytes: &[u8], start: usize) -> bool {
    let starts_word = start == 0 || !bytes[start - 1].is_ascii_alphanumeric();
    starts_word
        && matches!(bytes[start..], [a, b, c, d, ..] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic()
            && c.is_ascii_digit() && d.is_ascii_digit())
}

/// Two letters, two digits, then letters and digits, alone or in groups of four; ISO 13616's remainder is 1. Gives
/// its end.
fn iban(bytes: &[u8], start: usize, search: &mut Search) -> Option<usize> {
    let mut characters = [0_u8; 34];
    let (mut count, mut in_group, mut at) = (0, 0, start);
    let mut best = None;
    while let Some(byte) = bytes.get(at) {
        match byte.to_ascii_uppercase() {
            upper @ (b'A'..=b'Z' | b'0'..=b'9') if count < characters.len() => {
                characters[count] = upper;
                count += 1;
                in_group += 1;
                let next = bytes.get(at + 1);
                let ends = !next.is_some_and(u8::is_ascii_alphanumeric);
                if ends && IBAN_CHARS.contains(&count) && remainder(&characters[..count]) == 1 {
                    best = Some(at + 1);
                }
            }
            // Printed, it stands in groups of four.
            b' ' if in_group == 4 => in_group = 0,
            _ => break,
        }
        at += 1;
    }
    if let Some(end) = best {
        search.keep(SpanKind::IbanCode, start, end);
    }
    best
}

/// The remainder by 97 of the number that the account makes with its first four characters at the end and letters as
/// 10 to 35.
fn remainder(characters: &[u8]) -> u32 {
    let (front, rest) = characters.split_at(4);
    rest.iter().chain(front).fold(0, |remainder, byte| match byte {
        b'0'..=b'9' => (remainder * 10 + u32::from(byte - b'0')) % 97,
        _ => (remainder * 100 + u32::from(byte - b'A') + 10) % 97,
    })
}
