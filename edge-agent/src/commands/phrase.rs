//! The notation of phrases, `(turn|switch) on [all] {target}`, spelled out into every sequence that it stands for.

/// What a slot of a phrase takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Slot {
    /// A reference to one or more entities.
    Target,
    /// An article or nothing in particular, such as `the`.
    The,
    /// A room's name.
    Room,
    /// An entity's or the assistant's own name.
    Name,
    /// A noun for one thing of a kind.
    Noun,
    /// A noun for several things of a kind.
    Nouns,
    /// A percentage whose unit may be left out where no doubt remains.
    Level,
    /// A percentage with its unit.
    Percent,
    /// A temperature whose unit may be left out.
    Temperature,
    /// A temperature or a difference of temperatures with its unit.
    Degrees,
    /// A length of time.
    Duration,
}

/// A step of a spelled-out phrase.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    Word(String),
    Slot(Slot),
}

/// Every sequence that a phrase stands for. `[x]` may be left out, `(x|y)` is one of both, `{x}` is a slot; a sign
/// that does not fit ends the group that it stands in, which a test over all tables would show.
pub(crate) fn spell(phrase: &str) -> Vec<Vec<Step>> {
    let mut reader = Reader { rest: phrase };
    reader.choices()
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn choices(&mut self) -> Vec<Vec<Step>> {
        let mut all = self.sequence();
        while self.skip('|') {
            all.extend(self.sequence());
        }
        all
    }

    fn sequence(&mut self) -> Vec<Vec<Step>> {
        let mut all = vec![Vec::new()];
        loop {
            self.rest = self.rest.trim_start();
            let next = if self.skip('(') {
                let inner = self.choices();
                self.skip(')');
                inner
            } else if self.skip('[') {
                let mut inner = self.choices();
                self.skip(']');
                inner.push(Vec::new());
                inner
            } else {
                match self.step() {
                    Some(step) => vec![vec![step]],
                    None => return all,
                }
            };
            all = product(&all, &next);
        }
    }

    fn step(&mut self) -> Option<Step> {
        if self.skip('{') {
            let (name, rest) = self.rest.split_once('}')?;
            self.rest = rest;
            return Slot::named(name).map(Step::Slot);
        }
        let end = self.rest.find([' ', '|', '(', ')', '[', ']', '{', '}']).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!word.is_empty()).then(|| Step::Word(word.to_owned()))
    }

    fn skip(&mut self, sign: char) -> bool {
        match self.rest.strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }
}

impl Slot {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "target" => Self::Target,
            "the" => Self::The,
            "room" => Self::Room,
            "name" => Self::Name,
            "noun" => Self::Noun,
            "nouns" => Self::Nouns,
            "level" => Self::Level,
            "percent" => Self::Percent,
            "temperature" => Self::Temperature,
            "degrees" => Self::Degrees,
            "duration" => Self::Duration,
            _ => return None,
        })
    }
}

fn product(heads: &[Vec<Step>], tails: &[Vec<Step>]) -> Vec<Vec<Step>> {
    heads
        .iter()
        .flat_map(|head| tails.iter().map(move |tail| head.iter().chain(tail).cloned().collect()))
        .collect()
}

#[cfg(test)]
mod tests;
