//! An upstream that has too much to do, and what this agent makes of it.

use std::time::Duration;

use mesh::admit::refusal;
use proto::v1;
use score::score;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tonic::{Code, Status};

use super::scene::{Around, Scene, Script, Upstream, question};

fn asking(priority: v1::Priority) -> v1::GenerateRequest {
    v1::GenerateRequest { priority: priority.into(), ..question("why is the sky blue?") }
}

#[tokio::test]
async fn while_the_upstream_wants_quiet_the_device_answers_and_says_why() {
    let upstream = Upstream::new(Script::Refuse(refusal("full; ask again, or answer locally", 60_000)));
    let scene =
        Scene::new(Around { model: true, upstream: Some(upstream.clone()), ..Around::default() }).await;
    let answer = scene.ask(asking(v1::Priority::Normal)).await.unwrap();
    assert_eq!(answer.started[0].place, "device");
    assert!(answer.removal("cloud").contains("answer locally"), "{}", answer.removal("cloud"));
    assert_eq!(upstream.asked(), 1);
    for priority in [v1::Priority::Normal, v1::Priority::Background] {
        let answer = scene.ask(asking(priority)).await.unwrap();
        assert_eq!(answer.started[0].place, "device");
        let reason = answer.removal("cloud");
        assert!(reason.contains("held back here: the upstream asked for quiet, for "), "{reason}");
        assert_eq!(upstream.asked(), 1, "it is left alone");
    }
    // What somebody waits for may be taken where other things are not.
    scene.ask(asking(v1::Priority::Interactive)).await.unwrap();
    assert_eq!(upstream.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn without_a_model_of_its_own_it_says_when_to_come_again() {
    let upstream = Upstream::new(Script::Refuse(refusal("full", 60_000)));
    let around = Around { upstream: Some(upstream.clone()), within: true, ..Around::default() };
    // One place is all that may be tried: what is held back is no try.
    let scene = Scene::with(around, |options, _| options.retry.attempts_max = 1).await;
    for _ in 0..3 {
        let before = Instant::now();
        let status = scene.refused(asking(v1::Priority::Normal)).await;
        assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
        let pushback = status.metadata().get("grpc-retry-pushback-ms").unwrap().to_str().unwrap();
        assert!((59_000..=75_000).contains(&pushback.parse::<u64>().unwrap()), "{pushback}");
        assert!(before.elapsed() < Duration::from_millis(300), "nothing waits in silence");
    }
    assert_eq!(upstream.asked(), 1);
    tokio::time::advance(Duration::from_secs(76)).await;
    scene.refused(asking(v1::Priority::Normal)).await;
    assert_eq!(upstream.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_takes_a_quarter_is_sent_twice_what_it_takes() {
    const PER_SECOND: usize = 2;
    let upstream = Upstream::new(Script::Rated(PER_SECOND));
    let around = Around { upstream: Some(upstream.clone()), within: true, ..Around::default() };
    let scene = Scene::new(around).await;
    let (mut before, begin) = ((0, 0), Instant::now());
    let mut asked: JoinSet<Result<(), Status>> = JoinSet::new();
    let client = scene.client.clone();
    // Two windows of two minutes; what is measured is the second.
    for number in 0..4 * PER_SECOND as u32 * 240 {
        sleep_until(begin + Duration::from_secs(1) / (4 * PER_SECOND as u32) * number).await;
        if number == 4 * PER_SECOND as u32 * 120 {
            before = (upstream.asked(), upstream.taken.lock().unwrap().len());
        }
        let mut client = client.clone();
        asked.spawn(async move {
            let mut events = client.generate(asking(v1::Priority::Normal)).await?.into_inner();
            while events.message().await?.is_some() {}
            Ok(())
        });
    }
    let outcomes = asked.join_all().await;
    let (sent, taken) = (upstream.asked() - before.0, upstream.taken.lock().unwrap().len() - before.1);
    let ratio = sent as f64 / taken as f64;
    score!("A6", ratio <= 2.2, "{ratio:.2} × what is taken is sent, in the second window of two minutes");
    assert!((1.5..=2.2).contains(&ratio), "{sent} sent, {taken} taken");
    assert!(taken >= PER_SECOND * 120 * 3 / 4, "it is not left idle: {taken}");
    let held = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
    let held: Vec<_> = held.filter(|status| status.message().contains("held back here")).collect();
    assert!(held.len() > outcomes.len() / 4, "{} of {}", held.len(), outcomes.len());
    assert!(held.iter().all(|status| status.code() == Code::ResourceExhausted));
}
