//! The name of what computes: the processor or an accelerator, as options and flags spell it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Error;

/// What computes a model's steps: `cpu`, or `cuda:0` and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Device {
    /// The processor, with this crate's own kernels.
    #[default]
    Cpu,
    /// A card of this number, with the tensor library's kernels; in builds with the feature `cuda`.
    Cuda(usize),
    /// The processor with the tensor library's kernels: what is tested of the way that a card goes.
    #[cfg(test)]
    Library,
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
            #[cfg(test)]
            Self::Library => f.write_str("library"),
        }
    }
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number =
            |digits: &str| digits.parse().ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit()));
        match text.split_once(':') {
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "cuda" => Ok(Self::Cuda(0)),
            Some(("cuda", digits)) if number(digits).is_some() => Ok(Self::Cuda(number(digits).unwrap_or(0))),
            _ => Err(format!("is `{text}`; `cpu`, and `cuda:0` and so on for a card, are known")),
        }
    }
}

impl Serialize for Device {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Device {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(|problem| serde::de::Error::custom(format!("`device` {problem}")))
    }
}

impl Device {
    /// Whether the processor computes with this crate's kernels.
    pub(crate) fn is_own(self) -> bool {
        self == Self::Cpu
    }

    /// The tensor library's name for it; none where its kernels are not asked for.
    #[cfg(any(test, feature = "cuda"))]
    pub(crate) fn open(self) -> Result<Option<candle_core::Device>, Error> {
        match self {
            Self::Cpu => Ok(None),
            Self::Cuda(number) => card(number).map(Some),
            #[cfg(test)]
            Self::Library => Ok(Some(candle_core::Device::Cpu)),
        }
    }

    /// Refused where cards cannot be used.
    #[cfg(not(any(test, feature = "cuda")))]
    pub(crate) fn open(self) -> Result<(), Error> {
        match self {
            Self::Cpu => Ok(()),
            Self::Cuda(_) => Err(unbuilt(self)),
        }
    }
}

/// The card of this number.
#[cfg(feature = "cuda")]
fn card(number: usize) -> Result<candle_core::Device, Error> {
    candle_core::Device::new_cuda(number)
        .map_err(|error| refused(format!("is `cuda:{number}`, which cannot be used: {error}")))
}

#[cfg(all(test, not(feature = "cuda")))]
fn card(number: usize) -> Result<candle_core::Device, Error> {
    Err(unbuilt(Device::Cuda(number)))
}

#[cfg(not(feature = "cuda"))]
fn unbuilt(device: Device) -> Error {
    refused(format!("is `{device}`, but this program was built without the feature `cuda`"))
}

fn refused(problem: String) -> Error {
    Error::BadOption { field: "device", problem }
}
