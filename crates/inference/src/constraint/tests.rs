//! Walks through grammars by any choice that they allow, and constraints that are refused.

use std::{path::Path, time::Instant};

use proptest::prelude::*;
use safetensors::Dtype;
use serde_json::{Value, json};

use super::{Following, Grammars};
use crate::{Constraint, Error, formats::ModelFile, text::Tokenizer, tiny::Tiny};

/// Byte-level pairs, and pieces with bytes of last resort.
fn tokenizers() -> [Tokenizer; 2] {
    let pieces = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tokenizers/pieces/tokenizer.json");
    let folder = tempfile::tempdir().unwrap();
    Tiny::dense().folder(folder.path(), Dtype::BF16);
    let open = || ModelFile::open(folder.path()).unwrap();
    let pairs = Tokenizer::read(&open(), Tiny::dense().vocabulary()).unwrap();
    let mut pieces: Value = serde_json::from_slice(&std::fs::read(pieces).unwrap()).unwrap();
    pieces["decoder"] = json!({ "type": "ByteFallback" });
    std::fs::write(folder.path().join("tokenizer.json"), pieces.to_string()).unwrap();
    let template = json!({ "chat_template": "{{ messages[0].content }}" });
    std::fs::write(folder.path().join("tokenizer_config.json"), template.to_string()).unwrap();
    std::fs::write(folder.path().join("generation_config.json"), "{\"eos_token_id\":[2]}").unwrap();
    [pairs, Tokenizer::read(&open(), 570).unwrap()]
}

/// Follows ids chosen by `seed` until the end; gives the text.
fn walk(mut following: Following, tokenizer: &Tokenizer, mut seed: u64) -> String {
    let mut bytes = Vec::new();
    for _ in 0..500 {
        if following.is_complete() {
            return String::from_utf8(bytes).unwrap();
        }
        let allowed = following.allowed().unwrap();
        let is_allowed = |id: &u32| allowed.bits()[*id as usize / 32] >> (id % 32) & 1 == 1;
        let ids: Vec<u32> = tokenizer.ids().filter(is_allowed).collect();
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let id = ids[(seed >> 33) as usize % ids.len()];
        if tokenizer.ends(id) {
            return String::from_utf8(bytes).unwrap();
        }
        bytes.extend_from_slice(tokenizer.bytes(id));
        following.follow(id).unwrap();
    }
    panic!("no end: {}", String::from_utf8_lossy(&bytes));
}

fn check(constraint: &Constraint, accepts: impl Fn(&str) -> bool) {
    for tokenizer in tokenizers() {
        let grammars = Grammars::default();
        for seed in 0..40 {
            let text = walk(grammars.start(constraint, &tokenizer).unwrap(), &tokenizer, seed);
            assert!(accepts(&text), "{text:?}");
        }
    }
}

#[test]
fn whatever_is_chosen_has_the_form_that_was_asked_for() {
    let schema = json!({
        "type": "object", "additionalProperties": false, "required": ["do", "level", "rooms"],
        "properties": {
            "do": { "enum": ["turn_on", "turn_off", "größer"] },
            "level": { "type": "integer", "minimum": -5, "maximum": 100 },
            "rooms": { "type": "array", "maxItems": 2, "items": { "$ref": "#/$defs/room" } },
        },
        "$defs": { "room": { "type": "string", "maxLength": 5 } },
    });
    check(&Constraint::JsonSchema(schema.to_string()), |text| {
        let Ok(Value::Object(found)) = serde_json::from_str(text) else { return false };
        let short = |room: &Value| room.as_str().is_some_and(|room| room.chars().count() <= 5);
        found.len() == 3
            && ["turn_on", "turn_off", "größer"].iter().any(|verb| found["do"] == *verb)
            && found["level"].as_i64().is_some_and(|level| (-5..=100).contains(&level))
            && found["rooms"].as_array().is_some_and(|rooms| rooms.len() <= 2 && rooms.iter().all(short))
    });
    check(&Constraint::Regex("(yes|no|日本), [0-9]{2}%".into()), |text| {
        let Some((word, rest)) = text.split_once(", ") else { return false };
        ["yes", "no", "日本"].contains(&word)
            && rest.len() == 3
            && rest.ends_with('%')
            && rest[..2].bytes().all(|digit| digit.is_ascii_digit())
    });
    let sum = "start: NUMBER (\" + \" NUMBER){0,3}\nNUMBER: /[1-9][0-9]{0,2}/";
    check(&Constraint::Lark(sum.into()), |text| {
        text.split(" + ").count() <= 4 && text.split(" + ").all(|number| number.parse::<u16>().is_ok())
    });
}

#[test]
fn an_answer_is_complete_where_nothing_more_is_allowed_and_not_before() {
    let [tokenizer, _] = tokenizers();
    let grammars = Grammars::default();
    let mut following = grammars.start(&Constraint::Regex("hello|hello!".into()), &tokenizer).unwrap();
    let id_of = |text: &str| tokenizer.ids().find(|id| tokenizer.bytes(*id) == text.as_bytes()).unwrap();
    following.follow(id_of("hello")).unwrap();
    assert!(!following.is_complete(), "an exclamation mark may follow");
    let allowed = following.allowed().unwrap();
    let allows = |id: u32| allowed.bits()[id as usize / 32] >> (id % 32) & 1 == 1;
    assert!(allows(id_of("!")) && tokenizer.end_ids().iter().all(|end| allows(*end)));
    assert_eq!(tokenizer.ids().filter(|id| allows(*id)).count(), 1 + tokenizer.end_ids().len());
    following.follow(id_of("!")).unwrap();
    assert!(following.is_complete());
    let mut other = grammars.start(&Constraint::Regex("hello|hello!".into()), &tokenizer).unwrap();
    assert!(
        matches!(other.follow(id_of("!")), Err(Error::Constraint { index: 0, .. })),
        "kept ones start anew"
    );
}

fn refusal(constraint: &Constraint) -> Option<String> {
    let [tokenizer, _] = tokenizers();
    match Grammars::default().start(constraint, &tokenizer) {
        Ok(_) => None,
        Err(Error::BadRequest { field, problem }) => {
            assert_eq!(field, constraint.field());
            assert!(problem.len() < 600 && !problem.contains("panic"), "{problem}");
            Some(problem)
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn what_cannot_be_compiled_is_refused_with_the_reason() {
    let check = |constraint: Constraint, why: &str| {
        let problem = refusal(&constraint).unwrap_or_else(|| panic!("{constraint:?} was taken"));
        assert!(problem.contains(why), "{problem}");
    };
    let schema = |text: &str| Constraint::JsonSchema(text.into());
    check(schema("{"), "is not JSON");
    check(schema("[]"), "is not a JSON object");
    check(schema("{\"type\":\"number\",\"minimum\":3,\"maximum\":2}"), "cannot be compiled");
    check(schema("{\"type\":\"thing\"}"), "thing");
    check(schema("{\"$ref\":\"https://example.org/schema\"}"), "$ref");
    check(schema("{\"x-guidance\":{}}"), "x-guidance");
    check(schema(&format!("{}{{}}{}", "{\"not\":".repeat(70), "}".repeat(70))), "nested deeper than 64");
    check(schema(&format!("{{\"enum\":[{}1]}}", "[".repeat(500))), "recursion limit");
    let lark = |text: &str| Constraint::Lark(text.into());
    check(lark("begin: \"a\""), "start");
    check(lark("start: other"), "other");
    check(lark("start: \"a"), "cannot be compiled");
    check(lark(&format!("start: {}\"a\"{}", "(".repeat(1_000), ")".repeat(1_000))), "deeper than 64");
    check(Constraint::Regex("a(".into()), "cannot be compiled");
    check(Constraint::Regex("(?=a)b".into()), "cannot be compiled");
    check(Constraint::Regex("(".repeat(65)), "deeper than 64");
}

#[test]
fn what_would_cost_too_much_ends_soon() {
    let chain: String = (0..5_000).map(|n| format!("r{n}: r{}\n", n + 1)).collect();
    let hostile = [
        Constraint::Regex("((a{1000}){1000}){1000}".into()),
        Constraint::Regex("(.*a){50}(.*b){50}[^c]{900}x".into()),
        Constraint::Lark(format!("start: r0\n{chain}r5000: \"a\"")),
        Constraint::Lark("start: start start | start | \"a\"".into()),
        Constraint::Lark(format!("start: /{}/", "(a|b)?".repeat(4_000))),
        Constraint::JsonSchema("{\"type\":\"string\",\"maxLength\":4000000000}".into()),
        Constraint::JsonSchema("{\"type\":\"array\",\"minItems\":4000000000}".into()),
        Constraint::JsonSchema("{\"$ref\":\"#\"}".into()),
        Constraint::JsonSchema("{\"type\":\"string\",\"pattern\":\"^(a+)+(b+)+$\"}".into()),
        Constraint::JsonSchema("{\"allOf\":[{\"$ref\":\"#\"},{\"$ref\":\"#\"}]}".into()),
    ];
    let [tokenizer, _] = tokenizers();
    for constraint in hostile {
        let started = Instant::now();
        if let Ok(mut following) = Grammars::default().start(&constraint, &tokenizer) {
            // What was taken is followed within its bounds, or fails.
            for _ in 0..4 {
                let Ok(allowed) = following.allowed() else { break };
                let bit = |id: &u32| allowed.bits()[*id as usize / 32] >> (id % 32) & 1 == 1;
                let Some(id) = tokenizer.ids().find(bit) else { break };
                if following.follow(id).is_err() || following.is_complete() {
                    break;
                }
            }
        }
        assert!(started.elapsed().as_secs() < 20, "{:.60}", format!("{constraint:?}"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_text_is_compiled_or_refused(text in "(\\PC|[\\[\\](){}|*+?\"/:\\\\a-c\n]){0,60}") {
        for constraint in [
            Constraint::Regex(text.clone()),
            Constraint::Lark(format!("start: {text}")),
            Constraint::Lark(text.clone()),
            Constraint::JsonSchema(format!("{{\"type\":\"string\",\"pattern\":{}}}", json!(text))),
        ] {
            refusal(&constraint);
        }
    }
}
