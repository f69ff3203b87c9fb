//! Personal data in a text, each piece with its type and place: what has a checksum or a form is found by rule
//! anywhere, the rest is marked by the tagger at the beginning.

use serde::Serialize;

use crate::container::Kind;
use crate::error::Error;
use crate::sensitivity::{self, Form};
use crate::tagger::Tagger;

/// A piece of personal data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Span {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: SpanKind,
    /// Its first character, counted from the beginning of the text.
    pub start: u32,
    /// The character after its last.
    pub end: u32,
}

/// Types of personal data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SpanKind {
    /// A person's name.
    Person,
    /// A street, house, flat or box.
    StreetAddress,
    /// A city, region or country.
    Gpe,
    /// A company or other body.
    Organization,
    /// A payment card's number.
    CreditCard,
    /// A date or time.
    DateTime,
    /// A form of address or a job.
    Title,
    /// A telephone number.
    PhoneNumber,
    /// Years of age.
    Age,
    /// A nationality, religion or political group.
    Nrp,
    /// An address of electronic mail.
    EmailAddress,
    /// A postal code.
    ZipCode,
    /// An address on the web.
    DomainName,
    /// An international bank account number.
    IbanCode,
    /// A United States social security number.
    UsSsn,
    /// An address of the Internet protocol.
    IpAddress,
    /// A United States driving licence.
    UsDriverLicense,
}

/// Most spans that are told of one text.
pub(crate) const SPANS_MAX: usize = 64;

const ALL: [(SpanKind, &str); 17] = [
    (SpanKind::Person, "PERSON"),
    (SpanKind::StreetAddress, "STREET_ADDRESS"),
    (SpanKind::Gpe, "GPE"),
    (SpanKind::Organization, "ORGANIZATION"),
    (SpanKind::CreditCard, "CREDIT_CARD"),
    (SpanKind::DateTime, "DATE_TIME"),
    (SpanKind::Title, "TITLE"),
    (SpanKind::PhoneNumber, "PHONE_NUMBER"),
    (SpanKind::Age, "AGE"),
    (SpanKind::Nrp, "NRP"),
    (SpanKind::EmailAddress, "EMAIL_ADDRESS"),
    (SpanKind::ZipCode, "ZIP_CODE"),
    (SpanKind::DomainName, "DOMAIN_NAME"),
    (SpanKind::IbanCode, "IBAN_CODE"),
    (SpanKind::UsSsn, "US_SSN"),
    (SpanKind::IpAddress, "IP_ADDRESS"),
    (SpanKind::UsDriverLicense, "US_DRIVER_LICENSE"),
];

// === impl SpanKind ===

impl SpanKind {
    /// Its stable name, such as `CREDIT_CARD`.
    pub fn name(self) -> &'static str {
        ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }

    /// Every type.
    pub fn all() -> impl Iterator<Item = Self> {
        ALL.iter().map(|(kind, _)| *kind)
    }

    /// The type of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        ALL.iter().find(|(_, known)| *known == name).map(|(kind, _)| *kind)
    }

    /// Whether it tells who somebody is or how to reach or rob them. A town, a date, an age or a firm alone does not.
    pub fn identifies(self) -> bool {
        !matches!(
            self,
            Self::Gpe
                | Self::Organization
                | Self::DateTime
                | Self::Title
                | Self::Age
                | Self::Nrp
                | Self::ZipCode
                | Self::DomainName
        )
    }
}

/// A span in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) kind: SpanKind,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// A tagger and the type of each of its own.
pub(crate) fn tagger_of(bytes: &[u8]) -> Result<(Tagger, Vec<SpanKind>), Error> {
    let tagger = Tagger::from_bytes(bytes)?;
    let kinds: Option<Vec<SpanKind>> = tagger.types.iter().map(|name| SpanKind::from_name(name)).collect();
    match kinds {
        Some(kinds) => Ok((tagger, kinds)),
        None => Err(Error::ModelField { model: Kind::Tagger.name(), field: "types" }),
    }
}

/// All pieces in the order of the text, none over another.
pub(crate) fn of(text: &str, forms: &[Form], tagger: &Tagger, kinds: &[SpanKind]) -> Vec<Span> {
    let mut found: Vec<Found> =
        forms.iter().map(|form| Found { kind: form.kind, start: form.start, end: form.end }).collect();
    found.truncate(SPANS_MAX);
    let by_rule = found.len();
    for marked in tagger.spans(text) {
        let Some(kind) = kinds.get(marked.kind).copied() else { continue };
        let written = text.get(marked.start..marked.end).unwrap_or_default();
        if !sensitivity::may_be(kind, written) {
            continue;
        }
        let covered = found[..by_rule].iter().any(|rule| marked.start < rule.end && rule.start < marked.end);
        if !covered && found.len() < SPANS_MAX {
            found.push(Found { kind, start: marked.start, end: marked.end });
        }
    }
    found.sort_unstable_by_key(|found| found.start);
    in_characters(text, &found)
}

/// Places in bytes as places in characters, by one pass over the text.
fn in_characters(text: &str, found: &[Found]) -> Vec<Span> {
    let (mut at, mut characters) = (0, 0_u32);
    let mut count = |to: usize| {
        let part = text.get(at..to).unwrap_or_default();
        let more = if part.is_ascii() { part.len() } else { part.chars().count() };
        characters = characters.saturating_add(u32::try_from(more).unwrap_or(u32::MAX));
        at = to.max(at);
        characters
    };
    found.iter().map(|one| Span { kind: one.kind, start: count(one.start), end: count(one.end) }).collect()
}
