//! WordProblem: a story of two to four steps, each worked as `a op b = c`.

use crate::{
    frame::{Dice, Draw, fill, sentence},
    pool::Kind,
    split::Key,
};

/// The most of anything a story ever has.
const TOTAL_MAX: i64 = 150;

/// The most lines of working.
const WORKED_MAX: usize = 4;

/// Something that happens to a person's things.
#[derive(Clone, Copy, PartialEq)]
enum Step {
    /// So many more.
    Gain(i64),
    /// So many fewer.
    Lose(i64),
    /// Boxes, and how many in each.
    Boxes(i64, i64),
    /// Given to so many friends, so many each.
    Gifts(i64, i64),
    /// Twice as many.
    Double,
    /// Half as many.
    Halve,
    /// One of so many equal shares is kept.
    Share(i64),
}

const THINGS: [&str; 20] = [
    "stamps", "shells", "marbles", "cards", "coins", "apples", "pens", "stickers", "beads", "nuts", "badges",
    "pebbles", "buttons", "plums", "cookies", "tiles", "candles", "ribbons", "bulbs", "seeds",
];
const OPENS: [&str; 6] = [
    "{n} has {k} {o}.",
    "{n} owns {k} {o}.",
    "{n} starts with {k} {o}.",
    "In {p}, {n} has {k} {o}.",
    "There are {k} {o} in {n}'s bag.",
    "{n} collects {o} and has {k}.",
];
const ASKS: [&str; 6] = [
    "How many {o} does {n} have now?",
    "How many {o} are there in the end?",
    "How many {o} are left?",
    "How many does {n} have at the end?",
    "What is the final number of {o}?",
    "How many is that now?",
];

impl Step {
    /// The ways to tell it.
    fn says(self) -> &'static [&'static str] {
        match self {
            Self::Gain(_) => &[
                "{n} finds {a} more.",
                "{n} buys {a} more.",
                "{m} brings {a} more.",
                "{n} gets {a} from {m}.",
            ],
            Self::Lose(_) => {
                &["{n} loses {a}.", "{n} gives {a} to {m}.", "{n} sells {a}.", "{m} takes {a} away."]
            }
            Self::Boxes(..) => &[
                "{n} buys {a} boxes of {b}.",
                "{m} brings {a} packs of {b}.",
                "{n} adds {a} bags with {b} each.",
                "{a} boxes with {b} each arrive.",
            ],
            Self::Gifts(..) => &[
                "{n} gives {b} each to {a} friends.",
                "{a} friends get {b} each.",
                "{a} friends take {b} each.",
                "{n} hands {b} each to {a} guests.",
            ],
            Self::Double => &["Then the number doubles.", "{m} doubles it.", "{n} then gets as many again."],
            Self::Halve => &["{n} gives half to {m}.", "{m} takes half.", "Half of them get lost."],
            Self::Share(_) => &[
                "{n} makes {a} equal heaps and keeps one.",
                "{n} splits all into {a} equal parts and keeps one.",
                "{a} people share all equally, {n} too.",
            ],
        }
    }

    fn numbers(self) -> [i64; 3] {
        match self {
            Self::Gain(a) => [1, a, 0],
            Self::Lose(a) => [2, a, 0],
            Self::Boxes(a, b) => [3, a, b],
            Self::Gifts(a, b) => [4, a, b],
            Self::Double => [5, 0, 0],
            Self::Halve => [6, 0, 0],
            Self::Share(a) => [7, a, 0],
        }
    }

    /// The total after it, and its working.
    fn done(self, total: i64, working: &mut String) -> i64 {
        let mut step = |a: i64, op: char, b: i64, c: i64| {
            working.push_str(&format!("{a} {op} {b} = {c}; "));
            c
        };
        match self {
            Self::Gain(a) => step(total, '+', a, total + a),
            Self::Lose(a) => step(total, '-', a, total - a),
            Self::Boxes(a, b) => {
                let more = step(a, '*', b, a * b);
                step(total, '+', more, total + more)
            }
            Self::Gifts(a, b) => {
                let less = step(a, '*', b, a * b);
                step(total, '-', less, total - less)
            }
            Self::Double => step(total, '*', 2, total * 2),
            Self::Halve => step(total, '/', 2, total / 2),
            Self::Share(a) => step(total, '/', a, total / a),
        }
    }

    /// A step that is possible from this total, or nothing.
    fn drawn(dice: &mut Dice, total: i64) -> Option<Self> {
        let step = match dice.weighted(&[22, 22, 18, 12, 8, 9, 9]) {
            0 => Self::Gain(dice.between(2, 40)),
            1 => Self::Lose(dice.between(2, 40)),
            2 => Self::Boxes(dice.between(2, 9), dice.between(2, 9)),
            3 => Self::Gifts(dice.between(2, 6), dice.between(2, 9)),
            4 => Self::Double,
            5 => Self::Halve,
            _ => Self::Share(dice.between(3, 6)),
        };
        let possible = match step {
            Self::Gain(a) => total + a <= TOTAL_MAX,
            Self::Boxes(a, b) => total + a * b <= TOTAL_MAX,
            Self::Lose(a) => total - a >= 2,
            Self::Gifts(a, b) => total - a * b >= 2,
            Self::Double => total <= 60,
            Self::Halve => total % 2 == 0 && total >= 4,
            Self::Share(a) => total % a == 0 && total / a >= 2 && total / a <= 20,
        };
        possible.then_some(step)
    }
}

pub(super) fn write(draw: &mut Draw<'_>) -> (String, String) {
    if draw.dice.percent(25) { compared(draw) } else { told(draw) }
}

/// One person's things, step after step.
fn told(draw: &mut Draw<'_>) -> (String, String) {
    let count = [1, 2, 3][draw.dice.weighted(&[30, 45, 25])];
    let (start, steps) = draw.combination(|dice| story(dice, count));
    let mut parts: Vec<&[&'static str]> = vec![&OPENS];
    parts.extend(steps.iter().map(|step| step.says()));
    parts.push(&ASKS);
    let frame = draw.frames(&parts);
    let (name, place, thing) = (draw.word(Kind::Given), draw.word(Kind::Place), draw.dice.pick(&THINGS));
    let slots = [("n", name), ("p", place), ("o", thing)];
    let mut prompt = fill(frame[0], &[&slots[..], &[("k", &start.to_string())]].concat());
    let (mut total, mut working) = (start, String::new());
    for (step, says) in steps.iter().zip(&frame[1..]) {
        let [_, a, b] = step.numbers();
        let other = if says.contains("{m}") { draw.word(Kind::Given) } else { "" };
        let (a, b) = (a.to_string(), b.to_string());
        let text = fill(says, &[&slots[..], &[("m", other), ("a", &a), ("b", &b)]].concat());
        prompt = prompt + " " + &sentence(&text);
        total = step.done(total, &mut working);
    }
    prompt = prompt + " " + &fill(frame[frame.len() - 1], &slots);
    (prompt, format!("{working}Answer: {total}"))
}

/// A start and steps that are all possible, with the key of their numbers.
fn story(dice: &mut Dice, count: usize) -> (Key, (i64, Vec<Step>)) {
    let start = dice.between(5, 60);
    let mut key = Key::new("story").number(start);
    let (mut total, mut steps) = (start, Vec::with_capacity(count));
    let mut worked = 0;
    while steps.len() < count {
        let Some(step) = Step::drawn(dice, total) else { continue };
        let works = if matches!(step, Step::Boxes(..) | Step::Gifts(..)) { 2 } else { 1 };
        if worked + works + (count - steps.len() - 1) > WORKED_MAX {
            continue;
        }
        worked += works;
        total = step.done(total, &mut String::new());
        key = step.numbers().into_iter().fold(key, Key::number);
        steps.push(step);
    }
    (key, (start, steps))
}

/// Two or three people, told by how they differ.
fn compared(draw: &mut Draw<'_>) -> (String, String) {
    let [start, op, by, also] = draw.numbers("compared", |dice| {
        let (start, op) = (dice.between(4, 40), dice.between(0, 2));
        let by = match op {
            0 => dice.between(2, 25),
            1 => dice.between(2, 25).min(start - 2),
            _ => dice.between(2, 4),
        };
        [start, op, by, if dice.percent(35) { dice.between(2, 20) } else { 0 }]
    });
    let says: &'static [&'static str] = match op {
        0 => &["{m} has {a} more than {n}.", "{m} has {a} more.", "{m} owns {a} more than that."],
        1 => &["{m} has {a} fewer than {n}.", "{m} has {a} fewer.", "{m} owns {a} fewer than that."],
        _ => &["{m} has {a} times as many as {n}.", "{m} has {a} times as many.", "{m} owns {a} times that."],
    };
    let more: &'static [&'static str] =
        if also == 0 { &[""] } else { &[" {x} adds {b}.", " {x} brings {b} too.", " Then {x} puts in {b}."] };
    let frame = draw.frame([
        &OPENS,
        says,
        more,
        &[
            "How many do they have together?",
            "How many {o} in all?",
            "What is the total?",
            "How many {o} together?",
        ],
    ]);
    let (name, other, third) = (draw.word(Kind::Given), draw.word(Kind::Given), draw.word(Kind::Given));
    let (place, thing) = (draw.word(Kind::Place), draw.dice.pick(&THINGS));
    let (first, by_text, also_text) = (start.to_string(), by.to_string(), also.to_string());
    let slots = [
        ("n", name),
        ("m", other),
        ("x", third),
        ("p", place),
        ("o", thing),
        ("k", first.as_str()),
        ("a", by_text.as_str()),
        ("b", also_text.as_str()),
    ];
    let prompt = fill(&format!("{} {}{} {}", frame[0], frame[1], frame[2], frame[3]), &slots);
    let (sign, second) = match op {
        0 => ('+', start + by),
        1 => ('-', start - by),
        _ => ('*', start * by),
    };
    let both = start + second;
    let mut working = format!("{start} {sign} {by} = {second}; {start} + {second} = {both}; ");
    let mut total = both;
    if also > 0 {
        total += also;
        working.push_str(&format!("{both} + {also} = {total}; "));
    }
    (prompt, format!("{working}Answer: {total}"))
}

#[cfg(test)]
mod tests;
