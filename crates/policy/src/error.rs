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
    /// A line of a decision log says something that no decision does.
    #[error("{problem}")]
    Line {
        /// What is wrong.
        problem: String,
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

/// Kinds of flaw; their numbers and names stay as they are.
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
    /// A class that no request reaches.
    ClassUnreachable,
    /// No class takes what the others leave.
    ClassCatchAllMissing,
    /// A condition that is no CEL.
    ConditionSyntax,
    /// A condition that uses a value as what it is not.
    ConditionType,
    /// A condition with a name that stands for nothing, or a value that never comes.
    ConditionNameUnknown,
    /// A condition that is longer, deeper or costlier than is read.
    ConditionTooLarge,
    /// A condition with a part of CEL that is not read here.
    ConditionUnsupported,
    /// A condition that always holds.
    ConditionConstant,
    /// A condition that reads what a request may not have.
    ConditionUndecided,
    /// A tier that no request reaches.
    TierUnreachable,
    /// A tier that is allowed and was never the cheapest.
    TierNeverBest,
    /// A class whose requests have no place.
    ConstraintImpossible,
    /// A class of which some requests have no place.
    ConstraintNarrow,
    /// A budget, a price or a share that lets nothing through.
    BudgetZero,
    /// A private request that could leave.
    PrivacyHole,
    /// A class whose own rules lift an escalation cap.
    CapLifted,
    /// An escalation cap under which nothing goes up.
    CapUseless,
    /// A probe that is not decided as it expects.
    ProbeFailed,
    /// A class that no probe reaches.
    ProbeMissing,
    /// A policy that says something else than when it was sealed.
    ChecksumWrong,
    /// A policy without a seal where one is demanded.
    ChecksumMissing,
    /// A policy of which not every kind of request was tried.
    CheckSampled,
}

// === impl Error ===

impl Error {
    /// The flaw in the file, where there is one.
    pub fn flaw(&self) -> Option<&Flaw> {
        match self {
            Self::Rules(flaw) => Some(flaw),
            Self::OtherPolicy { .. } | Self::Line { .. } => None,
        }
    }
}

// === impl Flaw ===

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, code, problem, mend } = self;
        let (id, name, page) = (code.id(), code.name(), code.page());
        write!(f, "{file}:{line}:{column}: {problem} [{id} {name}]; {mend} ({page})")
    }
}

impl std::error::Error for Flaw {}

// === impl Code ===

impl Code {
    /// Every code with its number and its name.
    pub const ALL: [(Self, &'static str, &'static str); 31] = [
        (Self::Syntax, "CW0001", "syntax"),
        (Self::TooLarge, "CW0002", "too_large"),
        (Self::Schema, "CW0003", "schema"),
        (Self::FieldUnknown, "CW0004", "field_unknown"),
        (Self::FieldMissing, "CW0005", "field_missing"),
        (Self::TypeWrong, "CW0006", "type_wrong"),
        (Self::ValueOutOfRange, "CW0007", "value_out_of_range"),
        (Self::NameUnknown, "CW0008", "name_unknown"),
        (Self::NameTaken, "CW0009", "name_taken"),
        (Self::ClassUnreachable, "CW0010", "class_unreachable"),
        (Self::ClassCatchAllMissing, "CW0011", "class_catch_all_missing"),
        (Self::ConditionSyntax, "CW0012", "condition_syntax"),
        (Self::ConditionType, "CW0013", "condition_type"),
        (Self::ConditionNameUnknown, "CW0014", "condition_name_unknown"),
        (Self::ConditionTooLarge, "CW0015", "condition_too_large"),
        (Self::ConditionUnsupported, "CW0016", "condition_unsupported"),
        (Self::ConditionConstant, "CW0017", "condition_constant"),
        (Self::ConditionUndecided, "CW0018", "condition_undecided"),
        (Self::TierUnreachable, "CW0019", "tier_unreachable"),
        (Self::TierNeverBest, "CW0020", "tier_never_best"),
        (Self::ConstraintImpossible, "CW0021", "constraint_impossible"),
        (Self::ConstraintNarrow, "CW0022", "constraint_narrow"),
        (Self::BudgetZero, "CW0023", "budget_zero"),
        (Self::PrivacyHole, "CW0024", "privacy_hole"),
        (Self::CapLifted, "CW0025", "cap_lifted"),
        (Self::CapUseless, "CW0026", "cap_useless"),
        (Self::ProbeFailed, "CW0027", "probe_failed"),
        (Self::ProbeMissing, "CW0028", "probe_missing"),
        (Self::ChecksumWrong, "CW0029", "checksum_wrong"),
        (Self::ChecksumMissing, "CW0030", "checksum_missing"),
        (Self::CheckSampled, "CW0031", "check_sampled"),
    ];

    /// Its stable number, such as `CW0012`.
    pub fn id(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// Its stable name.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].2
    }

    /// Where to read of it, as a link from the root of the sources: each code has an anchor of its number there.
    pub fn page(self) -> String {
        format!("docs/policy.md#{}", self.id().to_lowercase())
    }
}
