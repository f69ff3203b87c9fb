//! What a policy file may say, and what is said of one that may not.

use crate::error::Code;
use crate::facts::{Facts, Priority, Privacy, Topic};
use crate::rules::Rules;

const TIER: &str = r#"[[tier]]
name = "device"
kind = "device"
input_usd_per_million_tokens = 0.001
output_usd_per_million_tokens = 0.002
"#;

const CLASS: &str = r#"[[class]]
name = "default"
second_usd = 0.001
wrong_answer_usd = 0.01
"#;

const SCHEMA: &str = "schema = \"causeway.policy/v1\"\n";

fn shipped() -> [(&'static str, &'static str); 2] {
    [
        ("demo.toml", include_str!("../../../../deploy/policies/demo.toml")),
        ("published-tiers.toml", include_str!("../../../../deploy/policies/published-tiers.toml")),
    ]
}

/// Parses and gives line, column, code and the whole message of the flaw.
fn flaw(text: &str) -> (usize, usize, Code, String) {
    let error = Rules::parse("p.toml", text).expect_err("the policy should be refused");
    let flaw = error.flaw().expect("a policy file has flaws and nothing else");
    (flaw.line, flaw.column, flaw.code, error.to_string())
}

#[test]
fn shipped_policies_parse() {
    for (name, text) in shipped() {
        let rules = Rules::parse(name, text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(rules.hash().len(), 64);
        assert_eq!(rules.classes().last().map(|class| class.name.to_string()).as_deref(), Some("default"));
    }
}

#[test]
fn a_policy_cut_at_any_byte_is_refused_or_whole_and_never_panics() {
    for (name, text) in shipped() {
        for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
            if let Err(error) = Rules::parse(name, &text[..end]) {
                let flaw = error.flaw().expect("a flaw");
                assert!(flaw.line >= 1 && flaw.column >= 1 && !flaw.mend.is_empty());
            }
        }
    }
}

/// Counts where flaws are found and what is said of them, and complains of all that differ together.
#[derive(Default)]
struct Flaws(Vec<String>);

impl Flaws {
    fn check(&mut self, text: &str, (line, column): (usize, usize), code: Code, says: &[&str]) {
        let (is_line, is_column, is_code, message) = flaw(text);
        let said = says.iter().all(|part| message.contains(part));
        if (is_line, is_column, is_code) != (line, column, code) || !said {
            self.0.push(format!("{message}\n  wanted {line}:{column} {code:?} {says:?}"));
        }
        assert!(message.starts_with(&format!("p.toml:{is_line}:{is_column}: ")), "{message}");
    }
}

impl Drop for Flaws {
    fn drop(&mut self) {
        assert!(self.0.is_empty(), "{}", self.0.join("\n"));
    }
}

/// A policy of these parts.
fn policy(tier: &str, class: &str) -> String {
    format!("{SCHEMA}{tier}{class}")
}

/// A part with one more line.
fn more(to: &str, line: &str) -> String {
    format!("{to}{line}\n")
}

#[test]
fn flaws_of_form_say_where_they_are_and_how_to_mend_them() {
    let mut flaws = Flaws::default();
    flaws.check("", (1, 1), Code::Schema, &["schema = \"causeway.policy/v1\""]);
    flaws.check("schema = \"causeway.policy/v9\"", (1, 10), Code::Schema, &["causeway.policy/v9"]);
    flaws.check(&format!("{SCHEMA}[[tier]\n"), (2, 8), Code::Syntax, &["[syntax]"]);
    flaws.check(&policy("", CLASS), (1, 1), Code::FieldMissing, &["[[tier]]"]);
    flaws.check(&policy(TIER, ""), (1, 1), Code::ClassCatchAllMissing, &["no `when`"]);
    flaws.check(
        &policy(TIER, &more(CLASS, "second_used = 1")),
        (11, 1),
        Code::FieldUnknown,
        &["`second_used`", "did you mean `second_usd`?"],
    );
    flaws.check(
        &policy(TIER, &more(CLASS, "colour = 1")),
        (11, 1),
        Code::FieldUnknown,
        &["known are `name`, `when`"],
    );
    flaws.check(
        &policy(TIER, &CLASS.replace("second_usd = 0.001\n", "")),
        (7, 1),
        Code::FieldMissing,
        &["[[class]] lacks `second_usd`"],
    );
    flaws.check(
        &policy(TIER, &CLASS.replace("0.001", "-0.001")),
        (9, 14),
        Code::ValueOutOfRange,
        &["`second_usd` is -0.001", "from 0 to 1000000"],
    );
    flaws.check(&policy(TIER, &CLASS.replace("0.001", "nan")), (9, 14), Code::ValueOutOfRange, &["is NaN"]);
    flaws.check(&policy(TIER, &CLASS.replace("0.001", "inf")), (9, 14), Code::ValueOutOfRange, &["is inf"]);
    flaws.check(
        &policy(TIER, &CLASS.replace("0.001", "\"dear\"")),
        (9, 14),
        Code::TypeWrong,
        &["give a number"],
    );
    flaws.check(
        &policy(&TIER.replace("= \"device\"\nk", "= \" \"\nk"), CLASS),
        (3, 8),
        Code::ValueOutOfRange,
        &["empty"],
    );
    flaws.check(
        &policy(&TIER.replace("kind = \"device\"", "kind = \"devise\""), CLASS),
        (4, 8),
        Code::NameUnknown,
        &["`devise`", "did you mean `device`?"],
    );
    flaws.check(
        &policy(&format!("{TIER}{TIER}"), CLASS),
        (8, 8),
        Code::NameTaken,
        &["a tier `device` already"],
    );
}

#[test]
fn flaws_of_meaning_say_where_they_are_and_how_to_mend_them() {
    let mut flaws = Flaws::default();
    flaws.check(
        &policy(TIER, &format!("{CLASS}{}", CLASS.replace("default", "late"))),
        (11, 1),
        Code::ClassUnreachable,
        &["`default` before it takes everything"],
    );
    flaws.check(
        &policy(TIER, &more(CLASS, "when = { priority = \"background\" }")),
        (7, 1),
        Code::ClassCatchAllMissing,
        &["end with a [[class]] that has no `when`"],
    );
    flaws.check(
        &policy(TIER, &more(CLASS, "tiers_forbidden = [\"device\", \"devicf\"]")),
        (11, 30),
        Code::NameUnknown,
        &["`devicf`, which is no [[tier]]", "did you mean `device`?"],
    );
    flaws.check(
        &policy(TIER, &more(CLASS, "when = { topic_any = [\"medicine\"] }")),
        (11, 23),
        Code::NameUnknown,
        &["did you mean `medical`?"],
    );
    flaws.check(
        &policy(TIER, &more(CLASS, "when = { prompt_tokens_min = -1 }")),
        (11, 30),
        Code::ValueOutOfRange,
        &["`prompt_tokens_min` is -1"],
    );
    flaws.check(
        &policy(&more(TIER, "abilities = []"), CLASS),
        (7, 13),
        Code::ValueOutOfRange,
        &["from 1 to 8 numbers"],
    );
    flaws.check(
        &policy(&more(TIER, "abilities = [1, \"x\"]"), CLASS),
        (7, 17),
        Code::TypeWrong,
        &["finite numbers"],
    );
    flaws.check(
        &policy(&more(TIER, "context_tokens_max = 0"), CLASS),
        (7, 22),
        Code::ValueOutOfRange,
        &["from 1"],
    );
    flaws.check(&format!("{SCHEMA}tier = 3\n{CLASS}"), (2, 8), Code::TypeWrong, &["[[tier]]"]);
    flaws.check(
        &policy(&format!("[defaults]\nexpected_seconds_unknown = 0\n{TIER}"), CLASS),
        (3, 28),
        Code::ValueOutOfRange,
        &["from 0.001"],
    );
    // The column counts characters, not bytes.
    flaws.check(&policy(TIER, &CLASS.replace("0.001", "\"ä\" x")), (9, 18), Code::Syntax, &[]);
}

#[test]
fn a_file_beyond_the_bound_is_refused_unread() {
    let text = format!("{SCHEMA}{}", "#\n".repeat(super::RULES_BYTES_MAX));
    assert_eq!(flaw(&text).2, Code::TooLarge);
    let many: String = (0..=super::LIST_LEN_MAX).map(|index| format!("\"t{index}\",")).collect();
    let text = format!("{SCHEMA}{TIER}{CLASS}places_forbidden = [{many}]\n");
    assert_eq!(flaw(&text).2, Code::TooLarge);
}

#[test]
fn the_hash_is_of_the_text() {
    let hash = |text: &str| Rules::parse("p.toml", text).map(|rules| rules.hash().clone());
    let text = format!("{SCHEMA}{TIER}{CLASS}");
    assert_eq!(hash(&text), hash(&text));
    assert_ne!(hash(&text), hash(&format!("{text}# a remark\n")));
}

#[test]
fn the_first_class_that_matches_is_taken() {
    let (name, text) = shipped()[0];
    let rules = Rules::parse(name, text).expect("the shipped policy");
    let check = |facts: Facts, class: &str| assert_eq!(rules.class_of(&facts).name, class, "{facts:?}");
    check(Facts::default(), "default");
    check(Facts { priority: Priority::Background, ..Facts::default() }, "background");
    check(Facts { topic: Topic::Medical, priority: Priority::Background, ..Facts::default() }, "medical");
    check(Facts { topic: Topic::SelfHarm, privacy: Privacy::LocalOnly, ..Facts::default() }, "medical");
    check(Facts { privacy: Privacy::LocalOnly, ..Facts::default() }, "private");
    check(Facts { topic: Topic::Legal, ..Facts::default() }, "default");
}

#[test]
fn every_condition_must_hold_and_one_of_each_list() {
    let with = |when: &str| {
        let class = CLASS.replace("default", "special") + &format!("when = {{ {when} }}\n");
        Rules::parse("p.toml", &format!("{SCHEMA}{TIER}{class}{CLASS}"))
            .unwrap_or_else(|error| panic!("{error}"))
    };
    let facts = || Facts {
        prompt_tokens: 100,
        tenant: "acme".into(),
        language: "hi".into(),
        residency: Some("in".into()),
        topic: Topic::Legal,
        priority: Priority::Interactive,
        ..Facts::default()
    };
    let check = |when: &str, matches: bool| {
        let class = with(when).class_of(&facts()).name.to_string();
        assert_eq!(class == "special", matches, "{when}");
    };
    check("tenant_any = [\"other\", \"acme\"]", true);
    check("tenant_any = [\"other\"]", false);
    check("language_any = [\"hi\", \"en\"], topic = \"legal\"", true);
    check("language_any = [\"hi\", \"en\"], topic = \"medical\"", false);
    check("residency_any = [\"in\"]", true);
    check("residency_any = [\"de\"]", false);
    check("prompt_tokens_min = 100, prompt_tokens_max = 100", true);
    check("prompt_tokens_min = 101", false);
    check("prompt_tokens_max = 99", false);
    check("priority = \"normal\", priority_any = [\"interactive\"]", true);
    check("privacy_any = [\"local_only\", \"normal\"]", true);
    assert_eq!(with("residency_any = [\"in\"]").class_of(&Facts::default()).name, "default");
}
