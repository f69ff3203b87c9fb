//! GGUF version 2 and 3: a bounded reader that names the field at which a broken file breaks.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use candle_core::quantized::GgmlDType;

use super::{
    Bytes, Description, Hashes, ModelFile, RawTensor,
    packing::Packing,
    tensor::{size_in_blocks, size_of},
};
use crate::Error;

const MAGIC: &[u8; 4] = b"GGUF";
const ALIGNMENT_DEFAULT: usize = 32;
/// More dimensions are not defined by the format.
const DIMENSIONS_MAX: u32 = 4;
/// The shortest metadata entry: key length, type, one byte.
const ENTRY_BYTES_MIN: u64 = 13;
/// The shortest tensor entry: name length, dimensions, type, offset.
const TENSOR_BYTES_MIN: u64 = 24;

/// The key-value part of a GGUF file.
#[derive(Debug, Default)]
pub(crate) struct Metadata(HashMap<String, Item>);

/// A value of the key-value part. Arrays keep only what the loader reads of them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Item {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
    Text(String),
    Texts(Vec<String>),
    Integers(Vec<i64>),
    Floats(Vec<f32>),
    /// An array of other values, which no architecture here reads.
    Other,
}

impl Metadata {
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match self.0.get(key) {
            Some(Item::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn texts(&self, key: &str) -> Option<&[String]> {
        match self.0.get(key) {
            Some(Item::Texts(texts)) => Some(texts),
            _ => None,
        }
    }

    pub(crate) fn integers(&self, key: &str) -> Option<&[i64]> {
        match self.0.get(key) {
            Some(Item::Integers(integers)) => Some(integers),
            _ => None,
        }
    }

    pub(crate) fn floats(&self, key: &str) -> Option<&[f32]> {
        match self.0.get(key) {
            Some(Item::Floats(floats)) => Some(floats),
            _ => None,
        }
    }

    pub(crate) fn unsigned(&self, key: &str) -> Option<u64> {
        match self.0.get(key) {
            Some(Item::Unsigned(value)) => Some(*value),
            Some(Item::Signed(value)) => u64::try_from(*value).ok(),
            _ => None,
        }
    }

    pub(crate) fn float(&self, key: &str) -> Option<f64> {
        match self.0.get(key) {
            Some(Item::Float(value)) => Some(*value),
            // A whole number is one too, where a converter wrote it as such.
            Some(Item::Unsigned(value)) => Some(*value as f64),
            Some(Item::Signed(value)) => Some(*value as f64),
            _ => None,
        }
    }

    pub(crate) fn flag(&self, key: &str) -> Option<bool> {
        match self.0.get(key) {
            Some(Item::Bool(value)) => Some(*value),
            _ => None,
        }
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }
}

/// Reads the header and checks that every tensor lies within the file.
pub(super) fn open(path: &Path, hashes: &Hashes) -> Result<ModelFile, Error> {
    let bytes = Bytes::map(path)?;
    let mut reader = Reader { path, data: bytes.as_slice(), at: 0 };
    let (tensor_count, entry_count) = reader.header()?;
    let metadata = reader.metadata(entry_count)?;
    let infos = reader.tensor_infos(tensor_count)?;
    if let Some(parts) = metadata.unsigned("split.count").filter(|parts| *parts > 1) {
        let problem = format!("is {parts}: this is one of so many parts; join them into one file first");
        return Err(Error::model(path, "split.count", problem));
    }
    let alignment = match metadata.unsigned("general.alignment") {
        None => ALIGNMENT_DEFAULT,
        Some(a) if a.is_power_of_two() && a <= 1 << 20 => a as usize,
        Some(a) => {
            return Err(Error::model(path, "general.alignment", format!("is {a}, not a power of two")));
        }
    };
    let data_start = reader.at.next_multiple_of(alignment);
    let mut tensors = BTreeMap::new();
    for Info { name, kind, shape, offset } in infos {
        let refused = |problem: String| Error::model(path, name.clone(), problem);
        let size = match kind {
            Kind::Known(kind) => size_of(kind, &shape),
            Kind::Packed(packing) => size_in_blocks(packing.block(), packing.name(), &shape),
        };
        let size = size.map_err(refused)?;
        let start = usize::try_from(offset).ok().and_then(|offset| data_start.checked_add(offset));
        let tensor_bytes = start.and_then(|start| bytes.part(start, size)).ok_or_else(|| {
            refused(format!("needs {size} bytes at {offset} of the data, past the end of the file"))
        })?;
        let tensor = match kind {
            Kind::Known(kind) => RawTensor { kind, shape, bytes: tensor_bytes },
            Kind::Packed(packing) => packing.unpacked(&tensor_bytes, shape),
        };
        if tensors.insert(name.clone(), tensor).is_some() {
            return Err(refused("is in the file twice".into()));
        }
    }
    let hash = hashes.of(&[(path.to_owned(), bytes.clone())]);
    let description = Description::Gguf(metadata);
    Ok(ModelFile { path: path.to_owned(), description, tensors, plain: BTreeMap::new(), hash })
}

/// A tensor's type: one that is computed with, or one that is rewritten first.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Known(GgmlDType),
    Packed(Packing),
}

/// A tensor as the header describes it.
struct Info {
    name: String,
    kind: Kind,
    shape: Vec<usize>,
    offset: u64,
}

/// Reads little-endian values; no read reaches past the data, no allocation exceeds it.
struct Reader<'a> {
    path: &'a Path,
    data: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn refused<T>(&self, part: impl Into<String>, problem: impl Into<String>) -> Result<T, Error> {
        Err(Error::model(self.path, part, problem))
    }

    fn take(&mut self, count: u64, part: &str) -> Result<&'a [u8], Error> {
        let left = &self.data[self.at..];
        match usize::try_from(count) {
            Ok(count) if count <= left.len() => {
                self.at += count;
                Ok(&left[..count])
            }
            _ => self.refused(
                part,
                format!("needs {count} bytes at {}; the file ends {} later", self.at, left.len()),
            ),
        }
    }

    fn array<const N: usize>(&mut self, part: &str) -> Result<[u8; N], Error> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N as u64, part)?);
        Ok(out)
    }

    fn u32(&mut self, part: &str) -> Result<u32, Error> {
        self.array(part).map(u32::from_le_bytes)
    }

    fn u64(&mut self, part: &str) -> Result<u64, Error> {
        self.array(part).map(u64::from_le_bytes)
    }

    fn string(&mut self, part: &str) -> Result<String, Error> {
        let length = self.u64(part)?;
        let bytes = self.take(length, part)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => self.refused(part, "is not UTF-8"),
        }
    }

    fn header(&mut self) -> Result<(u64, u64), Error> {
        let magic: [u8; 4] = self.array("magic")?;
        if &magic != MAGIC {
            return self.refused("magic", format!("is {magic:02x?}; a GGUF file starts with {MAGIC:02x?}"));
        }
        let version = self.u32("version")?;
        if !(2..=3).contains(&version) {
            return self.refused("version", format!("is {version}; 2 and 3 are supported"));
        }
        let tensors = self.u64("tensor count")?;
        let entries = self.u64("metadata count")?;
        let left = (self.data.len() - self.at) as u64;
        if tensors.saturating_mul(TENSOR_BYTES_MIN).saturating_add(entries.saturating_mul(ENTRY_BYTES_MIN))
            > left
        {
            let problem = format!("{tensors} tensors and {entries} entries do not fit {left} bytes");
            return self.refused("header", problem);
        }
        Ok((tensors, entries))
    }

    fn metadata(&mut self, count: u64) -> Result<Metadata, Error> {
        let mut items = HashMap::new();
        for _ in 0..count {
            let key = self.string("metadata key")?;
            let kind = self.u32(&key)?;
            let item = self.item(kind, &key)?;
            if items.insert(key.clone(), item).is_some() {
                return self.refused(key, "is in the file twice");
            }
        }
        Ok(Metadata(items))
    }

    fn item(&mut self, kind: u32, key: &str) -> Result<Item, Error> {
        Ok(match kind {
            0 => Item::Unsigned(u64::from(self.array::<1>(key)?[0])),
            1 => Item::Signed(i64::from(i8::from_le_bytes(self.array(key)?))),
            2 => Item::Unsigned(u64::from(u16::from_le_bytes(self.array(key)?))),
            3 => Item::Signed(i64::from(i16::from_le_bytes(self.array(key)?))),
            4 => Item::Unsigned(u64::from(self.u32(key)?)),
            5 => Item::Signed(i64::from(i32::from_le_bytes(self.array(key)?))),
            6 => Item::Float(f64::from(f32::from_le_bytes(self.array(key)?))),
            7 => Item::Bool(self.array::<1>(key)?[0] != 0),
            8 => Item::Text(self.string(key)?),
            9 => self.items(key)?,
            10 => Item::Unsigned(self.u64(key)?),
            11 => Item::Signed(i64::from_le_bytes(self.array(key)?)),
            12 => Item::Float(f64::from_le_bytes(self.array(key)?)),
            other => return self.refused(key, format!("has value type {other}, which GGUF does not define")),
        })
    }

    fn items(&mut self, key: &str) -> Result<Item, Error> {
        let kind = self.u32(key)?;
        let count = self.u64(key)?;
        let width: u64 = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            8 | 10..=12 => 8,
            9 => return self.refused(key, "holds arrays of arrays, which no model here uses"),
            other => {
                return self.refused(key, format!("holds value type {other}, which GGUF does not define"));
            }
        };
        let left = (self.data.len() - self.at) as u64;
        if count.saturating_mul(width) > left {
            return self
                .refused(key, format!("declares {count} elements; {left} bytes of the file are left"));
        }
        match kind {
            8 => (0..count).map(|_| self.string(key)).collect::<Result<_, _>>().map(Item::Texts),
            0..=5 | 7 | 10 | 11 => (0..count)
                .map(|_| match self.item(kind, key)? {
                    Item::Signed(value) => Ok(value),
                    Item::Unsigned(value) => i64::try_from(value).map_err(|_| {
                        Error::model(self.path, key, format!("holds {value}, which is out of range"))
                    }),
                    other => Ok(i64::from(other == Item::Bool(true))),
                })
                .collect::<Result<_, _>>()
                .map(Item::Integers),
            6 => {
                let bytes = self.take(count * width, key)?;
                Ok(Item::Floats(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()))
            }
            _ => self.take(count * width, key).map(|_| Item::Other),
        }
    }

    fn tensor_infos(&mut self, count: u64) -> Result<Vec<Info>, Error> {
        (0..count).map(|_| self.tensor_info()).collect()
    }

    fn tensor_info(&mut self) -> Result<Info, Error> {
        let name = self.string("tensor name")?;
        let dimensions = self.u32(&name)?;
        if dimensions == 0 || dimensions > DIMENSIONS_MAX {
            return self
                .refused(name, format!("has {dimensions} dimensions; 1 to {DIMENSIONS_MAX} are allowed"));
        }
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            let dimension = self.u64(&name)?;
            match usize::try_from(dimension) {
                Ok(dimension) => shape.push(dimension),
                Err(_) => return self.refused(name, format!("has a dimension of {dimension}")),
            }
        }
        // The file lists the fastest dimension first; the loader's shapes list it last.
        shape.reverse();
        let code = self.u32(&name)?;
        let kind = match kind_of(code) {
            Ok(kind) => kind,
            Err(known) => {
                return self.refused(
                    name,
                    format!("has type {known}, which is not supported; {} are", supported_types().join(", ")),
                );
            }
        };
        let offset = self.u64(&name)?;
        Ok(Info { name, kind, shape, offset })
    }
}

/// The types that are supported, by their names.
pub(super) fn supported_types() -> Vec<&'static str> {
    "F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL MXFP4".split(' ').collect()
}

/// The tensor type of a GGUF code, or the name of one that is not supported.
fn kind_of(code: u32) -> Result<Kind, String> {
    Ok(Kind::Known(match code {
        0 => GgmlDType::F32,
        1 => GgmlDType::F16,
        2 => GgmlDType::Q4_0,
        3 => GgmlDType::Q4_1,
        6 => GgmlDType::Q5_0,
        7 => GgmlDType::Q5_1,
        8 => GgmlDType::Q8_0,
        10 => GgmlDType::Q2K,
        11 => GgmlDType::Q3K,
        12 => GgmlDType::Q4K,
        13 => GgmlDType::Q5K,
        14 => GgmlDType::Q6K,
        20 => return Ok(Kind::Packed(Packing::Iq4Nl)),
        30 => GgmlDType::BF16,
        39 => return Ok(Kind::Packed(Packing::Mxfp4)),
        9 => return Err("Q8_1".into()),
        15 => return Err("Q8_K".into()),
        16 => return Err("IQ2_XXS".into()),
        17 => return Err("IQ2_XS".into()),
        18 => return Err("IQ3_XXS".into()),
        19 => return Err("IQ1_S".into()),
        21 => return Err("IQ3_S".into()),
        22 => return Err("IQ2_S".into()),
        23 => return Err("IQ4_XS".into()),
        29 => return Err("IQ1_M".into()),
        34 => return Err("TQ1_0".into()),
        35 => return Err("TQ2_0".into()),
        other => return Err(format!("number {other}")),
    }))
}
