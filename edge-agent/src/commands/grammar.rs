//! The grammar of one home: what was said, as the one thing that it can mean, or nothing.

use std::collections::BTreeSet;

use super::{
    home::{Ability, Home, Kind, TemperatureUnit},
    language::{Form, Language, Meaning},
    phrase::{self, Slot, Step},
    quantity::{Quantity, Scale},
    reference::{Group, References, Target},
    reply::{Said, Subject},
    token,
    trie::{Fill, Found, Nothing, Trie},
    verb::{Argument, Verb},
};

/// Most lead-ins and most politenesses after it that a command is looked for behind.
const FRAMES_MAX: usize = 4;
/// How far `brighter`, `louder` and `warmer` go.
const BRIGHTNESS_STEP_PERCENT: u8 = 20;
const VOLUME_STEP_PERCENT: u8 = 10;
const TEMPERATURE_STEP_CELSIUS: f64 = 1.0;
/// Farthest that a temperature is moved at once, degrees Celsius.
const TEMPERATURE_STEP_CELSIUS_MAX: f64 = 10.0;

/// A command that was understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// What to do.
    pub verb: Verb,
    /// The entities that it is done to, in the order of the home's file; at least one.
    pub entity_ids: Vec<String>,
    /// How.
    pub argument: Argument,
    /// What to say when it is done.
    pub reply: String,
}

/// Every command of a home, compiled once.
#[derive(Debug)]
pub struct Grammar {
    home: Home,
    language: &'static Language,
    leads: Trie<bool>,
    tails: Trie<bool>,
    names: Trie<()>,
    rows: Trie<Sense>,
    references: References,
}

/// What a phrase asks for, and of which kind where it names none.
type Sense = (Meaning, Option<Kind>);

/// What a slot of a phrase holds.
#[derive(Clone, Debug)]
enum Bound {
    Target(Target),
    Room(usize),
    /// One thing, or all things, of a kind, in a room that is said later.
    Noun(Kind, Form),
    Quantity(Quantity),
    Nothing,
}

// === impl Grammar ===

impl Grammar {
    /// Compiles the commands of a home.
    pub fn build(home: &Home) -> Self {
        // `Home::parse` has refused any language that has no commands.
        let language = Language::of(&home.language).unwrap_or(Language::ALL[0]);
        let mut leads = frames(language.leads);
        for call in language.calls {
            phrase::spell(call).iter().for_each(|steps| leads.insert(steps, false));
        }
        let mut names = Trie::default();
        for words in home.called.iter().filter_map(|name| token::words(name)) {
            names.insert_words(words, ());
        }
        let mut rows = Trie::default();
        for row in language.rows {
            let sense = (row.meaning, row.implied);
            phrase::spell(&language.full(row.phrase)).iter().for_each(|steps| rows.insert(steps, sense));
        }
        let references = References::new(home, language);
        Self { home: home.clone(), language, leads, tails: frames(language.tails), names, rows, references }
    }

    /// The command that was said. `None`: it is none, or it could mean two things, or its entity is unknown or
    /// lacks the ability.
    pub fn hear(&self, text: &str) -> Option<Match> {
        let said = token::spoken(text)?;
        let mut meant: Option<Match> = None;
        for (start, requested) in self.starts(&said.words) {
            for found in self.rows.walk(&said.words, start, self) {
                // `the lamp on?` asks how it is; `could you …?` asks for it to be done.
                let complete = self.ends(&said.words, found.end, requested || !said.asks);
                let Some(one) = complete.then(|| self.read(&found)).flatten() else { continue };
                match &meant {
                    Some(other) if *other != one => return None,
                    _ => meant = Some(one),
                }
            }
        }
        meant
    }

    /// Where the command itself may begin, and whether what stands before it makes it a request.
    fn starts(&self, words: &[String]) -> BTreeSet<(usize, bool)> {
        let mut all = BTreeSet::from([(0, false)]);
        let mut last = all.clone();
        for _ in 0..FRAMES_MAX {
            let mut next = BTreeSet::new();
            for (at, requested) in last {
                let leads = self.leads.walk(words, at, self);
                next.extend(leads.into_iter().map(|lead| (lead.end, requested || *lead.value)));
            }
            all.extend(&next);
            last = next;
        }
        all
    }

    /// Whether nothing but politeness follows, and, where it has to be, the whole is a request.
    fn ends(&self, words: &[String], at: usize, settled: bool) -> bool {
        let mut last = BTreeSet::from([(at, settled)]);
        for _ in 0..=FRAMES_MAX {
            if last.contains(&(words.len(), true)) {
                return true;
            }
            let mut next = BTreeSet::new();
            for (at, settled) in last {
                let tails = self.tails.walk(words, at, self);
                next.extend(tails.into_iter().map(|tail| (tail.end, settled || *tail.value)));
            }
            last = next;
        }
        false
    }

    fn read(&self, found: &Found<'_, Sense, Bound>) -> Option<Match> {
        let (mut target, mut noun, mut room, mut quantity) = (None, None, None, None);
        for bound in &found.bound {
            match bound {
                Bound::Target(meant) => target = Some(meant.clone()),
                Bound::Room(index) => room = Some(*index),
                Bound::Noun(kind, form) => noun = Some((*kind, *form)),
                Bound::Quantity(value) => quantity = Some(*value),
                Bound::Nothing => {}
            }
        }
        let (meaning, implied) = *found.value;
        let target = match (target, noun) {
            (Some(target), _) => target,
            (None, Some((kind, form))) => self.references.of_kind(form, kind, room)?,
            (None, None) => self.references.of_kind(Form::One, implied?, room)?,
        };
        let (verb, argument) = self.settle(meaning, &target, quantity)?;
        let able = self.all(&target, verb.needs()) && (verb.takes_many() || target.entities.len() == 1);
        able.then(|| self.matched(verb, argument, &target))
    }

    fn settle(
        &self,
        meaning: Meaning,
        target: &Target,
        quantity: Option<Quantity>,
    ) -> Option<(Verb, Argument)> {
        match meaning {
            Meaning::Do(verb) => Some((verb, self.argument(verb, target, quantity)?)),
            Meaning::Level => {
                let verb =
                    match self.only(target, [Ability::Brightness, Ability::Position, Ability::Volume])? {
                        Ability::Brightness => Verb::SetBrightness,
                        Ability::Position => Verb::SetPosition,
                        _ => Verb::SetVolume,
                    };
                Some((verb, self.argument(verb, target, quantity)?))
            }
            Meaning::Step(ability, sign) => self.step(ability, sign, quantity),
            Meaning::StepAny(sign) => {
                let any = [Ability::Brightness, Ability::Volume, Ability::Temperature];
                self.step(self.only(target, any)?, sign, quantity)
            }
        }
    }

    fn argument(&self, verb: Verb, target: &Target, quantity: Option<Quantity>) -> Option<Argument> {
        match (verb, quantity) {
            (Verb::SetBrightness, Some(Quantity::Percent(percent))) => {
                Some(Argument::BrightnessPercent(percent))
            }
            (Verb::SetPosition, Some(Quantity::Percent(percent))) => Some(Argument::PositionPercent(percent)),
            (Verb::SetVolume, Some(Quantity::Percent(percent))) => Some(Argument::VolumePercent(percent)),
            (Verb::SetTimer, Some(Quantity::Seconds(seconds))) => Some(Argument::DurationSeconds(seconds)),
            (Verb::SetTemperature, Some(Quantity::Temperature(value, scale))) => {
                let celsius = match self.scale(scale) {
                    Scale::Celsius => value,
                    Scale::Fahrenheit => tenths((value - 32.0) / 1.8),
                };
                self.reaches(target, celsius).then_some(Argument::TemperatureCelsius(celsius))
            }
            (
                Verb::SetBrightness
                | Verb::SetPosition
                | Verb::SetVolume
                | Verb::SetTimer
                | Verb::SetTemperature,
                _,
            ) => None,
            (_, None) => Some(Argument::None),
            (_, Some(_)) => None,
        }
    }

    fn step(&self, ability: Ability, sign: i8, quantity: Option<Quantity>) -> Option<(Verb, Argument)> {
        let points = |default: u8| match quantity {
            None => Some(sign * default as i8),
            Some(Quantity::Percent(percent)) if percent > 0 => Some(sign * percent as i8),
            Some(_) => None,
        };
        match ability {
            Ability::Brightness => {
                let points = points(BRIGHTNESS_STEP_PERCENT)?;
                Some((Verb::ChangeBrightness, Argument::BrightnessStepPercent(points)))
            }
            Ability::Volume => {
                Some((Verb::ChangeVolume, Argument::VolumeStepPercent(points(VOLUME_STEP_PERCENT)?)))
            }
            Ability::Temperature => {
                let celsius = match quantity {
                    None => TEMPERATURE_STEP_CELSIUS,
                    Some(Quantity::Temperature(value, scale)) => match self.scale(scale) {
                        Scale::Celsius => value,
                        Scale::Fahrenheit => tenths(value / 1.8),
                    },
                    Some(_) => return None,
                };
                let sound = celsius > 0.0 && celsius <= TEMPERATURE_STEP_CELSIUS_MAX;
                let step = Argument::TemperatureStepCelsius(f64::from(sign) * celsius);
                sound.then_some((Verb::ChangeTemperature, step))
            }
            _ => None,
        }
    }

    fn scale(&self, said: Option<Scale>) -> Scale {
        said.unwrap_or(match self.home.temperature_unit {
            TemperatureUnit::Celsius => Scale::Celsius,
            TemperatureUnit::Fahrenheit => Scale::Fahrenheit,
        })
    }

    /// The one of these abilities that the target has. None or two of them leave open what is meant.
    fn only(&self, target: &Target, any: [Ability; 3]) -> Option<Ability> {
        let mut had = any.into_iter().filter(|ability| self.all(target, *ability));
        let only = had.next()?;
        had.next().is_none().then_some(only)
    }

    fn all(&self, target: &Target, ability: Ability) -> bool {
        target.entities.iter().all(|entity| self.home.entities[*entity].can(ability))
    }

    fn reaches(&self, target: &Target, celsius: f64) -> bool {
        target.entities.iter().all(|entity| {
            let [low, high] = self.home.entities[*entity].temperatures_celsius();
            (low..=high).contains(&celsius)
        })
    }

    fn matched(&self, verb: Verb, argument: Argument, target: &Target) -> Match {
        let entities = &self.home.entities;
        let subject = match target.group {
            Group::One => {
                Subject::One(target.entities.first().map_or("", |entity| entities[*entity].name.as_str()))
            }
            Group::All(kind, room) => {
                Subject::All(self.language.plural(kind), room.map(|room| self.home.rooms[room].name.as_str()))
            }
        };
        let said = Said { verb, argument, subject, unit: self.home.temperature_unit };
        Match {
            verb,
            entity_ids: target.entities.iter().map(|entity| entities[*entity].id.clone()).collect(),
            argument,
            reply: (self.language.reply)(&said),
        }
    }
}

impl Fill<Bound> for Grammar {
    fn fill(&self, slot: Slot, words: &[String], at: usize) -> Vec<(usize, Bound)> {
        let numerals = &self.language.numerals;
        let quantity = match slot {
            Slot::Target => {
                let all = self.references.read(words, at).into_iter();
                return all.map(|(end, target)| (end, Bound::Target(target))).collect();
            }
            Slot::Room => {
                let all = self.references.read_room(words, at).into_iter();
                return all.map(|(end, room)| (end, Bound::Room(room))).collect();
            }
            Slot::The => {
                let all = self.references.read_article(words, at).into_iter();
                return all.map(|end| (end, Bound::Nothing)).collect();
            }
            Slot::Name => {
                let all = self.names.walk(words, at, &Nothing).into_iter();
                return all.map(|found| (found.end, Bound::Nothing)).collect();
            }
            Slot::Noun | Slot::Nouns => {
                let form = if slot == Slot::Noun { Form::One } else { Form::Many };
                let all = self.references.read_noun(slot, words, at).into_iter();
                return all.map(|(end, kind)| (end, Bound::Noun(kind, form))).collect();
            }
            Slot::Level => numerals.percent(words, at, false),
            Slot::Percent => numerals.percent(words, at, true),
            Slot::Temperature => numerals.temperature(words, at, false),
            Slot::Degrees => numerals.temperature(words, at, true),
            Slot::Duration => numerals.duration(words, at),
        };
        quantity.into_iter().map(|(end, quantity)| (end, Bound::Quantity(quantity))).collect()
    }
}

fn frames(phrases: &[(&str, bool)]) -> Trie<bool> {
    let mut all = Trie::default();
    for (phrase, request) in phrases {
        let spelled: Vec<Vec<Step>> = phrase::spell(phrase);
        spelled.iter().for_each(|steps| all.insert(steps, *request));
    }
    all
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
