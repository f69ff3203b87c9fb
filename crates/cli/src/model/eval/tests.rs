//! What the grammar did is held against what a home exercise asked for; what could not be compared is said.

use std::path::Path;

use proto::v1::Action;

use super::{Difference, Losses, caps, is_done, print_losses};

#[test]
fn an_action_is_right_where_it_does_what_was_asked() {
    let check = |expected: &str, (name, arguments): (&str, &str), right: bool| {
        let action = Action { name: name.into(), entity_id: String::new(), arguments_json: arguments.into() };
        assert_eq!(is_done(expected, &action), right, "{expected} by {name} {arguments}");
    };
    let timer = r#"{"do":"timer","value":37}"#;
    check(timer, ("set_timer", r#"{"duration_seconds":2220}"#), true);
    check(timer, ("set_timer", r#"{"duration_seconds":37}"#), false);
    check(timer, ("cancel_timer", r#"{"duration_seconds":2220}"#), false);
    check(timer, ("set_timer", "{}"), false);
    check(r#"{"do":"turn_on","device":"lamp"}"#, ("turn_on", "{}"), false);
    check("no JSON", ("set_timer", "{}"), false);
}

#[test]
fn a_loss_that_cannot_be_measured_says_why() {
    let told = |device, replaced| {
        let cloud = Some(Difference { mean: 0.0017, low: -0.0017, high: 0.005 });
        let mut out = Vec::new();
        print_losses(&Losses { device, cloud, replaced }, &mut out).expect("a list takes it");
        String::from_utf8(out).expect("text")
    };
    let missing = told(None, [false, false]);
    assert!(missing.contains("device: no BF16 weights here") && missing.contains("full.sh"), "{missing}");
    assert!(missing.contains("cloud: 4-bit weights lose +0.17 points"), "{missing}");
    let replaced = told(None, [true, false]);
    assert!(replaced.contains("device: not the demo's model"), "{replaced}");
}

#[test]
fn the_caps_in_force_are_those_of_the_policy() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/policies/demo.toml");
    let found = caps(&file).expect("the demo's policy");
    assert!(found.len() == 1 && found[0].name == "up" && found[0].share_max > 0.0, "{found:?}");
    assert!(caps(Path::new("nowhere.toml")).is_err_and(|error| error.to_string().contains("nowhere.toml")));
}
