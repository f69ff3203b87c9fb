//! The tour: about eight questions that show each place answering, and a choice that flips.

mod stops;

use std::io::Write;
use std::pin::pin;
use std::process::ExitCode;

use anyhow::Result;
use mesh::process::told_to_end;
use serde_json::json;

use crate::args::Up;
use crate::ask::{Answer, ask};
use crate::deploy::Deploy;
use crate::road::Road;
use crate::{prompt, show};

pub use stops::{Expected, Stop, stops};

/// Told to end before it was done.
const ENDED: ExitCode = ExitCode::FAILURE;

/// Starts the road, takes the tour, and then answers what is typed. An interrupt or a termination ends it in good order
/// at any time: sockets and folders of the road's own are not left behind.
pub(crate) async fn up(deploy: &Deploy, options: &Up, out: &mut (impl Write + Send)) -> Result<ExitCode> {
    let mut told = pin!(told_to_end()?);
    let started = Road::start(deploy, &options.parts, options.socket.clone());
    let road = tokio::select! {
        road = started => road?,
        () = &mut told => return Ok(ENDED),
    };
    let ended = tokio::select! {
        ended = on(&road, deploy, options, out) => ended,
        () = &mut told => Ok(if options.tour_only { ENDED } else { ExitCode::SUCCESS }),
    };
    road.stop().await?;
    ended
}

/// The tour, and the prompt after it.
async fn on(road: &Road, deploy: &Deploy, options: &Up, out: &mut (impl Write + Send)) -> Result<ExitCode> {
    if !options.json {
        writeln!(out, "{}\n", road.describe())?;
    }
    let stops = stops(&deploy.tour())?;
    let mut right = 0;
    for (at, stop) in stops.iter().enumerate() {
        right += usize::from(take(road, (at + 1, stop), options.json, out).await?);
    }
    if !options.json {
        writeln!(out, "{right} of {} right\n", stops.len())?;
    }
    if !options.tour_only {
        prompt::serve(road, out).await?;
    }
    Ok(if !options.tour_only || right == stops.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One stop of the tour; whether its answer was right.
async fn take(road: &Road, (number, stop): (usize, &Stop), json: bool, out: &mut impl Write) -> Result<bool> {
    if !json {
        writeln!(out, "{number}. {}{}", stop.question.text, stop.manner())?;
        write!(out, "   ")?;
    }
    let answer = ask(&road.agent, &stop.question, |text| {
        if !json {
            let _ = write!(out, "{}", text.replace('\n', "\n   "));
            let _ = out.flush();
        }
    })
    .await;
    let answer = match answer {
        Ok(answer) => answer,
        Err(status) => return refused(stop, &status, json, out),
    };
    let right = stop.is_right(&answer);
    if json {
        writeln!(out, "{}", as_json(stop, &answer, right))?;
        return Ok(right);
    }
    if let Some(action) = &answer.action {
        write!(out, "  [{} {} {}]", action.name, action.entity_id, action.arguments_json)?;
    }
    writeln!(out, "\n   {} {}", if right { "✓" } else { "✗ wrong:" }, show::summary(&answer))?;
    for line in show::decisions(&answer.decisions).lines() {
        writeln!(out, "   {line}")?;
    }
    writeln!(out)?;
    Ok(right)
}

/// A stop without an answer is wrong; the tour goes on.
fn refused(stop: &Stop, status: &tonic::Status, json: bool, out: &mut impl Write) -> Result<bool> {
    if json {
        let error = format!("{:?}: {}", status.code(), status.message());
        writeln!(out, "{}", json!({ "question": stop.question.text, "error": error, "right": false }))?;
    } else {
        writeln!(out, "\n   ✗ no answer ({:?}): {}\n", status.code(), status.message())?;
    }
    Ok(false)
}

fn as_json(stop: &Stop, answer: &Answer, right: bool) -> serde_json::Value {
    json!({
        "question": stop.question.text,
        "answer": answer.text,
        "place": answer.place,
        "right": right,
        "ttft_ms": answer.first_token.as_secs_f64() * 1e3,
        "total_ms": answer.total.as_secs_f64() * 1e3,
        "usd": answer.price_usd,
    })
}
