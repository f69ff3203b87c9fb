//! Routers as processes: restarted and killed under agents that ask them, and what it costs one to refuse.

use std::time::{Duration, Instant};

use causeway_tests::{Routers, allow_files, text_request};
use mesh::connect::Channel;
use proto::v1::generate_event::Event;
use proto::v1::generation_client::GenerationClient;
use proto::v1::{DescribeRequest, GenerateRequest};
use score::score;
use tokio::task::JoinSet;
use tonic::{Code, Status};

/// Tokens of each answer, and the time between two.
const TOKENS: u32 = 30;
const GAP: Duration = Duration::from_millis(200);
/// What a router has to end, milliseconds.
const DRAIN_MS: u64 = 1_000;
const DRAIN: &str = "[serve]\ndrain_deadline_ms = 1000";

fn request() -> GenerateRequest {
    text_request("Why is the sky blue?", "cloud", TOKENS)
}

/// Asks; every token in its order.
async fn ask(agent: Channel, request: GenerateRequest) -> Result<Vec<u32>, Status> {
    let mut stream = GenerationClient::new(agent).generate(request).await?.into_inner();
    let mut tokens = Vec::new();
    while let Some(event) = stream.message().await? {
        if let Some(Event::Delta(delta)) = event.event {
            assert_eq!(delta.first_token_index as usize, tokens.len(), "no token twice, none lost");
            tokens.extend(delta.token_ids);
        }
    }
    Ok(tokens)
}

/// Waits until an agent's request is answered.
async fn reaches(agent: &Channel) {
    while ask(agent.clone(), text_request("Are you there?", "cloud", 1)).await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_of_two_routers_costs_two_hundred_agents_no_token() {
    const AGENTS: usize = 200;
    allow_files(4096);
    let mut routers = Routers::start(2, GAP, DRAIN).await;
    let mut answers = JoinSet::new();
    for index in 0..AGENTS {
        let agent = routers.agent(index, false).await;
        answers.spawn(async move {
            reaches(&agent).await;
            ask(agent, request()).await
        });
    }
    let mut longest = Duration::ZERO;
    for index in 0..2 {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        tokio::task::block_in_place(|| {
            let begun = Instant::now();
            routers.processes[index].terminate();
            longest = longest.max(begun.elapsed());
            routers.revive(index);
        });
    }
    let answers = answers.join_all().await;
    let all: Vec<u32> = (0..TOKENS).collect();
    let whole = answers.iter().filter(|answer| answer.as_ref().is_ok_and(|tokens| *tokens == all)).count();
    let in_time = longest <= Duration::from_millis(DRAIN_MS + 1_000);
    score!(
        "B2",
        whole == AGENTS && in_time,
        "{whole} of {AGENTS} agents got every token once over two processes, drains of {DRAIN_MS} ms took {longest:.1?}"
    );
    let odd: Vec<_> = answers.iter().filter(|answer| answer.as_ref().ok() != Some(&all)).take(3).collect();
    assert_eq!(whole, AGENTS, "{odd:?}");
    assert!(in_time, "{longest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_answer_while_their_router_is_killed_and_find_it_again() {
    const AGENTS: usize = 50;
    let mut routers = Routers::start(1, Duration::from_millis(10), DRAIN).await;
    let able = routers.agent(1_000, true).await;
    let mut agents = Vec::new();
    for index in 0..AGENTS {
        let agent = routers.agent(index, false).await;
        reaches(&agent).await;
        agents.push(agent);
    }
    reaches(&able).await;
    routers.processes[0].kill();
    let mut longest = Duration::ZERO;
    for agent in &agents {
        let begun = Instant::now();
        let refused = ask(agent.clone(), request()).await;
        longest = longest.max(begun.elapsed());
        assert!(refused.is_err(), "it has no model");
    }
    let begun = Instant::now();
    let answer = ask(able, text_request("What is 12 plus 30?", "", 4)).await.expect("the device answers");
    let (local, tokens) = (begun.elapsed(), answer.len());
    tokio::time::sleep(Duration::from_secs(3)).await;
    tokio::task::block_in_place(|| routers.revive(0));
    let back = Instant::now();
    let mut seeking = JoinSet::new();
    for agent in agents {
        seeking.spawn(async move {
            reaches(&agent).await;
            back.elapsed()
        });
    }
    let mut late = seeking.join_all().await;
    late.sort_unstable();
    let p99 = late[AGENTS * 99 / 100];
    let soon = Duration::from_millis(300);
    let pass = longest <= soon && local <= soon && p99 <= Duration::from_secs(2);
    score!(
        "B6",
        pass,
        "after kill −9: {AGENTS} agents know within {longest:.0?}, one answers itself in {local:.0?}, back p99 {p99:.1?}"
    );
    assert!(tokens > 0 && p99 <= Duration::from_secs(2), "{late:?}");
}

/// CPU time of the router for one answer of twenty tokens.
async fn answered_cpu() -> Duration {
    const ANSWERS: u32 = 100;
    let routers = Routers::start(1, Duration::from_millis(2), "").await;
    let caller = routers.caller(0);
    reaches(&caller).await;
    let before = routers.processes[0].cpu();
    for _ in 0..ANSWERS {
        ask(caller.clone(), text_request("Why is the sky blue?", "cloud", 20)).await.expect("an answer");
    }
    (routers.processes[0].cpu() - before) / ANSWERS
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_costs_a_tenth_of_an_answer_and_says_when_to_come_again() {
    const HELD: usize = 8;
    const REFUSED: u32 = 2_000;
    let served = answered_cpu().await;
    // Half a minute each, at next to no cost.
    let slow = Duration::from_secs(1);
    let routers = Routers::start(1, slow, "[limits]\nin_flight_max = 8").await;
    let caller = routers.caller(0);
    let mut held = JoinSet::new();
    // More than there is room for, of which as many as there is stay.
    for _ in 0..2 * HELD {
        held.spawn(ask(caller.clone(), request()));
    }
    let full = async {
        while GenerationClient::new(caller.clone()).describe(DescribeRequest {}).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), full).await.expect("it is full");
    let (mut took, mut right) = (Vec::new(), 0);
    let before = routers.processes[0].cpu();
    for _ in 0..REFUSED {
        let begun = Instant::now();
        let status = ask(caller.clone(), request()).await.expect_err("it is full");
        took.push(begun.elapsed());
        let pushback = status.metadata().contains_key("grpc-retry-pushback-ms");
        right += u32::from(status.code() == Code::ResourceExhausted && pushback);
    }
    let refused = (routers.processes[0].cpu() - before) / REFUSED;
    took.sort_unstable();
    let (p99, share) = (took[took.len() * 99 / 100], refused.as_secs_f64() / served.as_secs_f64());
    score!(
        "A2",
        right == REFUSED && p99 <= Duration::from_millis(10) && share <= 0.1,
        "p99 {p99:.1?}, {right} of {REFUSED} with a pushback; {refused:.0?} of the router's CPU, {:.1} % of an answer of 20 tokens",
        100.0 * share
    );
    assert_eq!(right, REFUSED);
    assert!(share <= 0.2, "{refused:?} of {served:?}");
}
