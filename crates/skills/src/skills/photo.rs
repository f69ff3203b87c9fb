//! Photo: an edit in words to a JSON list of operations.

use crate::{
    frame::{Draw, fill, sentence},
    pool::Kind,
};

/// An edit: its wordings and its operation. `{v}` is a number, `{n}` a name, `{o}` a thing in the picture.
struct Edit {
    says: &'static [&'static str],
    op: &'static str,
}

const EDITS: [Edit; 21] = [
    Edit {
        says: &["crop it to a square", "cut it to a square", "make it square"],
        op: r#"{"op":"crop","to":"square"}"#,
    },
    Edit { says: &["crop it to 16:9", "cut it to 16:9", "make it 16:9"], op: r#"{"op":"crop","to":"16:9"}"# },
    Edit { says: &["crop it to 4:3", "cut it to 4:3", "make it 4:3"], op: r#"{"op":"crop","to":"4:3"}"# },
    Edit {
        says: &["crop it to {n}", "cut it down to {n}", "keep only {n}"],
        op: r#"{"op":"crop","to":"{n}"}"#,
    },
    Edit {
        says: &["brighten it by {v}", "raise the brightness by {v}", "make it {v} brighter"],
        op: r#"{"op":"brightness","by":{v}}"#,
    },
    Edit {
        says: &["darken it by {v}", "lower the brightness by {v}", "make it {v} darker"],
        op: r#"{"op":"brightness","by":-{v}}"#,
    },
    Edit {
        says: &["raise the contrast by {v}", "add {v} contrast", "push the contrast up {v}"],
        op: r#"{"op":"contrast","by":{v}}"#,
    },
    Edit {
        says: &["lower the contrast by {v}", "take away {v} contrast", "pull the contrast down {v}"],
        op: r#"{"op":"contrast","by":-{v}}"#,
    },
    Edit {
        says: &["make the colours {v} stronger", "raise the saturation by {v}", "add {v} colour"],
        op: r#"{"op":"saturation","by":{v}}"#,
    },
    Edit {
        says: &["make the colours {v} weaker", "lower the saturation by {v}", "take away {v} colour"],
        op: r#"{"op":"saturation","by":-{v}}"#,
    },
    Edit {
        says: &["brighten it a bit", "make it a bit brighter", "lighten it slightly"],
        op: r#"{"op":"brightness","by":10}"#,
    },
    Edit {
        says: &["brighten it a lot", "make it much brighter", "lighten it strongly"],
        op: r#"{"op":"brightness","by":40}"#,
    },
    Edit {
        says: &["turn it left", "rotate it to the left", "turn it counterclockwise"],
        op: r#"{"op":"rotate","by":-90}"#,
    },
    Edit {
        says: &["turn it right", "rotate it to the right", "turn it clockwise"],
        op: r#"{"op":"rotate","by":90}"#,
    },
    Edit {
        says: &["turn it upside down", "rotate it halfway round", "put it on its head"],
        op: r#"{"op":"rotate","by":180}"#,
    },
    Edit { says: &["mirror it", "flip it sideways", "swap left and right"], op: r#"{"op":"flip"}"# },
    Edit {
        says: &["make it black and white", "take out all colour", "turn it grey"],
        op: r#"{"op":"filter","to":"mono"}"#,
    },
    Edit {
        says: &["make it look old", "give it a sepia tone", "turn it brownish"],
        op: r#"{"op":"filter","to":"sepia"}"#,
    },
    Edit {
        says: &["blur the background", "soften what is behind", "make the back blurry"],
        op: r#"{"op":"blur","what":"background"}"#,
    },
    Edit {
        says: &["remove the {o}", "erase the {o}", "get rid of the {o}"],
        op: r#"{"op":"remove","what":"{o}"}"#,
    },
    Edit {
        says: &["write {n} on it", "add the text {n}", "put the caption {n} on it"],
        op: r#"{"op":"text","say":"{n}"}"#,
    },
];

const SCENES: [&str; 12] = [
    "take the photo of {s}",
    "take my picture of {s}",
    "open the shot of {s}",
    "in the photo of {s}, please",
    "for the picture of {s},",
    "edit the photo of {s}:",
    "use the portrait of {s}",
    "photo of {s}:",
    "with the picture of {s},",
    "my photo of {s}:",
    "the image of {s}:",
    "grab the snap of {s}",
];
const JOINS: [&str; 5] = [", then ", " and ", ", and ", " and then ", ", also "];
const TAILS: [&str; 5] = ["", " please", ", thanks", " for me", " now"];
const THINGS: [&str; 14] = [
    "car", "bin", "sign", "pole", "wire", "tourist", "dog", "shadow", "bottle", "bag", "van", "cone", "bird",
    "stain",
];

pub(super) fn write(draw: &mut Draw<'_>) -> (String, String) {
    let count = [1, 2, 3, 4][draw.dice.weighted(&[28, 36, 24, 12])];
    let edits = edits(draw, count);
    let mut parts: Vec<&[&'static str]> = vec![&SCENES];
    for (i, edit) in edits.iter().enumerate() {
        parts.extend([if i == 0 { &[""] } else { &JOINS[..] }, edit.says]);
    }
    parts.push(&TAILS);
    let frame = draw.frames(&parts);
    let scene = scene(draw);
    let mut said = fill(frame[0], &[("s", &scene)]);
    let mut ops = Vec::with_capacity(count);
    for (i, edit) in edits.iter().enumerate() {
        // A scene that ends in a mark introduces the first edit by itself.
        let introduced = i == 0 && !said.ends_with(&scene);
        said.push_str(if introduced {
            " "
        } else if i == 0 {
            " and "
        } else {
            frame[2 * i + 1]
        });
        let (text, op) = edited(draw, edit, frame[2 * i + 2]);
        said.push_str(&text);
        ops.push(op);
    }
    said.push_str(frame[frame.len() - 1]);
    (sentence(&said) + ".", format!("[{}]", ops.join(",")))
}

/// Edits whose operations differ, so that none contradicts another.
fn edits(draw: &mut Draw<'_>, count: usize) -> Vec<&'static Edit> {
    let mut edits: Vec<&'static Edit> = Vec::with_capacity(count);
    while edits.len() < count {
        let edit = &EDITS[draw.dice.below(EDITS.len())];
        let name = |edit: &Edit| edit.op.split('"').nth(3).unwrap_or_default().to_owned();
        if edits.iter().all(|other| name(other) != name(edit)) {
            edits.push(edit);
        }
    }
    edits
}

fn scene(draw: &mut Draw<'_>) -> String {
    match draw.dice.below(4) {
        0 => draw.word(Kind::Given).to_owned(),
        1 => draw.word(Kind::Place).to_owned(),
        2 => format!("the {}", draw.word(Kind::Room)),
        _ => format!("{} in {}", draw.word(Kind::Given), draw.word(Kind::Place)),
    }
}

/// One edit in words and in JSON.
fn edited(draw: &mut Draw<'_>, edit: &Edit, says: &str) -> (String, String) {
    if edit.op.contains("{v}") {
        let [value] = draw.numbers(edit.op, |dice| [dice.between(2, 98)]);
        let value = value.to_string();
        return (fill(says, &[("v", &value)]), with(edit.op, "{v}", &value));
    }
    if edit.op.contains("{o}") {
        let thing = draw.dice.pick(&THINGS);
        return (fill(says, &[("o", thing)]), with(edit.op, "{o}", thing));
    }
    if edit.op.contains("{n}") {
        let kind = if draw.dice.percent(50) { Kind::Given } else { Kind::Place };
        let name = draw.word(kind);
        return (fill(says, &[("n", name)]), with(edit.op, "{n}", name));
    }
    (says.to_owned(), edit.op.to_owned())
}

/// JSON has braces of its own, so only this slot is replaced.
fn with(op: &str, slot: &str, text: &str) -> String {
    op.replace(slot, text)
}
