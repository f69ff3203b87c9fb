//! The envelope of a model file: what it is, how long it is, and a checksum that a changed byte breaks.
//!
//! All numbers are little-endian. Eight bytes of magic (`CWSIG01` and one letter for the kind of model), `u32` length of
//! the body, the body, and BLAKE3 of everything before it.

use crate::error::Error;

const MAGIC: &[u8; 7] = b"CWSIG01";
const HEADER_BYTES: usize = MAGIC.len() + 1 + 4;
const CHECKSUM_BYTES: usize = 32;

/// Most bytes of any model file: what a device or a router ships is far smaller.
const FILE_BYTES_MAX: usize = 8 << 20;

/// Which model a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Intent,
    Language,
    Safety,
    Content,
    Tagger,
}

// === impl Kind ===

impl Kind {
    fn letter(self) -> u8 {
        match self {
            Self::Intent => b'I',
            Self::Language => b'L',
            Self::Safety => b'S',
            Self::Content => b'C',
            Self::Tagger => b'T',
        }
    }

    /// Its name in messages and versions.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Intent => "intent",
            Self::Language => "language",
            Self::Safety => "safety",
            Self::Content => "content",
            Self::Tagger => "tagger",
        }
    }
}

/// The kind of model that a file says it holds.
pub(crate) fn kind_of(bytes: &[u8]) -> Option<Kind> {
    let letter = *bytes.strip_prefix(MAGIC)?.first()?;
    let all = [Kind::Intent, Kind::Language, Kind::Safety, Kind::Content, Kind::Tagger];
    all.into_iter().find(|kind| kind.letter() == letter)
}

/// Puts a body into its envelope.
pub(crate) fn seal(kind: Kind, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len() + CHECKSUM_BYTES);
    bytes.extend_from_slice(MAGIC);
    bytes.push(kind.letter());
    bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
    bytes.extend_from_slice(body);
    let checksum = blake3::hash(&bytes);
    bytes.extend_from_slice(checksum.as_bytes());
    bytes
}

/// The body of a file, once its envelope was found whole, and the version that its content has.
pub(crate) fn open(kind: Kind, bytes: &[u8]) -> Result<(Reader<'_>, String), Error> {
    let model = kind.name();
    let (Some((magic, rest)), true) = (bytes.split_first_chunk::<8>(), bytes.len() <= FILE_BYTES_MAX) else {
        return Err(Error::ModelMagic { model });
    };
    if &magic[..MAGIC.len()] != MAGIC || magic[MAGIC.len()] != kind.letter() {
        return Err(Error::ModelMagic { model });
    }
    let announced = rest.split_first_chunk::<4>().map_or(0, |(length, _)| u32::from_le_bytes(*length));
    let expected = HEADER_BYTES.saturating_add(announced as usize).saturating_add(CHECKSUM_BYTES);
    if bytes.len() != expected {
        return Err(Error::ModelLength { model, given: bytes.len(), expected });
    }
    let (sealed, checksum) = bytes.split_at(bytes.len() - CHECKSUM_BYTES);
    let hash = blake3::hash(sealed);
    if hash.as_bytes() != checksum {
        return Err(Error::ModelChecksum { model });
    }
    let version = format!("{model}-{}", &hash.to_hex().as_str()[..16]);
    Ok((Reader { model, rest: &sealed[HEADER_BYTES..] }, version))
}

/// Reads a body field by field; whatever lies beyond the end is an error that names the field.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    model: &'static str,
    rest: &'a [u8],
}

// === impl Reader ===

impl<'a> Reader<'a> {
    /// What a field that makes no sense becomes.
    pub(crate) fn refuse<T>(&self, field: &'static str) -> Result<T, Error> {
        Err(Error::ModelField { model: self.model, field })
    }

    /// The next `count` bytes.
    pub(crate) fn bytes(&mut self, field: &'static str, count: usize) -> Result<&'a [u8], Error> {
        match self.rest.split_at_checked(count) {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(bytes)
            }
            None => self.refuse(field),
        }
    }

    /// A count of things, at most `max`.
    pub(crate) fn count(&mut self, field: &'static str, max: usize) -> Result<usize, Error> {
        let bytes = self.bytes(field, 4)?;
        let count = bytes.iter().rev().fold(0_usize, |count, byte| count << 8 | usize::from(*byte));
        if count <= max { Ok(count) } else { self.refuse(field) }
    }

    /// Finite numbers.
    pub(crate) fn floats(&mut self, field: &'static str, count: usize) -> Result<Vec<f32>, Error> {
        let bytes = self.bytes(field, count.saturating_mul(4))?;
        let (chunks, _) = bytes.as_chunks::<4>();
        let floats: Vec<f32> = chunks.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect();
        if floats.iter().all(|float| float.is_finite()) { Ok(floats) } else { self.refuse(field) }
    }

    /// Whole numbers.
    pub(crate) fn whole(&mut self, field: &'static str, count: usize) -> Result<Vec<u32>, Error> {
        let (chunks, _) = self.bytes(field, count.saturating_mul(4))?.as_chunks::<4>();
        Ok(chunks.iter().map(|chunk| u32::from_le_bytes(*chunk)).collect())
    }

    /// Small whole numbers.
    pub(crate) fn small(&mut self, field: &'static str, count: usize) -> Result<Vec<i8>, Error> {
        Ok(self.bytes(field, count)?.iter().map(|byte| i8::from_le_bytes([*byte])).collect())
    }

    /// A list of names: each a length of one byte and UTF-8.
    pub(crate) fn names(&mut self, field: &'static str, max: usize) -> Result<Vec<String>, Error> {
        let count = self.count(field, max)?;
        let mut names = Vec::with_capacity(count);
        for _ in 0..count {
            let length = usize::from(self.bytes(field, 1)?[0]);
            match std::str::from_utf8(self.bytes(field, length)?) {
                Ok(name) => names.push(name.to_owned()),
                Err(_) => return self.refuse(field),
            }
        }
        Ok(names)
    }

    /// Nothing may follow the last field.
    pub(crate) fn finish(self) -> Result<(), Error> {
        if self.rest.is_empty() { Ok(()) } else { self.refuse("end") }
    }
}

/// Writes a body field by field.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

// === impl Writer ===

impl Writer {
    pub(crate) fn count(&mut self, count: usize) {
        self.0.extend_from_slice(&(count as u32).to_le_bytes());
    }

    pub(crate) fn floats(&mut self, floats: &[f32]) {
        for float in floats {
            self.0.extend_from_slice(&float.to_le_bytes());
        }
    }

    pub(crate) fn small(&mut self, numbers: &[i8]) {
        self.0.extend(numbers.iter().map(|number| number.to_le_bytes()[0]));
    }

    /// Names of at most 255 bytes; a longer one is cut between characters.
    pub(crate) fn names(&mut self, names: &[String]) {
        self.count(names.len());
        for name in names {
            let mut length = name.len().min(255);
            while !name.is_char_boundary(length) {
                length -= 1;
            }
            self.0.push(length as u8);
            self.0.extend_from_slice(&name.as_bytes()[..length]);
        }
    }

    pub(crate) fn seal(self, kind: Kind) -> Vec<u8> {
        seal(kind, &self.0)
    }
}
