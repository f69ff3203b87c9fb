//! The wire contract of every hop: the `.proto` files, the Rust generated from them, and the ranges that they state.

/// How a message becomes bytes, and bytes a message, where it travels as metadata.
pub use prost::Message;

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

/// The packages of xDS that workers of any make speak, at the paths that generated code looks for them.
#[allow(
    missing_docs,
    deprecated,
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
mod xds {
    pub mod data {
        pub mod orca {
            pub mod v3 {
                include!("gen/xds.data.orca.v3.rs");
            }
        }
    }
    pub mod service {
        pub mod orca {
            pub mod v3 {
                include!("gen/xds.service.orca.v3.rs");
            }
        }
    }
}

pub mod orca;

/// The highest `Sampling.temperature`; the lowest is 0.
pub const TEMPERATURE_MAX: f32 = 2.0;
/// The lowest `Sampling.repetition_penalty`: scores divided by less would leave the range of numbers.
pub const REPETITION_PENALTY_MIN: f32 = 0.01;
/// The highest `Sampling.repetition_penalty`.
pub const REPETITION_PENALTY_MAX: f32 = 2.0;
/// The most strings of `Sampling.stop`.
pub const STOP_LEN_MAX: usize = 8;
/// The most bytes of each of them; the least is 1.
pub const STOP_BYTES_MAX: usize = 64;

/// The highest `Sampling.presence_penalty` and `frequency_penalty`; the lowest is its negative.
pub const OCCURRENCE_PENALTY_MAX: f32 = 2.0;
/// The highest `Sampling.logit_bias`; the lowest is its negative.
pub const LOGIT_BIAS_MAX: f32 = 100.0;
/// The most ids of `Sampling.logit_bias`.
pub const LOGIT_BIAS_LEN_MAX: usize = 1_024;
/// The most tokens of `Sampling.logprobs`.
pub const LOGPROBS_MAX: u32 = 20;
/// The most bytes of `GenerateRequest.json_schema` and `lark_grammar`.
pub const GRAMMAR_BYTES_MAX: usize = 64 << 10;
/// The most bytes of `GenerateRequest.regex`; the least is 1.
pub const REGEX_BYTES_MAX: usize = 4_096;

/// The metadata that carries an `Overload`.
pub const OVERLOAD: &str = "causeway-overload-bin";

/// The descriptors of every file, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!("gen/descriptors.bin");
