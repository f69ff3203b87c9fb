//! Starts and judgements, apart from any connection.

use std::time::Duration;

use bytes::Bytes;
use policy::Name;
use prost::Message as _;
use proto::v1;
use tonic::{Code, Status};

use super::below::{MESSAGE_CHARS_MAX, PUSHBACK_MAX, broken, judge, merge};
use crate::error::Error;
use crate::relay::Started;

#[test]
fn a_start_below_is_merged_by_whether_it_decided() {
    let decision = |hop: &str| {
        let decision = v1::Decision { hop: hop.into(), ..Default::default() };
        Bytes::from(decision.encode_to_vec())
    };
    let check = |downstream: Started, place: &str, attempt: u32, hops: usize| {
        let mut started = Started {
            decisions: vec![decision("edge-agent"), decision("router")],
            place: "cloud/a".into(),
            attempt: 2,
            ..Default::default()
        };
        merge(&mut started, downstream).expect("all decisions are sound");
        assert_eq!(
            (started.place.as_str(), started.attempt, started.decisions.len()),
            (place, attempt, hops)
        );
    };
    // A worker, which may count its attempts or not, and may repeat the decisions or not.
    check(Started::default(), "cloud/a", 2, 2);
    check(Started { place: "worker".into(), attempt: 1, ..Default::default() }, "cloud/a", 2, 2);
    let echo = vec![decision("edge-agent"), decision("router")];
    check(Started { place: "worker".into(), decisions: echo.clone(), ..Default::default() }, "cloud/a", 2, 2);
    // A router.
    let decisions = [echo, vec![decision("router")]].concat();
    let below = Started { place: "moe/b".into(), attempt: 2, decisions, ..Default::default() };
    check(below.clone(), "moe/b", 3, 3);
    check(Started { attempt: u32::MAX, ..below }, "moe/b", u32::MAX, 3);
}

#[test]
fn what_a_place_below_calls_a_decision_is_one_or_the_answer_is_refused() {
    let decisions = vec![Bytes::from_static(b"\x0a\xff")];
    let refused = merge(&mut Started::default(), Started { decisions, ..Default::default() });
    assert_eq!(refused.expect_err("it is none").code(), Code::Internal);
}

#[test]
fn only_what_another_place_may_do_better_is_tried_again() {
    let place = Name::from("cloud/a");
    for code in (0..=16).map(Code::from) {
        let retried = judge(&place, &Status::new(code, "words")).is_ok();
        let expect = matches!(code, Code::Unavailable | Code::ResourceExhausted | Code::Cancelled);
        assert_eq!(retried, expect, "{code:?}");
    }
}

#[test]
fn words_and_waits_of_a_worker_are_bounded() {
    let mut status = Status::unavailable("é".repeat(10_000));
    status.metadata_mut().insert("grpc-retry-pushback-ms", u64::MAX.into());
    let failure = judge(&Name::from("cloud/a"), &status).expect("it is tried again");
    assert_eq!(failure.message.chars().count(), MESSAGE_CHARS_MAX);
    assert_eq!(failure.pushback, Some(PUSHBACK_MAX));
    for (said, taken) in [("70", Some(Duration::from_millis(70))), ("-1", None), ("soon", None)] {
        let mut status = Status::unavailable("");
        status.metadata_mut().insert("grpc-retry-pushback-ms", said.parse().expect("ascii"));
        assert_eq!(judge(&Name::from("cloud/a"), &status).expect("tried again").pushback, taken, "{said}");
    }
}

#[test]
fn an_answer_that_breaks_off_is_never_told_as_complete_or_as_the_callers_doing() {
    for (below, told) in [
        (Code::Ok, Code::Unavailable),
        (Code::Cancelled, Code::Unavailable),
        (Code::Unknown, Code::Unavailable),
        (Code::Internal, Code::Internal),
        (Code::DeadlineExceeded, Code::DeadlineExceeded),
    ] {
        let error = broken(&Name::from("cloud/a"), &Status::new(below, "words"));
        assert!(matches!(&error, Error::Broken { code, .. } if *code == told), "{error:?}");
        assert_eq!(error.status().code(), told);
    }
}
