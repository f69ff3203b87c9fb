//! Which language a text seems to be in: by script, and within a script by a linear model over its letters.

use serde::{Serialize, Serializer};

use crate::container::Kind;
use crate::error::Error;
use crate::grams::{self, Plain};
use crate::linear::{Linear, winner};

mod script;

pub use script::Script;

/// A language that is told apart here, as an index into the list of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Language(u8);

/// Languages as BCP 47 tags, each with the script by which it is told.
const LANGUAGES: &[(&str, Script)] = &[
    ("en", Script::Latin),
    ("de", Script::Latin),
    ("de-CH", Script::Latin),
    ("nl", Script::Latin),
    ("es", Script::Latin),
    ("cs", Script::Latin),
    ("fr", Script::Latin),
    ("da", Script::Latin),
    ("it", Script::Latin),
    ("sv", Script::Latin),
    ("fi", Script::Latin),
    ("ca", Script::Latin),
    ("hr", Script::Latin),
    ("gl", Script::Latin),
    ("sk", Script::Latin),
    ("pt-BR", Script::Latin),
    ("pt", Script::Latin),
    ("sl", Script::Latin),
    ("nb", Script::Latin),
    ("sr-Latn", Script::Latin),
    ("ro", Script::Latin),
    ("hu", Script::Latin),
    ("pl", Script::Latin),
    ("eu", Script::Latin),
    ("cy", Script::Latin),
    ("vi", Script::Latin),
    ("ga", Script::Latin),
    ("is", Script::Latin),
    ("lb", Script::Latin),
    ("lv", Script::Latin),
    ("af", Script::Latin),
    ("lt", Script::Latin),
    ("kw", Script::Latin),
    ("et", Script::Latin),
    ("tr", Script::Latin),
    ("ms", Script::Latin),
    ("id", Script::Latin),
    ("sw", Script::Latin),
    ("bg", Script::Cyrillic),
    ("ru", Script::Cyrillic),
    ("sr", Script::Cyrillic),
    ("uk", Script::Cyrillic),
    ("mn", Script::Cyrillic),
    ("ar", Script::Arabic),
    ("fa", Script::Arabic),
    ("ur", Script::Arabic),
    ("hi", Script::Devanagari),
    ("ne", Script::Devanagari),
    ("zh-CN", Script::Han),
    ("zh-TW", Script::Han),
    ("zh-HK", Script::Han),
    ("ja", Script::Kana),
    ("ko", Script::Hangul),
    ("th", Script::Thai),
    ("el", Script::Greek),
    ("he", Script::Hebrew),
    ("hy", Script::Armenian),
    ("ka", Script::Georgian),
    ("bn", Script::Bengali),
    ("pa", Script::Gurmukhi),
    ("gu", Script::Gujarati),
    ("ta", Script::Tamil),
    ("te", Script::Telugu),
    ("kn", Script::Kannada),
    ("ml", Script::Malayalam),
];

/// Most characters that are looked at for the language.
const CHARS_MAX: usize = 128;

// === impl Language ===

impl Language {
    /// None of those told apart, or too little to tell.
    pub const OTHER: Self = Self(u8::MAX);

    /// ISO 639-1, such as `pt`; empty for [`Language::OTHER`].
    pub fn code(self) -> &'static str {
        let tag = self.tag();
        tag.split_once('-').map_or(tag, |(code, _)| code)
    }

    /// The tag with its region or script, such as `pt-BR`; empty for [`Language::OTHER`].
    pub fn tag(self) -> &'static str {
        LANGUAGES.get(usize::from(self.0)).map_or("", |(tag, _)| tag)
    }

    /// The language of a tag; [`Language::OTHER`] where it is none of those told apart.
    pub fn from_tag(tag: &str) -> Self {
        let index = LANGUAGES.iter().position(|(known, _)| *known == tag);
        // The list is far shorter than the range.
        index.map_or(Self::OTHER, |index| Self(index as u8))
    }

    fn script(self) -> Script {
        LANGUAGES.get(usize::from(self.0)).map_or(Script::Other, |(_, script)| *script)
    }
}

impl Serialize for Language {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.tag())
    }
}

/// Tells the languages of one script apart.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LanguageModel {
    linear: Linear,
    /// The language of each class.
    languages: Vec<Language>,
}

// === impl LanguageModel ===

impl LanguageModel {
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let linear = Linear::from_bytes(Kind::Language, bytes)?;
        let languages: Vec<Language> = linear.classes.iter().map(|tag| Language::from_tag(tag)).collect();
        if languages.contains(&Language::OTHER) {
            return Err(Error::ModelField { model: Kind::Language.name(), field: "classes" });
        }
        Ok(Self { linear, languages })
    }

    pub(crate) fn version(&self) -> &str {
        &self.linear.version
    }

    /// Script and language of a text.
    pub(crate) fn guess(&self, text: &str) -> (Script, Language) {
        let script = script::of(text);
        let of_script = |language: &Language| language.script() == script;
        let mut sole = LANGUAGES.iter().enumerate().filter(|(_, (_, known))| *known == script);
        let language = match (sole.next(), sole.next()) {
            (None, _) => Language::OTHER,
            (Some((index, _)), None) => Language(index as u8),
            _ => {
                let mut all = Vec::with_capacity(5 * CHARS_MAX);
                features(text, |feature| all.push(feature));
                // There are a few for each character that is looked at.
                let mut scores = self.linear.scores(&self.linear.sums(&all), all.len() as u32);
                for (score, language) in scores.iter_mut().zip(&self.languages) {
                    if !of_script(language) {
                        *score = f32::MIN;
                    }
                }
                self.languages.get(winner(&scores).0).copied().unwrap_or(Language::OTHER)
            }
        };
        (script, language)
    }
}

/// Whether the model has to tell this language from others of its script.
pub(crate) fn is_told(tag: &str) -> bool {
    let script = Language::from_tag(tag).script();
    LANGUAGES.iter().filter(|(_, known)| *known == script).count() > 1
}

/// Calls `each` with the features of the beginning of a text: one to four characters, and words.
pub(crate) fn features(text: &str, mut each: impl FnMut(u32)) {
    let plain = Plain::of(text, CHARS_MAX);
    grams::characters(&plain.chars, 1, 4, &mut each);
    for index in 0..plain.words.len() {
        each(grams::finish(grams::word(plain.word(index))));
    }
}
