//! What the agent makes of what its upstream says.

use mesh::admit::refusal;
use proto::v1;
use tonic::{Code, Status};

use super::{judge, merge};
use crate::answer::Setback;

#[test]
fn an_upstream_that_decided_names_the_place() {
    let decision = |hop: &str| v1::Decision { hop: hop.to_owned(), ..v1::Decision::default() };
    let mine = || v1::Started {
        decisions: vec![decision("edge-agent")],
        place: "cloud".to_owned(),
        attempt: 2,
        ..v1::Started::default()
    };
    let mut started = mine();
    let decisions = vec![decision("edge-agent"), decision("router")];
    let place = "cloud/worker-1".to_owned();
    merge(&mut started, v1::Started { decisions, place, attempt: 3, ..v1::Started::default() });
    assert_eq!((started.place.as_str(), started.attempt, started.decisions.len()), ("cloud/worker-1", 4, 2));
    let mut started = mine();
    let worker = v1::Started {
        decisions: vec![decision("edge-agent")],
        place: "worker".to_owned(),
        attempt: 1,
        ..v1::Started::default()
    };
    merge(&mut started, worker);
    assert_eq!((started.place.as_str(), started.attempt, started.decisions.len()), ("cloud", 2, 1));
}

#[test]
fn the_requests_own_faults_are_final() {
    for (status, elsewhere) in [
        (Status::invalid_argument(""), false),
        (Status::not_found(""), false),
        (Status::deadline_exceeded(""), true),
        (Status::failed_precondition(""), true),
        (Status::permission_denied(""), true),
        (Status::unimplemented(""), true),
        (Status::internal(""), true),
        (Status::cancelled(""), true),
        (Status::unavailable(""), true),
    ] {
        let setback = judge(&"cloud".into(), &status);
        assert_eq!(setback.code(), status.code());
        assert_eq!(matches!(setback, Setback::Elsewhere(_)), elsewhere, "{status}");
    }
    let Setback::Elsewhere(full) = judge(&"cloud".into(), &refusal("full", 250)) else { panic!() };
    assert_eq!(
        (full.code, full.pushback),
        (Code::ResourceExhausted, Some(std::time::Duration::from_millis(250)))
    );
}
