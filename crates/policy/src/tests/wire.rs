//! A decision on the wire says what the decision says.

use proto::{Message as _, v1};

use super::{WORTH, facts, large, rules, small};
use crate::{Candidate, Excluded, Facts, Load, Name, Version, decide};

#[test]
fn a_decision_travels_with_its_removals_notes_and_versions() {
    let gone = Candidate { healthy: false, ..large() };
    let busy = Candidate { load: Some(Load { running: 3, waiting: 2 }), latency: None, ..small() };
    let facts = Facts { versions: vec![Version::new("difficulty", "d-1")], ..facts() };
    let decision = decide(&rules(WORTH), &facts, &[busy, gone], 5);
    let wire = decision.to_wire("router", 12);
    assert_eq!((wire.hop.as_str(), wire.place.as_str(), wire.class.as_str()), ("router", "device", "only"));
    assert_eq!((wire.seed, wire.decide_us, wire.margin_usd), (5, 12, None));
    assert_eq!(wire.policy_hash, rules(WORTH).hash().as_str());
    assert_eq!((wire.versions[0].name.as_str(), wire.versions[0].version.as_str()), ("difficulty", "d-1"));
    let [first, second] = &wire.candidates[..] else { panic!("two candidates") };
    assert_eq!((first.running, first.waiting, first.removal.is_none()), (3, 2, true));
    assert_eq!(first.notes, ["latency_unknown", "context_unknown"]);
    assert_eq!(first.total_usd, first.price_usd + first.waiting_usd + first.wrong_usd);
    let removal = second.removal.as_ref().expect("a removal");
    assert_eq!((removal.code.as_str(), removal.text.as_str()), ("unhealthy", "it takes no work"));
}

#[test]
fn no_place_is_an_empty_name() {
    assert_eq!(decide(&rules(WORTH), &facts(), &[], 5).to_wire("edge-agent", 0).place, "");
}

#[test]
fn a_decision_that_is_written_at_once_is_the_message() {
    let check = |candidates: &[Candidate], facts: &Facts, (hop, decide_us): (&str, u32)| {
        let decision = decide(&rules(WORTH), facts, candidates, u64::MAX);
        let read = v1::Decision::decode(decision.encode(hop, decide_us).as_slice());
        assert_eq!(read.expect("it is a message"), decision.to_wire(hop, decide_us));
    };
    let gone = Candidate { healthy: false, ..large() };
    let busy = Candidate { load: Some(Load { running: 300, waiting: 2 }), latency: None, ..small() };
    let long = Name::from("a long name of a place, as in a large fleet/".repeat(9));
    let far = Candidate { place: long.clone(), ..small() };
    let excluded = vec![Excluded::new(far.place.clone(), "it was lost: ".repeat(20))];
    let versions = vec![Version::new("difficulty", "d-1"), Version::new("", "")];
    let known = Facts { versions, excluded, places_known: Some(900), ..facts() };
    check(&[], &facts(), ("", 0));
    check(&[busy.clone(), gone.clone(), large(), small()], &facts(), ("router", u32::MAX));
    check(&[far, gone, busy], &known, (&long, 1));
}
