//! Options → Service → Handle: one loop owns the model and every sequence; handles and streams talk to it.

mod build;
mod handle;
mod inbox;
mod meter;
mod places;
mod guess;
mod sequence;
mod speculate;
mod service;
mod stream;
#[cfg(test)]
mod tests;

pub use handle::Handle;
pub use service::Service;
pub use stream::Stream;
