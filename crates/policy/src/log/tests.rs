//! Lines are read as they were written, and broken ones are refused.

use proptest::prelude::*;

use super::{DecisionLine, LINE_BYTES_MAX, Outcome};
use crate::{Candidate, Facts, Kind, Rules, decide, replay};

fn rules() -> Rules {
    Rules::parse("demo.toml", include_str!("../../../../deploy/policies/demo.toml"))
        .unwrap_or_else(|error| panic!("{error}"))
}

fn line() -> DecisionLine {
    let device = Candidate::new("device", "device", Kind::Device);
    let decision = decide(&rules(), &Facts { prompt_tokens: 9, ..Facts::default() }, &[device], 3);
    let outcome = Outcome { usd: 0.1, seconds: 0.3, ttft_seconds: 0.1, output_tokens: 7, right: Some(true) };
    DecisionLine {
        propensity: Some(0.9),
        outcome: Some(outcome),
        ..DecisionLine::new(&decision, 5, "t", "router")
    }
}

#[test]
fn a_line_is_read_as_it_was_written_and_replays() {
    let written = line().to_json();
    assert!(!written.contains("\"text\":") && !written.contains('\n'));
    let read = DecisionLine::parse(&written).expect("a line");
    assert_eq!(read, line());
    let again = replay(&rules(), &read.record).expect("the same rules");
    assert_eq!(again.place.map(|place| place.place), read.place);
}

#[test]
fn what_no_decision_says_is_refused() {
    let check = |change: &dyn Fn(&mut DecisionLine), says: &str| {
        let mut line = line();
        change(&mut line);
        let error = DecisionLine::parse(&line.to_json()).expect_err(says).to_string();
        assert!(error.contains(says), "{error}");
    };
    check(&|line| line.schema = "causeway.decision-log/v9".into(), "is read");
    check(&|line| line.place = Some("moon".into()), "`moon` was taken");
    check(&|line| line.propensity = Some(0.0), "above 0");
    check(&|line| line.propensity = Some(1.5), "at most 1");
    check(&|line| line.outcome = Some(Outcome { seconds: -1.0, ..Outcome::default() }), "negative");
    check(&|line| line.text = Some("x".repeat(LINE_BYTES_MAX)), "bytes");
    assert!(DecisionLine::parse("").is_err() && DecisionLine::parse("{\"schema\":1}").is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_broken_line_is_refused_or_read_and_never_panics(at in any::<prop::sample::Index>(), bit in 0..8_u8, cut: bool) {
        let mut bytes = line().to_json().into_bytes();
        let at = at.index(bytes.len());
        if cut {
            bytes.truncate(at);
        } else {
            bytes[at] ^= 1 << bit;
        }
        let _ = DecisionLine::parse(&String::from_utf8_lossy(&bytes));
    }
}
