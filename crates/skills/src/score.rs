//! Decides whether an answer is right.

use serde_json::Value;

use crate::skill::Skill;

/// Whether `got` is the answer `expected`: JSON is compared as values, text after folding case, white space
/// and the final mark, and of an answer with working only what follows its last `Answer:` counts.
pub fn is_right(skill: Skill, expected: &str, got: &str) -> bool {
    match skill {
        Skill::Home | Skill::Photo => match (parse(expected), parse(got)) {
            (Some(expected), Some(got)) => expected == got,
            _ => false,
        },
        Skill::Arithmetic | Skill::WordProblem | Skill::Facts => {
            folded(conclusion(expected)) == folded(conclusion(got))
        }
        Skill::Notifications | Skill::Reply | Skill::Translate | Skill::Memo | Skill::Apps => {
            folded(expected) == folded(got)
        }
    }
}

fn parse(text: &str) -> Option<Value> {
    serde_json::from_str(text.trim()).ok()
}

fn conclusion(text: &str) -> &str {
    text.rsplit("Answer:").next().unwrap_or(text)
}

fn folded(text: &str) -> String {
    let text = text.trim().trim_end_matches(['.', '!', '?', '。', '？', '।', ' ']);
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

#[cfg(test)]
mod tests;
