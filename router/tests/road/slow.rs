//! A caller that does not read: what is made for it is taken from the worker up to a bound, and nobody else notices.

use std::time::Duration;

use futures_util::StreamExt as _;
use score::score;
use tokio::time::Instant;
use tonic::Code;

use crate::road::{Answer, Planned, Road, memory, question};
use crate::worker::{Step, report};

/// 40 bytes each, as many as stop a connection on which h2 counts small frames that nobody reads.
const TOKENS: usize = 5000;
const TOKEN: &str = "forty bytes of text, of which one is red";

/// One worker that makes this many tokens, in bursts with pauses in which others run.
fn long_winded(tokens: usize) -> Vec<Planned<'static>> {
    let mut script = vec![Step::Started];
    for index in 0..tokens {
        script.push(Step::Delta(TOKEN, &[7]));
        if index % 50 == 49 {
            script.push(Step::Wait(10));
        }
    }
    script.push(Step::Done(10, 0, tokens as u32));
    let report = proto::v1::Report { running_max: 256, ..report("small", 1e6, 1e-6) };
    vec![("slow/a", Some(report), script)]
}

/// Ninety-nine callers who read everything that comes; how long it took.
async fn read_by_ninety_nine(road: &Road) -> Duration {
    let began = Instant::now();
    let asking = (0..99).map(|_| {
        let mut client = road.client.clone();
        tokio::spawn(async move {
            let mut stream = client.generate(question()).await.unwrap().into_inner();
            let mut answer = Answer::default();
            while let Some(event) = stream.next().await {
                answer.take(event.unwrap().event.unwrap());
            }
            answer
        })
    });
    for answer in futures_util::future::join_all(asking).await {
        let answer = answer.unwrap();
        assert_eq!((answer.token_ids.len(), answer.text.len()), (TOKENS, TOKENS * TOKEN.len()));
        assert!(answer.done.is_some());
    }
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn one_frozen_caller_among_a_hundred_is_capped_and_cancelled_alone() {
    let alone = read_by_ninety_nine(&Road::lay_with(memory(), long_winded(TOKENS), |_| {}).await).await;
    let mut road = Road::lay_with(memory(), long_winded(TOKENS), |_| {}).await;
    let mut frozen = road.client.generate(question()).await.unwrap().into_inner();
    let beside = read_by_ninety_nine(&road).await;
    // The worker's stream of the frozen caller is gone while that caller still holds its own.
    let worker = road.workers[0].state.clone();
    worker.open(0).await;
    assert_eq!(road.workers[0].counters.read().accepted, 1, "over one connection");

    // It reads on after all: what was kept for it comes without a gap, and then why there is no more.
    let mut answer = Answer::default();
    let status = loop {
        match frozen.next().await.expect("it is told") {
            Ok(event) => answer.take(event.event.unwrap()),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(status.message().contains("connect.unread_bytes_max"), "{status}");
    let kept = answer.text.len();
    let share = 100.0 * alone.as_secs_f64() / beside.as_secs_f64();
    score!(
        "B13",
        share >= 99.0 && (..256 * 1024).contains(&kept),
        "99 others got all, at {share:.0} % of the pace, over the same connection; {} KiB kept, then cancelled",
        kept / 1024
    );
    assert!((64 * 1024..256 * 1024).contains(&kept), "{kept} bytes");
    assert_eq!(kept, answer.token_ids.len() * TOKEN.len());
    let seen = worker.seen().len();
    assert_eq!(seen, 100, "nobody was asked to go on with it");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_lags_gets_the_same_answer_in_fewer_events() {
    const LAGGING: usize = 2000;
    let mut road = Road::lay_with(memory(), long_winded(LAGGING), |_| {}).await;
    let mut stream = road.client.generate(question()).await.unwrap().into_inner();
    // Its own window is full long before the worker is done.
    road.workers[0].state.open(0).await;
    let (mut answer, mut events) = (Answer::default(), 0);
    while let Some(event) = stream.next().await {
        answer.take(event.unwrap().event.unwrap());
        events += 1;
    }
    assert_eq!((answer.token_ids.len(), answer.text.len()), (LAGGING, LAGGING * TOKEN.len()));
    assert_eq!(answer.done.as_ref().unwrap().usage.unwrap().output_tokens, LAGGING as u32);
    assert!(events < LAGGING, "{events} events");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_never_reads_again_is_cut_off_and_its_worker_is_free() {
    let mut road = Road::lay_with(memory(), long_winded(TOKENS), |options| {
        options.serve.unread_timeout_ms = 5_000;
    })
    .await;
    let frozen = road.client.generate(question()).await.unwrap().into_inner();
    road.workers[0].state.open(0).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    // Everything that was held for it is released: the drain has nothing to wait for.
    road.end();
    let began = Instant::now();
    road.ended().await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    drop(frozen);
}
