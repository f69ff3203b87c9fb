//! What must hold whatever happened: of every answer, of the money, and of a world that has come to rest.

use std::time::Duration;

use policy::ledger::usd_micros;
use proto::v1::FinishReason;
use tonic::Code;

use crate::client::{End, Seen};
use crate::hop::DEADLINE_DEFAULT_MS;
use crate::model;
use crate::trace::Trace;
use crate::worker::Effort;

/// Time that a call may outlive its deadline.
const LATE_MAX: Duration = Duration::from_millis(100);
/// Time after the server's own deadline until a caller must know, on a way that may be down: the keepalive finds it.
const UNHEARD_MAX: Duration = Duration::from_secs(6);

/// What a request may have cost, millionths of a dollar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) least: u64,
    pub(crate) most: u64,
}

/// Checks one answer. `calm`: nothing went wrong in this world, so nothing may have gone wrong with it.
pub(crate) fn answer(seen: &Seen, calm: bool, trace: &Trace) {
    let id = &seen.ask.request_id;
    let wrong = |what: std::fmt::Arguments<'_>| trace.violated(format_args!("{id}: {what}"));
    if seen.disorder || seen.started.len() > 1 {
        wrong(format_args!("events in disorder, or more than one start: {}", seen.started.len()));
    }
    tokens(seen, &wrong);
    end(seen, &wrong);
    time(seen, &wrong);
    if calm {
        undisturbed(seen, &wrong);
    }
}

/// No token lost, none twice, none that the model did not make.
fn tokens(seen: &Seen, wrong: &dyn Fn(std::fmt::Arguments<'_>)) {
    let Some(started) = seen.started.first() else { return };
    if started.request_id != seen.ask.request_id {
        wrong(format_args!("the answer of {}", started.request_id));
    }
    let most = seen.ask.max_tokens.map_or(usize::MAX, |most| most as usize);
    let expected = model::tokens(&started.model_hash, &seen.ask.prompt, most);
    let shown = seen.tokens();
    if !expected.starts_with(&shown) {
        wrong(format_args!("shown were {shown:?}, and the model makes {expected:?}"));
    }
    let text: String = shown.iter().map(|token| model::text(*token)).collect();
    if seen.text() != text {
        wrong(format_args!("the text is not that of its tokens: `{}`", seen.text()));
    }
    let mut index = 0;
    for delta in &seen.deltas {
        if delta.first_token_index as usize != index {
            wrong(format_args!("a delta begins at {} and not at {index}", delta.first_token_index));
        }
        index += delta.token_ids.len();
    }
    let whole = match seen.finish() {
        Some(FinishReason::Stop | FinishReason::Length) => shown.len() == expected.len(),
        _ => true,
    };
    if !whole {
        wrong(format_args!("complete after {} of {} tokens", shown.len(), expected.len()));
    }
}

/// An end says what it is.
fn end(seen: &Seen, wrong: &dyn Fn(std::fmt::Arguments<'_>)) {
    match (&seen.end, seen.finish()) {
        (End::Complete, None) => wrong(format_args!("the stream ended without `done`")),
        (_, Some(FinishReason::Unspecified | FinishReason::Action)) => {
            wrong(format_args!("`done` for no reason: {:?}", seen.finish()));
        }
        (End::Status(code, message), _)
            if !matches!(code, Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded) =>
        {
            wrong(format_args!("ended with {code:?}: {message}"));
        }
        _ => {}
    }
    let Some(usage) = seen.done.as_ref().and_then(|done| done.usage) else { return };
    if usage.output_tokens as usize != seen.tokens().len() {
        wrong(format_args!("{} tokens are counted, {} were shown", usage.output_tokens, seen.tokens().len()));
    }
}

/// Deadlines are kept, and every call ends.
fn time(seen: &Seen, wrong: &dyn Fn(std::fmt::Arguments<'_>)) {
    let took = seen.ended - seen.began;
    let most = match seen.ask.deadline_ms {
        Some(ms) => Duration::from_millis(ms) + LATE_MAX,
        None => Duration::from_millis(DEADLINE_DEFAULT_MS) + UNHEARD_MAX,
    };
    // Whoever reads slowly is told when it reads.
    let most = most + Duration::from_millis(seen.ask.reads_ms);
    if took > most {
        wrong(format_args!("it took {took:?}; at most {most:?} are allowed"));
    }
}

fn undisturbed(seen: &Seen, wrong: &dyn Fn(std::fmt::Arguments<'_>)) {
    let bounded = seen.ask.deadline_ms.is_some_and(|ms| ms < 3_000);
    let as_it_should = match &seen.end {
        End::Complete => matches!(seen.finish(), Some(FinishReason::Stop | FinishReason::Length)),
        End::Left => true,
        End::Full(_) => false,
        End::Status(code, _) => bounded && *code == Code::DeadlineExceeded,
    };
    if !as_it_should {
        wrong(format_args!("nothing went wrong, and it ended so: {:?}, {:?}", seen.end, seen.finish()));
    }
}

/// What a request may have been charged, by what its caller saw and by what workers did.
pub(crate) fn charged(seen: &Seen, effort: Option<&Effort>, at_router: bool) -> Bounds {
    let most = effort.map_or(0, |effort| effort.usd_micros_max);
    let Some(done) = &seen.done else {
        // At the cheapest tier, for a caller that does not know how many paid.
        let tokens = seen.tokens().len() as f64;
        return Bounds { least: usd_micros(tokens * 2.0 / 1e6), most };
    };
    // An agent may go on at another router, and pays each for what it sent, seen or not.
    if effort.is_some_and(|effort| effort.legs > 1) && !at_router {
        return Bounds { least: usd_micros(done.price_usd).min(most), most };
    }
    // Prices are whole millionths a token. Where several workers had a part, each is rounded up by itself.
    let told = (done.price_usd * 1e6).round() as u64;
    let legs = effort.map_or(0, |effort| u64::from(effort.legs));
    Bounds { least: told, most: told + if legs > 1 { legs } else { 0 } }
}
