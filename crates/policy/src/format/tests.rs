//! The canonical form: once is enough, nothing is lost, and the policy stays the same.

use proptest::prelude::*;

use super::format;
use crate::{Code, Rules, diff};

fn formatted(text: &str) -> String {
    format("p.toml", text).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_shipped_policies_are_in_it() {
    for (name, text) in crate::tests::shipped() {
        assert!(formatted(&text) == text, "{name}: run `causeway policy fmt`\n{}", formatted(&text));
    }
}

#[test]
fn fields_are_put_in_order_with_one_space_and_their_comments() {
    let check = |text: &str, wanted: &str| {
        assert_eq!(formatted(text), wanted);
        assert_eq!(formatted(wanted), wanted);
    };
    check("  b=1#x\n\n\n# of a\n a  =   'y'", "b = 1 #x\n# of a\na = 'y'\n");
    check(
        "# head\n\n\nschema='causeway.policy/v1' # v\n[[class]]\nwhen = 'x'\n\n  name=\"c\"\n# a tier\n[[tier]]#t\nkind=\"device\"\nname=\"d\"\n# end\n",
        "# head\n\nschema = 'causeway.policy/v1' # v\n\n# a tier\n[[tier]] #t\nname = \"d\"\nkind = \"device\"\n\n[[class]]\nname = \"c\"\nwhen = 'x'\n\n# end\n",
    );
    check("x = [1,2 ,\n 3]\ny={a=1,b = [ ]}", "x = [1, 2, 3]\ny = { a = 1, b = [] }\n");
    check("x = [\n  1, # one\n  2,\n]", "x = [\n  1, # one\n  2,\n]\n");
    check("x = [\"a#b\" , 'c']", "x = [\"a#b\", 'c']\n");
    check(
        "[[probe]]\nname=\"p\"\n[probe.facts]\ntopic=\"legal\"\n",
        "[[probe]]\nname = \"p\"\n\n[probe.facts]\ntopic = \"legal\"\n",
    );
    check(
        "[[probe]]\nfacts.topic=\"legal\"\nname=\"p\"\n",
        "[[probe]]\nname = \"p\"\nfacts.topic = \"legal\"\n",
    );
    check("\"odd key\"=1", "\"odd key\" = 1\n");
    check("", "\n");
    let long = (0..40).map(|index| format!("\"name-{index}\"")).collect::<Vec<_>>();
    let wanted: String = long.iter().map(|one| format!("    {one},\n")).collect();
    check(&format!("x = [{}]", long.join(",")), &format!("x = [\n{wanted}]\n"));
}

#[test]
fn what_is_no_toml_is_refused_with_its_place() {
    let error = format("p.toml", "a = 1\nb = = 2\n").expect_err("no TOML");
    let flaw = error.flaw().expect("a flaw");
    assert_eq!((flaw.line, flaw.column, flaw.code), (2, 5, Code::Syntax));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_policy_with_other_spaces_is_the_same_policy_and_loses_no_comment(
        which in any::<prop::sample::Index>(), spaces in prop::collection::vec(0..4_usize, 64),
    ) {
        let shipped = crate::tests::shipped();
        let (name, text) = &shipped[which.index(shipped.len())];
        let mut spaces = spaces.iter().cycle();
        let mut pad = || " ".repeat(*spaces.next().unwrap_or(&0));
        let mut loose = String::new();
        for line in text.lines() {
            let line = match line.split_once(" = ") {
                Some((key, value)) if !line.starts_with('#') => format!("{key}{}={}{value}", pad(), pad()),
                _ => line.to_owned(),
            };
            loose.push_str(&format!("{}{line}{}\n{}", pad(), pad(), if pad().len() == 3 { "\n" } else { "" }));
        }
        let tidy = formatted(&loose);
        prop_assert_eq!(formatted(&tidy), tidy.clone());
        let comments = |text: &str| text.lines().filter(|line| line.contains('#')).count();
        prop_assert_eq!(comments(&tidy), comments(text));
        let (is, was) = (Rules::parse(name, &tidy), Rules::parse(name, text));
        prop_assert_eq!(diff(&is.expect("tidy"), &was.expect("shipped")), vec![]);
    }

    #[test]
    fn whatever_is_toml_is_brought_into_form_once(text in "([a-c]( ?= ?(1|'x'|\\[1, ?2\\]|\\{d=1\\}))?|\\[\\[?tier\\]?\\]| *# r|\n|\n\n){0,12}") {
        if let Ok(tidy) = format("p.toml", &text) {
            prop_assert_eq!(formatted(&tidy), tidy);
        }
    }
}
