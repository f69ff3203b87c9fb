//! Workers behind a Kubernetes service: its EndpointSlices are listed once and watched from there on.
//!
//! Two kinds of GET and lines of JSON are all of it: a client library would bring half a hundred packages for them.

mod slices;
mod api;

use std::time::Duration;

use mesh::process::Rim;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::time::{Instant, sleep};

use self::api::{Api, Problem};
use self::slices::{Heard, Slices};
use super::Publisher;
use crate::config::KubernetesOptions;

/// The first and the longest wait after a failure.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// Asks until dropped.
pub(super) async fn ask(options: KubernetesOptions, rim: Rim, publisher: Publisher) {
    let mut random = StdRng::seed_from_u64(rim.seed ^ u64::from(u32::from_be_bytes(*b"k8s?")));
    let mut wait = RETRY.0;
    let mut known = None;
    loop {
        let before = Instant::now();
        let problem = session(&options, &rim, &publisher, &mut known).await;
        if before.elapsed() > RETRY.1 {
            wait = RETRY.0;
        }
        match problem {
            // What was known of it is out of date, which is no failure.
            Problem::Forgotten => known = None,
            Problem::Failed(reason) => publisher.fail(&reason),
        }
        // Routers that lost the server together must not come back together.
        sleep(wait.mul_f64(random.random_range(0.5..1.0))).await;
        wait = (wait * 2).min(RETRY.1);
    }
}

/// Lists unless what was listed is still `known`, then watches, until something fails.
async fn session(
    options: &KubernetesOptions,
    rim: &Rim,
    publisher: &Publisher,
    known: &mut Option<Slices>,
) -> Problem {
    let api = match Api::open(options, rim).await {
        Ok(api) => api,
        Err(reason) => return Problem::Failed(reason),
    };
    let mut slices = match known.take() {
        Some(slices) => slices,
        None => match list(&api).await {
            Ok(slices) => {
                publisher.tell(slices.members(options));
                slices
            }
            Err(problem) => return problem,
        },
    };
    let problem = loop {
        if let Err(problem) = watch(&api, options, publisher, &mut slices).await {
            break problem;
        }
    };
    *known = Some(slices);
    problem
}

async fn list(api: &Api<'_>) -> Result<Slices, Problem> {
    let mut slices = Slices::default();
    let mut rest = String::new();
    loop {
        let page = api.list(&rest).await?;
        rest.clone_from(&page.metadata.rest);
        slices.add(page).map_err(Problem::Failed)?;
        if rest.is_empty() {
            return Ok(slices);
        }
    }
}

/// Watches from the version that is known until the server ends it, as it does every few minutes.
async fn watch(
    api: &Api<'_>,
    options: &KubernetesOptions,
    publisher: &Publisher,
    slices: &mut Slices,
) -> Result<(), Problem> {
    let before = Instant::now();
    let mut lines = api.watch(&slices.version).await?;
    publisher.tell(slices.members(options));
    while let Some(line) = lines.next().await? {
        match slices.hear(&line) {
            Heard::Changed | Heard::Same => publisher.tell(slices.members(options)),
            Heard::Forgotten => return Err(Problem::Forgotten),
            Heard::Failed(reason) => return Err(Problem::Failed(reason)),
        }
    }
    // A server that ends every watch at once is not asked in a circle.
    sleep(RETRY.0.saturating_sub(before.elapsed())).await;
    Ok(())
}
