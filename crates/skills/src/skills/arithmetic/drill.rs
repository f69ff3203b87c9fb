//! Drills of sums: single steps as they stand in the working of arithmetic and word problems.

use crate::{
    drills::Turn,
    frame::{DAYS, Draw},
};

const ASKS: [&str; 4] = ["Sums.", "Work these out.", "A few sums, please.", "Practise."];

pub(in crate::skills) fn drill(draw: &mut Draw<'_>) -> Vec<Turn> {
    let steps = draw.dice.between(8, 14);
    let answer = (0..steps)
        .map(|i| {
            let (given, result) = step(draw);
            let (gap, end) = (if i == 0 { "" } else { " " }, if i + 1 == steps { "" } else { ";" });
            (format!("{gap}{given}"), format!(" {result}{end}"))
        })
        .collect();
    vec![Turn { prompt: draw.dice.pick(&ASKS).to_owned(), answer }]
}

/// A step up to where its result is said, and the result.
fn step(draw: &mut Draw<'_>) -> (String, String) {
    let dice = &mut draw.dice;
    let sum = |a: i64, op: &str, b: i64, result: i64| (format!("{a} {op} {b} ="), result.to_string());
    match dice.weighted(&[24, 24, 24, 16, 12]) {
        0 => {
            let (a, b) = (dice.between(2, 240), dice.between(2, 99));
            sum(a, "+", b, a + b)
        }
        1 => {
            let high = dice.pick(&[40, 100, 300]);
            let (left, b) = (dice.between(0, high), dice.between(1, high / 2));
            sum(left + b, "-", b, left)
        }
        2 => {
            let (a, b) = (dice.between(1, 60), dice.between(2, 9));
            match dice.percent(20) {
                true => {
                    let unit = dice.pick(&[7, 10, 12, 24, 60, 100]);
                    sum(b, "*", unit, b * unit)
                }
                false => sum(a, "*", b, a * b),
            }
        }
        3 => {
            let (result, b) = (dice.between(2, 40), dice.between(2, 10));
            sum(result * b, "/", b, result)
        }
        _ => {
            let (day, days) = (dice.below(7), dice.between(1, 6));
            let then = DAYS[(day + days as usize) % 7];
            (format!("{} + {days}; Answer:", DAYS[day]), then.to_owned())
        }
    }
}
