//! The word lists that ship with the crate, indexed once, so that a word costs one look.

use crate::topic::Topic;
use crate::words::Words;

/// Slots of the index: a power of two, several times the number of words.
const SLOT_COUNT: usize = 1 << 12;

/// Shortest word whose end is looked at.
const SUFFIXED_BYTES_MIN: usize = 6;

/// The lists, ready to be looked up.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Lexicon {
    /// Index into `entries` plus one, at the hash of the word or the next free slot.
    slots: Vec<u16>,
    entries: Vec<Entry>,
    suffixes: Vec<(&'static str, usize)>,
    /// The last bytes of suffixes, a bit each.
    suffix_ends: u128,
    unspaced: Vec<(&'static str, usize)>,
}

/// What is known of one word.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    word: &'static str,
    /// The phrases that begin with it.
    tells: Vec<Tell>,
}

/// A phrase that tells of a subject.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Tell {
    pub(crate) phrase: &'static str,
    pub(crate) subject: Subject,
    /// Whether it suffices alone.
    pub(crate) strong: bool,
}

/// What a phrase may tell of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Subject {
    /// An index in [`Topic::GRAVEST_FIRST`].
    Topic(usize),
    /// A password or the like follows.
    Secret,
}

// === impl Lexicon ===

impl Lexicon {
    /// The lists of this crate.
    pub(crate) fn shipped() -> Self {
        let mut lexicon = Self {
            slots: vec![0; SLOT_COUNT],
            entries: Vec::new(),
            suffixes: Vec::new(),
            suffix_ends: 0,
            unspaced: Vec::new(),
        };
        lexicon.add_topics(include_str!("../data/topics.txt"));
        let ends = lexicon.suffixes.iter().filter_map(|(suffix, _)| suffix.bytes().last());
        lexicon.suffix_ends = ends.fold(0, |ends, last| ends | bit(last));
        lexicon
    }

    /// What is known of a word.
    fn look_up(&self, word: &str) -> Option<&Entry> {
        let slot = self.slot_of(word);
        let index = usize::from(*self.slots.get(slot)?).checked_sub(1)?;
        self.entries.get(index)
    }

    /// The phrases that stand in the text at this word.
    pub(crate) fn tells_from<'a>(&'a self, words: &'a Words, start: usize) -> impl Iterator<Item = &'a Tell> {
        let tells = self.look_up(words.get(start)).map_or(&[][..], |entry| &entry.tells);
        tells.iter().filter(move |tell| {
            tell.phrase.split(' ').enumerate().all(|(offset, part)| words.get(start + offset) == part)
        })
    }

    /// The index in [`Topic::GRAVEST_FIRST`] of the subject that the end of this word tells of.
    pub(crate) fn suffix_of(&self, word: &str) -> Option<usize> {
        let last = *word.as_bytes().last()?;
        if word.len() < SUFFIXED_BYTES_MIN || self.suffix_ends & bit(last) == 0 {
            return None;
        }
        self.suffixes.iter().find(|(suffix, _)| word.ends_with(suffix)).map(|(_, rank)| *rank)
    }

    /// Signs of scripts without spaces, each with its index in [`Topic::GRAVEST_FIRST`].
    pub(crate) fn unspaced(&self) -> &[(&'static str, usize)] {
        &self.unspaced
    }

    /// Every phrase that suffices alone, with its subject.
    pub(crate) fn strong_phrases(&self) -> impl Iterator<Item = (&'static str, Topic)> {
        let tells = self.entries.iter().flat_map(|entry| &entry.tells).filter(|tell| tell.strong);
        let told = tells.filter_map(|tell| match tell.subject {
            Subject::Topic(rank) => Some((tell.phrase, rank)),
            Subject::Secret => None,
        });
        let all = told.chain(self.unspaced.iter().copied());
        all.filter_map(|(phrase, rank)| Some((phrase, *Topic::GRAVEST_FIRST.get(rank)?)))
    }

    fn add_topics(&mut self, text: &'static str) {
        for (head, list) in lines(text) {
            let Some((name, strength)) = head.split_once(' ') else { continue };
            let rank = Topic::GRAVEST_FIRST.iter().position(|topic| topic.name() == name);
            for phrase in list.split('|').map(str::trim) {
                let subject = match (rank, strength) {
                    (Some(rank), "suffix") => {
                        self.suffixes.push((phrase, rank));
                        continue;
                    }
                    (Some(rank), "unspaced") => {
                        self.unspaced.push((phrase, rank));
                        continue;
                    }
                    (Some(rank), _) => Subject::Topic(rank),
                    (None, _) => Subject::Secret,
                };
                let first = phrase.split(' ').next().unwrap_or_default();
                self.entry(first).tells.push(Tell { phrase, subject, strong: strength == "strong" });
            }
        }
    }

    fn entry(&mut self, word: &'static str) -> &mut Entry {
        let slot = self.slot_of(word);
        if self.slots[slot] == 0 {
            self.entries.push(Entry { word, tells: Vec::new() });
            // The lists hold well under a thousand words; a test counts them.
            self.slots[slot] = self.entries.len() as u16;
        }
        let index = usize::from(self.slots[slot]) - 1;
        &mut self.entries[index]
    }

    /// The slot that holds the word, or the free one in which it would stand.
    fn slot_of(&self, word: &str) -> usize {
        let hash = word
            .bytes()
            .fold(0x811C_9DC5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        let mut slot = (hash ^ (hash >> 15)) as usize % SLOT_COUNT;
        while let Some(index) = usize::from(self.slots[slot]).checked_sub(1) {
            if self.entries[index].word == word {
                break;
            }
            slot = (slot + 1) % SLOT_COUNT;
        }
        slot
    }
}

/// The bit of a byte; those beyond ASCII have none.
fn bit(byte: u8) -> u128 {
    1_u128.checked_shl(byte.into()).unwrap_or_default()
}

/// `head: body` lines of a list, without remarks.
fn lines(text: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_lists_is_understood_and_the_index_stays_sparse() {
        let lexicon = Lexicon::shipped();
        assert!(lexicon.entries.len() * 4 < SLOT_COUNT, "{} words", lexicon.entries.len());
        let tells = lexicon.entries.iter().flat_map(|entry| &entry.tells);
        let count = |subject: Subject| tells.clone().filter(|tell| tell.subject == subject).count();
        assert!((0..4).all(|rank| count(Subject::Topic(rank)) > 20));
        assert!(count(Subject::Secret) > 5 && lexicon.unspaced.len() > 20 && lexicon.suffixes.len() > 20);
        let mut phrases: Vec<_> = tells.clone().map(|tell| tell.phrase).collect();
        phrases.sort_unstable();
        assert!(phrases.windows(2).all(|pair| pair[0] != pair[1]), "no phrase stands twice");
        assert!(phrases.iter().all(|phrase| *phrase == phrase.to_lowercase() && !phrase.contains("  ")));
    }
}
