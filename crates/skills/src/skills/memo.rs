//! Memo: a rambling voice memo to the list of what there is to do.

use crate::{
    frame::{DAYS, Draw, clock, fill},
    pool::Kind,
};

const ACTIONS: [&str; 14] = [
    "call {f} about the {t}",
    "email {n} the {t}",
    "pay the {t} by {d}",
    "buy {k} {o} for the {r}",
    "pick up {n} from {p} at {h}",
    "send the {t} to {f}",
    "water the plants in the {r}",
    "fix the {r} door",
    "meet {n} in {p} on {d}",
    "return the {o} to {n}",
    "cancel the {m} contract",
    "book a room in {p} for {d}",
    "order {k} {o} from {m}",
    "print the {t}",
];
/// Actions with a slip of the tongue: as said, and as meant.
const SLIPS: [[&str; 2]; 4] = [
    ["call {n}, no, {x} about the {t}", "call {x} about the {t}"],
    ["pay the {t} by {d}, no, by {y}", "pay the {t} by {y}"],
    ["meet {n} in {p}, sorry, in {q} on {d}", "meet {n} in {q} on {d}"],
    ["send the {t} to {n}, I mean to {x}", "send the {t} to {x}"],
];
const CHAT: [&str; 10] = [
    "{n} already paid the {t}",
    "I already called {n}",
    "it rained all morning",
    "{p} was lovely",
    "the {r} looks great now",
    "{n} says hello",
    "the {t} went fine",
    "traffic in {p} was bad",
    "I slept well",
    "{m} sent the {t} already",
];
const WRAPS: [&str; 10] = [
    "I need to {a}",
    "don't forget to {a}",
    "I must {a}",
    "remember to {a}",
    "I have to {a}",
    "I should {a}",
    "please {a}",
    "I've got to {a}",
    "we need to {a}",
    "make sure to {a}",
];
const LEADS: [&str; 10] = [
    "Actions from this memo: ",
    "List the to-dos in this memo: ",
    "Voice memo, list the actions: ",
    "Turn this memo into tasks: ",
    "To-dos from my memo: ",
    "Memo to task list: ",
    "Memo, what must I do? ",
    "Tasks in this memo: ",
    "Pull the to-dos from this memo: ",
    "Action items, memo: ",
];
const OPENERS: [&str; 8] = ["", "um, ", "okay, ", "right, ", "so yeah, ", "hmm, ", "so, ", "well, "];
const JOINS: [&str; 7] = [", oh and ", ", um, ", ", and ", ", then ", ", also ", ", anyway, ", ", and uh, "];
const CANCELS: [&str; 4] = [
    ", no, forget that last one",
    ", actually drop that last one",
    ", oh, scratch the last one",
    ", no, skip the last one",
];
const OBJECTS: [&str; 16] = [
    "lamps", "chairs", "towels", "candles", "cushions", "plates", "mugs", "bulbs", "frames", "baskets",
    "books", "tools", "boxes", "pens", "keys", "bags",
];

/// One stretch of the memo: what is to be said, and what is to be done about it.
struct Stretch {
    said: &'static str,
    todo: Option<&'static str>,
}

pub(super) fn write(draw: &mut Draw<'_>) -> (String, String) {
    let (actions, chat, cancels) = match draw.dice.weighted(&[25, 25, 20, 15, 15]) {
        0 => (1, 1, false),
        1 => (2, 0, false),
        2 => (2, 1, false),
        3 => (2, 0, true),
        _ => (3, 1, false),
    };
    let mut stretches: Vec<Stretch> = (0..actions).map(|_| action(draw)).collect();
    stretches.extend((0..chat).map(|_| Stretch { said: draw.dice.pick(&CHAT), todo: None }));
    draw.dice.shuffle(&mut stretches);
    let mut parts: Vec<&[&'static str]> = vec![&LEADS, &OPENERS];
    for (i, stretch) in stretches.iter().enumerate() {
        let last = i + 1 == stretches.len();
        parts.push(if stretch.todo.is_some() { &WRAPS } else { &["{a}"] });
        parts.push(if last { &[""] } else { &JOINS });
    }
    parts.push(if cancels { &CANCELS } else { &[""] });
    let frame = draw.frames(&parts);
    let mut said = [frame[0], frame[1]].concat();
    let mut todos = Vec::with_capacity(actions);
    for (i, stretch) in stretches.iter().enumerate() {
        if i > 0 {
            said.push_str(frame[2 * i + 1]);
        }
        let slots = slots(draw, stretch.said);
        let slots: Vec<(&str, &str)> = slots.iter().map(|(name, text)| (*name, text.as_str())).collect();
        said.push_str(&fill(frame[2 * i + 2], &[("a", &fill(stretch.said, &slots))]));
        todos.extend(stretch.todo.map(|todo| format!("- {}", fill(todo, &slots))));
    }
    if cancels {
        todos.pop();
    }
    said.push_str(frame[frame.len() - 1]);
    (said + ".", todos.join("\n"))
}

fn action(draw: &mut Draw<'_>) -> Stretch {
    if draw.dice.percent(12) {
        let [said, todo] = draw.dice.pick(&SLIPS);
        return Stretch { said, todo: Some(todo) };
    }
    let action = draw.dice.pick(&ACTIONS);
    Stretch { said: action, todo: Some(action) }
}

/// A text for every slot of the stretch.
fn slots(draw: &mut Draw<'_>, said: &str) -> Vec<(&'static str, String)> {
    let mut slots = Vec::new();
    let mut day = draw.dice.below(7);
    for name in ["f", "n", "x", "t", "d", "y", "k", "o", "r", "p", "q", "h", "m"] {
        if !said.contains(&format!("{{{name}}}")) {
            continue;
        }
        let text = match name {
            "f" if draw.dice.percent(40) => format!("Dr. {}", draw.word(Kind::Family)),
            "f" | "n" | "x" => draw.word(Kind::Given).to_owned(),
            "t" => draw.word(Kind::Topic).to_owned(),
            "d" | "y" => {
                // The second day differs from the first.
                day = (day + 1 + draw.dice.below(5)) % 7;
                DAYS[day].to_owned()
            }
            "k" => draw.dice.between(2, 30).to_string(),
            "o" => draw.dice.pick(&OBJECTS).to_owned(),
            "r" => draw.word(Kind::Room).to_owned(),
            "h" => clock(draw.dice.between(84, 255) * 5),
            "m" => draw.word(Kind::Maker).to_owned(),
            _ => draw.word(Kind::Place).to_owned(),
        };
        slots.push((name, text));
    }
    slots
}
