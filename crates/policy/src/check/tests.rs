//! What is found, and what is not.

use proptest::prelude::*;
use score::score;

use super::{Severity, check};
use crate::{Code, Error, Rules};

const TIERS: &str = r#"
schema = "causeway.policy/v1"
[[tier]]
name = "device"
kind = "device"
input_usd_per_million_tokens = 0.01
output_usd_per_million_tokens = 0.01
abilities = [1.0, 0.0]
seconds_per_output_token = 0.01
[[tier]]
name = "cloud"
kind = "cloud"
input_usd_per_million_tokens = 1
output_usd_per_million_tokens = 1
abilities = [0.0, 1.0]
regions = ["eu"]
seconds_per_output_token = 0.001
"#;

const CATCH_ALL: &str = "[[class]]\nname = \"default\"\nsecond_usd = 0.001\nwrong_answer_usd = 0.01\n";

fn class(name: &str, when: &str, more: &str) -> String {
    format!(
        "[[class]]\nname = \"{name}\"\nwhen = '{when}'\nsecond_usd = 0.001\nwrong_answer_usd = 0.01\n{more}\n"
    )
}

/// Severity, code and whole message of all that is found.
fn found(middle: &str) -> Vec<(Severity, &'static str, String)> {
    let text = format!("{TIERS}{middle}{CATCH_ALL}");
    let rules = Rules::parse("p.toml", &text).unwrap_or_else(|error| panic!("{error}"));
    check(&rules)
        .into_iter()
        .map(|finding| (finding.severity, finding.flaw.code.name(), finding.flaw.to_string()))
        .collect()
}

#[test]
fn a_sound_policy_has_no_findings() {
    assert_eq!(found(""), []);
    assert_eq!(found(&class("urgent", "priority == \"interactive\"", "")), []);
    let kept = class(
        "private",
        "size(private_content) > 0 || \"credit_card\" in personal_data",
        "privacy = \"local_only\"",
    );
    assert_eq!(found(&kept), []);
}

fn check_found(middle: &str, severity: Severity, code: &str, says: &str) {
    let all = found(middle);
    let hit = all.iter().any(|(is, name, text)| *is == severity && *name == code && text.contains(says));
    assert!(hit, "{severity:?} {code} {says}\n{all:#?}");
}

#[test]
fn what_is_valid_and_dangerous_is_refused_with_its_code() {
    let shadowed = class("a", "topic != \"none\"", "") + &class("b", "topic == \"legal\"", "");
    let never = class("a", "topic == \"legal\" && topic == \"medical\"", "");
    let dangerous = [
        ("a tier that nobody has", class("a", "in_scope", "tiers_only = [\"clouds\"]")),
        ("a class that no request reaches", shadowed),
        ("a condition that never holds", never),
        (
            "a class without a place",
            class("a", "topic == \"legal\"", "tiers_forbidden = [\"cloud\", \"device\"]"),
        ),
        ("privacy by what may not be told", class("a", "residency == \"eu\"", "privacy = \"local_only\"")),
        ("a budget of nothing", "[[budget]]\nname = \"b\"\nusd_max = 0\nwindow_seconds = 60\n".to_owned()),
        (
            "a cap of nothing",
            "[[escalation_cap]]\nname = \"c\"\nshare_max = 0\nwindow_seconds = 60\n".to_owned(),
        ),
        ("a price of nothing", class("a", "in_scope", "price_max_usd = 0")),
    ];
    // Whether it is refused, and what is said of it.
    let judged = |middle: &str| match Rules::parse("p.toml", &format!("{TIERS}{middle}{CATCH_ALL}")) {
        Err(Error::Rules(flaw)) => (true, vec![flaw.code]),
        Err(_) => (true, Vec::new()),
        Ok(rules) => {
            let findings = check(&rules);
            let refused = findings.iter().any(|finding| finding.severity == Severity::Error);
            (refused, findings.iter().map(|finding| finding.flaw.code).collect())
        }
    };
    let judged = dangerous.each_ref().map(|(name, middle)| (*name, judged(middle)));
    let of = |list: &[&str]| if list.is_empty() { "none".to_owned() } else { list.join(", ") };
    let page = include_str!("../../../../docs/policy.md");
    let read = |code: &Code| page.contains(&format!("<a id=\"{}\"></a>", code.id().to_lowercase()));
    let passed: Vec<&str> =
        judged.iter().filter(|(_, (refused, _))| !refused).map(|(name, _)| *name).collect();
    let untold = judged.iter().filter(|(_, (_, codes))| codes.is_empty() || !codes.iter().all(read));
    let untold: Vec<&str> = untold.map(|(name, _)| *name).collect();
    score!(
        "C2",
        passed.is_empty() && untold.is_empty(),
        "{} of {} refused; without a code and its place in docs/policy.md: {}; not refused: {}",
        dangerous.len() - passed.len(),
        dangerous.len(),
        of(&untold),
        of(&passed)
    );
    assert!(passed.is_empty() && untold.is_empty(), "{judged:?}");
}

#[test]
fn a_closed_tier_is_no_mistake_and_a_class_that_has_nothing_else_is() {
    let closed = TIERS.replacen("name = \"cloud\"\n", "name = \"cloud\"\nclosed = true\n", 1);
    assert_ne!(closed, TIERS);
    let codes = |text: &str| -> Vec<&'static str> {
        let rules = Rules::parse("p.toml", text).unwrap_or_else(|error| panic!("{error}"));
        check(&rules).iter().map(|finding| finding.flaw.code.name()).collect()
    };
    let text = format!("{closed}{CATCH_ALL}");
    assert_eq!(codes(&text), [] as [&str; 0]);
    let rules = Rules::parse("p.toml", &text).expect("a policy");
    let decision = crate::decide(&rules, &crate::Facts::default(), &rules.described_candidates(), 0);
    let removals = decision.trail.candidates.iter().filter_map(|one| one.removal.as_ref());
    let removals: Vec<String> = removals.map(|why| format!("{}: {why}", why.code())).collect();
    assert_eq!(removals, ["closed: the tier cloud is closed"]);
    let only = class("a", "topic == \"legal\"", "tiers_only = [\"cloud\"]");
    assert_eq!(codes(&format!("{closed}{only}{CATCH_ALL}")), ["constraint_impossible"]);
}

#[test]
fn mistakes_of_conditions_are_found_with_their_mend() {
    use Severity::{Error, Note, Warning};
    use check_found as check;
    let (a, b) = (class("a", "topic != \"none\"", ""), class("b", "topic == \"legal\"", ""));
    check(&format!("{a}{b}"), Error, "class_unreachable", "`b`: its condition never holds, or `a` take");
    check(
        &class("a", "topic == \"legal\" && topic == \"medical\"", ""),
        Error,
        "class_unreachable",
        "never holds",
    );
    check(
        &class("a", "prompt_tokens > 10 && prompt_tokens < 11", ""),
        Error,
        "class_unreachable",
        "never holds",
    );
    check(
        &class("a", "tenant.startsWith(\"x\") && tenant == \"y\"", ""),
        Note,
        "class_unreachable",
        "was tried",
    );
    let odd = class("a", "tenant.startsWith(\"x\") && tenant.endsWith(\"y\") && size(tenant) == 5", "");
    check(&odd, Note, "class_unreachable", "was tried");
    for probe in ["facts = { tenant = \"xaaay\" }\nexpect_kind = \"cloud\"", "expect_class = \"a\""] {
        let probed = found(&format!("{odd}[[probe]]\nname = \"p\"\n{probe}\n"));
        assert!(probed.iter().all(|(_, code, _)| *code != "class_unreachable"), "{probed:?}");
    }
    check(&class("a", "in_scope || !in_scope", ""), Warning, "condition_constant", "`a` always holds");
    check(
        &class("a", "deadline_seconds < 2.0", ""),
        Warning,
        "condition_undecided",
        "has(request.deadline_seconds)",
    );
    let guarded = found(&class("a", "has(request.deadline_seconds) && deadline_seconds < 2.0", ""));
    assert!(guarded.iter().all(|(_, code, _)| *code != "condition_undecided"), "{guarded:?}");
    check(
        &class("a", "residency == \"eu\"", "privacy = \"local_only\""),
        Error,
        "condition_undecided",
        "has(request.residency)",
    );
}

#[test]
fn mistakes_of_limits_are_found_with_their_mend() {
    use Severity::{Error, Note};
    use check_found as check;
    check(
        &class("a", "topic == \"legal\"", "tiers_only = [\"cloud\"]\ntiers_forbidden = [\"cloud\"]"),
        Error,
        "constraint_impossible",
        "class a forbids it",
    );
    check(
        &class("a", "topic == \"legal\"", "tiers_forbidden = [\"device\"]"),
        Note,
        "constraint_narrow",
        "such as topic = \"legal\", privacy = \"home_only\" (cloud: the request may not leave the home",
    );
    check(
        &class("a", "topic == \"legal\"", "residency = \"in\"\ntiers_forbidden = [\"device\"]"),
        Error,
        "constraint_impossible",
        "the data must stay in in",
    );
    let lifted = "[[escalation_cap]]\nname = \"c\"\nshare_max = 0.1\nwindow_seconds = 60\n".to_owned()
        + &class("a", "topic == \"legal\"", "tiers_forbidden = [\"device\"]");
    check(&lifted, Note, "cap_lifted", "requests of `a`");
    check("[[probe]]\nname = \"p\"\nexpect_kind = \"cloud\"\n", Note, "probe_missing", "`default`");
}

#[test]
fn private_requests_that_could_leave_are_found() {
    let hole = |middle: &str| {
        let holes = found(middle).into_iter().filter(|(_, code, _)| *code == "privacy_hole");
        holes.map(|(_, _, text)| text).collect::<Vec<_>>().join("\n")
    };
    let open = hole(&class("a", "\"health\" in private_content", ""));
    assert!(open.contains("could go to `cloud` (private_content = [\"health\"])"), "{open}");
    assert_eq!(hole(&class("a", "\"health\" in private_content", "tiers_only = [\"device\"]")), "");
    assert_eq!(hole(&class("a", "size(personal_data) == 0 && in_scope", "")), "");
    let kept = class("kept", "\"credit_card\" in personal_data", "privacy = \"local_only\"");
    let taken = hole(&format!("{}{kept}", class("first", "topic == \"legal\"", "")));
    assert!(taken.contains("`first` takes a request that `kept` would keep"), "{taken}");
    assert!(taken.contains("move `kept` before `first`"), "{taken}");
    assert_eq!(hole(&format!("{kept}{}", class("second", "topic == \"legal\"", ""))), "");
    let meant = class("a", "\"health\" in private_content", "privacy = \"normal\"");
    assert_eq!(hole(&meant), "", "that it may leave was said");
    let resident =
        class("resident", "\"health\" in private_content", "residency = \"in\"\nprivacy = \"normal\"");
    let abroad = hole(&format!("{}{resident}", class("first", "topic == \"legal\"", "")));
    assert!(abroad.contains("`first` takes a request that `resident` would keep"), "{abroad}");
    let there = class("first", "topic == \"legal\"", "residency = \"in\"");
    assert_eq!(hole(&format!("{there}{resident}")), "");
    let errors = found(&class("a", "\"health\" in private_content", ""));
    assert!(errors.iter().any(|(severity, ..)| *severity == Severity::Error), "{errors:?}");
}

#[test]
fn conditions_on_more_than_can_be_tried_say_so() {
    let is_one_of = |field: &str| {
        let each = (0..9).map(|index| format!("{field} == \"{index}\""));
        each.collect::<Vec<_>>().join(" || ")
    };
    let many = ["tenant", "device", "conversation"].map(is_one_of).join(" || ");
    let notes = found(&class("a", &many, ""));
    let sampled = notes.iter().find(|(_, code, _)| *code == "check_sampled").expect("a note");
    assert!(sampled.0 == Severity::Note && sampled.2.contains("6000 were drawn"), "{sampled:?}");
    assert!(found(&class("a", &is_one_of("tenant"), "")).iter().all(|(_, code, _)| *code != "check_sampled"));
}

#[test]
fn a_tier_that_nobody_may_use_is_found_and_one_that_never_wins() {
    let all = class("a", "in_scope", "tiers_only = [\"device\"]");
    let text = format!("{TIERS}{all}{CATCH_ALL}tiers_only = [\"device\"]\n");
    let names = |text: &str| -> Vec<&'static str> {
        let rules = Rules::parse("p.toml", text).unwrap_or_else(|error| panic!("{error}"));
        check(&rules).iter().map(|finding| finding.flaw.code.name()).collect()
    };
    assert_eq!(names(&text), ["tier_unreachable"]);
    let dear =
        TIERS.replace("input_usd_per_million_tokens = 1\n", "input_usd_per_million_tokens = 1000000\n");
    assert_eq!(names(&format!("{dear}{CATCH_ALL}")), ["tier_never_best"]);
}

#[test]
fn the_shipped_policies_have_no_errors_and_no_warnings() {
    for (name, text) in crate::tests::shipped() {
        let rules = Rules::parse(&name, &text).unwrap_or_else(|error| panic!("{error}"));
        for finding in check(&rules) {
            assert_eq!(finding.severity, Severity::Note, "{}", finding.flaw);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_parses_is_checked_without_a_panic(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..10_u8), 1..4),
    ) {
        let shipped = crate::tests::shipped();
        let (name, text) = &shipped[which.index(shipped.len())];
        // Digits only, so that most of what comes is still a policy.
        let mut bytes = text.clone().into_bytes();
        let digits: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at].is_ascii_digit()).collect();
        for (at, digit) in changes {
            bytes[digits[at.index(digits.len())]] = b'0' + digit;
        }
        if let Ok(rules) = Rules::parse(name, &String::from_utf8_lossy(&bytes)) {
            for finding in check(&rules) {
                prop_assert!(finding.flaw.line >= 1 && !finding.flaw.mend.is_empty());
            }
        }
    }
}
