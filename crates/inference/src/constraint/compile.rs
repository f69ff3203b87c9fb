//! From a constraint's text to a parser, within bounds of size, depth and effort.

use std::{sync::Arc, thread};

use llguidance::{
    JsonCompileOptions, ParserFactory, TokenParser,
    api::{ParserLimits, TopLevelGrammar},
    toktrie::{ApproximateTokEnv, INVALID_TOKEN, InferenceCapabilities, TokEnv, TokRxInfo, TokTrie},
};
use serde_json::{Map, Value};

use crate::{Constraint, text::Tokenizer};

/// Longer tokens are never allowed: the trie of the vocabulary is at most 1024 deep.
const TOKEN_BYTES_MAX: usize = 512;
/// Bytes of all tokens; the trie has at most 4 Mi nodes.
const VOCABULARY_BYTES_MAX: usize = 4_000_000;
/// Brackets within brackets, and values within values of a schema.
const DEPTH_MAX: usize = 64;
/// Compiling recurses over the text; a thread of its own with so much stack, touched only as deep as it goes, keeps a
/// caller's thread from overflowing.
const STACK_BYTES: usize = 64 << 20;
/// Bytes of an error's text that a caller is told.
const WORDS_BYTES_MAX: usize = 400;

/// What a parser may cost. Fuel is the library's measure of the lexer's work, about 50,000 per millisecond while it is
/// built and 14,000 while it is used; 20,000 items of the parser take about a millisecond.
const LIMITS: ParserLimits = ParserLimits {
    max_items_in_row: 2_000,
    initial_lexer_fuel: 1_000_000,
    step_lexer_fuel: 200_000,
    step_max_items: 50_000,
    // One or two kilobytes each.
    max_lexer_states: 20_000,
    max_grammar_size: 100_000,
    precompute_large_lexemes: true,
    verbose_errors: false,
};

/// What compiles grammars for this vocabulary.
pub(super) fn factory(tokenizer: &Tokenizer) -> Result<ParserFactory, String> {
    let words: Vec<Vec<u8>> = tokenizer.ids().map(|id| word(tokenizer, id)).collect();
    if words.iter().map(Vec::len).sum::<usize>() > VOCABULARY_BYTES_MAX {
        return Err("cannot be kept by this model: its vocabulary is too large".to_owned());
    }
    let count = u32::try_from(words.len()).map_err(|error| error.to_string())?;
    let ends = tokenizer.end_ids();
    let trie = TokTrie::from(&TokRxInfo::new(count, INVALID_TOKEN), &words);
    let trie = if ends.is_empty() { trie } else { trie.with_eos_tokens(ends) };
    let vocabulary: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
    let slices = llguidance::earley::SlicedBiasComputer::general_slices();
    // Without forced tokens: the model itself finds how it spells what must come.
    let mut factory = ParserFactory::new(&vocabulary, InferenceCapabilities::default(), &slices)
        .map_err(|error| format!("cannot be kept by this model: {}", first_words(&error.to_string())))?;
    *factory.limits_mut() = LIMITS;
    factory.quiet();
    Ok(factory)
}

/// The bytes by which a grammar knows a token; none for control tokens and for those that end an answer.
fn word(tokenizer: &Tokenizer, id: u32) -> Vec<u8> {
    let bytes = tokenizer.bytes(id);
    if tokenizer.ends(id) || bytes.len() > TOKEN_BYTES_MAX { Vec::new() } else { bytes.to_vec() }
}

/// Compiles on a thread of its own.
pub(super) fn parser(factory: &ParserFactory, constraint: &Constraint) -> Result<TokenParser, String> {
    let grammar = grammar(constraint)?;
    let compile = || factory.create_parser(grammar).map_err(|error| first_words(&error.to_string()));
    let compiled = thread::scope(|scope| {
        let thread = thread::Builder::new().name("grammar".to_owned()).stack_size(STACK_BYTES);
        let thread = thread.spawn_scoped(scope, compile).map_err(|error| error.to_string())?;
        thread.join().map_err(|_| "the compiler broke".to_owned())?
    });
    compiled.map_err(|problem| format!("cannot be compiled: {problem}"))
}

fn grammar(constraint: &Constraint) -> Result<TopLevelGrammar, String> {
    match constraint {
        Constraint::JsonSchema(text) => schema(text).map(TopLevelGrammar::from_json_schema),
        Constraint::Lark(text) => {
            shallow(text)?;
            Ok(TopLevelGrammar::from_lark(text.clone()))
        }
        Constraint::Regex(text) => {
            shallow(text)?;
            Ok(TopLevelGrammar::from_regex(text))
        }
    }
}

/// The schema with the way its JSON is written: single spaces or nothing between its parts, since a model could go on with
/// any more of them for ever.
fn schema(text: &str) -> Result<Value, String> {
    const WRITING: &str = "x-guidance";
    let schema: Value = serde_json::from_str(text).map_err(|error| format!("is not JSON: {error}"))?;
    if depth(&schema) > DEPTH_MAX {
        return Err(format!("is nested deeper than {DEPTH_MAX}"));
    }
    let Value::Object(mut schema) = schema else { return Err("is not a JSON object".to_owned()) };
    let writing =
        JsonCompileOptions { whitespace_pattern: Some(" ".to_owned()), ..JsonCompileOptions::default() };
    let writing = serde_json::to_value(writing).unwrap_or(Value::Object(Map::new()));
    if schema.insert(WRITING.to_owned(), writing).is_some() {
        return Err(format!("holds `{WRITING}`, which is not of JSON Schema"));
    }
    Ok(Value::Object(schema))
}

fn depth(value: &Value) -> usize {
    1 + match value {
        Value::Array(values) => values.iter().map(depth).max().unwrap_or(0),
        Value::Object(values) => values.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Refuses brackets that are nested too deep, those of a text in double quotes not counted.
fn shallow(text: &str) -> Result<(), String> {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            b'(' | b'[' | b'{' if !quoted => depth += 1,
            b')' | b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return Err(format!("has brackets nested deeper than {DEPTH_MAX}"));
        }
    }
    Ok(())
}

/// The beginning of an error's text, without what the library adds for its own developers.
pub(super) fn first_words(text: &str) -> String {
    let text = text.split("\n<").next().unwrap_or_default().trim();
    let end = text.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= WORDS_BYTES_MAX);
    text[..end.last().unwrap_or(0)].to_owned()
}
