//! Callers that leave.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::stream::{self, StreamExt as _};

use super::row::Measured;
use super::scene::{Scene, request};

/// B12: callers leave after a few tokens.
pub(super) async fn cancels() -> Result<Measured> {
    const CALLERS: usize = 10_000;
    const AT_ONCE: usize = 200;
    const TOKENS: u32 = 200;
    let budget = "\n[[budget]]\nname = \"all\"\nusd_max = 1000\nwindow_seconds = 31622400\n";
    let scene = Scene::with(2, Duration::from_millis(10), budget, |_| {}).await?;
    let leave = |number: usize| {
        let mut client = scene.client.clone();
        async move {
            let id = format!("q{number}");
            let mut stream = client.generate(request(id.clone(), TOKENS)).await?.into_inner();
            for _ in 0..3 {
                stream.message().await?;
            }
            drop(stream);
            anyhow::Ok((id, Instant::now()))
        }
    };
    let left: Vec<_> = stream::iter(0..CALLERS).map(leave).buffer_unordered(AT_ONCE).collect().await;
    let left = left.into_iter().collect::<Result<Vec<_>>>()?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut late = Duration::ZERO;
    let mut lost = 0;
    for (id, at) in left {
        let ends = scene.workers.iter().filter_map(|worker| worker.deeds.left.lock().ok()?.get(&id).copied());
        match ends.max() {
            Some(end) => late = late.max(end.saturating_duration_since(at)),
            None => lost += 1,
        }
    }
    let open: usize = scene.workers.iter().map(|worker| worker.deeds.open.load(Ordering::Relaxed)).sum();
    // Each saw a few tokens, and none the many that were reserved for it.
    let spent = (scene.spent)();
    let most = CALLERS as f64 * (10.0 + 2.0 * 50.0) / 1e6;
    let text = format!(
        "{CALLERS} left, the last worker stopped after {late:.1?}, {open} answers and {lost} ends left over, ${spent:.3} spent of ${most:.3} that 50 tokens each would cost"
    );
    let pass = late <= Duration::from_millis(100) && open == 0 && lost == 0 && spent <= most;
    Ok(Measured { text, pass })
}
