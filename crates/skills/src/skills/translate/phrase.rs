//! What a phrase means, before any language says it.

use super::lexicon::{ADJECTIVES, Adjective, NOUNS, Noun, Sort};
use crate::frame::Dice;

/// How many, and whether they are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    /// The one that is known.
    The,
    /// One of its kind.
    A,
    /// From two to five.
    Some(usize),
}

/// A thing with its properties.
#[derive(Clone, Copy, Debug)]
pub(super) struct Thing {
    pub(super) count: Count,
    /// Size or age, said before the colour.
    pub(super) first: Option<&'static Adjective>,
    /// Colour, or the only property.
    pub(super) second: Option<&'static Adjective>,
    pub(super) noun: &'static Noun,
}

/// Where one thing is, as seen from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    Near,
    NextTo,
    Behind,
    InFrontOf,
    In,
    On,
    Under,
}

/// Who does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Person {
    Man,
    Woman,
    Boy,
    Girl,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Buys,
    Sells,
    Sees,
    Brings,
}

/// How regularly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rhythm {
    EveryDay,
    Often,
}

/// A meaning.
#[derive(Clone, Debug)]
pub(super) enum Phrase {
    /// Where is the thing?
    Where(Thing),
    /// The thing is, or is not, so.
    Is { thing: Thing, so: &'static Adjective, not: bool },
    /// The thing is, or is not, there.
    At { thing: Thing, relation: Relation, place: Thing, not: bool },
    /// I have, or I want, one or two things.
    Mine { want: bool, things: Vec<Thing> },
    /// There is something somewhere.
    There { thing: Thing, relation: Relation, place: Thing },
    /// Somebody does something with a thing.
    Does { who: Person, deed: Deed, thing: Thing, rhythm: Option<Rhythm> },
}

impl Phrase {
    pub(super) fn drawn(dice: &mut Dice) -> Self {
        match dice.weighted(&[10, 16, 26, 20, 12, 16]) {
            0 => Self::Where(thing(dice, Count::The, &Sort::ALL, 2)),
            1 => {
                let thing = thing(dice, Count::The, &Sort::ALL, 1);
                Self::Is { thing, so: other(dice, &thing), not: dice.percent(30) }
            }
            2 => {
                let (sort, relation, place) = somewhere(dice);
                let thing = thing(dice, Count::The, &[sort], 2);
                let place = other_place(dice, &thing, place);
                Self::At { thing, relation, place, not: dice.percent(15) }
            }
            3 => {
                let count = if dice.percent(60) { 1 } else { 2 };
                let mut things: Vec<Thing> = Vec::with_capacity(count);
                while things.len() < count {
                    let how_many = any(dice);
                    let thing = thing(dice, how_many, &[Sort::Object, Sort::Vehicle, Sort::Furniture], 2);
                    if things.iter().all(|other| other.noun.en != thing.noun.en) {
                        things.push(thing);
                    }
                }
                Self::Mine { want: dice.percent(50), things }
            }
            4 => {
                let (sort, relation, place) = somewhere(dice);
                let how_many = any(dice);
                let thing = thing(dice, how_many, &[sort], 1);
                let place = other_place(dice, &thing, place);
                Self::There { thing, relation, place }
            }
            _ => {
                let who = dice.pick(&[Person::Man, Person::Woman, Person::Boy, Person::Girl]);
                let deed = dice.pick(&[Deed::Buys, Deed::Sells, Deed::Sees, Deed::Brings]);
                let how_many = if dice.percent(45) { Count::The } else { any(dice) };
                let thing = thing(dice, how_many, &[Sort::Object, Sort::Vehicle, Sort::Furniture], 2);
                let rhythm =
                    if dice.percent(35) { Some(dice.pick(&[Rhythm::EveryDay, Rhythm::Often])) } else { None };
                Self::Does { who, deed, thing, rhythm }
            }
        }
    }
}

/// One, or two to five.
fn any(dice: &mut Dice) -> Count {
    if dice.percent(60) { Count::A } else { Count::Some(dice.between(2, 5) as usize) }
}

/// A thing of one of these sorts with at most so many properties.
fn thing(dice: &mut Dice, count: Count, sorts: &[Sort], properties_max: usize) -> Thing {
    let sort = dice.pick(sorts);
    let nouns: Vec<&'static Noun> = NOUNS.iter().filter(|noun| noun.sort == sort).collect();
    let noun = dice.pick(&nouns);
    let properties = dice.weighted(&[35, 45, 20]).min(properties_max);
    let (first, second) = match properties {
        0 => (None, None),
        1 => (None, Some(&ADJECTIVES[dice.below(ADJECTIVES.len())])),
        _ => {
            let firsts: Vec<&'static Adjective> = ADJECTIVES.iter().filter(|word| word.leads).collect();
            let colours: Vec<&'static Adjective> = ADJECTIVES.iter().filter(|word| word.colour).collect();
            (Some(dice.pick(&firsts)), Some(dice.pick(&colours)))
        }
    };
    Thing { count, first, second, noun }
}

/// A property that the thing is not already said to have.
fn other(dice: &mut Dice, thing: &Thing) -> &'static Adjective {
    loop {
        let so = &ADJECTIVES[dice.below(ADJECTIVES.len())];
        if thing.second.is_none_or(|has| has.en != so.en) {
            return so;
        }
    }
}

/// What can be in which relation to what.
fn somewhere(dice: &mut Dice) -> (Sort, Relation, Sort) {
    let outside = [Relation::Near, Relation::NextTo, Relation::Behind, Relation::InFrontOf];
    match dice.weighted(&[45, 15, 25, 15]) {
        0 => (dice.pick(&[Sort::Building, Sort::Vehicle]), dice.pick(&outside), Sort::Building),
        1 => (Sort::Object, dice.pick(&outside), Sort::Furniture),
        2 => (Sort::Object, dice.pick(&[Relation::On, Relation::Under]), Sort::Furniture),
        _ => (dice.pick(&[Sort::Object, Sort::Furniture]), Relation::In, Sort::Room),
    }
}

/// A known place with at most one property, other than the thing itself.
fn other_place(dice: &mut Dice, thing: &Thing, sort: Sort) -> Thing {
    loop {
        let place = self::thing(dice, Count::The, &[sort], 1);
        if place.noun.en != thing.noun.en {
            return place;
        }
    }
}
