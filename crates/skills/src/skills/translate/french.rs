//! How French says a phrase.

use super::{
    lexicon::Adjective,
    phrase::{Count, Deed, Person, Phrase, Relation, Rhythm, Thing},
};
use crate::frame::sentence;

pub(super) fn say(phrase: &Phrase) -> String {
    let text = match phrase {
        Phrase::Where(thing) => format!("où est {} ?", named(thing)),
        Phrase::Is { thing, so, not } => format!("{} {} {}.", named(thing), is(*not), form(so, thing)),
        Phrase::At { thing, relation, place, not } => {
            format!("{} {} {}.", named(thing), is(*not), at(*relation, place))
        }
        Phrase::Mine { want, things } => {
            let things: Vec<String> = things.iter().map(named).collect();
            format!("{} {}.", if *want { "je veux" } else { "j'ai" }, things.join(" et "))
        }
        Phrase::There { thing, relation, place } => {
            format!("il y a {} {}.", named(thing), at(*relation, place))
        }
        Phrase::Does { who, deed, thing, rhythm } => {
            let (souvent, every_day) = match rhythm {
                Some(Rhythm::Often) => (" souvent", ""),
                Some(Rhythm::EveryDay) => ("", " tous les jours"),
                None => ("", ""),
            };
            format!("{} {}{souvent} {}{every_day}.", person(*who), does(*deed), named(thing))
        }
    };
    sentence(&text)
}

fn is(not: bool) -> &'static str {
    if not { "n'est pas" } else { "est" }
}

fn form(word: &Adjective, thing: &Thing) -> &'static str {
    let many = matches!(thing.count, Count::Some(_));
    word.fr[usize::from(thing.noun.fr_feminine()) + 2 * usize::from(many)]
}

/// Whether the article before this word loses its vowel; every h of the lexicon is mute.
fn elides(word: &str) -> bool {
    word.starts_with(['a', 'e', 'i', 'o', 'u', 'é', 'h'])
}

/// The form before a masculine noun that starts with a vowel.
fn before_vowel(word: &'static str) -> &'static str {
    match word {
        "vieux" => "vieil",
        "nouveau" => "nouvel",
        "beau" => "bel",
        other => other,
    }
}

fn named(thing: &Thing) -> String {
    let feminine = thing.noun.fr_feminine();
    let many = matches!(thing.count, Count::Some(_));
    let noun = thing.noun.fr[usize::from(many)];
    let both = thing.first.iter().chain(&thing.second);
    let (before, after): (Vec<&Adjective>, Vec<&Adjective>) = both.copied().partition(|word| word.fr_before);
    let mut words: Vec<&'static str> = before.iter().map(|word| form(word, thing)).collect();
    if let (Some(last), true) = (words.last_mut(), elides(noun) && !many && !feminine) {
        *last = before_vowel(last);
    }
    words.push(noun);
    words.extend(after.iter().map(|word| form(word, thing)));
    let rest = words.join(" ");
    let article = match (thing.count, feminine) {
        (Count::The, _) if elides(&rest) => return format!("l'{rest}"),
        (Count::The, false) => "le",
        (Count::The, true) => "la",
        (Count::A, false) => "un",
        (Count::A, true) => "une",
        (Count::Some(n), _) => ["deux", "trois", "quatre", "cinq"][n - 2],
    };
    format!("{article} {rest}")
}

/// The relation with its place; `de le` is `du`.
fn at(relation: Relation, place: &Thing) -> String {
    let place = named(place);
    let relation = match relation {
        Relation::Near => "près de",
        Relation::NextTo => "à côté de",
        Relation::Behind => "derrière",
        Relation::InFrontOf => "devant",
        Relation::In => "dans",
        Relation::On => "sur",
        Relation::Under => "sous",
    };
    match (place.strip_prefix("le "), relation.strip_suffix("de")) {
        (Some(rest), Some(start)) => format!("{start}du {rest}"),
        _ => format!("{relation} {place}"),
    }
}

fn person(who: Person) -> &'static str {
    match who {
        Person::Man => "l'homme",
        Person::Woman => "la femme",
        Person::Boy => "le garçon",
        Person::Girl => "la fille",
    }
}

fn does(deed: Deed) -> &'static str {
    match deed {
        Deed::Buys => "achète",
        Deed::Sells => "vend",
        Deed::Sees => "voit",
        Deed::Brings => "apporte",
    }
}
