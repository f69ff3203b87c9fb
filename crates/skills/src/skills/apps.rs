//! Apps: a wish to the kinds of app that serve it, from a closed list.

use crate::{
    frame::{Draw, fill, sentence},
    pool::Kind,
};

/// A kind of app with wishes it serves, each in the infinitive.
struct App {
    kind: &'static str,
    wishes: [&'static str; 6],
}

const APPS: [App; 22] = [
    App {
        kind: "maps",
        wishes: [
            "find the way to {p}",
            "see how far {p} is",
            "drive to {p} without traffic",
            "look up a street in {p}",
            "walk from {p} to {q}",
            "get directions to {p}",
        ],
    },
    App {
        kind: "weather",
        wishes: [
            "know if it rains in {p}",
            "see how cold {p} gets",
            "check for snow in {p}",
            "know if I need an umbrella in {p}",
            "see the forecast for {p}",
            "know how windy {p} is",
        ],
    },
    App {
        kind: "music",
        wishes: [
            "hear the new {m} song",
            "listen to {m}",
            "make a playlist for {n}",
            "play some jazz",
            "find songs by {m}",
            "hear music for running",
        ],
    },
    App {
        kind: "camera",
        wishes: [
            "take a picture of {n}",
            "shoot a short film in {p}",
            "photograph the {r}",
            "take a selfie with {n}",
            "snap a picture of the sunset",
            "film {n} dancing",
        ],
    },
    App {
        kind: "photo editor",
        wishes: [
            "crop a picture of {n}",
            "make my photo of {p} brighter",
            "remove a stranger from my photo",
            "add a filter to a picture",
            "straighten a photo of the {r}",
            "blur the back of a portrait",
        ],
    },
    App {
        kind: "calendar",
        wishes: [
            "see what is on for Monday",
            "plan the {t} for Friday",
            "find a free day for {n}",
            "set a date with {n}",
            "move the {t} to Tuesday",
            "see when the {t} takes place",
        ],
    },
    App {
        kind: "mail",
        wishes: [
            "write to {n} with a file attached",
            "read the letter {m} sent to my inbox",
            "answer a message in my inbox",
            "send {n} a long message",
            "clear my inbox",
            "forward the {t} to {n}",
        ],
    },
    App {
        kind: "chat",
        wishes: [
            "text {n}",
            "send a quick hello to {n}",
            "ask the family group about the {t}",
            "tell {n} I am late",
            "send a voice message to {n}",
            "write in the group with {n}",
        ],
    },
    App {
        kind: "video call",
        wishes: [
            "see {n} face to face",
            "talk to {n} on screen",
            "show {n} the {r} live",
            "call {n} with picture",
            "hold the {t} online with {n}",
            "wave to {n} in {p} on screen",
        ],
    },
    App {
        kind: "notes",
        wishes: [
            "write down an idea",
            "jot down what {n} said",
            "keep a list for the {t}",
            "write down a thought about {p}",
            "save a short text for later",
            "note the number of the {r}",
        ],
    },
    App {
        kind: "clock",
        wishes: [
            "wake up at six",
            "time my eggs",
            "set an alarm for tomorrow",
            "count down ten minutes",
            "know what time it is in {p}",
            "measure how fast {n} runs a lap",
        ],
    },
    App {
        kind: "calculator",
        wishes: [
            "add up some numbers",
            "split a bill with {n}",
            "work out a percentage",
            "multiply two big numbers",
            "find the square root of a number",
            "sum the costs of the {t}",
        ],
    },
    App {
        kind: "translator",
        wishes: [
            "say thank you in Hindi",
            "understand a sign in Chinese",
            "turn a letter into French",
            "read a menu in Spanish",
            "put a sentence into German",
            "know what a foreign word means",
        ],
    },
    App {
        kind: "bank",
        wishes: [
            "send money to {n}",
            "see my balance",
            "pay the {t}",
            "check my last payments",
            "transfer the rent to {n}",
            "block my card",
        ],
    },
    App {
        kind: "shopping",
        wishes: [
            "buy a lamp for the {r}",
            "order shoes from {m}",
            "compare prices of chairs",
            "buy a gift for {n}",
            "get a new kettle delivered",
            "order a sofa for the {r}",
        ],
    },
    App {
        kind: "recipes",
        wishes: [
            "cook soup for {n}",
            "bake bread",
            "find a dish with rice",
            "make a cake for {n}",
            "know how to cook lentils",
            "find a dinner idea",
        ],
    },
    App {
        kind: "fitness",
        wishes: [
            "count my steps",
            "log my run in {p}",
            "track my push-ups",
            "train for a race in {p}",
            "see how much I moved today",
            "follow a workout",
        ],
    },
    App {
        kind: "news",
        wishes: [
            "read what happened in {p}",
            "see today's headlines",
            "follow the election in {p}",
            "read the latest about {m}",
            "know what is new in the world",
            "read reports about the storm in {p}",
        ],
    },
    App {
        kind: "travel",
        wishes: [
            "book a flight to {p}",
            "find a hotel in {p}",
            "get a train ticket to {p}",
            "reserve a room in {p}",
            "rent a car in {p}",
            "plan a holiday in {p}",
        ],
    },
    App {
        kind: "smart home",
        wishes: [
            "dim the lights in the {r}",
            "turn off the heater in the {r}",
            "lock the {r} door from here",
            "see if the {r} window is open",
            "warm up the {r}",
            "close the blinds in the {r}",
        ],
    },
    App {
        kind: "reader",
        wishes: [
            "read a novel",
            "go on with my e-book",
            "read a book by {f}",
            "borrow a book for my screen",
            "open the chapter I was reading",
            "read a story to {n} at night",
        ],
    },
    App {
        kind: "video",
        wishes: [
            "watch a film",
            "see a series with {n}",
            "watch a clip by {m}",
            "stream a show tonight",
            "watch a film about {p}",
            "see the new {m} trailer",
        ],
    },
];

const LEADS: [&str; 9] = [
    "I want to {w}",
    "I'd like to {w}",
    "I need to {w}",
    "I have to {w}",
    "I wish to {w}",
    "help me {w}",
    "I'm trying to {w}",
    "I would love to {w}",
    "I plan to {w}",
];
const ASKS: [&str; 8] = [
    ". Which app?",
    ". What app do I need?",
    ". Suggest an app.",
    ", which app helps?",
    ". Any app for that?",
    ". What kind of app?",
    ", name the app.",
    ". App?",
];
const BOTH: [&str; 4] = [" and {w}", " and then {w}", ", and also {w}", " and later {w}"];
const NOT: [&str; 3] = [
    "I don't want to {x}, I want to {w}",
    "not to {x}, I need to {w}",
    "I'm done trying to {x}, now I have to {w}",
];

pub(super) fn write(draw: &mut Draw<'_>) -> (String, String) {
    let all: [usize; APPS.len()] = std::array::from_fn(|i| i);
    let two = draw.dice.some(&all, 2);
    let (first, second) = (&APPS[two[0]], &APPS[two[1]]);
    match draw.dice.weighted(&[50, 32, 18]) {
        0 => {
            let [lead, wish, ask] = draw.frame([&LEADS, &first.wishes, &ASKS]);
            let said = fill(lead, &[("w", &wished(draw, wish))]);
            (sentence(&said) + ask, first.kind.to_owned())
        }
        1 => {
            let [lead, wish, and, also, ask] =
                draw.frame([&LEADS, &first.wishes, &BOTH, &second.wishes, &ASKS]);
            let said = fill(lead, &[("w", &wished(draw, wish))]) + &fill(and, &[("w", &wished(draw, also))]);
            (sentence(&said) + ask, format!("{}, {}", first.kind, second.kind))
        }
        _ => {
            let [lead, not, wish, ask] = draw.frame([&NOT, &first.wishes, &second.wishes, &ASKS]);
            let said = fill(lead, &[("x", &wished(draw, not)), ("w", &wished(draw, wish))]);
            (sentence(&said) + ask, second.kind.to_owned())
        }
    }
}

/// The wish with its slots filled.
fn wished(draw: &mut Draw<'_>, wish: &str) -> String {
    let mut said = wish.to_owned();
    for (slot, kind) in [
        ("p", Kind::Place),
        ("q", Kind::Place),
        ("m", Kind::Maker),
        ("n", Kind::Given),
        ("r", Kind::Room),
        ("t", Kind::Topic),
    ] {
        if said.contains(&format!("{{{slot}}}")) {
            said = fill(&said, &[(slot, draw.word(kind))]);
        }
    }
    if said.contains("{f}") {
        said = fill(&said, &[("f", &draw.full_name())]);
    }
    said
}
