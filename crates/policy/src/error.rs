//! What can go wrong with a policy: its file, or a record that another policy made.

use std::fmt;

/// Everything that this crate refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A policy file says something that cannot be decided by.
    #[error(transparent)]
    Rules(#[from] Box<Flaw>),
    /// A record was to be replayed under rules that did not make it.
    #[error(
        "the record was decided by policy {recorded} and these rules are {given}: \
         replay it with the rules that made it, or decide its facts anew with `decide`"
    )]
    OtherPolicy {
        /// Content hash of the rules that made the record.
        recorded: String,
        /// Content hash of the rules given.
        given: String,
    },
}

/// What is wrong in a policy file, where, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// The file, as its reader named it.
    pub file: String,
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
    /// Which kind of flaw, for programs.
    pub code: Code,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub mend: String,
}

/// Kinds of flaw; their names in [`Code::name`] stay as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// The text is no TOML.
    Syntax,
    /// The text, or a list in it, is longer than is read.
    TooLarge,
    /// `schema` is missing or of another edition.
    Schema,
    /// A field that no policy has.
    FieldUnknown,
    /// A field that must be there.
    FieldMissing,
    /// A value of another type.
    TypeWrong,
    /// A value that the field cannot have.
    ValueOutOfRange,
    /// A name that stands for nothing.
    NameUnknown,
    /// A name given twice.
    NameTaken,
    /// A class that an earlier class always precedes.
    ClassUnreachable,
    /// No class takes what the others leave.
    ClassCatchAllMissing,
}

// === impl Error ===

impl Error {
    /// The flaw in the file, where there is one.
    pub fn flaw(&self) -> Option<&Flaw> {
        match self {
            Self::Rules(flaw) => Some(flaw),
            Self::OtherPolicy { .. } => None,
        }
    }
}

// === impl Flaw ===

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, code, problem, mend } = self;
        write!(f, "{file}:{line}:{column}: {problem} [{}]; {mend}", code.name())
    }
}

impl std::error::Error for Flaw {}

// === impl Code ===

impl Code {
    /// Its stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::TooLarge => "too_large",
            Self::Schema => "schema",
            Self::FieldUnknown => "field_unknown",
            Self::FieldMissing => "field_missing",
            Self::TypeWrong => "type_wrong",
            Self::ValueOutOfRange => "value_out_of_range",
            Self::NameUnknown => "name_unknown",
            Self::NameTaken => "name_taken",
            Self::ClassUnreachable => "class_unreachable",
            Self::ClassCatchAllMissing => "class_catch_all_missing",
        }
    }
}
