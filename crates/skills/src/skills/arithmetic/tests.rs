//! Checks every line of working, and every answer against a second way to compute it.

use crate::{
    Skill, Split, items,
    skills::tests::{holds, numbers},
};

/// The answer by another way than the writer's, read from the prompt's numbers and words.
fn recomputed(prompt: &str) -> String {
    let n = numbers(prompt);
    let says = |words: &[&str]| words.iter().any(|word| prompt.contains(word));
    let has_date = super::MONTHS.iter().any(|(month, _)| prompt.contains(&format!(" {month}.")));
    match n[..] {
        [hour, minute, length] if says(&["leaves", "sets off", "starts at", "departs"]) => {
            crate::frame::clock(hour * 60 + minute + length)
        }
        [h, m, hh, mm] if says(&[":"]) && !says(&["."]) || prompt.matches(':').count() >= 2 => {
            format!("{} minutes", hh * 60 + mm - h * 60 - m)
        }
        [a, b, c, d] => {
            let cents = a * 100 + b + c * 100 + d;
            format!("{}.{:02} euros", cents / 100, cents % 100)
        }
        [day, after] if has_date => date(prompt, day, after),
        [after] if says(&["day"]) && says(&["weekday", "Which day"]) => weekday(prompt, after),
        _ if says(&["%"]) => percent(prompt, &n),
        [bill, tip, people] if says(&["adds"]) => format!("{} euros", (bill + tip) / people),
        _ if says(&["share", "split", "Split"]) && says(&["euros"]) => share(prompt, &n),
        [count, price, note] => format!("{} euros", note - count * price),
        _ => units(prompt, &n),
    }
}

fn date(prompt: &str, day: i64, after: i64) -> String {
    let month = super::MONTHS.iter().position(|(month, _)| prompt.contains(&format!(" {month}."))).unwrap();
    let (mut at, mut month) = (day, month);
    for _ in 0..after {
        at += 1;
        if at > super::MONTHS[month].1 {
            (at, month) = (1, (month + 1) % 12);
        }
    }
    format!("{at} {}", super::MONTHS[month].0)
}

fn weekday(prompt: &str, after: i64) -> String {
    let day = super::DAYS.iter().position(|day| prompt.contains(&format!("{day}."))).unwrap();
    super::DAYS[(day + after as usize) % 7].to_owned()
}

fn percent(prompt: &str, n: &[i64]) -> String {
    let at = prompt.find('%').unwrap();
    let percent = *numbers(&prompt[..at]).last().unwrap();
    let price = *n.iter().rev().find(|n| **n != percent).unwrap_or(&percent);
    let off = ["off", "less"].iter().any(|word| prompt.contains(word));
    format!("{} euros", if off { price * (100 - percent) } else { price * percent } / 100)
}

fn share(prompt: &str, n: &[i64]) -> String {
    let people_last = prompt.contains("bill at") || prompt.contains("splits");
    let (people, rest) = if people_last { n.split_last().unwrap() } else { n.split_first().unwrap() };
    format!("{} euros", rest.iter().sum::<i64>() / people)
}

fn units(prompt: &str, n: &[i64]) -> String {
    let named = |word: &&(&str, i64, &str)| prompt.contains(word.0) && prompt.contains(word.2);
    let (big, size, little) = super::UNITS.iter().find(named).unwrap();
    match n {
        [large, small] => format!("{} {little}", large * size + small),
        [total] => format!("{} {big} {} {little}", total / size, total % size),
        _ => panic!("no reading of {prompt}"),
    }
}

#[test]
fn answers_agree_with_a_second_computation() {
    for split in Split::ALL {
        for item in items(split, 5).filter(|item| item.skill == Skill::Arithmetic).take(2_000) {
            let answer = item.answer.rsplit("Answer: ").next().unwrap();
            // The opening words may hold a colon, which would be read as a time.
            let prompt = item.prompt.strip_prefix("Tell me: ").unwrap_or(&item.prompt);
            assert_eq!(recomputed(prompt), answer, "{}", item.prompt);
        }
    }
}

#[test]
fn every_line_of_working_holds() {
    for item in items(Split::Train, 6).filter(|item| item.skill == Skill::Arithmetic).take(3_000) {
        for line in item.answer.split("; ").filter(|line| line.contains(" = ")) {
            holds(line);
        }
    }
}
