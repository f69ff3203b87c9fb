//! What counts as a difference.

use super::diff;
use crate::Rules;

const BASE: &str = r#"
schema = "causeway.policy/v1"
[[tier]]
name = "device"
kind = "device"
input_usd_per_million_tokens = 1
output_usd_per_million_tokens = 2
[[class]]
name = "medical"
when = 'topic == "medical"'
second_usd = 0.001
wrong_answer_usd = 2
[[class]]
name = "night"
when = 'priority == "background"'
second_usd = 0
wrong_answer_usd = 2
[[class]]
name = "default"
second_usd = 0.001
wrong_answer_usd = 0.01
"#;

fn changes(old: &str, new: &str) -> Vec<String> {
    let rules = |text: &str| Rules::parse("p.toml", text).unwrap_or_else(|error| panic!("{error}"));
    let shown =
        |value: &Option<serde_json::Value>| value.as_ref().map_or("-".to_owned(), ToString::to_string);
    diff(&rules(old), &rules(new))
        .iter()
        .map(|change| format!("{} {} > {}", change.what, shown(&change.old), shown(&change.new)))
        .collect()
}

#[test]
fn only_what_is_meant_counts() {
    let check = |from: &str, to: &str, wanted: &[&str]| {
        let new = BASE.replace(from, to);
        assert_ne!(new, BASE);
        assert_eq!(changes(BASE, &new), wanted, "{to}");
    };
    check("'topic == \"medical\"'", "'( signals.topic==\"medical\" )' # the same", &[]);
    check(
        "wrong_answer_usd = 2\n[[class]]\nname = \"night\"",
        "wrong_answer_usd = 2.0\n[[class]]\nname = \"night\"",
        &[],
    );
    check(
        "output_usd_per_million_tokens = 2",
        "output_usd_per_million_tokens = 3",
        &["tier device: price.output_usd_per_million_tokens 2.0 > 3.0"],
    );
    check(
        "topic == \"medical\"",
        "topic == \"legal\"",
        &[r#"class medical: when "signals.topic == \"medical\"" > "signals.topic == \"legal\"""#],
    );
    check(
        "schema = \"causeway.policy/v1\"",
        "schema = \"causeway.policy/v1\"\n[session]\ncache_seconds = 9",
        &[r#"session - > {"cache_seconds":9.0,"cache_kept":1.0}"#],
    );
    check(
        "wrong_answer_usd = 0.01",
        "wrong_answer_usd = 0.01\ntiers_only = [\"device\"]",
        &[r#"class default: tiers_only [] > ["device"]"#],
    );
    let gone = changes(BASE, &BASE.replace("name = \"night\"", "name = \"late\""));
    assert!(
        gone.len() == 2 && gone[0].starts_with("class night {") && gone[1].starts_with("class late - >"),
        "{gone:?}"
    );
}

#[test]
fn the_order_of_classes_counts() {
    let (head, rest) = BASE.split_at(BASE.find("[[class]]").expect("classes"));
    let classes: Vec<&str> = rest.split("[[class]]").skip(1).collect();
    let swapped = format!("{head}[[class]]{}[[class]]{}[[class]]{}", classes[1], classes[0], classes[2]);
    assert_eq!(
        changes(BASE, &swapped),
        [r#"order of classes ["medical","night","default"] > ["night","medical","default"]"#,]
    );
}
