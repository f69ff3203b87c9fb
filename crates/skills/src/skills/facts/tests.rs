//! Checks the answers about facts by reading the facts again.

use std::collections::BTreeMap;

use super::*;
use crate::{Skill, Split, items};

fn each(split: Split, wanted: impl Fn(&str) -> bool, check: impl Fn(&str, &str)) {
    let all = items(split, 21).filter(|item| item.skill == Skill::Facts && wanted(&item.prompt));
    for item in all.take(500) {
        check(&item.prompt, item.answer.rsplit("Answer: ").next().unwrap());
    }
}

fn sentences(prompt: &str) -> impl Iterator<Item = &str> {
    prompt.split(['.', ':', '?']).map(str::trim)
}

#[test]
fn the_end_of_an_order_has_nobody_beyond() {
    let is_order =
        |prompt: &str| ORDERS.iter().any(|order| prompt.contains(order.more) || prompt.contains(order.less));
    for split in Split::ALL {
        each(split, is_order, |prompt, answer| {
            let (mut above, mut below) = (vec![], vec![]);
            for sentence in sentences(prompt) {
                for order in &ORDERS {
                    if let Some((more, less)) = sentence.split_once(&format!(" {} ", order.more)) {
                        above.push(more);
                        below.push(less);
                    }
                    if let Some((less, more)) = sentence.split_once(&format!(" {} ", order.less)) {
                        above.push(more);
                        below.push(less);
                    }
                }
            }
            let asks_most = ORDERS.iter().any(|order| prompt.contains(&format!("the {}", order.most)));
            let (within, without) = if asks_most { (&above, &below) } else { (&below, &above) };
            assert!(within.contains(&answer) && !without.contains(&answer), "{prompt} {answer}");
        });
    }
}

#[test]
fn a_count_is_the_number_of_those_who_live_there() {
    for split in Split::ALL {
        each(
            split,
            |prompt| prompt.contains("How many") || prompt.contains("What number"),
            |prompt, answer| {
                let (facts, question) = prompt.rsplit_once(". ").unwrap_or((prompt, ""));
                let (facts, question) = if question.contains('?') {
                    (facts, question)
                } else {
                    let at = prompt.find("How many").or_else(|| prompt.find("What number")).unwrap();
                    prompt.split_at(at)
                };
                let town = question.split('?').next().unwrap().rsplit(' ').next().unwrap();
                let there = facts.split(['.', ' ']).filter(|word| *word == town).count();
                assert_eq!(there.to_string(), answer, "{prompt}");
            },
        );
    }
}

/// Both hops are looked up in the text, without the writer's tables.
#[test]
fn a_chain_leads_from_the_question_to_the_answer() {
    for split in Split::ALL {
        let asks = |prompt: &str| prompt.contains("owner") || prompt.matches("friend").count() >= 3;
        each(split, asks, |prompt, answer| {
            let facts: Vec<&str> = prompt.split_inclusive('.').map(str::trim).collect();
            let holders: BTreeMap<usize, &str> = facts
                .iter()
                .enumerate()
                .filter(|(_, fact)| fact.contains(answer))
                .map(|(i, fact)| (i, *fact))
                .collect();
            assert_eq!(holders.len(), 1, "{prompt} {answer}");
            let holder = holders.values().next().unwrap();
            let linked = facts.iter().filter(|fact| {
                let names = holder.split([' ', '\'', '.']).filter(|word| {
                    word.chars().next().is_some_and(char::is_uppercase) && *word != "By" && *word != answer
                });
                names.into_iter().any(|name| fact.contains(name))
            });
            assert!(linked.count() >= 2, "{prompt} {answer}");
        });
    }
}
