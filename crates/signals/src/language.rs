//! Which language a text seems to be in: by script, then by the words that every sentence has.

use serde::Serialize;

use crate::lexicon::Lexicon;
use crate::words::Words;

/// A language that is told apart here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// English.
    English,
    /// Hindi.
    Hindi,
    /// Chinese.
    Chinese,
    /// Spanish.
    Spanish,
    /// French.
    French,
    /// German.
    German,
    /// Another one, or too little to tell.
    Other,
}

/// A script that is told apart here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Script {
    /// Latin letters.
    Latin,
    /// Devanagari.
    Devanagari,
    /// Chinese characters, without kana or hangul.
    Han,
    /// Another one, or no letters.
    Other,
}

const LATIN: [Language; 4] = [Language::English, Language::Spanish, Language::French, Language::German];

/// Letters and endings that lean towards one language, with their weight.
const LETTERS: &[(char, [u8; 4])] = &[
    ('ñ', [0, 4, 0, 0]),
    ('¿', [0, 6, 0, 0]),
    ('¡', [0, 6, 0, 0]),
    ('ó', [0, 2, 0, 0]),
    ('í', [0, 2, 0, 0]),
    ('á', [0, 2, 0, 0]),
    ('ú', [0, 2, 0, 0]),
    ('ß', [0, 0, 0, 6]),
    ('ä', [0, 0, 0, 3]),
    ('ö', [0, 0, 0, 3]),
    ('ü', [0, 0, 0, 3]),
    ('ç', [0, 0, 4, 0]),
    ('è', [0, 0, 3, 0]),
    ('ê', [0, 0, 4, 0]),
    ('à', [0, 0, 3, 0]),
    ('ù', [0, 0, 4, 0]),
    ('œ', [0, 0, 6, 0]),
    ('î', [0, 0, 4, 0]),
    ('ô', [0, 0, 3, 0]),
    ('é', [0, 1, 2, 0]),
];
const ENDINGS: &[(&str, [u8; 4])] = &[
    ("ing", [2, 0, 0, 0]),
    ("ight", [2, 0, 0, 0]),
    ("ly", [1, 0, 0, 0]),
    ("ción", [0, 3, 0, 0]),
    ("dad", [0, 2, 0, 0]),
    ("mente", [0, 2, 0, 0]),
    ("eux", [0, 0, 2, 0]),
    ("eau", [0, 0, 2, 0]),
    ("ment", [0, 0, 1, 0]),
    ("ez", [0, 0, 1, 0]),
    ("ung", [0, 0, 0, 2]),
    ("keit", [0, 0, 0, 3]),
    ("lich", [0, 0, 0, 3]),
    ("isch", [0, 0, 0, 3]),
    ("en", [0, 0, 0, 1]),
    ("ch", [0, 0, 0, 1]),
];

/// Most characters that are looked at for script and letters, and most words for the language.
const CHARS_MAX: usize = 1024;
const WORDS_MAX: usize = 160;

// === impl Language ===

impl Language {
    /// ISO 639-1; empty for [`Language::Other`].
    pub fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Hindi => "hi",
            Self::Chinese => "zh",
            Self::Spanish => "es",
            Self::French => "fr",
            Self::German => "de",
            Self::Other => "",
        }
    }
}

/// Script and language of a text.
pub(crate) fn guess(text: &str, words: &Words, lexicon: &Lexicon) -> (Script, Language) {
    let script = script(text);
    let language = match script {
        // Marathi and Nepali share the script; of these only Hindi is told.
        Script::Devanagari => Language::Hindi,
        Script::Han => Language::Chinese,
        Script::Latin => latin(text, words, lexicon),
        Script::Other => Language::Other,
    };
    (script, language)
}

fn script(text: &str) -> Script {
    let (mut latin, mut devanagari, mut han, mut other) = (0_u32, 0_u32, 0_u32, 0_u32);
    for one in text.chars().take(CHARS_MAX) {
        match one {
            'a'..='z' | 'A'..='Z' | '\u{00c0}'..='\u{024f}' => latin += 1,
            '\u{0900}'..='\u{097f}' => devanagari += 1,
            // A Han character is about a word where a Latin letter is a fifth of one.
            '\u{3400}'..='\u{9fff}' => han += 3,
            // Kana and hangul mark the Japanese and Korean, however many Han characters stand among them.
            '\u{3040}'..='\u{30ff}' | '\u{ac00}'..='\u{d7af}' => other += 12,
            _ if one.is_alphabetic() => other += 1,
            _ => {}
        }
    }
    let most = latin.max(devanagari).max(han).max(other);
    match most {
        0 => Script::Other,
        _ if most == other => Script::Other,
        _ if most == han => Script::Han,
        _ if most == devanagari => Script::Devanagari,
        _ => Script::Latin,
    }
}

/// The Latin-script language with the most evidence; none where two have equally much.
fn latin(text: &str, words: &Words, lexicon: &Lexicon) -> Language {
    let mut scores = [0_u32; 4];
    let mut add = |weights: &[u8; 4]| {
        for (score, weight) in scores.iter_mut().zip(weights) {
            *score += u32::from(*weight);
        }
    };
    for word in words.iter().take(WORDS_MAX) {
        let known = lexicon.look_up(word).map(|entry| &entry.languages).filter(|weights| **weights != [0; 4]);
        if let Some(weights) = known {
            add(weights);
        } else if let Some((_, weights)) = ENDINGS.iter().find(|(ending, _)| word.ends_with(ending)) {
            add(weights);
        }
    }
    for one in text.chars().take(CHARS_MAX).filter(|one| !one.is_ascii()) {
        if let Some((_, weights)) = LETTERS.iter().find(|(letter, _)| *letter == one) {
            add(weights);
        }
    }
    let best = scores.iter().copied().max().unwrap_or_default();
    let mut winners = LATIN.iter().zip(scores).filter(|(_, score)| *score == best && best > 0);
    match (winners.next(), winners.next()) {
        (Some((language, _)), None) => *language,
        _ => Language::Other,
    }
}
