//! How Spanish says a phrase.

use super::{
    lexicon::Adjective,
    phrase::{Count, Deed, Person, Phrase, Relation, Rhythm, Thing},
};
use crate::frame::sentence;

pub(super) fn say(phrase: &Phrase) -> String {
    match phrase {
        Phrase::Where(thing) => format!("¿Dónde está {}?", named(thing)),
        Phrase::Is { thing, so, not } => {
            let is = if so.es_state { "está" } else { "es" };
            sentence(&format!("{} {}{is} {}.", named(thing), negated(*not), form(so, thing)))
        }
        Phrase::At { thing, relation, place, not } => {
            sentence(&format!("{} {}está {}.", named(thing), negated(*not), at(*relation, place)))
        }
        Phrase::Mine { want, things } => {
            let things: Vec<String> = things.iter().map(named).collect();
            format!("{} {}.", if *want { "Quiero" } else { "Tengo" }, things.join(" y "))
        }
        Phrase::There { thing, relation, place } => format!("Hay {} {}.", named(thing), at(*relation, place)),
        Phrase::Does { who, deed, thing, rhythm } => {
            let rhythm = match rhythm {
                Some(Rhythm::EveryDay) => " todos los días",
                Some(Rhythm::Often) => " a menudo",
                None => "",
            };
            format!("{} {} {}{rhythm}.", person(*who), does(*deed), named(thing))
        }
    }
}

fn negated(not: bool) -> &'static str {
    if not { "no " } else { "" }
}

fn form(word: &Adjective, thing: &Thing) -> &'static str {
    let many = matches!(thing.count, Count::Some(_));
    word.es[usize::from(thing.noun.es_feminine()) + 2 * usize::from(many)]
}

/// Size and age go before the noun when a colour follows it, and `grande` is then cut to `gran`.
fn named(thing: &Thing) -> String {
    let feminine = thing.noun.es_feminine();
    let many = matches!(thing.count, Count::Some(_));
    let mut words = vec![match (thing.count, feminine) {
        (Count::The, false) => "el",
        (Count::The, true) => "la",
        (Count::A, false) => "un",
        (Count::A, true) => "una",
        (Count::Some(n), _) => ["dos", "tres", "cuatro", "cinco"][n - 2],
    }];
    if let Some(first) = thing.first {
        words.push(if first.en == "big" && !many { "gran" } else { form(first, thing) });
    }
    words.push(thing.noun.es[usize::from(many)]);
    words.extend(thing.second.map(|second| form(second, thing)));
    words.join(" ")
}

/// The relation with its place; `de el` is `del`.
fn at(relation: Relation, place: &Thing) -> String {
    let place = named(place);
    let relation = match relation {
        Relation::Near => "cerca de",
        Relation::NextTo => "al lado de",
        Relation::Behind => "detrás de",
        Relation::InFrontOf => "delante de",
        Relation::In => "en",
        Relation::On => "sobre",
        Relation::Under => "debajo de",
    };
    match place.strip_prefix("el ") {
        Some(rest) if relation.ends_with(" de") => format!("{relation}l {rest}"),
        _ => format!("{relation} {place}"),
    }
}

fn person(who: Person) -> &'static str {
    match who {
        Person::Man => "El hombre",
        Person::Woman => "La mujer",
        Person::Boy => "El niño",
        Person::Girl => "La niña",
    }
}

fn does(deed: Deed) -> &'static str {
    match deed {
        Deed::Buys => "compra",
        Deed::Sells => "vende",
        Deed::Sees => "ve",
        Deed::Brings => "trae",
    }
}
