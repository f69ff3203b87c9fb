//! A worker that is killed in the midst of its answer: what came until then stands, and its end says that it is not all.

use causeway_tests::{House, HouseOptions, text_request};
use proto::v1::FinishReason;
use proto::v1::generate_event::Event;
use proto::v1::generation_client::GenerationClient;

/// Tokens that are asked for; the worker is killed long before.
const TOKENS_MAX: u32 = 256;
/// Deltas that are read before the kill.
const DELTAS: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_whose_worker_is_killed_ends_as_interrupted() {
    let options = HouseOptions { step_interval_min_ms: 50, ..HouseOptions::default() };
    let mut house = House::start(options).await;
    let mut client = GenerationClient::new(house.agent.clone());
    let request = text_request("List the numbers from 1 to 200.", "cloud-fast", TOKENS_MAX);
    let mut stream = client.generate(request).await.expect("an answer begins").into_inner();
    let (mut deltas, mut tokens, mut started, mut done) = (0, 0, None, None);
    while let Some(event) = stream.message().await.expect("the answer ends well") {
        match event.event {
            Some(Event::Started(begun)) => started = Some(begun),
            Some(Event::Delta(delta)) => {
                deltas += 1;
                tokens += delta.token_ids.len();
                if deltas == DELTAS {
                    house.processes[0].kill();
                }
            }
            Some(Event::Done(end)) => done = Some(end),
            _ => {}
        }
    }
    let (started, done) = (started.expect("started"), done.expect("done"));
    assert_eq!(done.finish_reason(), FinishReason::Interrupted);
    assert_eq!((done.place.as_str(), &done.model_hash), ("cloud-fast/test", &started.model_hash));
    assert_eq!(done.usage.map(|usage| usage.output_tokens as usize), Some(tokens));
    assert!(tokens < TOKENS_MAX as usize && done.price_usd > 0.0, "{done:?}");
}
