//! `causeway bench router`: what the router adds to a call in time, processor and memory, beside a bare forwarder and
//! others' proxies, each a process of its own on a core of its own, in turns.

mod cores;
mod wire;
mod worker;
mod caller;
mod load;
mod way;
mod settings;
mod subject;
pub(super) mod forward;
mod phase;
mod instructions;
mod results;
mod targets;
mod report;
#[cfg(test)]
mod tests;

use std::io::{IsTerminal as _, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};
use mesh::process::{Arguments, launch};
use mesh::tls::Authority;

use self::cores::Cores;
use self::phase::{Phase, Ready};
use self::report::Report;
use self::results::Results;
use self::subject::Bench;
use self::way::{COMPARED, SWITCHED, WORKERS, Way};
use self::worker::Worker;
use super::args::{Hop, Router};

/// Files that two processes open for ten thousand connections between them.
const OPEN_FILES: u64 = 16_384;

/// Runs it.
pub(super) fn run(asked: &Router, out: &mut impl Write) -> Result<ExitCode> {
    let (ways, peers) = ways(asked)?;
    cores::open_files(OPEN_FILES)?;
    let cores = Cores::take()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if asked.instructions {
        let counted = runtime.block_on(async {
            let (bench, worker) = prepare(asked, cores).await?;
            instructions::count(&bench, &worker, &ways).await
        })?;
        instructions::print(&counted, asked.json, out)?;
        return Ok(ExitCode::SUCCESS);
    }
    let results = runtime.block_on(measure(asked, cores, &ways))?;
    let report = Report { results: &results, ways: &ways, peers: &peers };
    if asked.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&report.json())?)?;
    } else {
        report.print(out)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// `causeway bench hop`: a router as its own program would be, for where that program is not at hand.
pub(super) fn hop(asked: &Hop) -> ExitCode {
    let arguments = Arguments { config: Some(asked.config.clone()), ..Arguments::default() };
    launch(&arguments, async |options: router::Options, rim, shutdown| {
        router::Router::bind(options, rim).await?.run(shutdown).await?;
        Ok(())
    })
}

/// The ways that can be measured here, and what the others' programs say they are.
fn ways(asked: &Router) -> Result<(Vec<Way>, Vec<String>)> {
    let mut peers = Vec::new();
    let mut ways = Vec::new();
    for way in COMPARED.into_iter().chain(SWITCHED) {
        if let Way::Nginx | Way::Haproxy = way {
            let version = subject::version(way.key());
            let program = way.key();
            ensure!(
                !asked.full || version.is_some(),
                "--full needs `{program}`, which is not on the search path"
            );
            let Some(version) = version else { continue };
            peers.push(version);
        }
        if asked.way.as_deref().is_none_or(|wanted| wanted.split(',').any(|one| one == way.key())) {
            ways.push(way);
        }
    }
    let known = || COMPARED.iter().chain(&SWITCHED).map(|way| way.key()).collect::<Vec<_>>().join("`, `");
    ensure!(!ways.is_empty(), "--way: there is none of these here; known are `{}`", known());
    Ok((ways, peers))
}

/// What is measured of a way in one round.
fn phases(asked: &Router, way: Way, round: usize) -> Vec<Phase> {
    use Phase::{Connections, Memory, Paced, Stream, StreamAtRate, Unary, UnaryAtRate};
    let mut phases = match way {
        _ if COMPARED.contains(&way) => vec![Memory, Unary, UnaryAtRate, Stream, StreamAtRate, Paced],
        _ if asked.quick => vec![Unary],
        _ => vec![Memory, Unary, Stream],
    };
    if asked.full && COMPARED.contains(&way) {
        phases.insert(1, Connections);
    }
    let memory = way != Way::Direct && round == 0;
    phases.retain(|phase| memory || !matches!(phase, Memory | Connections));
    phases
}

async fn prepare(asked: &Router, cores: Cores) -> Result<(Bench, Worker)> {
    let authority = Authority::ephemeral()?;
    let worker = Worker::new(WORKERS);
    let secured = authority.issue("worker/bench")?.identity()?;
    let workers = [worker.serve(None).await?, worker.serve(Some(secured)).await?];
    let router = subject::router(asked.router.as_deref())?;
    Ok((Bench { cores, authority, workers, router, counting: asked.instructions }, worker))
}

async fn measure(asked: &Router, cores: Cores, ways: &[Way]) -> Result<Results> {
    let (bench, worker) = prepare(asked, cores).await?;
    let (rounds, time) = asked.extent();
    let mut results = Results::default();
    for round in 0..rounds {
        for way in ways {
            let ready = Ready::start(&bench, &worker, *way).await?;
            for phase in phases(asked, *way, round) {
                if std::io::stderr().is_terminal() {
                    writeln!(std::io::stderr(), "round {}: {}, {phase:?}", round + 1, way.key())?;
                }
                results.add(*way, phase, ready.run(phase, time).await?);
            }
        }
    }
    Ok(results)
}

impl Router {
    /// Rounds, and how long each measurement takes.
    fn extent(&self) -> (usize, Duration) {
        match (self.quick, self.full) {
            (true, _) => (1, Duration::from_millis(500)),
            (false, true) => (5, Duration::from_secs(2)),
            (false, false) => (3, Duration::from_secs(2)),
        }
    }
}
