//! What this crate refuses: model files that are not whole, and outcomes that teach nothing.

/// Everything that this crate refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes end before the model does, or go on after it.
    #[error("the difficulty model has {given} bytes where {expected} belong; write it again with `to_bytes`")]
    Length {
        /// Bytes given.
        given: usize,
        /// Bytes that the header announces.
        expected: usize,
    },
    /// The bytes are something else.
    #[error("these bytes are no difficulty model: they do not begin with `CWDIFF02`")]
    Magic,
    /// A difficulty model of another edition.
    #[error("the difficulty model is of the edition `{given}`, and `CWDIFF02` is read here; train it again")]
    Edition {
        /// What it begins with.
        given: String,
    },
    /// What names a model's weights is no BLAKE3 hash.
    #[error("`{given}` is no BLAKE3 hash of a model's weights; it has 64 hexadecimal digits")]
    ModelHash {
        /// What was given.
        given: String,
    },
    /// The header announces a shape that is not read here.
    #[error("the difficulty model's header has {field} = {value}, and {expected} is read here")]
    Header {
        /// The field.
        field: &'static str,
        /// Its value.
        value: u32,
        /// What may stand there.
        expected: &'static str,
    },
    /// The bytes were changed after they were written.
    #[error("the difficulty model does not match its checksum; fetch or train it again")]
    Checksum,
    /// A weight is no number.
    #[error("the difficulty model holds a weight that is not finite; train it again")]
    NotFinite,
    /// The bytes are no model of this kind.
    #[error("these bytes are no {model} model of this edition; write it again with `causeway signals fit`")]
    ModelMagic {
        /// The kind of model that was expected.
        model: &'static str,
    },
    /// The bytes end before the model does, or go on after it.
    #[error("the {model} model has {given} bytes where {expected} belong; fetch it again")]
    ModelLength {
        /// The kind of model.
        model: &'static str,
        /// Bytes given.
        given: usize,
        /// Bytes that the header announces.
        expected: usize,
    },
    /// The bytes were changed after they were written.
    #[error("the {model} model does not match its checksum; fetch it again")]
    ModelChecksum {
        /// The kind of model.
        model: &'static str,
    },
    /// A part of the model makes no sense.
    #[error(
        "the {model} model's {field} is not what belongs there; write it again with `causeway signals fit`"
    )]
    ModelField {
        /// The kind of model.
        model: &'static str,
        /// The part.
        field: &'static str,
    },
    /// Too little to learn from.
    #[error("{given} outcomes of {texts} texts; at least {min} texts are needed to learn and to measure")]
    TooFewOutcomes {
        /// Outcomes given.
        given: usize,
        /// Different texts among them.
        texts: usize,
        /// Texts needed.
        min: usize,
    },
    /// An outcome of a model that there is no ability for.
    #[error("outcome {index} is of model {model}; there are models 0 (device) and 1 (cloud)")]
    ModelUnknown {
        /// Index of the outcome.
        index: usize,
        /// The model it names.
        model: usize,
    },
}
