//! Reads a delta in place, in the form that encoders give it: text, token ids and their place, each at most once.
//!
//! What has any other form is not read here: nothing is guessed, and nothing is refused.

/// What a delta says, as places in its event's bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Plain {
    /// UTF-8.
    pub(super) text: Span,
    /// Numbers of variable length, each below 2^32.
    pub(super) ids: Span,
    /// So many.
    pub(super) ids_len: u32,
    pub(super) first_token_index: u32,
}

/// A part of an event, from here to there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    from: u32,
    to: u32,
}

/// Numbers of variable length, one after another.
#[derive(Clone, Debug)]
pub(super) struct Numbers<'a>(&'a [u8]);

/// The fields' numbers with their kinds: in an event, the delta; in a delta, text, token ids together or a single one,
/// the first one's place.
const DELTA: u8 = 0x12;
const TEXT: u8 = 0x0a;
const IDS: u8 = 0x12;
const ID: u8 = 0x10;
const FIRST: u8 = 0x18;

/// A number below 2^32 takes at most so many bytes.
const NUMBER_BYTES_MAX: usize = 5;

/// The delta that is all of an event; `None`: it is something else, or has another form.
pub(super) fn read(event: &[u8]) -> Option<Plain> {
    let end = u32::try_from(event.len()).ok()?;
    let (DELTA, mut at) = (*event.first()?, 1_u32) else { return None };
    let length = number(event, &mut at)?;
    if at.checked_add(length)? != end {
        return None;
    }
    let mut said = Plain::default();
    let mut last = 0;
    while at < end {
        let field = *event.get(at as usize)?;
        // Each once, in their order: what comes twice has rules of its own.
        let order = if field == ID { IDS } else { field };
        if order <= last {
            return None;
        }
        last = order;
        at += 1;
        match field {
            TEXT => {
                said.text = span(event, &mut at)?;
                std::str::from_utf8(said.text.of(event)).ok()?;
            }
            IDS => {
                said.ids = span(event, &mut at)?;
                said.ids_len = count(said.ids.of(event))?;
            }
            ID => {
                let from = at;
                number(event, &mut at)?;
                (said.ids, said.ids_len) = (Span { from, to: at }, 1);
            }
            FIRST => said.first_token_index = number(event, &mut at)?,
            _ => return None,
        }
    }
    Some(said)
}

/// The number at this place, which moves behind it.
fn number(bytes: &[u8], at: &mut u32) -> Option<u32> {
    let rest = bytes.get(*at as usize..)?;
    let (value, length) = first(rest)?;
    *at += length;
    Some(value)
}

/// The first number, and the bytes that it takes.
fn first(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut value = 0_u64;
    let mut length = 0_u32;
    for byte in bytes.iter().take(NUMBER_BYTES_MAX) {
        value |= u64::from(byte & 0x7f) << (7 * length);
        length += 1;
        if byte & 0x80 == 0 {
            return Some((u32::try_from(value).ok()?, length));
        }
    }
    None
}

/// A length at this place, and the part that is as long; the place moves behind it.
fn span(bytes: &[u8], at: &mut u32) -> Option<Span> {
    let length = number(bytes, at)?;
    let (from, to) = (*at, at.checked_add(length)?);
    if to as usize > bytes.len() {
        return None;
    }
    *at = to;
    Some(Span { from, to })
}

/// How many numbers these bytes are, if they are nothing else.
fn count(mut bytes: &[u8]) -> Option<u32> {
    let mut count = 0;
    while !bytes.is_empty() {
        let (_, length) = first(bytes)?;
        bytes = bytes.get(length as usize..)?;
        count += 1;
    }
    Some(count)
}

// === impl Span ===

impl Span {
    /// This part of the event.
    pub(super) fn of(self, event: &[u8]) -> &[u8] {
        event.get(self.from as usize..self.to as usize).unwrap_or_default()
    }

    /// Whether nothing is in it.
    pub(super) fn is_empty(self) -> bool {
        self.from == self.to
    }
}

// === impl Numbers ===

impl<'a> Numbers<'a> {
    /// Those that these bytes are.
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl Iterator for Numbers<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let (value, length) = first(self.0)?;
        self.0 = self.0.get(length as usize..)?;
        Some(value)
    }
}
