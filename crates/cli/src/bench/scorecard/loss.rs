//! Rows B: workers that are lost, and callers that leave.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::stream::{self, StreamExt as _};
use proto::v1::generate_event::Event;

use super::row::Measured;
use super::scene::{Manner, Scene, request};

/// B3: the worker of an answer is killed in its midst, again and again.
pub(super) async fn kills() -> Result<Measured> {
    const KILLS: usize = 500;
    const TOKENS: u32 = 24;
    let mut scene = Scene::new(4, Manner { fails: false, pause: Duration::from_millis(2) }).await?;
    let (mut whole, mut longest) = (0, Duration::ZERO);
    for number in 0..KILLS {
        let asked = request(format!("q{number}"), TOKENS);
        let mut stream = scene.client.clone().generate(asked).await?.into_inner();
        let (mut before, mut killed) = (0, String::new());
        let (mut ids, mut place, mut last) = (Vec::new(), String::new(), Instant::now());
        while let Ok(Some(message)) = stream.message().await {
            match message.event {
                Some(Event::Started(started)) => place = started.place,
                Some(Event::Delta(delta)) => {
                    longest = longest.max(last.elapsed());
                    ids.extend(delta.token_ids);
                }
                _ => {}
            }
            last = Instant::now();
            if ids.len() == 5 {
                before = scene.watched(&place);
                killed.clone_from(&place);
                scene.restart(&place).await?;
                last = Instant::now();
            }
        }
        whole += usize::from(ids == (0..TOKENS).collect::<Vec<_>>());
        // It is not to run out of workers.
        scene.found(&killed, before).await?;
    }
    let text = format!("{whole} of {KILLS} answers whole, longest gap {longest:.1?}");
    Ok(Measured { text, pass: whole == KILLS && longest <= Duration::from_millis(500) })
}

/// B12: callers leave after a few tokens.
pub(super) async fn cancels() -> Result<Measured> {
    const CALLERS: usize = 10_000;
    const AT_ONCE: usize = 200;
    const TOKENS: u32 = 200;
    let budget = "\n[[budget]]\nname = \"all\"\nusd_max = 1000\nwindow_seconds = 31622400\n";
    let manner = Manner { fails: false, pause: Duration::from_millis(10) };
    let scene = Scene::with(2, manner, budget, |_| {}).await?;
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
