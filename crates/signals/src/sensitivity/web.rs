//! Addresses of electronic mail, of the web and of the Internet protocol.

/// Most bytes before the sign of a mail address, and after it.
const SIDE_BYTES_MAX: usize = 256;

/// The mail address around the sign at `at`: a local part, then labels with a dot between and a last one of letters.
pub(super) fn email(text: &str, at: usize) -> Option<(usize, usize)> {
    let local = |one: char| one.is_alphanumeric() || matches!(one, '.' | '_' | '%' | '+' | '-');
    let domain = |one: char| one.is_alphanumeric() || matches!(one, '.' | '-');
    let before: usize = text[..at].chars().rev().take_while(|one| local(*one)).map(char::len_utf8).sum();
    let after: usize = text[at + 1..].chars().take_while(|one| domain(*one)).map(char::len_utf8).sum();
    if before == 0 || before > SIDE_BYTES_MAX || after > SIDE_BYTES_MAX {
        return None;
    }
    let host = text[at + 1..at + 1 + after].trim_end_matches(['.', '-']);
    let (name, last) = host.rsplit_once('.')?;
    let whole = !name.is_empty() && last.chars().count() >= 2 && last.chars().all(char::is_alphabetic);
    whole.then(|| (at - before, at + 1 + host.len()))
}

/// The web address around the `://` at `at`, to the next white space, without the signs that end a sentence.
pub(super) fn address(text: &str, at: usize) -> Option<(usize, usize)> {
    let scheme: usize = text[..at].bytes().rev().take(8).take_while(u8::is_ascii_alphabetic).count();
    let after = &text[at + 3..];
    let length = after.find(|one: char| one.is_whitespace() || matches!(one, '"' | '<' | '>' | '\''));
    let length = length.unwrap_or(after.len());
    let written = after[..length].trim_end_matches(['.', ',', ';', '!', '?', ')', ':']);
    let named = written.contains('.') && written.starts_with(char::is_alphanumeric);
    (scheme > 0 && named).then(|| (at - scheme, at + 3 + written.len()))
}

/// Four numbers up to 255 with dots between, or eight groups of hexadecimal digits; gives its end.
pub(super) fn internet_address(text: &str, start: usize) -> Option<usize> {
    let bytes = &text.as_bytes()[start..];
    fourth(bytes).or_else(|| sixth(bytes)).map(|length| start + length)
}

fn fourth(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    for part in 0..4 {
        if part > 0 {
            at += usize::from(bytes.get(at) == Some(&b'.')).checked_sub(1).map(|_| 1)?;
        }
        let digits = bytes[at..].iter().take(4).take_while(|byte| byte.is_ascii_digit()).count();
        let value =
            bytes[at..at + digits].iter().fold(0_u32, |value, byte| value * 10 + u32::from(byte - b'0'));
        if digits == 0 || value > 255 {
            return None;
        }
        at += digits;
    }
    let goes_on = matches!(bytes[at..], [b'.', digit, ..] if digit.is_ascii_digit())
        || bytes.get(at).is_some_and(u8::is_ascii_alphanumeric);
    (!goes_on).then_some(at)
}

fn sixth(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    for group in 0..8 {
        if group > 0 {
            if bytes.get(at) != Some(&b':') {
                return None;
            }
            at += 1;
        }
        let digits = bytes.get(at..)?.iter().take(5).take_while(|byte| byte.is_ascii_hexdigit()).count();
        if !(1..=4).contains(&digits) {
            return None;
        }
        at += digits;
    }
    Some(at)
}
