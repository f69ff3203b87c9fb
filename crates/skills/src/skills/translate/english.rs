//! How English says a phrase.

use super::phrase::{Count, Deed, Person, Phrase, Relation, Rhythm, Thing};
use crate::frame::sentence;

pub(super) fn say(phrase: &Phrase) -> String {
    let text = match phrase {
        Phrase::Where(thing) => format!("where is {}?", named(thing)),
        Phrase::Is { thing, so, not } => format!("{} is {}{}.", named(thing), negated(*not), so.en),
        Phrase::At { thing, relation, place, not } => {
            format!("{} is {}{} {}.", named(thing), negated(*not), at(*relation), named(place))
        }
        Phrase::Mine { want, things } => {
            let things: Vec<String> = things.iter().map(named).collect();
            format!("I {} {}.", if *want { "want" } else { "have" }, things.join(" and "))
        }
        Phrase::There { thing, relation, place } => {
            let is = if matches!(thing.count, Count::Some(_)) { "are" } else { "is" };
            format!("there {is} {} {} {}.", named(thing), at(*relation), named(place))
        }
        Phrase::Does { who, deed, thing, rhythm } => {
            let (often, every_day) = match rhythm {
                Some(Rhythm::Often) => ("often ", ""),
                Some(Rhythm::EveryDay) => ("", " every day"),
                None => ("", ""),
            };
            format!("the {} {often}{} {}{every_day}.", person(*who), does(*deed), named(thing))
        }
    };
    sentence(&text)
}

fn negated(not: bool) -> &'static str {
    if not { "not " } else { "" }
}

fn named(thing: &Thing) -> String {
    let words: Vec<&str> = thing.first.iter().chain(&thing.second).map(|word| word.en).collect();
    let many = matches!(thing.count, Count::Some(_));
    let noun = thing.noun.en[usize::from(many)];
    let next = words.first().copied().unwrap_or(noun);
    let article = match thing.count {
        Count::The => "the",
        Count::A if next.starts_with(['a', 'e', 'i', 'o', 'u']) => "an",
        Count::A => "a",
        Count::Some(n) => ["two", "three", "four", "five"][n - 2],
    };
    [&[article], &words[..], &[noun]].concat().join(" ")
}

fn at(relation: Relation) -> &'static str {
    match relation {
        Relation::Near => "near",
        Relation::NextTo => "next to",
        Relation::Behind => "behind",
        Relation::InFrontOf => "in front of",
        Relation::In => "in",
        Relation::On => "on",
        Relation::Under => "under",
    }
}

fn person(who: Person) -> &'static str {
    match who {
        Person::Man => "man",
        Person::Woman => "woman",
        Person::Boy => "boy",
        Person::Girl => "girl",
    }
}

fn does(deed: Deed) -> &'static str {
    match deed {
        Deed::Buys => "buys",
        Deed::Sells => "sells",
        Deed::Sees => "sees",
        Deed::Brings => "brings",
    }
}
