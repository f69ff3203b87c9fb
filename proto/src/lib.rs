//! The wire contract of every hop: the `.proto` files and the Rust generated from them, nothing else.

/// Package `causeway.v1`.
#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::too_many_lines,
    clippy::semicolon_if_nothing_returned,
    clippy::needless_pass_by_value,
    clippy::disallowed_types,
    clippy::allow_attributes_without_reason,
    rustdoc::all,
    reason = "generated; the .proto files carry the documentation"
)]
pub mod v1 {
    include!("gen/causeway.v1.rs");
}

/// The descriptors of every file, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!("gen/descriptors.bin");
