//! What is measured: the rows of the table.

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// A prompt of so many tokens.
    Prefill(usize),
    /// Steps of so many sequences after a short prompt.
    Decode(usize),
    /// Steps of one sequence after so many tokens.
    Context(usize),
    /// Steps of one sequence while another process takes a core.
    Contended,
    /// From the start of the process to its end: load, a short prompt, one token.
    FirstToken,
    /// Peak memory of a prompt of 512 tokens and 64 steps.
    Memory,
}

/// What a row's numbers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    TokensPerSecond,
    Seconds,
    MiB,
}

/// Tokens before the steps of a batch, and of the prompt before a first token.
pub(super) const SHORT_PROMPT: usize = 32;
/// Tokens of the prompt whose memory is measured, and steps after it.
pub(super) const SESSION: (usize, usize) = (512, 64);

const ALL: [Task; 9] = [
    Task::Prefill(128),
    Task::Prefill(512),
    Task::Decode(1),
    Task::Decode(4),
    Task::Decode(16),
    Task::Contended,
    Task::FirstToken,
    Task::Memory,
    Task::Context(4096),
];

/// The rows, in order.
pub(super) fn all(quick: bool) -> impl Iterator<Item = Task> {
    ALL.into_iter().filter(move |task| !(quick && matches!(task, Task::Context(_))))
}

impl Task {
    /// The task of a row.
    pub(super) fn parse(key: &str) -> Result<Self, String> {
        let keys = || ALL.map(Self::key).join(", ");
        ALL.into_iter().find(|task| task.key() == key).ok_or_else(|| format!("one of {}", keys()))
    }

    /// Where the row stands in the JSON object.
    pub(super) fn key(self) -> String {
        match self {
            Self::Prefill(tokens) => format!("prefill.p{tokens}"),
            Self::Decode(batch) => format!("decode.batch_{batch}"),
            Self::Context(tokens) => format!("decode.context_{}k", tokens / 1024),
            Self::Contended => "decode.contended".to_owned(),
            Self::FirstToken => "first_token".to_owned(),
            Self::Memory => "memory".to_owned(),
        }
    }

    pub(super) fn unit(self) -> Unit {
        match self {
            Self::FirstToken => Unit::Seconds,
            Self::Memory => Unit::MiB,
            _ => Unit::TokensPerSecond,
        }
    }

    /// Steps of one sample, and samples of one process.
    pub(super) fn steps(self) -> (usize, usize) {
        match self {
            Self::Prefill(tokens) => (1, (1024 / tokens.max(1)).max(2)),
            Self::Decode(1) => (64, 3),
            Self::Decode(_) => (32, 1),
            Self::Context(_) => (32, 3),
            Self::Contended => (32, 3),
            Self::FirstToken => (1, 1),
            Self::Memory => (SESSION.1, 1),
        }
    }

    /// Processes of each engine.
    pub(super) fn rounds(self, quick: bool) -> usize {
        match self {
            // A long prompt takes as long as all other rows; its steps spread little.
            Self::Context(_) => 1,
            Self::Memory => 2,
            _ if quick => 2,
            _ => 3,
        }
    }

    /// Whether other processes show in the result.
    pub(super) fn can_be_disturbed(self) -> bool {
        self != Self::Memory
    }
}

// === impl Unit ===

impl Unit {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::TokensPerSecond => "tokens/s",
            Self::Seconds => "s",
            Self::MiB => "MiB",
        }
    }

    pub(super) fn more_is_better(self) -> bool {
        self == Self::TokensPerSecond
    }
}
