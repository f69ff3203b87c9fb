//! Drills of facts: many facts told once, many questions about them.

use super::{About, ENDS, LEADS, LIVES, ORDERS, chain_asks, found};
use crate::{
    drills::Turn,
    frame::{Draw, fill, sentence},
    pool::Kind,
};

pub(in crate::skills) fn drill(draw: &mut Draw<'_>) -> Vec<Turn> {
    let (told, mut asked) = match draw.dice.weighted(&[76, 10, 14]) {
        0 => known(draw),
        1 => homes(draw),
        _ => order(draw),
    };
    draw.dice.shuffle(&mut asked);
    asked.truncate(6);
    let lead = draw.dice.pick(&LEADS);
    let mut turns = Vec::with_capacity(asked.len());
    for (question, answer) in asked {
        let end = draw.dice.pick(&ENDS);
        let prompt = match turns.is_empty() {
            true => format!("{lead}{} {question}{end}", told.join(" ")),
            false => format!("{question}{end}"),
        };
        turns.push(Turn::new(prompt, answer));
    }
    turns
}

/// Facts as sentences, and all questions with their answers.
type Told = (Vec<String>, Vec<(String, String)>);

/// Two things about each of some people, asked for directly and through what one owns.
fn known(draw: &mut Draw<'_>) -> Told {
    let kinds = draw.dice.some(&About::ALL, 2);
    let count = [2, 3, 4][draw.dice.weighted(&[5, 3, 2])];
    let names: Vec<&str> = (0..count).map(|_| draw.word(Kind::Given)).collect();
    let values = [kinds[0].values(draw, names.len()), kinds[1].values(draw, names.len())];
    let (mut told, mut asked) = (Vec::new(), Vec::new());
    for (i, name) in names.iter().enumerate() {
        for (kind, values) in kinds.iter().zip(&values) {
            let slots = [("n", *name), ("v", values[i].as_str())];
            told.push(fill(draw.dice.pick(kind.says()), &slots));
            asked.push((fill(draw.dice.pick(kind.asks()), &slots), found(name, &values[i])));
            asked.push((fill(draw.dice.pick(kind.asks_who()), &slots), found(&values[i], name)));
        }
        let owns = kinds.iter().position(|kind| matches!(kind, About::Owns));
        if let Some(owns) = owns {
            let (thing, value) = (&values[owns][i], &values[1 - owns][i]);
            let question = draw.dice.pick(chain_asks(kinds[1 - owns], false));
            let answer = format!("{thing}: {name}; {name}: {value}; Answer: {value}");
            asked.push((fill(question, &[("f", thing)]), answer));
        }
    }
    draw.dice.shuffle(&mut told);
    (told, asked)
}

/// Who lives in each of two or three towns.
fn homes(draw: &mut Draw<'_>) -> Told {
    let towns: Vec<&str> = (0..draw.dice.between(2, 3)).map(|_| draw.word(Kind::Place)).collect();
    let people: Vec<(&str, &str)> =
        (0..draw.dice.between(3, 6)).map(|_| (draw.word(Kind::Given), draw.dice.pick(&towns))).collect();
    let told = people.iter().map(|(n, v)| fill(draw.dice.pick(&LIVES), &[("n", n), ("v", v)])).collect();
    let mut asked: Vec<(String, String)> = people
        .iter()
        .map(|(n, v)| (fill(draw.dice.pick(About::Lives.asks()), &[("n", n)]), found(n, v)))
        .collect();
    for town in towns {
        let there: Vec<&str> = people.iter().filter(|(_, v)| *v == town).map(|(n, _)| *n).collect();
        if !there.is_empty() {
            let answer = format!("{}; Answer: {}", there.join(", "), there.len());
            asked.push((format!("How many live in {town}?"), answer));
        }
    }
    (told, asked)
}

/// A chain of comparisons, asked for both ends.
fn order(draw: &mut Draw<'_>) -> Told {
    let order = &ORDERS[draw.dice.below(ORDERS.len())];
    let names: Vec<&str> = (0..draw.dice.between(3, 5)).map(|_| draw.word(Kind::Given)).collect();
    let mut told: Vec<String> = names
        .windows(2)
        .map(|pair| match draw.dice.percent(70) {
            true => sentence(&format!("{} {} {}.", pair[0], order.more, pair[1])),
            false => sentence(&format!("{} {} {}.", pair[1], order.less, pair[0])),
        })
        .collect();
    draw.dice.shuffle(&mut told);
    let chain = names.join(" > ");
    let asked = [(order.most, names[0]), (order.least, names[names.len() - 1])]
        .map(|(end, name)| (format!("Who is the {end}?"), format!("{chain}; Answer: {name}")));
    (told, asked.to_vec())
}
