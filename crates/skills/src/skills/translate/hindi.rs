//! How Hindi says a phrase.

use super::{
    lexicon::Adjective,
    phrase::{Count, Deed, Person, Phrase, Relation, Rhythm, Thing},
};

/// Whether a postposition follows, which bends masculine words.
#[derive(Clone, Copy, PartialEq)]
enum Case {
    Direct,
    Oblique,
}

pub(super) fn say(phrase: &Phrase) -> String {
    match phrase {
        Phrase::Where(thing) => format!("{} कहाँ है?", named(thing, Case::Direct)),
        Phrase::Is { thing, so, not } => {
            format!("{} {}{} है।", named(thing, Case::Direct), form(so, thing, Case::Direct), negated(*not))
        }
        Phrase::At { thing, relation, place, not } => {
            format!("{} {}{} है।", named(thing, Case::Direct), at(*relation, place), negated(*not))
        }
        Phrase::Mine { want, things } => mine(*want, things),
        Phrase::There { thing, relation, place } => {
            let many = matches!(thing.count, Count::Some(_));
            format!("{} {} {}।", at(*relation, place), named(thing, Case::Direct), is(many))
        }
        Phrase::Does { who, deed, thing, rhythm } => {
            let rhythm = match rhythm {
                Some(Rhythm::EveryDay) => "हर दिन ",
                Some(Rhythm::Often) => "अक्सर ",
                None => "",
            };
            let (name, ending) = person(*who);
            format!("{name} {rhythm}{} {}{ending} है।", named(thing, Case::Direct), does(*deed))
        }
    }
}

/// "By me is …" and "to me … is wanted".
fn mine(want: bool, things: &[Thing]) -> String {
    let many = things.len() > 1 || things.iter().any(|thing| matches!(thing.count, Count::Some(_)));
    let things: Vec<String> = things.iter().map(|thing| named(thing, Case::Direct)).collect();
    let things = things.join(" और ");
    if want {
        format!("मुझे {things} चाहिए।")
    } else {
        format!("मेरे पास {things} {}।", is(many))
    }
}

fn negated(not: bool) -> &'static str {
    if not { " नहीं" } else { "" }
}

fn is(many: bool) -> &'static str {
    if many { "हैं" } else { "है" }
}

fn form(word: &Adjective, thing: &Thing, case: Case) -> &'static str {
    let many = matches!(thing.count, Count::Some(_));
    match thing.noun.hi_feminine() {
        true => word.hi[2],
        false => word.hi[usize::from(many || case == Case::Oblique)],
    }
}

/// The known thing has no article.
fn named(thing: &Thing, case: Case) -> String {
    let mut words = match thing.count {
        Count::The => vec![],
        Count::A => vec!["एक"],
        Count::Some(n) => vec![["दो", "तीन", "चार", "पाँच"][n - 2]],
    };
    words.extend(thing.first.iter().chain(&thing.second).map(|word| form(word, thing, case)));
    words.push(match (thing.count, case) {
        (Count::Some(_), _) => thing.noun.hi[2],
        (_, Case::Oblique) => thing.noun.hi[1],
        (_, Case::Direct) => thing.noun.hi[0],
    });
    words.join(" ")
}

fn at(relation: Relation, place: &Thing) -> String {
    let relation = match relation {
        Relation::Near => "के पास",
        Relation::NextTo => "के बगल में",
        Relation::Behind => "के पीछे",
        Relation::InFrontOf => "के सामने",
        Relation::In => "में",
        Relation::On => "पर",
        Relation::Under => "के नीचे",
    };
    format!("{} {relation}", named(place, Case::Oblique))
}

/// Who, and the ending that the verb takes with them.
fn person(who: Person) -> (&'static str, &'static str) {
    match who {
        Person::Man => ("आदमी", "ता"),
        Person::Woman => ("औरत", "ती"),
        Person::Boy => ("लड़का", "ता"),
        Person::Girl => ("लड़की", "ती"),
    }
}

fn does(deed: Deed) -> &'static str {
    match deed {
        Deed::Buys => "खरीद",
        Deed::Sells => "बेच",
        Deed::Sees => "देख",
        Deed::Brings => "ला",
    }
}
