//! Workers are restarted one after the other, as an orchestrator does it, under answers that live: none is lost.

use std::time::Duration;

use causeway_tests::{House, HouseOptions, text_request};
use mesh::connect::Channel;
use proto::v1::generate_event::Event;
use proto::v1::generation_client::GenerationClient;
use proto::v1::{DescribeRequest, FinishReason};
use tokio::task::JoinSet;

/// Tokens of each answer.
const TOKENS_MAX: u32 = 96;
/// Answers at once.
const ANSWERS: u64 = 12;

/// Asks to the end; every token id in its order.
async fn ask(agent: Channel, seed: u64) -> (Vec<u32>, FinishReason) {
    let mut request = text_request("List the numbers from 1 to 200.", "cloud-fast", TOKENS_MAX);
    let sampling = request.sampling.as_mut().expect("given");
    (sampling.temperature, sampling.seed) = (Some(1.0), Some(seed));
    let mut stream = GenerationClient::new(agent).generate(request).await.expect("it begins").into_inner();
    let (mut token_ids, mut finish) = (Vec::new(), FinishReason::Unspecified);
    while let Some(event) = stream.message().await.expect("it ends well") {
        match event.event {
            Some(Event::Delta(delta)) => {
                assert_eq!(delta.first_token_index as usize, token_ids.len(), "no token twice, none lost");
                token_ids.extend(delta.token_ids);
            }
            Some(Event::Done(done)) => finish = done.finish_reason(),
            _ => {}
        }
    }
    (token_ids, finish)
}

async fn all(house: &House) -> JoinSet<(u64, Vec<u32>, FinishReason)> {
    let mut answers = JoinSet::new();
    for seed in 0..ANSWERS {
        let agent = house.agent.clone();
        answers.spawn(async move {
            let (token_ids, finish) = ask(agent, seed).await;
            (seed, token_ids, finish)
        });
    }
    answers
}

/// Waits until the router has heard of every worker.
async fn heard(house: &House, workers: usize) {
    let mut client = GenerationClient::new(house.router.clone());
    let heard = async {
        loop {
            let described =
                client.describe(DescribeRequest {}).await.expect("the router answers").into_inner();
            if described.places.iter().filter(|place| place.model.is_some()).count() == workers {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), heard).await.expect("it hears of the worker");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_rolling_restart_of_the_workers_loses_no_answer() {
    let options = HouseOptions { step_interval_min_ms: 20, spares: 1, ..HouseOptions::default() };
    let mut house = House::start(options).await;
    let mut whole = all(&house).await.join_all().await;
    whole.sort_by_key(|(seed, ..)| *seed);
    let answers = all(&house).await;
    for spare in [None, Some(0)] {
        tokio::time::sleep(Duration::from_millis(300)).await;
        tokio::task::block_in_place(|| match spare {
            None => house.processes[0].terminate(),
            Some(index) => house.spares[index].terminate(),
        });
        house.revive(spare);
        heard(&house, 2).await;
    }
    let mut seen = answers.join_all().await;
    seen.sort_by_key(|(seed, ..)| *seed);
    assert!(whole.iter().all(|(_, _, finish)| *finish != FinishReason::Interrupted));
    assert_eq!(seen, whole, "the same answers as without a restart");
}
