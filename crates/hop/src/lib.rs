//! What a hop that decides keeps: the policies in force and those that are tried, the books of what was spent, the log
//! of what was decided, and the way in which it weighs.
//!
//! Agent and router decide over different places and send on to different peers; all else about a decision is the same,
//! and is here. What a hop can answer with, and how it speaks to whoever answers, is its own.

mod options;
mod request;
mod policies;
mod books;
mod budgets;
mod log;
#[cfg(feature = "parquet")]
pub mod bound;
mod answered;
mod joined;
mod meters;
mod vocabulary;
mod stake;
mod shown;
mod weigh;
mod desk;
mod error;

pub use desk::Desk;
pub use error::{Error, listed};
pub use joined::{EVENTS, delta_bytes, event_bytes, join_deltas};
pub use options::{BudgetOptions, DeskOptions, FeedbackOptions, RetryOptions};
pub use policies::{Policies, Reader, load};
pub use request::{Reading, Requests, hold};
pub use shown::Shown;
pub use stake::{Stake, usd};
pub use weigh::{Asked, Weighed};
