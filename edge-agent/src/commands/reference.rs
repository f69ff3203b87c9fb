//! Which entities the words `all the lights in the kitchen` mean, in this home and on this device.

use super::{
    home::{Home, Kind},
    language::{Form, Language},
    phrase::{self, Slot},
    token,
    trie::{Fill, Nothing, Trie},
};

/// The entities meant, by their place in the home, and how they were meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) entities: Vec<usize>,
    pub(crate) group: Group,
}

/// How entities were meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// One of them.
    One,
    /// All of a kind: in a room, or everywhere.
    All(Kind, Option<usize>),
}

/// The home's names, rooms and nouns, ready to be read.
#[derive(Debug)]
pub(crate) struct References {
    forms: Trie<Form>,
    vocabulary: Vocabulary,
    kinds: Vec<Kind>,
    rooms: Vec<Option<usize>>,
    here: Option<usize>,
}

#[derive(Debug, Default)]
struct Vocabulary {
    articles: Trie<()>,
    names: Trie<usize>,
    rooms: Trie<usize>,
    nouns: Trie<Kind>,
    plurals: Trie<Kind>,
}

/// What a slot of a reference holds.
#[derive(Clone, Copy, Debug)]
enum Word {
    Article,
    Name(usize),
    Room(usize),
    Noun(Kind),
}

// === impl References ===

impl References {
    pub(crate) fn new(home: &Home, language: &Language) -> Self {
        let mut forms = Trie::default();
        for (phrase, form) in language.references {
            for steps in phrase::spell(phrase) {
                forms.insert(&steps, *form);
            }
        }
        Self {
            forms,
            vocabulary: Vocabulary::new(home, language),
            kinds: home.entities.iter().map(|entity| entity.kind).collect(),
            rooms: home
                .entities
                .iter()
                .map(|entity| entity.room.as_deref().and_then(|room| home.room_index(room)))
                .collect(),
            here: home.room.as_deref().and_then(|room| home.room_index(room)),
        }
    }

    /// Every reference that begins at a word and means something certain: where it ends, and what it means.
    pub(crate) fn read(&self, words: &[String], at: usize) -> Vec<(usize, Target)> {
        let mut found = self.forms.walk(words, at, &self.vocabulary);
        found.sort_by_key(|found| found.end);
        found
            .chunk_by(|one, other| one.end == other.end)
            .filter_map(|same| {
                let readings = same.iter().map(|found| (*found.value, found.bound.as_slice()));
                Some((same.first()?.end, self.meant(readings.collect())?))
            })
            .collect()
    }

    /// The rooms named at a word.
    pub(crate) fn read_room(&self, words: &[String], at: usize) -> Vec<(usize, usize)> {
        self.vocabulary
            .rooms
            .walk(words, at, &Nothing)
            .into_iter()
            .map(|found| (found.end, *found.value))
            .collect()
    }

    /// The kinds that a noun at a word stands for: `Slot::Noun` for one thing, `Slot::Nouns` for several.
    pub(crate) fn read_noun(&self, slot: Slot, words: &[String], at: usize) -> Vec<(usize, Kind)> {
        let nouns = if slot == Slot::Noun { &self.vocabulary.nouns } else { &self.vocabulary.plurals };
        nouns.walk(words, at, &Nothing).into_iter().map(|found| (found.end, *found.value)).collect()
    }

    /// Where articles at a word end.
    pub(crate) fn read_article(&self, words: &[String], at: usize) -> Vec<usize> {
        self.vocabulary.articles.walk(words, at, &Nothing).into_iter().map(|found| found.end).collect()
    }

    /// What the readings of the same words mean. A name goes before a noun: who calls one of two lamps `the
    /// kitchen light` means that one by it.
    fn meant(&self, readings: Vec<(Form, &[Word])>) -> Option<Target> {
        let mut named: Vec<usize> = readings
            .iter()
            .filter(|(form, _)| *form == Form::Named)
            .filter_map(|(_, words)| self.named(words))
            .collect();
        named.sort_unstable();
        named.dedup();
        if !named.is_empty() {
            return one(named);
        }
        let mut targets: Vec<Target> = Vec::new();
        for (form, words) in readings {
            let kind =
                words.iter().find_map(|word| if let Word::Noun(kind) = word { Some(*kind) } else { None })?;
            let target = self.of_kind(form, kind, room_of(words))?;
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
        if targets.len() == 1 { targets.pop() } else { None }
    }

    fn named(&self, words: &[Word]) -> Option<usize> {
        let entity =
            words.iter().find_map(|word| if let Word::Name(entity) = word { Some(*entity) } else { None })?;
        room_of(words).is_none_or(|room| self.rooms[entity] == Some(room)).then_some(entity)
    }

    /// What one thing, or all things, of a kind are here. One thing is the only one in the room that was said, else in
    /// the device's own room, else in the home.
    pub(crate) fn of_kind(&self, form: Form, kind: Kind, room: Option<usize>) -> Option<Target> {
        let all = |room: Option<usize>| {
            let entities = self.of(kind, room);
            (!entities.is_empty()).then_some(Target { entities, group: Group::All(kind, room) })
        };
        let here = || self.here.map(Some);
        match form {
            Form::Named => None,
            Form::One if room.is_some() => one(self.of(kind, room)),
            Form::One => {
                let near = self.of(kind, here().unwrap_or_default());
                one(if near.is_empty() { self.of(kind, None) } else { near })
            }
            Form::OneHere => one(self.of(kind, here()?)),
            Form::Many if room.is_some() => all(room),
            Form::Many => here().and_then(all).or_else(|| all(None)),
            Form::ManyHere => all(here()?),
            Form::ManyEverywhere => all(None),
        }
    }

    fn of(&self, kind: Kind, room: Option<usize>) -> Vec<usize> {
        let there = |entity: &usize| room.is_none() || self.rooms[*entity] == room;
        (0..self.kinds.len()).filter(|entity| self.kinds[*entity] == kind).filter(there).collect()
    }
}

fn one(mut entities: Vec<usize>) -> Option<Target> {
    entities.truncate(2);
    (entities.len() == 1).then_some(Target { entities, group: Group::One })
}

fn room_of(words: &[Word]) -> Option<usize> {
    words.iter().find_map(|word| if let Word::Room(room) = word { Some(*room) } else { None })
}

// === impl Vocabulary ===

impl Vocabulary {
    fn new(home: &Home, language: &Language) -> Self {
        let mut all = Self::default();
        for article in language.articles {
            insert(&mut all.articles, article, ());
        }
        for (index, entity) in home.entities.iter().enumerate() {
            for name in std::iter::once(&entity.name).chain(&entity.aliases) {
                insert(&mut all.names, name, index);
            }
        }
        for (index, room) in home.rooms.iter().enumerate() {
            for name in std::iter::once(&room.name).chain(&room.aliases) {
                insert(&mut all.rooms, name, index);
            }
        }
        for (kind, nouns, plurals) in language.nouns {
            for noun in *nouns {
                insert(&mut all.nouns, noun, *kind);
            }
            for plural in *plurals {
                insert(&mut all.plurals, plural, *kind);
            }
        }
        all
    }
}

fn insert<T: PartialEq>(trie: &mut Trie<T>, name: &str, value: T) {
    if let Some(words) = token::words(name) {
        trie.insert_words(words, value);
    }
}

impl Fill<Word> for Vocabulary {
    fn fill(&self, slot: Slot, words: &[String], at: usize) -> Vec<(usize, Word)> {
        fn all<T>(
            trie: &Trie<T>,
            words: &[String],
            at: usize,
            word: impl Fn(&T) -> Word,
        ) -> Vec<(usize, Word)> {
            trie.walk(words, at, &Nothing).into_iter().map(|found| (found.end, word(found.value))).collect()
        }
        match slot {
            Slot::The => all(&self.articles, words, at, |()| Word::Article),
            Slot::Name => all(&self.names, words, at, |entity| Word::Name(*entity)),
            Slot::Room => all(&self.rooms, words, at, |room| Word::Room(*room)),
            Slot::Noun => all(&self.nouns, words, at, |kind| Word::Noun(*kind)),
            Slot::Nouns => all(&self.plurals, words, at, |kind| Word::Noun(*kind)),
            Slot::Target
            | Slot::Level
            | Slot::Percent
            | Slot::Temperature
            | Slot::Degrees
            | Slot::Duration => Vec::new(),
        }
    }
}
