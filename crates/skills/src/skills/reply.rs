//! Reply: a message and the wish behind the answer to a short reply that keeps the message's details.

use crate::{
    frame::{DAYS, Draw, clock, fill},
    pool::Kind,
};

/// A kind of message with its four replies. `{a}` and `{c}` are the sender as addressed, `{u}` the other time,
/// which the wish names as `{v}`, without its preposition.
struct Ask {
    says: &'static [&'static str],
    yes: &'static str,
    no: &'static str,
    later: &'static str,
    maybe: &'static str,
}

const ASKS: [Ask; 7] = [
    Ask {
        says: &[
            "Can we meet at {h} in {p}?",
            "Shall we meet in {p} at {h}?",
            "Are you free at {h} in {p}?",
            "Does {h} in {p} suit you?",
        ],
        yes: "Yes{a}, see you at {h} in {p}.",
        no: "Sorry{a}, I can't make {h} in {p}.",
        later: "Can we meet {u} in {p} instead{c}?",
        maybe: "Let me check if {h} in {p} works{c}.",
    },
    Ask {
        says: &[
            "Could you bring the {t} on {d}?",
            "Will you bring the {t} on {d}?",
            "On {d}, can you bring the {t}?",
            "Can you take the {t} along on {d}?",
        ],
        yes: "Yes{a}, I'll bring the {t} on {d}.",
        no: "Sorry{a}, I can't bring the {t} on {d}.",
        later: "I'll bring the {t} {u} instead{c}.",
        maybe: "Let me check if I can bring the {t} on {d}{c}.",
    },
    Ask {
        says: &[
            "Can you call {n} before {h}?",
            "Please ring {n} before {h}.",
            "Before {h}, could you call {n}?",
            "Would you call {n}, before {h} if possible?",
        ],
        yes: "Yes{a}, I'll call {n} before {h}.",
        no: "Sorry{a}, I can't call {n} before {h}.",
        later: "I'll call {n} {u} instead{c}.",
        maybe: "Let me check if I can call {n} before {h}{c}.",
    },
    Ask {
        says: &[
            "Dinner at {m} on {d}?",
            "Shall we have dinner at {m} on {d}?",
            "Come to dinner at {m} on {d}!",
            "We eat at {m} on {d}, will you come?",
        ],
        yes: "Yes{a}, dinner at {m} on {d}.",
        no: "Sorry{a}, no dinner at {m} on {d} for me.",
        later: "Can we have dinner at {m} {u} instead{c}?",
        maybe: "Let me check if I can do dinner at {m} on {d}{c}.",
    },
    Ask {
        says: &[
            "Can you pick up {n} from {p}?",
            "Could you fetch {n} from {p}?",
            "Someone must fetch {n} from {p}. Can you?",
            "{n} needs a lift from {p}. Will you?",
        ],
        yes: "Yes{a}, I'll pick up {n} from {p}.",
        no: "Sorry{a}, I can't pick up {n} from {p}.",
        later: "I'll pick up {n} from {p} {u} instead{c}.",
        maybe: "Let me check if I can pick up {n} from {p}{c}.",
    },
    Ask {
        says: &[
            "Can you send me the {t}?",
            "Please send me the {t}.",
            "I still need the {t} from you.",
            "Could I have the {t}?",
        ],
        yes: "Yes{a}, I'll send the {t}.",
        no: "Sorry{a}, I can't send the {t}.",
        later: "I'll send the {t} {u} instead{c}.",
        maybe: "Let me check if I can send the {t}{c}.",
    },
    Ask {
        says: &[
            "Is the {t} at {h}?",
            "Does the {t} start at {h}?",
            "The {t} is at {h}, right?",
            "Am I right that the {t} is at {h}?",
        ],
        yes: "Yes{a}, the {t} is at {h}.",
        no: "No{a}, the {t} is not at {h}.",
        later: "No{a}, the {t} is {u}.",
        maybe: "Let me check if the {t} is at {h}{c}.",
    },
];

const YES: [&str; 5] = ["Say yes", "Accept", "Agree", "Reply yes", "Tell them yes"];
const NO: [&str; 5] = ["Say no", "Decline", "Refuse kindly", "Reply no", "Tell them no"];
const LATER: [&str; 5] =
    ["Propose {v} instead", "Suggest {v}", "Say {v} is right", "Change it to {v}", "Rather {v}"];
const MAYBE: [&str; 5] =
    ["Say maybe", "Say you will check", "Stay vague", "Say you are not sure", "Reply maybe"];

const LAYOUTS: [&str; 8] = [
    "{f} writes: {m} {w}.",
    "Message from {f}: {m} {w}.",
    "Reply to {f}: {m} {w}.",
    "{w} to {f}: {m}",
    "Draft a reply. {f}: {m} {w}.",
    "Quick reply to {f}. {w}. {m}",
    "{f} asks: {m} My answer? {w}.",
    "Answer {f} for me: {m} {w}.",
];
const SECONDS: [&str; 3] = ["Also: ", "And ", "One more: "];

/// What the user wants to say.
#[derive(Clone, Copy, PartialEq)]
enum Wish {
    Yes,
    No,
    Later,
    Maybe,
}

impl Wish {
    fn words(self) -> &'static [&'static str] {
        match self {
            Self::Yes => &YES,
            Self::No => &NO,
            Self::Later => &LATER,
            Self::Maybe => &MAYBE,
        }
    }

    fn short(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Later => "{v} instead",
            Self::Maybe => "maybe",
        }
    }

    fn reply(self, ask: &Ask) -> &'static str {
        match self {
            Self::Yes => ask.yes,
            Self::No => ask.no,
            Self::Later => ask.later,
            Self::Maybe => ask.maybe,
        }
    }
}

pub(super) fn write(draw: &mut Draw<'_>) -> (String, String) {
    if draw.dice.percent(25) { two(draw) } else { one(draw) }
}

fn one(draw: &mut Draw<'_>) -> (String, String) {
    let ask = &ASKS[draw.dice.below(ASKS.len())];
    let wish = draw.dice.pick(&[Wish::Yes, Wish::No, Wish::Later, Wish::Maybe]);
    let [layout, says, words] = draw.frame([&LAYOUTS, ask.says, wish.words()]);
    let sender = draw.word(Kind::Given);
    let slots = slots(draw, ask);
    let slots = borrowed(&slots);
    let words = fill(words, &slots);
    let prompt = fill(layout, &[("f", sender), ("m", &fill(says, &slots)), ("w", &words)]);
    (prompt, addressed(wish.reply(ask), sender, &slots))
}

/// Two requests, answered one after the other.
fn two(draw: &mut Draw<'_>) -> (String, String) {
    let kinds = draw.dice.some(&[0, 1, 2, 3, 4, 5, 6], 2);
    let (first, second) = (&ASKS[kinds[0]], &ASKS[kinds[1]]);
    let wishes = draw.dice.some(&[Wish::Yes, Wish::No, Wish::Later, Wish::Maybe], 2);
    let [layout, says, and, also] = draw.frame([&LAYOUTS, first.says, &SECONDS, second.says]);
    let sender = draw.word(Kind::Given);
    let (one, two) = (slots(draw, first), slots(draw, second));
    let (one, two) = (borrowed(&one), borrowed(&two));
    let message = [fill(says, &one), " ".to_owned(), and.to_owned(), fill(also, &two)].concat();
    let words = format!("Say {}, then {}", fill(wishes[0].short(), &one), fill(wishes[1].short(), &two));
    let prompt = fill(layout, &[("f", sender), ("m", &message), ("w", &words)]);
    let answer = [
        addressed(wishes[0].reply(first), sender, &one),
        " ".to_owned(),
        fill(wishes[1].reply(second), &[&two[..], &[("a", ""), ("c", "")]].concat()),
    ];
    (prompt, answer.concat())
}

fn addressed(reply: &str, sender: &str, slots: &[(&str, &str)]) -> String {
    let (name, apart) = (format!(" {sender}"), format!(", {sender}"));
    fill(reply, &[slots, &[("a", name.as_str()), ("c", apart.as_str())]].concat())
}

fn borrowed<'a>(slots: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    slots.iter().map(|(name, text)| (*name, text.as_str())).collect()
}

/// A text for every slot of the message, and the other time.
fn slots(draw: &mut Draw<'_>, ask: &Ask) -> Vec<(&'static str, String)> {
    let mut slots = Vec::new();
    for name in ["h", "p", "t", "d", "n", "m"] {
        if !ask.yes.contains(&format!("{{{name}}}")) {
            continue;
        }
        let text = match name {
            "h" => clock(draw.dice.between(84, 255) * 5),
            "p" => draw.word(Kind::Place).to_owned(),
            "t" => draw.word(Kind::Topic).to_owned(),
            "d" => draw.dice.pick(&DAYS).to_owned(),
            "n" => draw.word(Kind::Given).to_owned(),
            _ => draw.word(Kind::Maker).to_owned(),
        };
        slots.push((name, text));
    }
    let (at, other) = if draw.dice.percent(50) {
        ("at", clock(draw.dice.between(84, 255) * 5))
    } else {
        ("on", draw.dice.pick(&DAYS).to_owned())
    };
    slots.push(("u", format!("{at} {other}")));
    slots.push(("v", other));
    slots
}
