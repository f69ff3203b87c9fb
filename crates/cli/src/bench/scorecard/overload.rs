//! Rows A: overload and failing workers.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures_util::future::join_all;
use mesh::admit::RETRY_PUSHBACK;
use proto::v1;
use tonic::Code;

use super::row::Measured;
use super::scene::{Manner, Scene, request};

/// A worker that makes no token for as long as any row runs.
const SILENT: Manner = Manner { fails: false, pause: Duration::from_secs(3_600) };
const QUICK: Manner = Manner { fails: false, pause: Duration::ZERO };
const FAILING: Manner = Manner { fails: true, pause: Duration::ZERO };

/// A2: a router that is full refuses the rest. CPU time is that of this whole process, the caller's part among it.
pub(super) async fn rejections() -> Result<Measured> {
    const HELD: usize = 8;
    const REFUSED: usize = 2_000;
    let served = Scene::new(1, QUICK).await?;
    let before = cpu()?;
    for number in 0..REFUSED / 10 {
        read(&served, request(format!("served-{number}"), 20)).await?;
    }
    let served_cpu = (cpu()? - before) / (REFUSED / 10) as f64;
    drop(served);
    let full = Scene::with(1, SILENT, "", |options| options.limits.in_flight_max = HELD).await?;
    let holding = (0..HELD).map(|number| {
        let mut client = full.client.clone();
        tokio::spawn(async move { drop(client.generate(request(format!("held-{number}"), 20)).await) })
    });
    let holding: Vec<_> = holding.collect();
    while full.workers[0].deeds.open.load(Ordering::Relaxed) < HELD {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (mut times, mut with_pushback, mut wrong) = (Vec::new(), 0, 0);
    let before = cpu()?;
    for number in 0..REFUSED {
        let asked = Instant::now();
        let refused = full.client.clone().generate(request(format!("refused-{number}"), 20)).await;
        times.push(asked.elapsed());
        match refused {
            Err(status) if status.code() == Code::ResourceExhausted => {
                with_pushback += usize::from(status.metadata().get(RETRY_PUSHBACK).is_some());
            }
            _ => wrong += 1,
        }
    }
    let refused_cpu = (cpu()? - before) / REFUSED as f64;
    holding.iter().for_each(tokio::task::JoinHandle::abort);
    times.sort_unstable();
    let p99 = times[REFUSED * 99 / 100];
    let share = 100.0 * refused_cpu / served_cpu;
    let pass = p99 <= Duration::from_millis(10) && with_pushback == REFUSED && wrong == 0 && share <= 10.0;
    let text = format!(
        "p99 {p99:.1?}, {with_pushback} of {REFUSED} with a pushback, CPU {share:.0} % of a served request of 20 tokens"
    );
    Ok(Measured { text, pass })
}

/// A5: every attempt fails, and every failure could be tried again.
pub(super) async fn amplification() -> Result<Measured> {
    const PER_SECOND: u64 = 200;
    const SECONDS: u64 = 5;
    let scene = Scene::new(3, FAILING).await?;
    let mut ticks = tokio::time::interval(Duration::from_micros(1_000_000 / PER_SECOND));
    let mut calls = Vec::new();
    for number in 0..PER_SECOND * SECONDS {
        ticks.tick().await;
        let mut client = scene.client.clone();
        calls.push(tokio::spawn(
            async move { client.generate(request(format!("q{number}"), 20)).await.is_ok() },
        ));
    }
    let answered = join_all(calls).await.into_iter().filter(|call| matches!(call, Ok(true))).count();
    let (asked, requests) = (scene.asked(), PER_SECOND * SECONDS);
    let most = requests * 12 / 10 + 10 * SECONDS;
    let text = format!(
        "{asked} attempts for {requests} requests in {SECONDS} s, at most {most}; {answered} answered"
    );
    Ok(Measured { text, pass: asked <= most && answered == 0 })
}

/// A8: one of three workers fails everything that it is sent.
pub(super) async fn ejection() -> Result<Measured> {
    const REQUESTS: usize = 60;
    let mut scene = Scene::new(3, QUICK).await?;
    let place = scene.workers[0].place.clone();
    scene.workers[0].set(FAILING);
    scene.restart(&place).await?;
    let mut ticks = tokio::time::interval(Duration::from_millis(500));
    let (mut failed, mut in_first_half) = (0, 0);
    for number in 0..REQUESTS {
        ticks.tick().await;
        failed += usize::from(read(&scene, request(format!("q{number}"), 20)).await.is_err());
        if number == REQUESTS / 2 {
            in_first_half = scene.workers[0].deeds.asked.load(Ordering::Relaxed);
        }
    }
    let sent = scene.workers[0].deeds.asked.load(Ordering::Relaxed);
    let text = format!(
        "{sent} of {REQUESTS} requests tried there ({in_first_half} in the first half, probes among them), {failed} reached callers"
    );
    Ok(Measured { text, pass: in_first_half <= 7 && failed <= 5 })
}

/// Asks, and reads to the end; the token ids.
pub(super) async fn read(scene: &Scene, request: v1::GenerateRequest) -> Result<Vec<u32>> {
    let mut stream = scene.client.clone().generate(request).await?.into_inner();
    let mut ids = Vec::new();
    while let Some(message) = stream.message().await? {
        if let Some(v1::generate_event::Event::Delta(delta)) = message.event {
            ids.extend(delta.token_ids);
        }
    }
    Ok(ids)
}

/// CPU time of this process so far, seconds.
fn cpu() -> Result<f64> {
    let mut nanoseconds = 0.0;
    for task in std::fs::read_dir("/proc/self/task").context("/proc/self/task")? {
        let text = std::fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
        nanoseconds += text.split(' ').next().and_then(|number| number.parse::<f64>().ok()).unwrap_or(0.0);
    }
    Ok(nanoseconds / 1e9)
}
