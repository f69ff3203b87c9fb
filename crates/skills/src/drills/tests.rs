//! Checks that drills say what is true, of training words only, and the same for the same seed.

use super::*;
use crate::{
    frame::DAYS,
    pool::{Kind, Pools},
};

#[test]
fn a_seed_says_the_same_again() {
    assert!(drills(3).take(50).eq(drills(3).take(50)));
    assert!(!drills(3).take(50).eq(drills(4).take(50)));
}

#[test]
fn each_sum_is_right() {
    let sums = drills(5).filter(|drill| drill.skill == Skill::Arithmetic).take(200);
    for (given, learnt) in sums.flat_map(|drill| drill.turns).flat_map(|turn| turn.answer) {
        let said = learnt.trim_matches([' ', ';']);
        let words: Vec<&str> = given.split_whitespace().collect();
        let [a, op, b, ..] = words[..] else { panic!("`{given}` is no sum") };
        let right = match (a.parse::<i64>(), b.trim_end_matches(';').parse::<i64>()) {
            (Ok(a), Ok(b)) => {
                let said: i64 = said.parse().unwrap();
                match op {
                    "+" => a + b == said,
                    "-" => a - b == said && said >= 0,
                    "*" => a * b == said,
                    _ => said * b == a,
                }
            }
            (_, b) => {
                let day = DAYS.iter().position(|day| *day == a).unwrap();
                DAYS[(day + b.unwrap() as usize) % 7] == said
            }
        };
        assert!(right, "{given}{learnt}");
    }
}

#[test]
fn each_answer_about_facts_stands_in_the_facts() {
    for drill in drills(6).filter(|drill| drill.skill == Skill::Facts).take(300) {
        assert!(drill.turns.len() >= 2, "{drill:?}");
        let told = &drill.turns[0].prompt;
        for turn in &drill.turns {
            let answer = turn.answer[0].1.rsplit("Answer: ").next().unwrap();
            let counted = answer.parse::<usize>().is_ok();
            assert!(counted || told.contains(answer), "{told} {turn:?}");
        }
    }
}

#[test]
fn no_name_of_another_split_is_said() {
    let others: Vec<&String> = [Split::Test, Split::Calibration]
        .into_iter()
        .flat_map(|split| Pools::of(split).words(Kind::Given))
        .collect();
    for drill in drills(7).filter(|drill| drill.skill == Skill::Facts).take(100) {
        let told = &drill.turns[0].prompt;
        let words: Vec<&str> = told.split(|c: char| !c.is_alphabetic()).collect();
        assert!(!others.iter().any(|name| words.contains(&name.as_str())), "{told}");
    }
}
