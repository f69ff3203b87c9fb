//! What a seal outlives, and what it does not.

use crate::error::Code;
use crate::rules::Rules;
use crate::tests::shipped;
use crate::{format, seal};

const POLICY: &str = r#"schema = "causeway.policy/v1" # the edition
[[tier]]
name = "device"
kind = "device"
input_usd_per_million_tokens = 0.001
output_usd_per_million_tokens = 2
regions = ["de", "fr"]
[[class]]
name = "at night"
when = 'signals.prompt_tokens > 10'
second_usd = 1e-6
wrong_answer_usd = 0.01
[[class]]
name = "default"
second_usd = 0.001
wrong_answer_usd = 0.01
[[probe]]
name = "p"
facts = { prompt_tokens = 12, topic = "none" }
expect_class = "at night"
"#;

fn sealed(text: &str) -> String {
    seal("p.toml", text).unwrap_or_else(|error| panic!("{error}"))
}

/// Line, column and code of the flaw for which a policy is not taken where seals are demanded.
fn refused(text: &str) -> Option<(usize, usize, Code)> {
    let error = Rules::parse_sealed("p.toml", text).err()?;
    error.flaw().map(|flaw| (flaw.line, flaw.column, flaw.code))
}

/// All that a policy says.
fn said(rules: &Rules) -> serde_json::Value {
    serde_json::to_value(rules).expect("rules are written")
}

#[test]
fn a_seal_stands_after_the_edition_and_changes_no_other_byte() {
    let text = sealed(POLICY);
    let (first, rest) = text.split_once('\n').expect("lines");
    let (line, rest) = rest.split_once('\n').expect("lines");
    assert_eq!(format!("{first}\n{rest}"), POLICY);
    assert!(line.starts_with("checksum = \"blake3:") && line.len() == 12 + 7 + 64 + 1, "{line}");
    assert_eq!(sealed(&text), text);
    assert!(Rules::parse("p.toml", &text).expect("a policy").is_sealed());
    assert!(!Rules::parse("p.toml", POLICY).expect("a policy").is_sealed());
    let windows = POLICY.replace('\n', "\r\n");
    assert_eq!(sealed(&windows), text.replace('\n', "\r\n"));
    assert!(seal("p.toml", &POLICY.replace("second_usd = 1e-6", "second_usd = -1")).is_err(), "no policy");
}

#[test]
fn what_was_changed_is_sealed_anew_in_its_place() {
    let text = sealed(POLICY);
    let changed = text.replace("second_usd = 0.001", "second_usd = 0.002");
    let error = Rules::parse("p.toml", &changed).expect_err("the seal is broken").to_string();
    assert!(error.starts_with("p.toml:2:12: ") && error.contains("[CW0029 checksum_wrong]"), "{error}");
    assert!(error.contains("`causeway policy seal p.toml`"), "{error}");
    let again = sealed(&changed);
    assert_eq!(refused(&again), None);
    assert_ne!(again, changed);
    assert_eq!(again.lines().count(), text.lines().count());
    for broken in ["checksum = 3\n", "checksum = \"\"\n", "checksum = \"md5:00\"\n", "[checksum]\n"] {
        let text = format!(
            "schema = \"causeway.policy/v1\"\n{broken}{}",
            &POLICY[POLICY.find("[[tier").expect("a tier")..]
        );
        assert_eq!(refused(&text).map(|(line, ..)| line), Some(2), "{broken}");
    }
}

#[test]
fn no_seal_is_refused_where_one_is_demanded_and_nowhere_else() {
    assert_eq!(refused(POLICY), Some((1, 1, Code::ChecksumMissing)));
    assert!(Rules::parse("p.toml", POLICY).is_ok());
    let off = sealed(POLICY).replace("checksum =", "# checksum =");
    assert_eq!(refused(&off), Some((1, 1, Code::ChecksumMissing)));
    // What is wrong in one place is told with that place, seal or not.
    let off =
        sealed(POLICY).replace("wrong_answer_usd = 0.01\n[[probe]]", "wrong_answer_usd = -1\n[[probe]]");
    assert_eq!(refused(&off), Some((17, 20, Code::ValueOutOfRange)));
}

#[test]
fn a_seal_outlives_spelling_order_comments_and_line_ends() {
    let keeps = |text: &str, what: &str| assert_eq!(refused(text), None, "{what}\n{text}");
    for (name, text) in shipped().into_iter().chain([("p.toml".to_owned(), POLICY.to_owned())]) {
        let text = sealed(&text);
        keeps(&text, &name);
        keeps(&text.replace('\n', "\r\n"), "line ends");
        keeps(&text.replace('\n', "  \n\n"), "white space");
        keeps(&format(&name, &text).expect("TOML"), "its form");
        keeps(&format!("# a remark\n{text}# another"), "remarks");
        let bare: String =
            text.lines().filter(|line| !line.starts_with('#')).flat_map(|line| [line, "\n"]).collect();
        keeps(&bare, "no remarks");
    }
    let text = sealed(POLICY);
    let change = |from: &str, to: &str| {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        changed
    };
    keeps(
        &change(
            "kind = \"device\"\ninput_usd_per_million_tokens = 0.001",
            "input_usd_per_million_tokens = 1e-3\nkind = 'device'",
        ),
        "order",
    );
    keeps(
        &change(
            "facts = { prompt_tokens = 12, topic = \"none\" }",
            "facts.topic = \"none\"\nfacts.prompt_tokens = 0xC",
        ),
        "tables",
    );
    keeps(&change("[\"de\", \"fr\"]", "[\n  \"de\",\n  \"\\u0066r\", # France\n]"), "lists");
    for (from, to) in [
        ("\"de\", \"fr\"", "\"fr\", \"de\""),
        ("\"de\", \"fr\"", "\"de, fr\""),
        ("= 2\n", "= 2.0\n"),
        ("'signals.prompt_tokens > 10'", "'signals.prompt_tokens >  10'"),
        ("name = \"p\"\n", "name = \"p\"\ntext = \"p\"\n"),
        // Another name at the same place.
        ("{ prompt_tokens = 12,", "{ output_tokens_max = 12,"),
        ("second_usd = 1e-6\nwrong_answer_usd = 0.01", "second_usd = 0.01\nwrong_answer_usd = 1e-6"),
    ] {
        assert_eq!(refused(&change(from, to)).map(|(.., code)| code), Some(Code::ChecksumWrong), "{to}");
    }
}

/// Every single bit of a sealed policy changed: it is refused, or says what it said.
#[test]
fn no_bit_changes_what_a_sealed_policy_says() {
    let text = sealed(POLICY);
    let whole = said(&Rules::parse_sealed("p.toml", &text).expect("a sealed policy"));
    let (mut refused, mut same) = (0, 0);
    for (at, bit) in (0..text.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1 << bit;
        let Ok(changed) = String::from_utf8(bytes) else {
            refused += 1;
            continue;
        };
        match Rules::parse_sealed("p.toml", &changed) {
            Ok(rules) => {
                assert_eq!(said(&rules), whole, "{at} {bit}");
                same += 1;
            }
            Err(error) => {
                let flaw = error.flaw().expect("a flaw");
                assert!(flaw.line >= 1 && flaw.column >= 1 && !flaw.mend.is_empty());
                refused += 1;
            }
        }
    }
    // In the remark and its spaces, and the exponent's letter.
    assert!(same <= 13 * 8 + 8 && refused > 40 * same, "{refused} refused, {same} the same");
}
