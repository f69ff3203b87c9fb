//! How Chinese says a phrase.

use super::{
    lexicon::Adjective,
    phrase::{Count, Deed, Person, Phrase, Relation, Rhythm, Thing},
};

pub(super) fn say(phrase: &Phrase) -> String {
    match phrase {
        Phrase::Where(thing) => format!("{}在哪里？", named(thing)),
        Phrase::Is { thing, so, not } => format!("{}{}。", named(thing), is(so, *not)),
        Phrase::At { thing, relation, place, not } => {
            format!("{}{}在{}。", named(thing), if *not { "不" } else { "" }, at(*relation, place))
        }
        Phrase::Mine { want, things } => {
            let things: Vec<String> = things.iter().map(named).collect();
            format!("我{}{}。", if *want { "想要" } else { "有" }, things.join("和"))
        }
        Phrase::There { thing, relation, place } => format!("{}有{}。", at(*relation, place), named(thing)),
        Phrase::Does { who, deed, thing, rhythm } => {
            let rhythm = match rhythm {
                Some(Rhythm::EveryDay) => "每天",
                Some(Rhythm::Often) => "经常",
                None => "",
            };
            format!("{}{rhythm}{}{}。", person(*who), does(*deed), named(thing))
        }
    }
}

/// Colours are said with 是 … 的, other properties with 很, which 不 replaces.
fn is(so: &Adjective, not: bool) -> String {
    match (so.colour, not) {
        (true, false) => format!("是{}的", so.zh),
        (true, true) => format!("不是{}的", so.zh),
        (false, false) => format!("很{}", so.zh),
        (false, true) => format!("不{}", so.zh),
    }
}

/// The measure word stands between the number and the rest; the colour comes before size and age.
fn named(thing: &Thing) -> String {
    let [noun, measure] = thing.noun.zh;
    let count = match thing.count {
        Count::The => String::new(),
        Count::A => format!("一{measure}"),
        Count::Some(n) => format!("{}{measure}", ["两", "三", "四", "五"][n - 2]),
    };
    let word = |word: &Adjective| format!("{}{}", word.zh, if word.zh_bare { "" } else { "的" });
    let second = thing.second.map(word).unwrap_or_default();
    let first = thing.first.map(word).unwrap_or_default();
    format!("{count}{second}{first}{noun}")
}

fn at(relation: Relation, place: &Thing) -> String {
    let relation = match relation {
        Relation::Near => "附近",
        Relation::NextTo => "旁边",
        Relation::Behind => "后面",
        Relation::InFrontOf => "前面",
        Relation::In => "里",
        Relation::On => "上",
        Relation::Under => "下面",
    };
    format!("{}{relation}", named(place))
}

fn person(who: Person) -> &'static str {
    match who {
        Person::Man => "男人",
        Person::Woman => "女人",
        Person::Boy => "男孩",
        Person::Girl => "女孩",
    }
}

fn does(deed: Deed) -> &'static str {
    match deed {
        Deed::Buys => "买",
        Deed::Sells => "卖",
        Deed::Sees => "看见",
        Deed::Brings => "带来",
    }
}
