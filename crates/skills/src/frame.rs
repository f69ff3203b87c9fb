//! Draws words, wordings and numbers for one item, and keeps every draw inside the item's split.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

use crate::{
    pool::{Kind, Pools},
    skill::Skill,
    split::{Key, Split},
};

/// What an item was made of, for checking that splits share none of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Hashes of the composed wordings.
    pub frames: Vec<u64>,
    /// Hashes of the combinations of numbers, and of translated phrases.
    pub combinations: Vec<u64>,
    /// Names, places, rooms, makers and topics.
    pub words: Vec<&'static str>,
}

/// The only source of chance.
#[derive(Debug)]
pub(crate) struct Dice(ChaCha8Rng);

impl Dice {
    pub(crate) fn new(split: Split, seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(
            Key::new("dice").text(&split.to_string()).number(seed.cast_signed()).done(),
        ))
    }

    /// A number below `n`, by multiplying high: the bias is under n / 2^64.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.0.next_u64()) * n as u128) >> 64) as usize
    }

    /// A number in `low..=high`.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low + 1) as usize) as i64
    }

    /// Whether a thing of this chance happens.
    pub(crate) fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// An index, as often as its weight says.
    pub(crate) fn weighted(&mut self, weights: &[usize]) -> usize {
        let mut at = self.below(weights.iter().sum());
        for (i, weight) in weights.iter().enumerate() {
            match at.checked_sub(*weight) {
                Some(rest) => at = rest,
                None => return i,
            }
        }
        0
    }

    pub(crate) fn shuffle<T>(&mut self, list: &mut [T]) {
        for i in (1..list.len()).rev() {
            list.swap(i, self.below(i + 1));
        }
    }

    /// `count` different entries, in drawn order.
    pub(crate) fn some<T: Copy>(&mut self, from: &[T], count: usize) -> Vec<T> {
        let mut places: Vec<usize> = (0..from.len()).collect();
        let count = count.min(from.len());
        for i in 0..count {
            let j = i + self.below(places.len() - i);
            places.swap(i, j);
        }
        places.iter().take(count).map(|i| from[*i]).collect()
    }
}

/// The draws of one item.
#[derive(Debug)]
pub(crate) struct Draw<'a> {
    pub(crate) dice: &'a mut Dice,
    pub(crate) skill: Skill,
    split: Split,
    pools: &'static Pools,
    trace: Trace,
}

impl<'a> Draw<'a> {
    pub(crate) fn new(dice: &'a mut Dice, skill: Skill, split: Split) -> Self {
        Self { dice, skill, split, pools: Pools::of(split), trace: Trace::default() }
    }

    pub(crate) fn trace(self) -> Trace {
        self.trace
    }

    /// An open-class word of this split that the item does not use yet.
    pub(crate) fn word(&mut self, kind: Kind) -> &'static str {
        let words = self.pools.words(kind);
        loop {
            let word = words[self.dice.below(words.len())].as_str();
            if !self.trace.words.contains(&word) {
                self.trace.words.push(word);
                return word;
            }
        }
    }

    /// A given name and a family name.
    pub(crate) fn full_name(&mut self) -> String {
        format!("{} {}", self.word(Kind::Given), self.word(Kind::Family))
    }

    /// One entry of each part, so that the whole composition belongs to the split.
    pub(crate) fn frame<const N: usize>(&mut self, parts: [&[&'static str]; N]) -> [&'static str; N] {
        loop {
            let chosen = parts.map(|part| self.dice.pick(part));
            if self.keep_frame(&chosen) {
                return chosen;
            }
        }
    }

    /// As `frame`, for a number of parts that varies.
    pub(crate) fn frames(&mut self, parts: &[&[&'static str]]) -> Vec<&'static str> {
        loop {
            let chosen: Vec<_> = parts.iter().map(|part| self.dice.pick(part)).collect();
            if self.keep_frame(&chosen) {
                return chosen;
            }
        }
    }

    fn keep_frame(&mut self, chosen: &[&str]) -> bool {
        let key = chosen.iter().fold(Key::new(self.skill.name()), |key, part| key.text(part)).done();
        let kept = Split::of(key) == self.split;
        if kept {
            self.trace.frames.push(key);
        }
        kept
    }

    /// What `draw` makes, redrawn until the combination it names belongs to the split.
    pub(crate) fn combination<T>(&mut self, mut draw: impl FnMut(&mut Dice) -> (Key, T)) -> T {
        loop {
            let (key, made) = draw(self.dice);
            let key = key.done();
            if Split::of(key) == self.split {
                self.trace.combinations.push(key);
                return made;
            }
        }
    }

    /// Numbers from `draw` whose combination, under this tag, belongs to the split.
    pub(crate) fn numbers<const N: usize>(
        &mut self,
        tag: &str,
        mut draw: impl FnMut(&mut Dice) -> [i64; N],
    ) -> [i64; N] {
        self.combination(|dice| {
            let numbers = draw(dice);
            (numbers.iter().fold(Key::new(tag), |key, n| key.number(*n)), numbers)
        })
    }
}

/// The template with each `{slot}` replaced; a slot that is not given stays as it is.
pub(crate) fn fill(template: &str, slots: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(template.len() + 32);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let Some((slot, after)) = after.split_once('}') else {
            out.push('{');
            rest = after;
            continue;
        };
        match slots.iter().find(|(name, _)| *name == slot) {
            Some((_, text)) => out.push_str(text),
            None => {
                out.push('{');
                out.push_str(slot);
                out.push('}');
            }
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// The text with its first letter raised.
pub(crate) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

/// A time of day as 24-hour text.
pub(crate) fn clock(minutes: i64) -> String {
    format!("{}:{:02}", minutes.rem_euclid(1440) / 60, minutes.rem_euclid(60))
}

/// The days of the week.
pub(crate) const DAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

#[cfg(test)]
mod tests;
