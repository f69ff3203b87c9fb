//! Notifications: several of them to one line that keeps who, what and when, and drops the advertisements.

use crate::{
    frame::{DAYS, Draw, clock, fill},
    pool::Kind,
};

/// A kind of notification: its wordings and what the summary keeps.
struct Note {
    says: &'static [&'static str],
    gist: &'static str,
}

const NOTES: [Note; 9] = [
    Note {
        says: &[
            "Mail from {f}: the {t} is due {d}.",
            "Mail from {f}: {t} due {d}!",
            "{f} mailed: please finish the {t} by {d}.",
        ],
        gist: "{f}: {t} due {d}",
    },
    Note {
        says: &[
            "Chat from {n}: meet at {h} in {p}?",
            "{n} in chat: let's meet in {p} at {h}.",
            "{n} wrote: see you in {p} at {h}?",
        ],
        gist: "{n}: meet {h} {p}",
    },
    Note {
        says: &["Missed call from {f}.", "You missed a call from {f}.", "{f} tried to call you."],
        gist: "{f} called",
    },
    Note {
        says: &[
            "{c} missed calls from {f}.",
            "You missed {c} calls from {f}.",
            "{f} tried to call {c} times.",
        ],
        gist: "{f} called {c} times",
    },
    Note {
        says: &[
            "Parcel: your {m} order arrives {d}.",
            "Your parcel from {m} comes on {d}.",
            "{m}: your order will be there {d}.",
        ],
        gist: "{m} parcel {d}",
    },
    Note {
        says: &["Bank: you paid {k} to {m}.", "Bank: {k} went to {m}.", "Card used: {k} at {m}."],
        gist: "paid {k} to {m}",
    },
    Note {
        says: &["Calendar: {t} at {h}.", "Reminder: {t}, {h}.", "Your calendar has {t} at {h}."],
        gist: "{t} {h}",
    },
    Note {
        says: &[
            "Train to {p}: {k} minutes late.",
            "Your train to {p} is late by {k} minutes.",
            "Delay of {k} minutes on the train to {p}.",
        ],
        gist: "{p} train {k} min late",
    },
    Note {
        says: &["Home: the {r} window is open.", "The {r} window was left open.", "Open window in the {r}."],
        gist: "{r} window open",
    },
];

const ADVERTS: [&str; 5] = [
    "{m}: {k}% off everything!",
    "Sale at {m}, only today!",
    "{m} misses you, come back!",
    "Win {k} prizes with {m}!",
    "New in the {m} store!",
];
const LEADS: [&str; 10] = [
    "Summarise: ",
    "Summarise my notifications: ",
    "Catch me up: ",
    "What did I miss? ",
    "Sum up: ",
    "Sum these up: ",
    "My notifications in short: ",
    "Brief me: ",
    "Short summary: ",
    "Notifications, in brief: ",
];
const URGENT: [&str; 3] = ["URGENT ", "Urgent: ", "(urgent) "];

/// A note that was chosen, as said and as kept.
struct Drawn {
    said: String,
    kept: Option<String>,
    urgent: bool,
}

pub(super) fn write(draw: &mut Draw<'_>) -> (String, String) {
    let (notes, adverts, urgent) = match draw.dice.weighted(&[35, 20, 15, 15, 15]) {
        0 => (2, 0, false),
        1 => (2, 1, false),
        2 => (3, 0, false),
        3 => (2, 0, true),
        _ => (3, 1, true),
    };
    let mut kinds: Vec<Option<&'static Note>> =
        draw.dice.some(&[0, 1, 2, 3, 4, 5, 6, 7, 8], notes).iter().map(|i| Some(&NOTES[*i])).collect();
    kinds.extend(vec![None; adverts]);
    draw.dice.shuffle(&mut kinds);
    let hurried = if urgent { hurried(draw, &kinds) } else { usize::MAX };
    let mut parts: Vec<&[&'static str]> = vec![&LEADS, if urgent { &URGENT } else { &[""] }];
    parts.extend(kinds.iter().map(|note| note.map_or(&ADVERTS[..], |note| note.says)));
    let frame = draw.frames(&parts);
    let mut drawn: Vec<Drawn> = Vec::with_capacity(kinds.len());
    for (i, note) in kinds.iter().enumerate() {
        let slots = slots(draw, frame[i + 2]);
        let slots: Vec<(&str, &str)> = slots.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let urgent = i == hurried;
        let mark = if urgent { frame[1] } else { "" };
        let said = format!("{mark}{}", fill(frame[i + 2], &slots));
        drawn.push(Drawn { said, kept: note.map(|note| fill(note.gist, &slots)), urgent });
    }
    let said: Vec<&str> = drawn.iter().map(|note| note.said.as_str()).collect();
    let prompt = format!("{}{}", frame[0], said.join(" "));
    // What is urgent comes first; the rest keeps its order.
    drawn.sort_by_key(|note| !note.urgent);
    let kept: Vec<String> = drawn.into_iter().filter_map(|note| note.kept).collect();
    let mark = if urgent { "Urgent: " } else { "" };
    (prompt, format!("{mark}{}.", kept.join("; ")))
}

/// Which note is urgent: never an advertisement.
fn hurried(draw: &mut Draw<'_>, kinds: &[Option<&Note>]) -> usize {
    loop {
        let at = draw.dice.below(kinds.len());
        if kinds[at].is_some() {
            return at;
        }
    }
}

/// A text for every slot of the wording.
fn slots(draw: &mut Draw<'_>, says: &str) -> Vec<(&'static str, String)> {
    let mut slots = Vec::new();
    for name in ["f", "n", "t", "d", "h", "p", "m", "k", "c", "r"] {
        if !says.contains(&format!("{{{name}}}")) {
            continue;
        }
        let text = match name {
            "f" => draw.full_name(),
            "n" => draw.word(Kind::Given).to_owned(),
            "t" => draw.word(Kind::Topic).to_owned(),
            "d" => draw.dice.pick(&DAYS).to_owned(),
            "h" => clock(draw.dice.between(84, 255) * 5),
            "p" => draw.word(Kind::Place).to_owned(),
            "m" => draw.word(Kind::Maker).to_owned(),
            "c" => draw.dice.between(2, 9).to_string(),
            "r" => draw.word(Kind::Room).to_owned(),
            _ => draw.dice.between(3, 95).to_string(),
        };
        slots.push((name, text));
    }
    slots
}
