//! Who stays of a tier whose workers are all ejected.

use std::time::Duration;

use policy::{Candidate, Kind, Name};

use super::super::breaker::Cause;
use super::{Standing, spare};

fn ejected(success_rate: f64) -> Standing {
    Standing::Ejected { cause: Cause::InARow(7), time: Duration::from_secs(1), success_rate }
}

#[test]
fn of_a_tier_that_is_ejected_whoever_fails_least_stays() {
    let check = |all: &[(&str, &str, Standing)], stay: &[&str]| {
        let of = |(place, tier, standing): &(&str, &str, Standing)| {
            let mut candidate = Candidate::new(*place, *tier, Kind::Cloud);
            candidate.healthy = *standing == Standing::Fit;
            candidate
        };
        let mut candidates: Vec<Candidate> = all.iter().map(of).collect();
        let standing = |place: &Name| {
            let found = all.iter().find(|(name, ..)| *name == place.as_str());
            found.expect("it is one of them").2
        };
        spare(&mut candidates, standing);
        let healthy = candidates.iter().filter(|one| one.healthy).map(|one| one.place.as_str());
        assert_eq!(healthy.collect::<Vec<_>>(), stay);
    };
    let bad = [("t/a", "t", ejected(0.1)), ("t/b", "t", ejected(0.4)), ("t/c", "t", ejected(0.2))];
    check(&bad, &["t/b"]);
    // Where one is well, nobody who is not has to stay; each tier for itself.
    let [a, b, c] = bad;
    let others = [("u/a", "u", ejected(0.0)), ("u/b", "u", Standing::Away("it cannot be reached"))];
    let [d, e] = others;
    check(&[a, b, ("t/c", "t", Standing::Fit), d, e], &["t/c", "u/a"]);
    check(&[c], &["t/c"]);
}
