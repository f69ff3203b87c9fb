//! Checks the working of stories by reading them again from their words.

use super::*;
use crate::{
    Skill, Split, items,
    skills::tests::{holds, numbers},
};

/// What a sentence does to the total, judged by its words alone.
fn read(sentence: &str, total: i64) -> i64 {
    let n = numbers(sentence);
    let says = |words: &[&str]| words.iter().any(|word| sentence.contains(word));
    match n[..] {
        [] if says(&["doubles", "as many again"]) => total * 2,
        [] if says(&["half", "Half"]) => total / 2,
        [a] if says(&["equal"]) => total / a,
        [a] if says(&["loses", "gives", "sells", "takes"]) => total - a,
        [a] if says(&["finds", "buys", "brings", "gets"]) => total + a,
        [a, b] if says(&["friends", "guests"]) => total - a * b,
        [a, b] if says(&["boxes", "packs", "bags"]) => total + a * b,
        _ => panic!("no reading of {sentence}"),
    }
}

fn reread(prompt: &str) -> i64 {
    let sentences: Vec<&str> = prompt.split_inclusive(". ").collect();
    let start = numbers(sentences[0])[0];
    let together = ["together", "in all", "total"].iter().any(|word| prompt.contains(word));
    if !together {
        return sentences[1..sentences.len() - 1].iter().fold(start, |total, sentence| read(sentence, total));
    }
    let by = numbers(sentences[1])[0];
    let second = match sentences[1] {
        text if text.contains("more") => start + by,
        text if text.contains("fewer") => start - by,
        _ => start * by,
    };
    start + second + sentences[2..].iter().flat_map(|text| numbers(text)).sum::<i64>()
}

#[test]
fn stories_end_where_their_words_lead() {
    for split in Split::ALL {
        for item in items(split, 11).filter(|item| item.skill == Skill::WordProblem).take(1_500) {
            let answer: i64 = item.answer.rsplit("Answer: ").next().unwrap().parse().unwrap();
            assert_eq!(reread(&item.prompt), answer, "{}", item.prompt);
        }
    }
}

#[test]
fn every_line_of_working_holds() {
    for item in items(Split::Train, 12).filter(|item| item.skill == Skill::WordProblem).take(3_000) {
        let lines: Vec<&str> = item.answer.split("; ").collect();
        assert!((2..=WORKED_MAX + 1).contains(&lines.len()), "{}", item.answer);
        for line in &lines[..lines.len() - 1] {
            holds(line);
        }
    }
}
