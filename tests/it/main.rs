//! One binary for every cross-process test, a module per behaviour.

mod tidy;
mod walk;
mod trace;
mod patience;
mod refusal;
mod settings;
mod tour;
