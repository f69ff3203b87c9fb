//! Arithmetic: times, dates, units and money, with short working where one step is not enough.

mod drill;

use crate::{
    frame::{DAYS, Draw, clock, fill},
    pool::Kind,
};

pub(super) use drill::drill;

const LEADS: [&str; 6] =
    ["", "Quick question. ", "Work it out. ", "Tell me: ", "A small sum. ", "Please compute. "];

const MONTHS: [(&str, i64); 12] = [
    ("January", 31),
    ("February", 28),
    ("March", 31),
    ("April", 30),
    ("May", 31),
    ("June", 30),
    ("July", 31),
    ("August", 31),
    ("September", 30),
    ("October", 31),
    ("November", 30),
    ("December", 31),
];

/// A larger unit, how many of the smaller it holds, and the smaller.
const UNITS: [(&str, i64, &str); 8] = [
    ("hours", 60, "minutes"),
    ("minutes", 60, "seconds"),
    ("days", 24, "hours"),
    ("weeks", 7, "days"),
    ("metres", 100, "centimetres"),
    ("years", 12, "months"),
    ("dozens", 12, "eggs"),
    ("litres", 10, "decilitres"),
];

pub(super) fn write(draw: &mut Draw<'_>) -> (String, String) {
    let (question, answer) = match draw.dice.weighted(&[15, 10, 8, 8, 12, 8, 10, 10, 9, 10]) {
        0 => arrival(draw),
        1 => duration(draw),
        2 => weekday(draw),
        3 => date(draw),
        4 => smaller_units(draw),
        5 => larger_units(draw),
        6 => change(draw),
        7 => prices(draw),
        8 => shares(draw),
        _ => discount(draw),
    };
    (crate::frame::sentence(&question), answer)
}

/// A frame of one lead and one wording, joined.
fn asked(draw: &mut Draw<'_>, says: &'static [&'static str], more: &'static [&'static str]) -> String {
    draw.frame([&LEADS, says, more]).concat()
}

/// A start and a length to an end, carrying over the hour where it must.
fn arrival(draw: &mut Draw<'_>) -> (String, String) {
    let [hour, minute, length] = draw
        .numbers("arrival", |dice| [dice.between(5, 21), dice.between(0, 11) * 5, dice.between(1, 17) * 5]);
    let question = asked(
        draw,
        &[
            "The {w} leaves at {h}",
            "A {w} sets off at {h}",
            "The {w} starts at {h}",
            "The {w} to {p} departs at {h}",
        ],
        &[
            " and takes {l} minutes. When does it arrive?",
            " and needs {l} minutes. When is it there?",
            ". The trip lasts {l} minutes. When does it end?",
            ", {l} minutes on the way. Arrival?",
        ],
    );
    let vehicle = draw.dice.pick(&["train", "bus", "ferry", "tram", "coach"]);
    let place = draw.word(Kind::Place);
    let slots = [("w", vehicle), ("p", place), ("h", &clock(hour * 60 + minute)), ("l", &length.to_string())];
    let sum = minute + length;
    let end = clock(hour * 60 + sum);
    let answer = match sum / 60 {
        0 => format!("{minute} + {length} = {sum}; Answer: {end}"),
        over => {
            let carried = over * 60;
            format!(
                "{minute} + {length} = {sum}; {sum} - {carried} = {}; {hour} + {over} = {}; Answer: {end}",
                sum - carried,
                hour + over
            )
        }
    };
    (fill(&question, &slots), answer)
}

/// From one time to another, in minutes.
fn duration(draw: &mut Draw<'_>) -> (String, String) {
    let [hour, minute, length] = draw
        .numbers("duration", |dice| [dice.between(6, 20), dice.between(0, 11) * 5, dice.between(2, 30) * 5]);
    let question = asked(
        draw,
        &[
            "How many minutes from {h} to {e}?",
            "The {t} runs from {h} to {e}. How many minutes is that?",
            "It is {h}. How many minutes until {e}?",
            "{n} waits from {h} to {e}. How many minutes?",
        ],
        &["", " Show the steps.", " Be exact."],
    );
    let (name, topic) = (draw.word(Kind::Given), draw.word(Kind::Topic));
    let (start, end) = (hour * 60 + minute, hour * 60 + minute + length);
    let slots = [("n", name), ("t", topic), ("h", &clock(start)), ("e", &clock(end))];
    let (hours, to) = (end / 60 - hour, end % 60);
    let minutes = hours * 60;
    let working = match (hours, to - minute) {
        (0, _) => format!("{to} - {minute} = {length}"),
        (_, 0) => format!("{hours} * 60 = {length}"),
        (_, ahead) if ahead > 0 => {
            format!("{hours} * 60 = {minutes}; {to} - {minute} = {ahead}; {minutes} + {ahead} = {length}")
        }
        (_, behind) => {
            let behind = -behind;
            format!("{hours} * 60 = {minutes}; {minute} - {to} = {behind}; {minutes} - {behind} = {length}")
        }
    };
    (fill(&question, &slots), format!("{working}; Answer: {length} minutes"))
}

/// Days after a weekday: whole weeks go first.
fn weekday(draw: &mut Draw<'_>) -> (String, String) {
    let [day, after] = draw.numbers("weekday", |dice| [dice.between(0, 6), dice.between(2, 34)]);
    let question = asked(
        draw,
        &["Today is {d}.", "It is {d}.", "{n} starts on {d}.", "The {t} was ordered on {d}."],
        &[
            " Which day is it {k} days later?",
            " What weekday comes {k} days after that?",
            " And {k} days on, which weekday?",
        ],
    );
    let (name, topic) = (draw.word(Kind::Given), draw.word(Kind::Topic));
    let first = DAYS[day as usize];
    let slots = [("n", name), ("t", topic), ("d", first), ("k", &after.to_string())];
    let (weeks, rest) = (after / 7 * 7, after % 7);
    let last = DAYS[((day + after) % 7) as usize];
    let working = if weeks == 0 {
        format!("{first} + {rest}; ")
    } else {
        format!("{after} - {weeks} = {rest}; {first} + {rest}; ")
    };
    (fill(&question, &slots), format!("{working}Answer: {last}"))
}

/// Days after a date, into the next month where it must.
fn date(draw: &mut Draw<'_>) -> (String, String) {
    let [month, day, after] =
        draw.numbers("date", |dice| [dice.between(0, 11), dice.between(1, 28), dice.between(2, 27)]);
    let question = asked(
        draw,
        &[
            "It is {d} {m}.",
            "The {t} arrived on {d} {m}.",
            "{n} left on {d} {m}.",
            "The {t} is dated {d} {m}.",
        ],
        &[
            " What is the date {k} days later?",
            " Which date is {k} days after that?",
            " Add {k} days. Which date?",
        ],
    );
    let (name, topic) = (draw.word(Kind::Given), draw.word(Kind::Topic));
    let (this, days) = MONTHS[month as usize];
    let (next, _) = MONTHS[(month as usize + 1) % 12];
    let slots = [("n", name), ("t", topic), ("m", this), ("d", &day.to_string()), ("k", &after.to_string())];
    let sum = day + after;
    let answer = if sum <= days {
        format!("{day} + {after} = {sum}; Answer: {sum} {this}")
    } else {
        let rest = sum - days;
        format!("{day} + {after} = {sum}; {sum} - {days} = {rest}; Answer: {rest} {next}")
    };
    (fill(&question, &slots), answer)
}

/// "3 hours 20 minutes" in minutes.
fn smaller_units(draw: &mut Draw<'_>) -> (String, String) {
    let [unit, large, small] = draw.numbers("smaller", |dice| {
        let unit = dice.below(UNITS.len());
        let size = UNITS[unit].1;
        [unit as i64, dice.between(2, 9), dice.between(2, size - 1)]
    });
    let (big, size, little) = UNITS[unit as usize];
    let question = asked(
        draw,
        &["How many {s} are", "Give in {s}:", "In {s}, how much is", "{n} asks how many {s} make"],
        &[" {x} {b} and {y} {s}?", " {x} {b} {y} {s}?", " {x} {b} plus {y} {s}?"],
    );
    let name = draw.word(Kind::Given);
    let slots =
        [("n", name), ("b", big), ("s", little), ("x", &large.to_string()), ("y", &small.to_string())];
    let product = large * size;
    let sum = product + small;
    (
        fill(&question, &slots),
        format!("{large} * {size} = {product}; {product} + {small} = {sum}; Answer: {sum} {little}"),
    )
}

/// "200 minutes" in hours and minutes.
fn larger_units(draw: &mut Draw<'_>) -> (String, String) {
    let [unit, large, small] = draw.numbers("larger", |dice| {
        let unit = dice.below(UNITS.len());
        let size = UNITS[unit].1;
        [unit as i64, dice.between(2, 9), dice.between(2, size - 1)]
    });
    let (big, size, little) = UNITS[unit as usize];
    let question = asked(
        draw,
        &[
            "Turn {x} {s} into {b} and {s}",
            "{x} {s} in {b} and {s}",
            "Split {x} {s} into {b} and {s}",
            "{n} has {x} {s}. Say it in {b} and {s}",
        ],
        &[".", ", please.", ". Show the steps."],
    );
    let name = draw.word(Kind::Given);
    let product = large * size;
    let total = product + small;
    let slots = [("n", name), ("b", big), ("s", little), ("x", &total.to_string())];
    (
        fill(&question, &slots),
        format!(
            "{large} * {size} = {product}; {total} - {product} = {small}; Answer: {large} {big} {small} {little}"
        ),
    )
}

/// Some things at one price, and the change from a note.
fn change(draw: &mut Draw<'_>) -> (String, String) {
    let [count, price, note] = draw.numbers("change", |dice| {
        let (count, price) = (dice.between(2, 9), dice.between(2, 15));
        [count, price, if count * price < 50 { dice.pick(&[50, 100]) } else { dice.pick(&[150, 200]) }]
    });
    let question = asked(
        draw,
        &[
            "{n} buys {k} {o} at {x} euros each",
            "{k} {o} cost {x} euros each",
            "{n} takes {k} {o} for {x} euros apiece",
            "At {m}, {n} gets {k} {o}, {x} euros each",
        ],
        &[
            " and pays with {y} euros. How much change?",
            ", paid with {y} euros. What comes back?",
            ". What is left of {y} euros?",
        ],
    );
    let (name, maker) = (draw.word(Kind::Given), draw.word(Kind::Maker));
    let thing = draw.dice.pick(&["tickets", "mugs", "books", "plants", "lamps", "scarves"]);
    let slots = [
        ("n", name),
        ("m", maker),
        ("o", thing),
        ("k", &count.to_string()),
        ("x", &price.to_string()),
        ("y", &note.to_string()),
    ];
    let cost = count * price;
    let left = note - cost;
    (
        fill(&question, &slots),
        format!("{count} * {price} = {cost}; {note} - {cost} = {left}; Answer: {left} euros"),
    )
}

/// Two prices with cents.
fn prices(draw: &mut Draw<'_>) -> (String, String) {
    let [a, b, c, d] = draw.numbers("prices", |dice| {
        [dice.between(1, 19), dice.between(1, 19) * 5, dice.between(1, 19), dice.between(1, 19) * 5]
    });
    let question = asked(
        draw,
        &[
            "{n} pays {x} and {y} euros.",
            "A mug is {x} euros and a plate {y} euros.",
            "{m} charges {x} and then {y} euros.",
            "One bill says {x} euros, one {y} euros.",
        ],
        &[" How much together?", " What is the total?", " What is the sum?"],
    );
    let (name, maker) = (draw.word(Kind::Given), draw.word(Kind::Maker));
    let slots = [("n", name), ("m", maker), ("x", &format!("{a}.{b:02}")), ("y", &format!("{c}.{d:02}"))];
    let (euros, cents) = (a + c, b + d);
    let total = euros + cents / 100;
    let carry = if cents >= 100 { format!("; {euros} + 1 = {total}") } else { String::new() };
    let working = format!("{a} + {c} = {euros}; {b} + {d} = {cents}{carry}");
    (fill(&question, &slots), format!("{working}; Answer: {total}.{:02} euros", cents % 100))
}

/// A bill and a tip, split evenly.
fn shares(draw: &mut Draw<'_>) -> (String, String) {
    let [people, each, tip] = draw.numbers("shares", |dice| {
        let (people, each) = (dice.between(2, 9), dice.between(4, 15));
        [people, each, if dice.percent(50) { 0 } else { dice.between(1, people * 2) }]
    });
    let bill = people * each - tip;
    let count = people.to_string();
    let (name, maker) = (draw.word(Kind::Given), draw.word(Kind::Maker));
    let slots =
        [("n", name), ("m", maker), ("k", count.as_str()), ("x", &bill.to_string()), ("y", &tip.to_string())];
    if tip == 0 {
        let question = asked(
            draw,
            &[
                "{k} friends split {x} euros.",
                "{k} people share a bill of {x} euros.",
                "{n} splits {x} euros over {k} friends.",
                "A bill at {m} of {x} euros is shared by {k}.",
            ],
            &[" How much is each share?", " What does each pay?", " What is one share?"],
        );
        return (fill(&question, &slots), format!("{bill} / {people} = {each}; Answer: {each} euros"));
    }
    let question = asked(
        draw,
        &[
            "{k} friends split {x} euros and a tip of {y}.",
            "{k} people share a bill of {x} euros plus {y} tip.",
            "{n} adds {y} tip to {x} euros and splits it over {k}.",
            "A bill at {m} of {x} euros, with {y} tip, is shared by {k}.",
        ],
        &[" How much is each share?", " What does each pay?", " What is one share?"],
    );
    let total = bill + tip;
    (
        fill(&question, &slots),
        format!("{bill} + {tip} = {total}; {total} / {people} = {each}; Answer: {each} euros"),
    )
}

/// A share of a price in tens of percent, taken off or alone.
fn discount(draw: &mut Draw<'_>) -> (String, String) {
    let [tens, price, off] =
        draw.numbers("discount", |dice| [dice.between(1, 9), dice.between(2, 30) * 10, dice.between(0, 1)]);
    let (name, maker) = (draw.word(Kind::Given), draw.word(Kind::Maker));
    let (percent, whole) = ((tens * 10).to_string(), price.to_string());
    let slots = [("n", name), ("m", maker), ("k", percent.as_str()), ("x", whole.as_str())];
    let tenth = price / 10;
    let part = tenth * tens;
    let working = format!("{price} / 10 = {tenth}; {tenth} * {tens} = {part}");
    if off == 0 {
        let question = asked(
            draw,
            &[
                "What is {k}% of {x} euros",
                "{n} saves {k}% of {x} euros. How much is that",
                "How much is {k}% of {x} euros",
                "{m} pays {k}% of {x} euros. How much",
            ],
            &["?", ", exactly?", " in euros?"],
        );
        return (fill(&question, &slots), format!("{working}; Answer: {part} euros"));
    }
    let question = asked(
        draw,
        &[
            "{m} takes {k}% off {x} euros.",
            "A coat of {x} euros is {k}% off.",
            "{n} gets {k}% off a price of {x} euros.",
            "{x} euros, less {k}%.",
        ],
        &[" What is the new price?", " What is left to pay?", " How much is it now?"],
    );
    let left = price - part;
    (fill(&question, &slots), format!("{working}; {price} - {part} = {left}; Answer: {left} euros"))
}

#[cfg(test)]
mod tests;
