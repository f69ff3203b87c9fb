//! Checks what counts as right.

use super::*;

fn check(skill: Skill, expected: &str, table: &[(&str, bool)]) {
    for (got, right) in table {
        assert_eq!(is_right(skill, expected, got), *right, "{skill}: {got}");
    }
}

#[test]
fn json_is_compared_as_values() {
    let action = r#"{"do":"dim","device":"den lamp","value":40}"#;
    check(
        Skill::Home,
        action,
        &[
            (action, true),
            (r#" { "value": 40, "device": "den lamp", "do": "dim" } "#, true),
            (r#"{"do":"dim","device":"den lamp","value":"40"}"#, false),
            (r#"{"do":"dim","device":"Den lamp","value":40}"#, false),
            (r#"{"do":"dim","device":"den lamp","value":40"#, false),
            ("", false),
        ],
    );
    let ops = r#"[{"op":"flip"},{"op":"rotate","by":90}]"#;
    check(Skill::Photo, ops, &[(ops, true), (r#"[{"op":"rotate","by":90},{"op":"flip"}]"#, false)]);
    check(Skill::Photo, "no json", &[("no json", false)]);
}

#[test]
fn of_working_only_the_conclusion_counts() {
    check(
        Skill::WordProblem,
        "3 * 8 = 24; 24 + 5 = 29; Answer: 29",
        &[
            ("Answer: 29", true),
            ("3 + 8 = 11; Answer: 11; no, Answer: 29", true),
            ("29", true),
            ("3 * 8 = 24; Answer: 24", false),
            ("3 * 8 = 24; 24 + 5 = 29;", false),
        ],
    );
    check(Skill::Arithmetic, "Answer: 14:35", &[("answer is 14:35", false), ("Answer:  14:35 ", true)]);
    check(Skill::Facts, "Mira", &[("mira", true), ("Mira: Ald; Answer: Mira", true), ("Mirano", false)]);
}

#[test]
fn text_is_compared_after_folding() {
    check(
        Skill::Memo,
        "- call Mira\n- print the plan",
        &[
            ("- call Mira\n- print the plan\n", true),
            ("- Call Mira\r\n -  print the plan.", true),
            ("- print the plan\n- call Mira", false),
        ],
    );
    check(Skill::Translate, "घर लाल है।", &[("घर लाल है", true), ("घर लाल है।", true), ("घर नीला है।", false)]);
    check(Skill::Translate, "房子很小。", &[("房子很小", true), ("房子很大。", false)]);
    check(Skill::Apps, "maps, camera", &[("Maps, camera.", true), ("camera, maps", false), ("maps", false)]);
}
