//! How German says a phrase.

use super::phrase::{Count, Deed, Person, Phrase, Relation, Rhythm, Thing};
use crate::frame::sentence;

/// The cases that the patterns need.
#[derive(Clone, Copy)]
enum Case {
    Nominative = 0,
    Accusative = 1,
    Dative = 2,
}

/// By case, then masculine, feminine, neuter.
const THE: [[&str; 3]; 3] = [["der", "die", "das"], ["den", "die", "das"], ["dem", "der", "dem"]];
const AN: [[&str; 3]; 3] = [["ein", "eine", "ein"], ["einen", "eine", "ein"], ["einem", "einer", "einem"]];
/// Endings after `der` and after `ein`.
const AFTER_THE: [[&str; 3]; 3] = [["e", "e", "e"], ["en", "e", "e"], ["en", "en", "en"]];
const AFTER_AN: [[&str; 3]; 3] = [["er", "e", "es"], ["en", "e", "es"], ["en", "en", "en"]];

pub(super) fn say(phrase: &Phrase) -> String {
    let text = match phrase {
        Phrase::Where(thing) => format!("wo ist {}?", named(thing, Case::Nominative)),
        Phrase::Is { thing, so, not } => {
            format!("{} ist {}{}.", named(thing, Case::Nominative), negated(*not), so.de)
        }
        Phrase::At { thing, relation, place, not } => {
            format!("{} ist {}{}.", named(thing, Case::Nominative), negated(*not), at(*relation, place))
        }
        Phrase::Mine { want, things } => {
            let things: Vec<String> = things.iter().map(|thing| named(thing, Case::Accusative)).collect();
            format!("ich {} {}.", if *want { "will" } else { "habe" }, things.join(" und "))
        }
        Phrase::There { thing, relation, place } => {
            format!("es gibt {} {}.", named(thing, Case::Accusative), at(*relation, place))
        }
        Phrase::Does { who, deed, thing, rhythm } => {
            let rhythm = match rhythm {
                Some(Rhythm::EveryDay) => "jeden Tag ",
                Some(Rhythm::Often) => "oft ",
                None => "",
            };
            format!("{} {} {rhythm}{}.", person(*who), does(*deed), named(thing, Case::Accusative))
        }
    };
    sentence(&text)
}

fn negated(not: bool) -> &'static str {
    if not { "nicht " } else { "" }
}

fn named(thing: &Thing, case: Case) -> String {
    let gender = thing.noun.de_gender();
    let (article, ending, many) = match thing.count {
        Count::The => (THE[case as usize][gender], AFTER_THE[case as usize][gender], false),
        Count::A => (AN[case as usize][gender], AFTER_AN[case as usize][gender], false),
        // Numbers stand only in the nominative and accusative here, where the strong ending is -e.
        Count::Some(n) => (["zwei", "drei", "vier", "fünf"][n - 2], "e", true),
    };
    let words = thing.first.iter().chain(&thing.second).map(|word| format!(" {}{ending}", word.de));
    format!("{article}{} {}", words.collect::<String>(), thing.noun.de[usize::from(many)])
}

/// The relation with its place, which stands in the dative; `in dem` is `im`.
fn at(relation: Relation, place: &Thing) -> String {
    let place = named(place, Case::Dative);
    let relation = match relation {
        Relation::Near => "nahe",
        Relation::NextTo => "neben",
        Relation::Behind => "hinter",
        Relation::InFrontOf => "vor",
        Relation::In => "in",
        Relation::On => "auf",
        Relation::Under => "unter",
    };
    match (relation, place.strip_prefix("dem ")) {
        ("in", Some(rest)) => format!("im {rest}"),
        _ => format!("{relation} {place}"),
    }
}

fn person(who: Person) -> &'static str {
    match who {
        Person::Man => "der Mann",
        Person::Woman => "die Frau",
        Person::Boy => "der Junge",
        Person::Girl => "das Mädchen",
    }
}

fn does(deed: Deed) -> &'static str {
    match deed {
        Deed::Buys => "kauft",
        Deed::Sells => "verkauft",
        Deed::Sees => "sieht",
        Deed::Brings => "bringt",
    }
}
