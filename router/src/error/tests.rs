//! What callers are told when no place is left.

use tonic::{Code, Status};

use super::{Error, Failure, Removed};

fn check(removed: &[&'static str], failures: &[Code], expect: Code, retryable: bool) {
    let removed = removed.iter().map(|code| Removed { place: "a".into(), code, text: String::new() });
    let failures = failures.iter().map(|code| Failure {
        place: "b".into(),
        code: *code,
        message: String::new(),
        pushback: None,
    });
    let error = Error::NoPlace { removed: removed.collect(), failures: failures.collect() };
    let status: Status = error.status();
    assert_eq!((status.code(), error.is_retryable()), (expect, retryable), "{error:?}");
}

#[test]
fn one_cause_has_one_code() {
    // Nothing that passes.
    check(&[], &[], Code::FailedPrecondition, false);
    check(&["budget", "privacy", "excluded"], &[], Code::FailedPrecondition, false);
    // Too little time for a place that would have stood otherwise, whatever became of the others.
    check(&["deadline"], &[], Code::DeadlineExceeded, false);
    check(&["unhealthy", "deadline", "budget"], &[], Code::DeadlineExceeded, false);
    // What may be over a little later.
    check(&["unhealthy", "privacy"], &[], Code::Unavailable, true);
    check(&["deadline"], &[Code::Unavailable], Code::Unavailable, true);
    check(&["deadline"], &[Code::ResourceExhausted], Code::ResourceExhausted, true);
    check(&[], &[Code::ResourceExhausted, Code::Unavailable], Code::Unavailable, true);
}
