//! Home: a spoken command to a compact JSON action, or a list of actions.

use crate::{
    frame::{Draw, fill},
    pool::Kind,
};

/// One thing a home can do, with the ways to ask for it.
struct Intent {
    does: &'static str,
    says: &'static [&'static str],
    devices: &'static [&'static str],
    value: Value,
}

enum Value {
    None,
    /// A number in this range, which the split's combinations cover.
    Number(i64, i64),
    /// A number from a range too small to divide.
    Few(i64, i64),
    /// A band's name.
    Band,
    /// A room's name; no device is named.
    Room,
    /// Minutes; no device is named.
    Minutes,
}

const INTENTS: [Intent; 13] = [
    Intent {
        does: "turn_on",
        says: &[
            "turn on the {d}",
            "switch on the {d}",
            "switch the {d} on",
            "power up the {d}",
            "start the {d}",
        ],
        devices: &["lamp", "lights", "fan", "heater", "speaker", "kettle", "radio"],
        value: Value::None,
    },
    Intent {
        does: "turn_off",
        says: &[
            "turn off the {d}",
            "switch off the {d}",
            "switch the {d} off",
            "power down the {d}",
            "stop the {d}",
        ],
        devices: &["lamp", "lights", "fan", "heater", "speaker", "oven", "radio"],
        value: Value::None,
    },
    Intent {
        does: "dim",
        says: &[
            "dim the {d} to {v} percent",
            "set the {d} to {v} percent",
            "bring the {d} to {v} percent brightness",
            "put the {d} at {v} percent",
        ],
        devices: &["lamp", "lights", "spotlight", "lantern"],
        value: Value::Number(2, 99),
    },
    Intent {
        does: "set_temp",
        says: &[
            "set the {d} to {v} degrees",
            "make the {d} {v} degrees",
            "bring the {d} to {v} degrees",
            "heat the {d} to {v} degrees",
        ],
        devices: &["heater", "thermostat", "radiator", "boiler"],
        value: Value::Few(15, 28),
    },
    Intent {
        does: "volume",
        says: &[
            "set the {d} volume to {v}",
            "turn the {d} volume to {v}",
            "put the volume of the {d} at {v}",
            "make the {d} volume {v}",
        ],
        devices: &["speaker", "radio", "television"],
        value: Value::Number(2, 99),
    },
    Intent {
        does: "open",
        says: &["open the {d}", "raise the {d}", "open up the {d}", "pull up the {d}"],
        devices: &["blinds", "curtains", "shutters", "window"],
        value: Value::None,
    },
    Intent {
        does: "close",
        says: &["close the {d}", "lower the {d}", "shut the {d}", "pull down the {d}"],
        devices: &["blinds", "curtains", "shutters", "window"],
        value: Value::None,
    },
    Intent {
        does: "lock",
        says: &["lock the {d}", "lock up the {d}", "bolt the {d}", "make sure the {d} is locked"],
        devices: &["door", "gate", "safe"],
        value: Value::None,
    },
    Intent {
        does: "unlock",
        says: &[
            "unlock the {d}",
            "unbolt the {d}",
            "take the lock off the {d}",
            "make sure the {d} is unlocked",
        ],
        devices: &["door", "gate", "safe"],
        value: Value::None,
    },
    Intent {
        does: "play",
        says: &["play {v} on the {d}", "put on {v} on the {d}", "put {v} on the {d}", "let the {d} play {v}"],
        devices: &["speaker", "radio", "television"],
        value: Value::Band,
    },
    Intent {
        does: "clean",
        says: &[
            "vacuum the {v}",
            "send the vacuum to the {v}",
            "clean the {v} floor",
            "have the vacuum do the {v}",
        ],
        devices: &[],
        value: Value::Room,
    },
    Intent {
        does: "timer",
        says: &["set a timer for {v}", "start a {v} timer", "time {v}", "count down {v}"],
        devices: &[],
        value: Value::Minutes,
    },
    Intent {
        does: "alarm",
        says: &["wake me at {v}", "set an alarm for {v}", "ring the alarm at {v}", "set my alarm to {v}"],
        devices: &[],
        value: Value::Number(0, 287),
    },
];

const LEADS: [&str; 12] = [
    "",
    "please ",
    "hey, ",
    "could you ",
    "can you ",
    "okay, ",
    "now ",
    "would you ",
    "I want you to ",
    "go and ",
    "home, ",
    "quick, ",
];
const TAILS: [&str; 8] =
    ["", " please", " now", " for me", " right away", " thanks", " when you can", " tonight"];
const JOINS: [&str; 5] = [" and ", ", then ", " and then ", ", also ", " and also "];
const MENDS: [&str; 4] =
    [", no wait, the {d}", ", sorry, I mean the {d}", ", no, make that the {d}", ", oh, rather the {d}"];
const LEAVES: [&str; 4] =
    [" but not the {d}", " but leave the {d}", " but don't touch the {d}", " and leave the {d} as it is"];
const PAIRS: [&str; 3] = [" and the {d}", " and also the {d}", " plus the {d}"];
const DELAYS: [&str; 4] =
    [" in {a} minutes", " after {a} minutes", " {a} minutes from now", " once {a} minutes have passed"];

/// How much is asked for at once.
pub(super) fn write(draw: &mut Draw<'_>) -> (String, String) {
    match draw.dice.weighted(&[44, 22, 6, 8, 7, 6, 7]) {
        0 => clauses(draw, 1),
        1 => clauses(draw, 2),
        2 => clauses(draw, 3),
        3 => delayed(draw),
        4 => second_device(draw, &MENDS),
        5 => second_device(draw, &LEAVES),
        _ => second_device(draw, &PAIRS),
    }
}

fn clauses(draw: &mut Draw<'_>, count: usize) -> (String, String) {
    let intents: Vec<&Intent> = (0..count).map(|_| &INTENTS[draw.dice.below(INTENTS.len())]).collect();
    let mut parts: Vec<&[&'static str]> = vec![&LEADS];
    for (i, intent) in intents.iter().enumerate() {
        if i > 0 {
            parts.push(&JOINS);
        }
        parts.push(intent.says);
    }
    parts.push(&TAILS);
    let frame = draw.frames(&parts);
    let mut said = frame[0].to_owned();
    let mut actions = Vec::with_capacity(count);
    for (i, intent) in intents.iter().enumerate() {
        if i > 0 {
            said.push_str(frame[2 * i]);
        }
        let (text, action) = clause(draw, intent, frame[2 * i + 1]);
        said.push_str(&text);
        actions.push(action);
    }
    said.push_str(frame[frame.len() - 1]);
    (ended(&said), joined(&actions))
}

/// One action in words and in JSON.
fn clause(draw: &mut Draw<'_>, intent: &Intent, says: &str) -> (String, String) {
    let (spoken, value) = value(draw, intent);
    if intent.devices.is_empty() {
        let action = format!(r#"{{"do":"{}","value":{value}}}"#, intent.does);
        return (fill(says, &[("v", &spoken)]), action);
    }
    let device = device(draw, intent);
    let action = if value.is_empty() {
        plain(intent.does, &device)
    } else {
        format!(r#"{{"do":"{}","device":"{device}","value":{value}}}"#, intent.does)
    };
    (fill(says, &[("d", &device), ("v", &spoken)]), action)
}

fn plain(does: &str, device: &str) -> String {
    format!(r#"{{"do":"{does}","device":"{device}"}}"#)
}

fn device(draw: &mut Draw<'_>, intent: &Intent) -> String {
    let noun = draw.dice.pick(intent.devices);
    let owner = if draw.dice.percent(75) { Kind::Room } else { Kind::Maker };
    format!("{} {noun}", draw.word(owner))
}

/// The value as it is said and as JSON; both empty where there is none.
fn value(draw: &mut Draw<'_>, intent: &Intent) -> (String, String) {
    match intent.value {
        Value::None => (String::new(), String::new()),
        Value::Few(low, high) => {
            let n = draw.dice.between(low, high);
            (n.to_string(), n.to_string())
        }
        Value::Number(low, high) => {
            let [n] = draw.numbers(intent.does, |dice| [dice.between(low, high)]);
            if intent.does == "alarm" {
                let time = crate::frame::clock(n * 5);
                return (time.clone(), format!("\"{time}\""));
            }
            (n.to_string(), n.to_string())
        }
        Value::Band => {
            let band = draw.word(Kind::Maker);
            (band.to_owned(), format!("\"{band}\""))
        }
        Value::Room => {
            let room = draw.word(Kind::Room);
            (room.to_owned(), format!("\"{room}\""))
        }
        Value::Minutes => minutes(draw),
    }
}

/// A duration; the spoken one may need turning into minutes.
fn minutes(draw: &mut Draw<'_>) -> (String, String) {
    let [hours, rest] = draw.numbers("timer", |dice| {
        if dice.percent(65) { [0, dice.between(2, 59)] } else { [dice.between(1, 2), dice.between(1, 39)] }
    });
    let spoken = match hours {
        0 => format!("{rest} minutes"),
        1 => format!("1 hour {rest} minutes"),
        _ => format!("{hours} hours {rest} minutes"),
    };
    (spoken, (hours * 60 + rest).to_string())
}

fn delayed(draw: &mut Draw<'_>) -> (String, String) {
    let intent = simple(draw);
    let [lead, says, delay] = draw.frame([&LEADS, intent.says, &DELAYS]);
    let device = device(draw, intent);
    let [after] = draw.numbers("delay", |dice| [dice.between(2, 59)]);
    let said = [lead, says, delay].concat();
    let said = fill(&said, &[("d", &device), ("a", &after.to_string())]);
    (ended(&said), format!(r#"{{"do":"{}","device":"{device}","after":{after}}}"#, intent.does))
}

/// A second device that replaces the first, is spared, or joins it.
fn second_device(draw: &mut Draw<'_>, ways: &'static [&'static str]) -> (String, String) {
    let intent = simple(draw);
    // The second device must follow the first, so only wordings that end in it will do.
    let says: Vec<&'static str> = intent.says.iter().copied().filter(|says| says.ends_with("{d}")).collect();
    let [lead, says, way, tail] = draw.frame([&LEADS, &says, ways, &TAILS]);
    let (first, second) = (device(draw, intent), device(draw, intent));
    let said = [lead, &fill(says, &[("d", &first)]), &fill(way, &[("d", &second)]), tail].concat();
    let (first, second) = (plain(intent.does, &first), plain(intent.does, &second));
    let answer = if ways == MENDS {
        second
    } else if ways == LEAVES {
        first
    } else {
        joined(&[first, second])
    };
    (ended(&said), answer)
}

/// An intent that needs a device and no value.
fn simple(draw: &mut Draw<'_>) -> &'static Intent {
    loop {
        let intent = &INTENTS[draw.dice.below(INTENTS.len())];
        if matches!(intent.value, Value::None) {
            return intent;
        }
    }
}

fn joined(actions: &[String]) -> String {
    match actions {
        [one] => one.clone(),
        many => format!("[{}]", many.join(",")),
    }
}

fn ended(said: &str) -> String {
    crate::frame::sentence(said) + "."
}
