//! Floats in a record: JSON has no NaN or infinity, yet a record of a lying worker must read back as it was.

/// `f64` for `#[serde(with = "number::f64")]`: a JSON number, or `"nan"`, `"inf"`, `"-inf"`.
pub(crate) mod f64 {
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes a finite number as itself and any other as its name.
    pub(crate) fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
        if value.is_finite() { to.serialize_f64(*value) } else { to.serialize_str(super::name_of(*value)) }
    }

    /// Reads either form.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        super::Written::deserialize(from)?.value().map_err(serde::de::Error::custom)
    }
}

/// The same for `Option<f64>`.
pub(crate) mod option {
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes `None` as null, and a number as [`super::f64::serialize`] does.
    pub(crate) fn serialize<S: Serializer>(value: &Option<f64>, to: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => super::f64::serialize(value, to),
            None => to.serialize_none(),
        }
    }

    /// Reads null, a number or a name.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
        Option::<super::Written>::deserialize(from)?
            .map(|written| written.value().map_err(serde::de::Error::custom))
            .transpose()
    }
}

/// The same for `Option<f32>`.
pub(crate) mod option_f32 {
    use serde::{Deserializer, Serializer};

    /// Writes `None` as null, and a number as [`super::f32::serialize`] does.
    pub(crate) fn serialize<S: Serializer>(value: &Option<f32>, to: S) -> Result<S::Ok, S::Error> {
        super::option::serialize(&value.map(::core::primitive::f64::from), to)
    }

    /// Reads null, a number or a name.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f32>, D::Error> {
        Ok(super::option::deserialize(from)?.map(|value| value as f32))
    }
}

/// The same for `f32`.
pub(crate) mod f32 {
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes a finite number by way of `f64`, which holds every `f32` exactly.
    pub(crate) fn serialize<S: Serializer>(value: &f32, to: S) -> Result<S::Ok, S::Error> {
        super::f64::serialize(&f64::from(*value), to)
    }

    /// Reads either form; what was written as `f32` comes back as the same bits.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f32, D::Error> {
        let wide = super::Written::deserialize(from)?.value().map_err(serde::de::Error::custom)?;
        Ok(wide as f32)
    }
}

#[derive(serde::Deserialize)]
#[serde(untagged)]
pub(crate) enum Written {
    Number(::core::primitive::f64),
    Text(String),
}

// === impl Written ===

impl Written {
    /// The number meant, or what is wrong with the text.
    pub(crate) fn value(self) -> Result<::core::primitive::f64, String> {
        match self {
            Self::Number(value) => Ok(value),
            Self::Text(text) => match text.as_str() {
                "nan" => Ok(::core::primitive::f64::NAN),
                "inf" => Ok(::core::primitive::f64::INFINITY),
                "-inf" => Ok(::core::primitive::f64::NEG_INFINITY),
                _ => Err(format!("`{text}` is no number; a number, `nan`, `inf` or `-inf` is expected")),
            },
        }
    }
}

fn name_of(value: ::core::primitive::f64) -> &'static str {
    if value.is_nan() {
        "nan"
    } else if value > 0.0 {
        "inf"
    } else {
        "-inf"
    }
}
