//! What callers are told, by code and by field.

use mesh::admit::RETRY_PUSHBACK;
use tonic::{Code, Status};

use super::Error;

fn check(error: impl Into<Error>, code: Code, message: &str) {
    let status = Status::from(error.into());
    assert_eq!((status.code(), status.message()), (code, message));
}

#[test]
fn fields_are_named_as_the_wire_names_them() {
    for (engines, wires) in [
        ("conversation", "turns"),
        ("temperature", "sampling.temperature"),
        ("logit_bias", "sampling.logit_bias"),
        ("json_schema", "json_schema"),
        ("resume", "resume.token_ids"),
        ("sampling.max_tokens", "sampling.max_tokens"),
    ] {
        let error = inference::Error::BadRequest { field: engines, problem: "is wrong".to_owned() };
        check(error, Code::InvalidArgument, &format!("`{wires}` is wrong"));
    }
}

#[test]
fn what_may_pass_can_be_told_from_what_will_not() {
    let full = Status::from(Error::from(inference::Error::QueueFull { waiting: 4, max: 4 }));
    assert_eq!(full.code(), Code::ResourceExhausted);
    assert!(full.metadata().get(RETRY_PUSHBACK).is_some());
    assert_eq!(Status::from(Error::from(inference::Error::Draining)).code(), Code::Unavailable);
    assert_eq!(Status::from(Error::from(inference::Error::Poisoned { index: 0 })).code(), Code::Internal);
    check(
        Error::PromptBytes { bytes: 9, max: 8 },
        Code::InvalidArgument,
        "`turns` hold 9 bytes of text; at most 8 are allowed",
    );
    assert_eq!(Status::from(Error::Deadline).code(), Code::DeadlineExceeded);
}
