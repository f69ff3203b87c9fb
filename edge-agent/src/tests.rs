//! The agent as its callers see it, with a scripted upstream.

mod scene;
mod answers;
mod refusals;
mod upstream;
mod routers;
mod quiet;
mod tokens;
mod policies;
