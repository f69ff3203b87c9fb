//! `docs/policy.md` prints what the commands print, and names every code, field and fact.

use super::{json, root, typed};

fn text() -> String {
    std::fs::read_to_string(root().join("docs/policy.md")).expect("the page")
}

/// The commands that the page shows with what they print: blocks that begin with `$ causeway policy`.
fn shown() -> Vec<(Vec<String>, String)> {
    let page = text();
    let blocks = page.split("```").skip(1).step_by(2);
    blocks
        .filter_map(|block| block.split_once("\n$ causeway policy "))
        .map(|(_, rest)| {
            let (command, printed) = rest.split_once("\n\n").expect("an empty line after the command");
            (words(&command.replace("\\\n", " ")), printed.to_owned())
        })
        .collect()
}

/// Splits a command at spaces, but for those in quotes.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for one in command.trim().chars() {
        match quote {
            Some(open) if one == open => quote = None,
            None if one == '\'' || one == '"' => quote = Some(one),
            None if one.is_whitespace() => words.push(String::new()),
            _ => words.last_mut().expect("a word").push(one),
        }
    }
    words.retain(|word| !word.is_empty());
    words
        .into_iter()
        .map(|word| if word.starts_with("deploy/") { root().join(&word).display().to_string() } else { word })
        .collect()
}

#[test]
fn the_page_shows_what_the_commands_print() {
    let shown = shown();
    assert!(shown.len() >= 2, "the page shows too little");
    for (command, printed) in shown {
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        let root = format!("{}/", root().display());
        let is = typed(&command).0.replace(&root, "");
        assert_eq!(is.trim_end(), printed.trim_end(), "{command:?}");
    }
}

#[test]
fn the_sum_in_the_text_is_the_sum_in_the_table() {
    let (command, _) = shown().into_iter().find(|(words, _)| words[0] == "explain").expect("an explanation");
    let command: Vec<&str> = command.iter().map(String::as_str).chain(["--json"]).collect();
    let (report, _) = json(&command);
    let winner = &report["decision"]["trail"]["candidates"];
    let winner =
        winner.as_array().into_iter().flatten().find(|one| one["candidate"]["place"] == report["place"]);
    let winner = winner.expect("the winner");
    let dollars = |usd: &serde_json::Value| ::policy::Dollars(usd.as_f64().expect("dollars")).to_string();
    let trail = &report["decision"]["trail"];
    let line = format!(
        "{} + {:.3} s × {} + (1 − {:.3}) × {} = {}",
        dollars(&winner["columns"]["price_usd"]),
        winner["inputs"]["expected_seconds"].as_f64().expect("seconds"),
        dollars(&trail["second_usd"]),
        winner["inputs"]["probability_right"].as_f64().expect("a probability"),
        dollars(&trail["wrong_answer_usd"]),
        dollars(&winner["columns"]["total_usd"]),
    );
    assert!(text().contains(&line), "the page lacks: {line}");
}

#[test]
fn the_page_names_every_code_and_every_field() {
    let page = text();
    for (_, id, name) in ::policy::Code::ALL {
        let row = format!("| <a id=\"{}\"></a>{id} | `{name}` |", id.to_lowercase());
        assert!(page.contains(&row), "the page lacks {id} {name}, or where a message leads");
    }
    for code in ::policy::Reason::CODES.into_iter().chain(::policy::Note::ALL.map(::policy::Note::code)) {
        assert!(page.contains(&format!("`{code}`")), "the page lacks `{code}`");
    }
    let schema = ::policy::json_schema();
    let tables = schema["properties"].as_object().expect("tables");
    for (table, form) in tables {
        let fields = form["properties"].as_object().or_else(|| form["items"]["properties"].as_object());
        for field in fields.into_iter().flatten().map(|(field, _)| field).chain([table]) {
            assert!(page.contains(&format!("`{field}`")), "the page lacks `{field}` of {table}");
        }
    }
}
