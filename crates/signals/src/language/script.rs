//! The script that most letters of a text belong to.

use serde::Serialize;

/// A script that is told apart here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Script {
    /// Latin letters.
    Latin,
    /// Cyrillic letters.
    Cyrillic,
    /// Greek letters.
    Greek,
    /// Arabic letters, with those of Persian and Urdu.
    Arabic,
    /// Hebrew letters.
    Hebrew,
    /// Devanagari.
    Devanagari,
    /// Bengali and Assamese.
    Bengali,
    /// Gurmukhi.
    Gurmukhi,
    /// Gujarati.
    Gujarati,
    /// Tamil.
    Tamil,
    /// Telugu.
    Telugu,
    /// Kannada.
    Kannada,
    /// Malayalam.
    Malayalam,
    /// Thai.
    Thai,
    /// Georgian.
    Georgian,
    /// Armenian.
    Armenian,
    /// Hangul.
    Hangul,
    /// Hiragana and katakana, with whatever Chinese characters stand among them.
    Kana,
    /// Chinese characters alone.
    Han,
    /// Another one, or no letters.
    Other,
}

const SCRIPT_COUNT: usize = Script::Other as usize + 1;

/// Every script at its place.
const ALL: [Script; SCRIPT_COUNT] = [
    Script::Latin,
    Script::Cyrillic,
    Script::Greek,
    Script::Arabic,
    Script::Hebrew,
    Script::Devanagari,
    Script::Bengali,
    Script::Gurmukhi,
    Script::Gujarati,
    Script::Tamil,
    Script::Telugu,
    Script::Kannada,
    Script::Malayalam,
    Script::Thai,
    Script::Georgian,
    Script::Armenian,
    Script::Hangul,
    Script::Kana,
    Script::Han,
    Script::Other,
];

/// Most characters that are looked at.
const CHARS_MAX: usize = 1024;

/// The script of a text: that with the most letters; of equal ones the first of the list.
pub(super) fn of(text: &str) -> Script {
    let mut counts = [0_u32; SCRIPT_COUNT];
    for one in text.chars().take(CHARS_MAX) {
        if let Some((script, weight)) = weigh(one) {
            counts[script as usize] += weight;
        }
    }
    let mut best = Script::Other;
    let mut most = 0;
    for script in ALL {
        if counts[script as usize] > most {
            (best, most) = (script, counts[script as usize]);
        }
    }
    best
}

/// The script of a letter and how much of a word it is: a Han character is about a word where a Latin letter is a fifth
/// of one, and kana mark the Japanese however many Han characters stand among them.
fn weigh(one: char) -> Option<(Script, u32)> {
    let script = match one {
        'a'..='z' | 'A'..='Z' | '\u{00c0}'..='\u{024f}' | '\u{1e00}'..='\u{1eff}' => Script::Latin,
        '\u{0000}'..='\u{00bf}' => return None,
        '\u{0370}'..='\u{03ff}' | '\u{1f00}'..='\u{1fff}' => Script::Greek,
        '\u{0400}'..='\u{052f}' => Script::Cyrillic,
        '\u{0530}'..='\u{058f}' => Script::Armenian,
        '\u{0590}'..='\u{05ff}' => Script::Hebrew,
        '\u{0600}'..='\u{06ff}' | '\u{0750}'..='\u{077f}' | '\u{fb50}'..='\u{feff}' => Script::Arabic,
        '\u{0900}'..='\u{097f}' => Script::Devanagari,
        '\u{0980}'..='\u{09ff}' => Script::Bengali,
        '\u{0a00}'..='\u{0a7f}' => Script::Gurmukhi,
        '\u{0a80}'..='\u{0aff}' => Script::Gujarati,
        '\u{0b80}'..='\u{0bff}' => Script::Tamil,
        '\u{0c00}'..='\u{0c7f}' => Script::Telugu,
        '\u{0c80}'..='\u{0cff}' => Script::Kannada,
        '\u{0d00}'..='\u{0d7f}' => Script::Malayalam,
        '\u{0e00}'..='\u{0e7f}' => Script::Thai,
        '\u{10a0}'..='\u{10ff}' => Script::Georgian,
        '\u{1100}'..='\u{11ff}' | '\u{ac00}'..='\u{d7af}' => return Some((Script::Hangul, 3)),
        '\u{3040}'..='\u{30ff}' => return Some((Script::Kana, 12)),
        '\u{3400}'..='\u{9fff}' => return Some((Script::Han, 3)),
        _ if one.is_alphabetic() => Script::Other,
        _ => return None,
    };
    Some((script, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_stands_at_its_place() {
        assert!(ALL.iter().enumerate().all(|(place, script)| *script as usize == place));
    }

    #[test]
    fn mixed_texts_go_by_their_words() {
        let check = |text: &str, script: Script| assert_eq!(of(text), script, "{text}");
        check("Translate to English: 打开灯", Script::Latin);
        check("电気をつけて", Script::Kana);
        check("TV einschalten", Script::Latin);
        check("включи TV", Script::Cyrillic);
        check("12 + 3 🙂", Script::Other);
        check("", Script::Other);
    }
}
