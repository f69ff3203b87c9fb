//! Points in the space of abilities: what a request requires, what a model can do.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::number::Written;

/// Most dimensions that a requirement or an ability may have.
pub const DIMENSIONS_MAX: usize = 8;

/// Up to [`DIMENSIONS_MAX`] numbers, held in place so that a decision allocates nothing for them. Empty: not known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Vector {
    len: u8,
    values: [f32; DIMENSIONS_MAX],
}

// === impl Vector ===

impl Vector {
    /// No dimensions: not known.
    pub const UNKNOWN: Self = Self { len: 0, values: [0.0; DIMENSIONS_MAX] };

    /// The first [`DIMENSIONS_MAX`] of `values`.
    pub fn new(values: &[f32]) -> Self {
        let mut vector = Self::UNKNOWN;
        for (slot, value) in vector.values.iter_mut().zip(values) {
            *slot = *value;
            vector.len += 1;
        }
        vector
    }

    /// The numbers.
    pub fn as_slice(&self) -> &[f32] {
        &self.values[..usize::from(self.len)]
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The inner product in the order of the dimensions; `None` unless both are known, alike in length and finite.
    pub fn dot(&self, other: &Self) -> Option<f64> {
        if self.is_empty() || self.len != other.len {
            return None;
        }
        let sum = self
            .as_slice()
            .iter()
            .zip(other.as_slice())
            .fold(0.0, |sum, (a, b)| sum + f64::from(*a) * f64::from(*b));
        sum.is_finite().then_some(sum)
    }
}

impl From<&[f32]> for Vector {
    fn from(values: &[f32]) -> Self {
        Self::new(values)
    }
}

impl<const N: usize> From<[f32; N]> for Vector {
    fn from(values: [f32; N]) -> Self {
        Self::new(&values)
    }
}

impl Serialize for Vector {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(transparent)]
        struct One(#[serde(with = "crate::number::f32")] f32);
        to.collect_seq(self.as_slice().iter().map(|value| One(*value)))
    }
}

impl<'de> Deserialize<'de> for Vector {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let written = Vec::<Written>::deserialize(from)?;
        if written.len() > DIMENSIONS_MAX {
            return Err(D::Error::custom(format!(
                "{} dimensions; at most {DIMENSIONS_MAX} are held",
                written.len()
            )));
        }
        let mut vector = Self::UNKNOWN;
        for (slot, one) in vector.values.iter_mut().zip(written) {
            *slot = one.value().map_err(D::Error::custom)? as f32;
            vector.len += 1;
        }
        Ok(vector)
    }
}
