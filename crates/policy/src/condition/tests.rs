//! What conditions say, what is refused of them, and that the program and the tree say the same.

use proptest::prelude::*;

use super::field::Field;
use super::program::emit;
use super::tree::{Expr, Function, Node, Operator};
use super::value::{Const, Value};
use super::{CONDITION_COST_MAX, Condition, Verdict};
use crate::error::Code;
use crate::{Capabilities, Facts, Priority, Privacy, Topic};

fn facts() -> Facts {
    Facts {
        prompt_tokens: 100,
        tenant: "acme-7".into(),
        language: "hi".into(),
        residency: Some("in".into()),
        topic: Topic::Legal,
        priority: Priority::Interactive,
        personal_data: vec!["credit_card".into(), "email_address".into()],
        requirement: [0.5, 2.0].into(),
        difficulty: 0.75,
        needs: Capabilities::TEXT.with(Capabilities::TOOLS),
        in_scope: true,
        intent: "übersetzen".into(),
        turns: 3,
        ..Facts::default()
    }
}

fn verdict(text: &str) -> Verdict {
    Condition::compile(text).unwrap_or_else(|fault| panic!("{text}: {fault:?}")).verdict(&facts())
}

#[test]
fn conditions_say_what_cel_says() {
    let check = |text: &str, wanted: Verdict| assert_eq!(verdict(text), wanted, "{text}");
    let holds = |text: &str| check(text, Verdict::Holds);
    let fails = |text: &str| check(text, Verdict::Fails);
    holds(r#"topic == "legal" && signals.difficulty > 0.5"#);
    fails(r#"topic == 'medical'"#);
    holds(r#"tenant in ["other", "acme-7"]"#);
    fails(r#"!(tenant in ["other", "acme-7"])"#);
    holds(r#""credit_card" in personal_data && size(personal_data) == 2"#);
    fails(r#""iban_code" in signals.personal_data"#);
    holds(r#"tenant.startsWith("acme") && tenant.endsWith("-7") && tenant.contains("me-")"#);
    holds(r#"size("übersetzen") == size(intent) && intent.size() == 10"#);
    holds("prompt_tokens + 1 * 2 == 102 && (prompt_tokens + 1) * 2 == 202");
    holds("prompt_tokens / 7 == 14 && prompt_tokens % 7 == 2 && -prompt_tokens / 7 == -14");
    holds("double(prompt_tokens) / 8.0 == 12.5 && int(12.9) == 12");
    holds("signals.requirement[1] > signals.requirement[0]");
    holds(r#""tools" in needs && request.needs[0] == "text""#);
    holds("prompt_tokens > 99.5 && 1 == 1.0 && 0x10 == 16 && 1e2 == 100");
    holds(r#"prompt_tokens > 50 ? language == "hi" : language == "en""#);
    holds(r#"has(request.residency) && residency == "in""#);
    holds("!has(request.deadline_seconds) && !has(caller.battery)");
    holds("in_scope && !has_code // and a remark");
    holds("\"a\" < \"b\" && false < true");
    holds(r#"r"\d" == "\\d" && '''it's''' == "it's" && "\u00fc" == "ü""#);
    holds("false ? true : true");
    holds("1 in [] || true");
}

#[test]
fn what_has_no_answer_is_decided_by_the_other_side_only() {
    let check = |text: &str, wanted: Verdict| assert_eq!(verdict(text), wanted, "{text}");
    let undecided = |text: &str| check(text, Verdict::Undecided);
    undecided("deadline_seconds < 2.0");
    undecided("deadline_seconds < 2.0 && true");
    undecided("true && deadline_seconds < 2.0");
    undecided("false || deadline_seconds < 2.0");
    undecided("!(deadline_seconds < 2.0)");
    undecided("1 / 0 == 1");
    undecided("9223372036854775807 + 1 > 0");
    undecided("signals.requirement[7] > 0.0");
    undecided("signals.requirement[-1] > 0.0");
    undecided("battery > 0.5 ? true : true");
    check("deadline_seconds < 2.0 && false", Verdict::Fails);
    check("false && deadline_seconds < 2.0", Verdict::Fails);
    check("deadline_seconds < 2.0 || true", Verdict::Holds);
    check("true || deadline_seconds < 2.0", Verdict::Holds);
    check("1.0 / 0.0 > 1e300", Verdict::Holds);
}

#[test]
fn what_is_refused_says_where_and_how_to_mend_it() {
    let check = |text: &str, at: usize, code: Code, says: &str| {
        let fault = Condition::compile(text).expect_err(text);
        let whole = format!("{}; {}", fault.problem, fault.mend);
        assert_eq!((fault.at, fault.code), (at, code), "{text}: {whole}");
        assert!(whole.contains(says), "{text}: {whole}");
    };
    check("", 0, Code::ConditionSyntax, "the end stands where a value or a name is expected");
    check("topic = \"medical\"", 6, Code::ConditionSyntax, "write `==`");
    check("topic == \"medical", 9, Code::ConditionSyntax, "close it with \"");
    check("topic == \"a\" & true", 13, Code::ConditionSyntax, "write `&&`");
    check("(topic == \"legal\"", 17, Code::ConditionSyntax, "`)`");
    check("in_scope in_scope", 9, Code::ConditionSyntax, "an operator such as `&&`");
    check("12abc == 1", 0, Code::ConditionSyntax, "`12abc` is no number");
    check("99999999999999999999 == 1", 0, Code::ConditionSyntax, "no number");
    check("topik == \"legal\"", 0, Code::ConditionNameUnknown, "did you mean `topic`?");
    check("signals.tenant == \"a\"", 8, Code::ConditionNameUnknown, "write `caller.tenant`");
    check("caller.tenent == \"a\"", 7, Code::ConditionNameUnknown, "did you mean `tenant`?");
    check("topic == \"medicine\"", 9, Code::ConditionNameUnknown, "did you mean `medical`?");
    check("privacy in [\"normal\", \"lokal_only\"]", 11, Code::ConditionNameUnknown, "`local_only`");
    check("sise(tenant) == 1", 0, Code::ConditionNameUnknown, "did you mean `size`?");
    check("tenant.beginsWith(\"a\")", 7, Code::ConditionNameUnknown, "there is no function");
    check("tenant", 0, Code::ConditionType, "the condition is a string");
    check("tenant == 3", 10, Code::ConditionType, "compares a string with an int");
    check("prompt_tokens * 1.5 > 2.0", 16, Code::ConditionType, "double()");
    check("prompt_tokens && true", 0, Code::ConditionType, "an int stands where a bool is expected");
    check("needs.contains(\"text\")", 0, Code::ConditionType, "in …");
    check("[1, \"a\"] == []", 4, Code::ConditionType, "another type");
    check("1 in [\"a\"]", 0, Code::ConditionType, "never in this list");
    check("tenant.matches(\"a.*\")", 7, Code::ConditionUnsupported, "startsWith");
    check("personal_data.exists(x, x == \"card\")", 14, Code::ConditionUnsupported, "`in`");
    check("residency == null", 13, Code::ConditionUnsupported, "has()");
    check("prompt_tokens > 3u", 16, Code::ConditionUnsupported, "without `u`");
    check("has(residency)", 4, Code::ConditionSyntax, "write `has(request.residency)`");
    check("tenant in [device]", 11, Code::ConditionUnsupported, "constants only");
    check("tenant.name == \"a\"", 7, Code::ConditionNameUnknown, "no request has a `name`");
}

#[test]
fn what_is_too_large_is_refused() {
    let refused = |text: &str| {
        assert_eq!(Condition::compile(text).expect_err("too large").code, Code::ConditionTooLarge);
    };
    refused(&" ".repeat(super::CONDITION_BYTES_MAX + 1));
    refused(&format!("{}true{}", "(".repeat(40), ")".repeat(40)));
    refused(&format!("{}true", "!".repeat(400)));
    refused(&format!("1 + {} > 0", "1+".repeat(600) + "1"));
    let nested = (0..20).fold("1".to_owned(), |inner, _| format!("(1 + 1 * {inner})"));
    refused(&format!("true || false && {nested} > 0"));
    let lists = (0..12).map(|_| format!("1 in [{}]", "1,".repeat(200))).collect::<Vec<_>>().join(" || ");
    refused(&lists);
    let chain = vec!["in_scope"; 120].join(" || ");
    assert!(Condition::compile(&chain).expect("a long chain").cost() <= CONDITION_COST_MAX);
}

fn leaf_bool() -> BoxedStrategy<Node> {
    prop_oneof![
        any::<bool>().prop_map(|value| Node::Literal(Const::Bool(value))),
        Just(Node::Field(Field::InScope)),
        Just(Node::Has(Field::Residency)),
        Just(Node::Has(Field::DeadlineSeconds)),
    ]
    .boxed()
}

fn boxed(node: Node) -> Box<Expr> {
    Box::new(Expr { at: 0, node })
}

fn number() -> BoxedStrategy<Node> {
    let leaf = prop_oneof![
        (0..300_i64).prop_map(|value| Node::Literal(Const::Int(value))),
        Just(Node::Field(Field::PromptTokens)),
        Just(Node::Field(Field::Turns)),
        Just(Node::Field(Field::OutputTokensMax)),
    ];
    leaf.prop_recursive(3, 12, 2, |inner| {
        let operator = prop::sample::select(vec![
            Operator::Add,
            Operator::Subtract,
            Operator::Multiply,
            Operator::Divide,
            Operator::Remainder,
        ]);
        (operator, inner.clone(), inner)
            .prop_map(|(operator, a, b)| Node::Binary(operator, boxed(a), boxed(b)))
    })
    .boxed()
}

fn text() -> BoxedStrategy<Node> {
    prop_oneof![
        Just(Node::Field(Field::Tenant)),
        Just(Node::Field(Field::Residency)),
        Just(Node::Field(Field::Language)),
        "[a-z7\"\\\\ -]{0,6}".prop_map(|text| Node::Literal(Const::Text(text.into()))),
    ]
    .boxed()
}

fn condition() -> BoxedStrategy<Node> {
    let compare = prop::sample::select(vec![
        Operator::Equal,
        Operator::Unequal,
        Operator::Less,
        Operator::LessOrEqual,
        Operator::More,
        Operator::MoreOrEqual,
    ]);
    let words = [Function::StartsWith, Function::EndsWith, Function::Contains];
    let leaf = prop_oneof![
        leaf_bool(),
        (compare.clone(), number(), number()).prop_map(|(operator, a, b)| Node::Binary(
            operator,
            boxed(a),
            boxed(b)
        )),
        (compare, text(), text()).prop_map(|(operator, a, b)| Node::Binary(operator, boxed(a), boxed(b))),
        (prop::sample::select(words.to_vec()), text(), text())
            .prop_map(|(function, a, b)| Node::Call(function, vec![*boxed(a), *boxed(b)])),
        (text(), prop::collection::vec("[a-z7-]{0,6}", 0..4)).prop_map(|(element, list)| {
            let list = list.into_iter().map(|text| Const::Text(text.into())).collect();
            Node::Binary(Operator::In, boxed(element), boxed(Node::List(list)))
        }),
    ];
    leaf.prop_recursive(5, 40, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|inner| Node::Not(boxed(inner))),
            (prop::sample::select(vec![Operator::And, Operator::Or]), inner.clone(), inner.clone())
                .prop_map(|(operator, a, b)| Node::Binary(operator, boxed(a), boxed(b))),
            (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| Node::Choice(Box::new([
                *boxed(a),
                *boxed(b),
                *boxed(c)
            ]))),
        ]
    })
    .boxed()
}

/// What a tree says, told by walking it. `Err`: it has no answer.
fn told(expr: &Expr, facts: &Facts) -> Result<Const, ()> {
    use Operator as O;
    let bool_of = |expr: &Expr| match told(expr, facts) {
        Ok(Const::Bool(value)) => Ok(value),
        _ => Err(()),
    };
    let int = |value: Option<i64>| value.map(Const::Int).ok_or(());
    match &expr.node {
        Node::Literal(value) => Ok(value.clone()),
        Node::Field(field) => field.read(facts).kept().ok_or(()),
        Node::Has(field) => Ok(Const::Bool(!matches!(field.read(facts), Value::Undecided))),
        Node::Not(inner) => bool_of(inner).map(|value| Const::Bool(!value)),
        Node::Choice(three) => told(if bool_of(&three[0])? { &three[1] } else { &three[2] }, facts),
        Node::Binary(O::And, a, b) => match (bool_of(a), bool_of(b)) {
            (Ok(false), _) | (_, Ok(false)) => Ok(Const::Bool(false)),
            (Ok(true), Ok(true)) => Ok(Const::Bool(true)),
            _ => Err(()),
        },
        Node::Binary(O::Or, a, b) => match (bool_of(a), bool_of(b)) {
            (Ok(true), _) | (_, Ok(true)) => Ok(Const::Bool(true)),
            (Ok(false), Ok(false)) => Ok(Const::Bool(false)),
            _ => Err(()),
        },
        Node::Binary(O::In, a, list) => {
            let (element, Node::List(list)) = (told(a, facts)?, &list.node) else { return Err(()) };
            Ok(Const::Bool(list.contains(&element)))
        }
        Node::Binary(operator, a, b) => {
            let (a, b) = (told(a, facts)?, told(b, facts)?);
            let order = match (&a, &b) {
                (Const::Int(a), Const::Int(b)) => a.cmp(b),
                (Const::Text(a), Const::Text(b)) => a.cmp(b),
                _ => return Err(()),
            };
            let (Const::Int(a), Const::Int(b)) = (a, b) else {
                return compared(*operator, order).map(Const::Bool).ok_or(());
            };
            match operator {
                O::Add => int(a.checked_add(b)),
                O::Subtract => int(a.checked_sub(b)),
                O::Multiply => int(a.checked_mul(b)),
                O::Divide => int(a.checked_div(b)),
                O::Remainder => int(a.checked_rem(b)),
                _ => compared(*operator, order).map(Const::Bool).ok_or(()),
            }
        }
        Node::Call(function, arguments) => {
            called(function, (told(&arguments[0], facts)?, told(&arguments[1], facts)?))
        }
        _ => Err(()),
    }
}

fn called(function: &Function, arguments: (Const, Const)) -> Result<Const, ()> {
    let (Const::Text(on), Const::Text(what)) = arguments else { return Err(()) };
    Ok(Const::Bool(match function {
        Function::StartsWith => on.starts_with(&*what),
        Function::EndsWith => on.ends_with(&*what),
        _ => on.contains(&*what),
    }))
}

fn compared(operator: Operator, order: std::cmp::Ordering) -> Option<bool> {
    Some(match operator {
        Operator::Equal => order.is_eq(),
        Operator::Unequal => order.is_ne(),
        Operator::Less => order.is_lt(),
        Operator::LessOrEqual => order.is_le(),
        Operator::More => order.is_gt(),
        Operator::MoreOrEqual => order.is_ge(),
        _ => return None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_program_says_what_the_tree_says_and_the_tree_is_read_as_it_is_written(
        node in condition(), prompt_tokens in 0..300_u32, max in prop::option::of(0..9_u32), resident: bool,
    ) {
        let facts = Facts {
            prompt_tokens,
            output_tokens_max: max,
            residency: resident.then(|| "in".into()),
            privacy: Privacy::HomeOnly,
            ..facts()
        };
        let tree = Expr { at: 0, node };
        let wanted = match told(&tree, &facts) {
            Ok(Const::Bool(true)) => Verdict::Holds,
            Ok(Const::Bool(false)) => Verdict::Fails,
            _ => Verdict::Undecided,
        };
        if tree.room() <= super::program::STACK_LEN {
            prop_assert_eq!(emit(&tree).run(&facts), wanted, "{}", tree);
        }
        let written = tree.to_string();
        match Condition::compile(&written) {
            Ok(condition) => {
                prop_assert_eq!(condition.to_string(), written.clone());
                prop_assert_eq!(condition.verdict(&facts), wanted, "{}", written);
            }
            Err(fault) => prop_assert_eq!(fault.code, Code::ConditionTooLarge, "{}: {:?}", written, fault),
        }
    }

    #[test]
    fn no_text_makes_the_compiler_panic(text in "[a-z0-9_.()\\[\\]!<>=&|+*/%?:,'\"\\\\ ür-]{0,60}") {
        match Condition::compile(&text) {
            Ok(condition) => { condition.verdict(&facts()); }
            Err(fault) => prop_assert!(fault.at <= text.len() && !fault.mend.is_empty()),
        }
    }
}
