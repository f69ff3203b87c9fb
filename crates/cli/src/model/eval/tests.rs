//! What the grammar did is held against what a home exercise asked for.

use proto::v1::Action;

use super::is_done;

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
