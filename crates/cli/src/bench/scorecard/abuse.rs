//! Rows D: callers that mean harm.

use std::time::Duration;

use anyhow::Result;
use futures_util::future::join_all;

use super::overload::read;
use super::row::Measured;
use super::scene::{Manner, PROMPT_TOKENS, Scene, request};

/// D8: 64 streams at once draw on a budget that is enough for ten. The other half of the row, prefixes that make a
/// question look hard, is `causeway policy attack`'s.
pub(super) async fn wallet() -> Result<Measured> {
    const STREAMS: usize = 64;
    const TOKENS: u32 = 100;
    let each = f64::from(PROMPT_TOKENS + 2 * TOKENS) / 1e6;
    let budget =
        format!("\n[[budget]]\nname = \"all\"\nusd_max = {}\nwindow_seconds = 31622400\n", 10.0 * each);
    let manner = Manner { fails: false, pause: Duration::from_millis(2) };
    let scene = Scene::with(2, manner, &budget, |_| {}).await?;
    let mut answered = 0;
    for round in 0..4 {
        let calls = (0..STREAMS).map(|number| read(&scene, request(format!("q{round}-{number}"), TOKENS)));
        answered += join_all(calls).await.iter().filter(|call| call.is_ok()).count();
    }
    let over = (scene.spent)() / each - 10.0;
    let text = format!(
        "{answered} of {} answered, {:.2} requests beyond the budget of 10; the prefixes were not measured",
        4 * STREAMS,
        over.max(0.0)
    );
    // Half of a row is not the row.
    Ok(Measured { text, pass: false })
}
