//! How byte-level tokenizers cut text before they join pairs, by the names that GGUF files give their ways.

use serde_json::{Value, json};

/// One way of cutting.
pub(super) struct Splits {
    /// Each cuts what those before it left.
    patterns: &'static [&'static str],
    /// Digits stand alone.
    digits: bool,
    /// GPT-2's own pattern comes last.
    gpt2: bool,
    /// Characters are composed first.
    composed: bool,
    /// A piece that is a token as a whole is not built from pairs.
    pub(super) whole_pieces: bool,
}

const PLAIN: Splits =
    Splits { patterns: &[], digits: false, gpt2: true, composed: false, whole_pieces: false };
const CUT: Splits = Splits { gpt2: false, ..PLAIN };

const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN35: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const GPT4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const DEEPSEEK3: [&str; 3] = [
    r"\p{N}{1,3}",
    "[一-龥\u{3040}-ゟ゠-ヿ]+",
    r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##,
];
/// Letters with an upper and a lower case, as DeepSeek's first tokenizer lists them.
const DEEPSEEK1: [&str; 5] = [
    r"[\r\n]",
    r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+",
    r"\s?[!-/:-~！-／：-～‘-‟　-。]+",
    r"\s+$",
    "[一-龥ࠀ-一가-\u{d7ff}]+",
];
const DEEPSEEK_CODER: [&str; 4] = [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-\u{d7ff}]+"];
const UNNAMED: [&str; 4] = [
    r"[\p{P}\$\+<=>\^~\|]+",
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)",
    r"\p{N}+",
    "[0-9][0-9][0-9]",
];

/// The names that are known, for messages and documentation.
pub(super) const KNOWN: &str = "gpt-2, default, llama-bpe, smaug-bpe, dbrx, qwen2, qwen35, deepseek-llm, deepseek-coder, \
     deepseek-v3, gpt-4o, tekken, starcoder, refact, command-r, smollm, olmo, mpt and their aliases are";

/// The way that a GGUF file names; none where the name is unknown.
pub(super) fn named(name: Option<&str>) -> Option<Splits> {
    Some(match name {
        None | Some("gpt-2" | "phi-2" | "olmo" | "mpt" | "jais" | "exaone4" | "mellum" | "modern-bert") => {
            PLAIN
        }
        Some("default") => Splits { patterns: &UNNAMED, ..CUT },
        Some("llama-bpe" | "llama3" | "llama-v3" | "falcon3" | "falcon-h1" | "pixtral" | "lfm2" | "glm4") => {
            Splits { patterns: &[LLAMA3], whole_pieces: true, ..CUT }
        }
        Some("smaug-bpe" | "dbrx" | "chatglm-bpe") => Splits { patterns: &[LLAMA3], ..CUT },
        Some("qwen2" | "deepseek-r1-qwen" | "megrez" | "stablelm2") => {
            Splits { patterns: &[QWEN2], composed: true, ..CUT }
        }
        Some("qwen35") => Splits { patterns: &[QWEN35], composed: true, ..CUT },
        Some("deepseek-llm") => Splits { patterns: &DEEPSEEK1, digits: true, ..CUT },
        Some("deepseek-coder") => Splits { patterns: &DEEPSEEK_CODER, digits: true, ..CUT },
        Some("deepseek-v3" | "hunyuan-dense") => Splits { patterns: &DEEPSEEK3, ..CUT },
        Some("gpt-4o" | "llama4") => Splits { patterns: &[GPT4O], ..CUT },
        Some("tekken") => Splits { patterns: &[TEKKEN], whole_pieces: true, ..CUT },
        Some("starcoder" | "refact" | "command-r" | "smollm" | "codeshell" | "exaone") => {
            Splits { digits: true, ..PLAIN }
        }
        Some(_) => return None,
    })
}

impl Splits {
    /// The description of normaliser and cuts that the tokenizer library reads.
    pub(super) fn described(&self) -> (Value, Value) {
        let cut = |pattern: &&str| {
            json!({
                "type": "Split", "pattern": { "Regex": pattern }, "behavior": "Isolated", "invert": false,
            })
        };
        let mut stages: Vec<Value> = self.patterns.iter().map(cut).collect();
        if self.digits {
            stages.push(json!({ "type": "Digits", "individual_digits": true }));
        }
        stages.push(byte_level(self.gpt2));
        let normalizer = if self.composed { json!({ "type": "NFC" }) } else { Value::Null };
        (normalizer, json!({ "type": "Sequence", "pretokenizers": stages }))
    }
}

/// The stage that turns bytes into characters of the byte alphabet.
pub(super) fn byte_level(cut: bool) -> Value {
    json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": cut })
}
