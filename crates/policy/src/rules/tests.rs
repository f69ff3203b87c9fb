//! What a policy file may say, and what is said of one that may not.

use proptest::prelude::*;

use crate::error::Code;
use crate::facts::{Facts, Priority, Privacy, Topic};
use crate::rules::Rules;
use crate::tests::shipped;

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

/// Parses and gives line, column, code and the whole message of the flaw.
fn flaw(text: &str) -> (usize, usize, Code, String) {
    let error = Rules::parse("p.toml", text).expect_err("the policy should be refused");
    let flaw = error.flaw().expect("a policy file has flaws and nothing else");
    (flaw.line, flaw.column, flaw.code, error.to_string())
}

#[test]
fn shipped_policies_parse() {
    for (name, text) in shipped() {
        let rules = Rules::parse(&name, &text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(rules.hash().len(), 64);
        assert_eq!(rules.classes().last().map(|class| class.name.to_string()).as_deref(), Some("default"));
    }
}

#[test]
fn a_policy_cut_at_any_byte_is_refused_or_whole_and_never_panics() {
    for (name, text) in shipped() {
        for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
            if let Err(error) = Rules::parse(&name, &text[..end]) {
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
    flaws.check(&format!("{SCHEMA}[[tier]\n"), (2, 8), Code::Syntax, &["[CW0001 syntax]"]);
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
        &policy(TIER, &more(CLASS, "when = 'priority == \"background\"'")),
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
        &policy(TIER, &more(CLASS, "when = 'topic == \"medicine\"'")),
        (11, 18),
        Code::ConditionNameUnknown,
        &["`topic` is never \"medicine\"", "did you mean `medical`?", "CW0014"],
    );
    flaws.check(
        &policy(TIER, &more(CLASS, "when = '\"credit-card\" in personal_data'")),
        (11, 9),
        Code::ConditionNameUnknown,
        &["`personal_data` is never \"credit-card\"", "did you mean `credit_card`?"],
    );
    flaws.check(
        &policy(TIER, &more(CLASS, "when = 'ä == 1'")),
        (11, 9),
        Code::ConditionSyntax,
        &["`ä` has no meaning here"],
    );
    // Where the text has escapes, its inside has no place in the file.
    flaws.check(
        &policy(TIER, &more(CLASS, "when = \"tenant == \\\"a\\\" && tenannt == \\\"b\\\"\"")),
        (11, 8),
        Code::ConditionNameUnknown,
        &["character 18", "did you mean `tenant`?"],
    );
    flaws.check(
        &policy(TIER, &more(CLASS, "when = { priority = \"background\" }")),
        (11, 8),
        Code::TypeWrong,
        &["a condition in quotes"],
    );
}

#[test]
fn values_that_a_field_cannot_have_say_which_it_can() {
    let mut flaws = Flaws::default();
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
    let zero = |limit: &str| policy(TIER, &format!("{limit}{CLASS}"));
    flaws.check(
        &zero("[[budget]]\nname = \"b\"\nusd_max = 0\nwindow_seconds = 60\n"),
        (9, 11),
        Code::BudgetZero,
        &["`usd_max` of [[budget]] is zero", "say `closed = true` in its [[tier]]"],
    );
    flaws.check(
        &zero("[[escalation_cap]]\nname = \"c\"\nshare_max = 0.0\nwindow_seconds = 60\n"),
        (9, 13),
        Code::BudgetZero,
        &["nothing may go up"],
    );
    flaws.check(
        &policy(TIER, &more(CLASS, "price_max_usd = 0")),
        (11, 17),
        Code::BudgetZero,
        &["only what is free is left", "forbid a class the tier with `tiers_forbidden`"],
    );
    let few =
        zero("[[escalation_cap]]\nname = \"c\"\nshare_max = 0\nfree_requests = 3\nwindow_seconds = 60\n");
    assert!(Rules::parse("p.toml", &few).is_ok(), "a few requests are no nothing");
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
    let text = include_str!("../../../../deploy/policies/demo.toml");
    let rules = Rules::parse("demo.toml", text).expect("the shipped policy");
    let check = |facts: Facts, class: &str| assert_eq!(rules.class_of(&facts).name, class, "{facts:?}");
    check(Facts::default(), "default");
    check(Facts { priority: Priority::Background, ..Facts::default() }, "background");
    check(Facts { topic: Topic::Medical, priority: Priority::Background, ..Facts::default() }, "medical");
    check(Facts { topic: Topic::SelfHarm, privacy: Privacy::LocalOnly, ..Facts::default() }, "medical");
    check(Facts { privacy: Privacy::LocalOnly, ..Facts::default() }, "private");
    check(Facts { topic: Topic::Legal, ..Facts::default() }, "default");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_policy_with_any_bits_changed_is_refused_or_whole_and_never_panics(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..8_u8), 1..4),
    ) {
        let shipped = shipped();
        let (name, text) = &shipped[which.index(shipped.len())];
        let mut bytes = text.clone().into_bytes();
        for (at, bit) in changes {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        match Rules::parse(name, &String::from_utf8_lossy(&bytes)) {
            Ok(rules) => { rules.class_of(&Facts::default()); }
            Err(error) => {
                let flaw = error.flaw().expect("a flaw");
                prop_assert!(flaw.line >= 1 && flaw.column >= 1 && !flaw.mend.is_empty());
            }
        }
    }
}

#[test]
fn facts_of_a_probe_are_held_to_their_names_and_types() {
    let mut flaws = Flaws::default();
    let probe = |fields: &str| format!("{SCHEMA}{TIER}{CLASS}[[probe]]\nname = \"p\"\n{fields}\n");
    flaws.check(&probe(""), (11, 1), Code::FieldMissing, &["`p` expects nothing"]);
    flaws.check(
        &probe("expect_no_place = true\nfacts = { tenannt = \"a\" }"),
        (14, 11),
        Code::NameUnknown,
        &["there is no fact `tenannt`", "did you mean `tenant`?"],
    );
    flaws.check(
        &probe("expect_no_place = true\nfacts = { prompt_tokens = \"a\" }"),
        (14, 11),
        Code::TypeWrong,
        &["`prompt_tokens` does not fit"],
    );
    flaws.check(
        &probe("expect_tier = \"devise\""),
        (13, 15),
        Code::NameUnknown,
        &["which is no [[tier]]", "did you mean `device`?"],
    );
    flaws.check(&probe("expect_no_place = 1"), (13, 19), Code::TypeWrong, &["true or false"]);
}

#[test]
fn energy_needs_a_price_and_limits_need_names_that_are_known() {
    let mut flaws = Flaws::default();
    let powered = TIER.replace("output_usd_per_million_tokens = 0.002", "joules_per_output_token = 0.5");
    flaws.check(&policy(&powered, CLASS), (2, 1), Code::FieldMissing, &["lacks `usd_per_joule`"]);
    flaws.check(
        &policy(TIER, &format!("{CLASS}[[budget]]\nname = \"b\"\nusd_max = 1\nwindow_seconds = 0\n")),
        (14, 18),
        Code::ValueOutOfRange,
        &["from 1 to"],
    );
    flaws.check(
        &policy(TIER, &format!("{CLASS}[[escalation_cap]]\nname = \"c\"\nclasses = [\"defalt\"]\n")),
        (13, 12),
        Code::NameUnknown,
        &["which is no [[class]]", "did you mean `default`?"],
    );
    flaws.check(
        &policy(TIER, &format!("{CLASS}[[escalation_cap]]\nname = \"c\"\nshare_max = 1.5\n")),
        (13, 13),
        Code::ValueOutOfRange,
        &["from 0 to 1"],
    );
    let many: String = (0..40)
        .map(|index| {
            let list = vec![format!("\"{index}\""); 500].join(", ");
            format!("{}when = 'tenant in [{list}]'\n", CLASS.replace("default", &format!("c{index}")))
        })
        .collect();
    flaws.check(
        &policy(TIER, &(many + CLASS)),
        (1, 1),
        Code::ConditionTooLarge,
        &["all conditions together"],
    );
}
