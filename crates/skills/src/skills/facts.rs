//! Facts: a question over three to six facts, some of them beside the point.

mod drill;

use crate::{
    frame::{Draw, fill, sentence},
    pool::Kind,
};

pub(super) use drill::drill;

/// A relation that orders people, with its opposite and the questions for its two ends.
struct Order {
    more: &'static str,
    less: &'static str,
    most: &'static str,
    least: &'static str,
}

const ORDERS: [Order; 6] = [
    Order { more: "is taller than", less: "is shorter than", most: "tallest", least: "shortest" },
    Order { more: "is older than", less: "is younger than", most: "oldest", least: "youngest" },
    Order { more: "is faster than", less: "is slower than", most: "fastest", least: "slowest" },
    Order { more: "is richer than", less: "is poorer than", most: "richest", least: "poorest" },
    Order { more: "is stronger than", less: "is weaker than", most: "strongest", least: "weakest" },
    Order { more: "sits left of", less: "sits right of", most: "furthest left", least: "furthest right" },
];

const LEADS: [&str; 6] = ["", "Facts: ", "We know: ", "Given: ", "Note this. ", "Think it through. "];
const ENDS: [&str; 5] =
    ["", " Say who or what.", " Answer from the facts.", " One answer.", " Keep it short."];
const LIVES: [&str; 3] = ["{n} lives in {v}.", "{n}'s home is in {v}.", "{n} has a house in {v}."];
const OWNS: [&str; 3] = ["{n} owns the {v}.", "The {v} belongs to {n}.", "The {v} is {n}'s."];
const WORKS: [&str; 3] = ["{n} is a {v}.", "{n} works as a {v}.", "By trade {n} is a {v}."];
const LIKES: [&str; 3] = ["{n} likes {v}.", "{n} is fond of {v}.", "{n} enjoys {v}."];
const THINGS: [&str; 12] = [
    "boat", "drum", "kite", "ladder", "mirror", "piano", "sledge", "tent", "violin", "wagon", "globe", "desk",
];
const COLOURS: [&str; 7] = ["red", "blue", "green", "white", "black", "yellow", "brown"];
const TRADES: [&str; 14] = [
    "baker", "nurse", "pilot", "teacher", "farmer", "judge", "painter", "singer", "doctor", "cook", "driver",
    "writer", "tailor", "miner",
];
const FOODS: [&str; 12] = [
    "plums", "rice", "soup", "cheese", "olives", "bread", "figs", "honey", "peas", "noodles", "mango",
    "beans",
];

/// What is known of a person.
#[derive(Clone, Copy)]
enum About {
    Lives,
    Owns,
    Works,
    Likes,
}

impl About {
    const ALL: [Self; 4] = [Self::Lives, Self::Owns, Self::Works, Self::Likes];

    fn says(self) -> &'static [&'static str] {
        match self {
            Self::Lives => &LIVES,
            Self::Owns => &OWNS,
            Self::Works => &WORKS,
            Self::Likes => &LIKES,
        }
    }

    /// Questions for the value, given the person.
    fn asks(self) -> &'static [&'static str] {
        match self {
            Self::Lives => &["Where does {n} live?", "In which town is {n}'s home?"],
            Self::Owns => &["What does {n} own?", "What belongs to {n}?"],
            Self::Works => &["What is {n}'s trade?", "What does {n} work as?"],
            Self::Likes => &["What does {n} like?", "What is {n} fond of?"],
        }
    }

    /// Questions for the person, given the value.
    fn asks_who(self) -> &'static [&'static str] {
        match self {
            Self::Lives => &["Who lives in {v}?", "Whose home is in {v}?"],
            Self::Owns => &["Who owns the {v}?", "Whose is the {v}?"],
            Self::Works => &["Who is the {v}?", "Who works as a {v}?"],
            Self::Likes => &["Who likes {v}?", "Who is fond of {v}?"],
        }
    }

    /// `count` different values.
    fn values(self, draw: &mut Draw<'_>, count: usize) -> Vec<String> {
        match self {
            Self::Lives => (0..count).map(|_| draw.word(Kind::Place).to_owned()).collect(),
            Self::Owns => {
                let things = draw.dice.some(&THINGS, count);
                things.into_iter().map(|thing| format!("{} {thing}", draw.dice.pick(&COLOURS))).collect()
            }
            Self::Works => draw.dice.some(&TRADES, count).into_iter().map(str::to_owned).collect(),
            Self::Likes => draw.dice.some(&FOODS, count).into_iter().map(str::to_owned).collect(),
        }
    }
}

pub(super) fn write(draw: &mut Draw<'_>) -> (String, String) {
    match draw.dice.weighted(&[20, 15, 25, 12, 28]) {
        0 => looked_up(draw, false),
        1 => looked_up(draw, true),
        2 => chained(draw),
        3 => counted(draw),
        _ => ordered(draw),
    }
}

/// One fact among others of the same kind and another kind.
fn looked_up(draw: &mut Draw<'_>, who: bool) -> (String, String) {
    let kinds = draw.dice.some(&About::ALL, 2);
    let count = draw.dice.between(2, 3) as usize;
    let names: Vec<&str> = (0..count).map(|_| draw.word(Kind::Given)).collect();
    let values = kinds[0].values(draw, count);
    let extra = kinds[1].values(draw, count - 1);
    let mut facts: Vec<(About, usize)> = (0..count).map(|i| (kinds[0], i)).collect();
    facts.extend((0..count - 1).map(|i| (kinds[1], i)));
    draw.dice.shuffle(&mut facts);
    let mut parts: Vec<&[&'static str]> = vec![&LEADS];
    parts.extend(facts.iter().map(|(about, _)| about.says()));
    parts.extend([if who { kinds[0].asks_who() } else { kinds[0].asks() }, &ENDS]);
    let frame = draw.frames(&parts);
    let told: Vec<String> = facts
        .iter()
        .zip(&frame[1..])
        .map(|((about, i), says)| {
            let value = if *about as usize == kinds[0] as usize { &values[*i] } else { &extra[*i] };
            fill(says, &[("n", names[*i]), ("v", value)])
        })
        .collect();
    let asked = draw.dice.below(count);
    let slots = [("n", names[asked]), ("v", values[asked].as_str())];
    let (from, to) = if who { (slots[1].1, slots[0].1) } else { (slots[0].1, slots[1].1) };
    (told_and_asked(&frame, &told, &slots), found(from, to))
}

/// What was looked up and what was found, shown as working: naming the first makes the second one step away.
fn found(from: &str, to: &str) -> String {
    format!("{from}: {to}; Answer: {to}")
}

/// The lead, the facts, the question and the tail.
fn told_and_asked(frame: &[&str], told: &[String], slots: &[(&str, &str)]) -> String {
    let question = fill(frame[frame.len() - 2], slots);
    format!("{}{} {question}{}", frame[0], told.join(" "), frame[frame.len() - 1])
}

/// A thing's owner or a person's friend, and then where that one lives or what that one does.
fn chained(draw: &mut Draw<'_>) -> (String, String) {
    let count = draw.dice.between(2, 3) as usize;
    let last = draw.dice.pick(&[About::Lives, About::Works, About::Likes]);
    let friends = draw.dice.percent(40);
    let names: Vec<&str> = (0..count).map(|_| draw.word(Kind::Given)).collect();
    let firsts: Vec<String> = if friends {
        (0..count).map(|_| draw.word(Kind::Given).to_owned()).collect()
    } else {
        About::Owns.values(draw, count)
    };
    let values = last.values(draw, count);
    let mut facts: Vec<(bool, usize)> = (0..count).flat_map(|i| [(true, i), (false, i)]).collect();
    draw.dice.shuffle(&mut facts);
    let links: &'static [&'static str] = if friends {
        &["{f}'s friend is {n}.", "The friend of {f} is {n}.", "{f} has a friend, {n}."]
    } else {
        &["{n} owns the {f}.", "The {f} belongs to {n}.", "The {f} is {n}'s."]
    };
    let mut parts: Vec<&[&'static str]> = vec![&LEADS];
    parts.extend(facts.iter().map(|(link, _)| if *link { links } else { last.says() }));
    parts.extend([chain_asks(last, friends), &ENDS]);
    let frame = draw.frames(&parts);
    let told: Vec<String> = facts
        .iter()
        .zip(&frame[1..])
        .map(|((_, i), says)| fill(says, &[("n", names[*i]), ("f", &firsts[*i]), ("v", &values[*i])]))
        .collect();
    let asked = draw.dice.below(count);
    let (first, name, value) = (&firsts[asked], names[asked], &values[asked]);
    let prompt = told_and_asked(&frame, &told, &[("f", first)]);
    (prompt, format!("{first}: {name}; {name}: {value}; Answer: {value}"))
}

fn chain_asks(last: About, friends: bool) -> &'static [&'static str] {
    match (last, friends) {
        (About::Works, true) => &["What is the trade of {f}'s friend?", "What does {f}'s friend work as?"],
        (About::Works, false) => {
            &["What is the trade of the {f}'s owner?", "What does the owner of the {f} work as?"]
        }
        (About::Likes, true) => &["What does {f}'s friend like?", "What is {f}'s friend fond of?"],
        (About::Likes, false) => {
            &["What does the owner of the {f} like?", "What is the {f}'s owner fond of?"]
        }
        (_, true) => &["Where does {f}'s friend live?", "In which town is the home of {f}'s friend?"],
        (_, false) => &["Where does the owner of the {f} live?", "In which town does the {f}'s owner live?"],
    }
}

/// How many live in one of two towns.
fn counted(draw: &mut Draw<'_>) -> (String, String) {
    let count = draw.dice.between(3, 5) as usize;
    let names: Vec<&str> = (0..count).map(|_| draw.word(Kind::Given)).collect();
    let towns = [draw.word(Kind::Place), draw.word(Kind::Place)];
    let homes: Vec<usize> = (0..count).map(|i| if i == 0 { 0 } else { draw.dice.below(2) }).collect();
    let mut order: Vec<usize> = (0..count).collect();
    draw.dice.shuffle(&mut order);
    let mut parts: Vec<&[&'static str]> = vec![&LEADS];
    parts.extend(order.iter().map(|_| &LIVES[..]));
    parts.extend([
        &[
            "How many live in {v}?",
            "How many of them have a home in {v}?",
            "What number of people live in {v}?",
        ][..],
        &ENDS,
    ]);
    let frame = draw.frames(&parts);
    let told: Vec<String> = order
        .iter()
        .zip(&frame[1..])
        .map(|(i, says)| fill(says, &[("n", names[*i]), ("v", towns[homes[*i]])]))
        .collect();
    let there: Vec<&str> = order.iter().filter(|i| homes[**i] == 0).map(|i| names[*i]).collect();
    let prompt = told_and_asked(&frame, &told, &[("v", towns[0])]);
    (prompt, format!("{}; Answer: {}", there.join(", "), there.len()))
}

/// A chain of comparisons, told in any order and either direction.
fn ordered(draw: &mut Draw<'_>) -> (String, String) {
    let order = &ORDERS[draw.dice.below(ORDERS.len())];
    let count = [3, 4, 5][draw.dice.weighted(&[50, 35, 15])];
    // The first is the one who is more than everybody else.
    let names: Vec<&str> = (0..count).map(|_| draw.word(Kind::Given)).collect();
    let mut links: Vec<(usize, bool)> = (0..count - 1).map(|i| (i, draw.dice.percent(70))).collect();
    draw.dice.shuffle(&mut links);
    let asks_most = draw.dice.percent(50);
    let mut parts: Vec<&[&'static str]> = vec![&LEADS];
    parts.extend(
        links
            .iter()
            .map(|(_, forward)| if *forward { &["{f} {more} {l}."][..] } else { &["{l} {less} {f}."] }),
    );
    parts.extend([
        if asks_most {
            &["Who is the {most}?", "Which of them is the {most}?", "Name the {most}."][..]
        } else {
            &["Who is the {least}?", "Which of them is the {least}?", "Name the {least}."]
        },
        &ENDS,
    ]);
    let frame = draw.frames(&parts);
    let words = [("more", order.more), ("less", order.less), ("most", order.most), ("least", order.least)];
    let told: Vec<String> = links
        .iter()
        .zip(&frame[1..])
        .map(|((i, _), says)| {
            sentence(&fill(says, &[&words[..], &[("f", names[*i]), ("l", names[i + 1])]].concat()))
        })
        .collect();
    let answer = if asks_most { names[0] } else { names[count - 1] };
    (told_and_asked(&frame, &told, &words), format!("{}; Answer: {answer}", names.join(" > ")))
}

#[cfg(test)]
mod tests;
