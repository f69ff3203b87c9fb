//! Questions typed by a person: one on the command line, or one after the other at a prompt.

use std::fs;
use std::io::{self, BufRead as _, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use anyhow::{Context as _, Result};
use mesh::connect::{Channel, ConnectOptions};
use mesh::process::told_to_end;
use mesh::transport::{Address, Os};
use proto::v1::generate_request::Constraint;
use serde_json::json;
use tokio::sync::mpsc;

use crate::ask::{Answer, Question, ask};
use crate::deploy::Deploy;
use crate::road::Road;
use crate::{args, show};

/// What the answer must be, its text read from the file where one is named.
fn constraint(asked: &args::Ask) -> Result<Option<Constraint>> {
    let read =
        |file: &Path| fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()));
    Ok(match (&asked.json_schema, &asked.grammar, &asked.regex) {
        (Some(file), _, _) => Some(Constraint::JsonSchema(read(file)?)),
        (_, Some(file), _) => Some(Constraint::LarkGrammar(read(file)?)),
        (_, _, Some(regex)) => Some(Constraint::Regex(regex.clone())),
        _ => None,
    })
}

/// `causeway ask`: of the agent at the socket, or of a road started for this question.
pub(crate) async fn ask_once(deploy: &Deploy, asked: args::Ask, out: &mut impl Write) -> Result<ExitCode> {
    let constraint = constraint(&asked)?;
    let question = Question {
        text: asked.text,
        privacy: asked.privacy.into(),
        priority: asked.priority.into(),
        only_place: asked.only.unwrap_or_default(),
        model: asked.model.unwrap_or_default(),
        max_tokens: asked.max_tokens,
        temperature: asked.temperature,
        seed: asked.seed,
        constraint,
    };
    if let Some(socket) = asked.socket {
        answer_one(&channel(socket), &question, asked.json, out).await?;
    } else {
        let mut told = pin!(told_to_end()?);
        let started = Road::start(deploy, &asked.parts, None);
        let road = tokio::select! {
            road = started => road?,
            () = &mut told => return Ok(ExitCode::FAILURE),
        };
        let answered = tokio::select! {
            answered = answer_one(&road.agent, &question, asked.json, out) => answered.map(|()| ExitCode::SUCCESS),
            () = &mut told => Ok(ExitCode::FAILURE),
        };
        // Its socket and its folder go with it, however it ends.
        road.stop().await?;
        return answered;
    }
    Ok(ExitCode::SUCCESS)
}

/// The prompt of `causeway up`; away from a terminal, waits to be interrupted.
pub(crate) async fn serve(road: &Road, out: &mut impl Write) -> Result<()> {
    writeln!(out, "From elsewhere: causeway ask --socket {} \"…\"", road.socket.display())?;
    if !io::stdin().is_terminal() {
        writeln!(out, "Interrupt (Ctrl-C) ends it.")?;
        out.flush()?;
        return std::future::pending().await;
    }
    writeln!(out, "Ask something; an empty line or Ctrl-D ends it.")?;
    let mut lines = typed();
    loop {
        write!(out, "\n> ")?;
        out.flush()?;
        let Some(line) = lines.recv().await.filter(|line| !line.trim().is_empty()) else { return Ok(()) };
        if let Err(error) = answer_one(&road.agent, &Question::new(line.trim()), false, out).await {
            writeln!(out, "{error:#}")?;
        }
    }
}

/// Lines as they are typed. They are read by a thread of their own, which the process's end does not wait for.
fn typed() -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(1);
    thread::spawn(move || {
        for line in io::stdin().lock().split(b'\n').map_while(io::Result::ok) {
            // What is not UTF-8 is asked with replacement characters rather than taken for the end.
            if sender.blocking_send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
        }
    });
    lines
}

async fn answer_one(channel: &Channel, question: &Question, json: bool, out: &mut impl Write) -> Result<()> {
    let answer = ask(channel, question, |text| {
        if !json {
            let _ = write!(out, "{text}");
            let _ = out.flush();
        }
    })
    .await
    .map_err(|status| anyhow::anyhow!("the agent refused ({:?}): {}", status.code(), status.message()))?;
    if json {
        writeln!(out, "{}", as_json(&answer))?;
    } else {
        if let Some(action) = &answer.action {
            write!(out, "  [{} {} {}]", action.name, action.entity_id, action.arguments_json)?;
        }
        writeln!(out, "\n\n{}\n\n{}", show::summary(&answer), show::decisions(&answer.decisions))?;
    }
    Ok(())
}

fn as_json(answer: &Answer) -> serde_json::Value {
    let decisions: Vec<_> = answer.decisions.iter().map(show::as_json).collect();
    let action = answer.action.as_ref().map(|action| {
        json!({ "name": action.name, "entity_id": action.entity_id, "arguments": action.arguments_json })
    });
    json!({
        "answer": answer.text,
        "action": action,
        "place": answer.place,
        "attempt": answer.attempt,
        "usd": answer.price_usd,
        "ttft_ms": answer.first_token.as_secs_f64() * 1e3,
        "total_ms": answer.total.as_secs_f64() * 1e3,
        "output_tokens": answer.usage.map_or(0, |usage| usage.output_tokens),
        "decisions": decisions,
    })
}

fn channel(socket: PathBuf) -> Channel {
    Channel::new(Address::Unix(socket), Arc::new(Os), None, ConnectOptions::default())
}
