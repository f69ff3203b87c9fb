//! The canonical request: three real processes, asked through the agent's Unix socket.

use causeway_tests::{House, HouseOptions, text_request};
use proto::v1::generate_event::Event;
use proto::v1::generation_client::GenerationClient;
use proto::v1::{Decision, FinishReason, GenerateRequest};

/// The events of one answer.
async fn events(house: &House, request: GenerateRequest) -> Vec<Event> {
    let mut client = GenerationClient::new(house.agent.clone());
    let mut stream = client.generate(request).await.expect("an answer begins").into_inner();
    let mut events = Vec::new();
    while let Some(event) = stream.message().await.expect("the answer goes on") {
        events.extend(event.event);
    }
    events
}

fn hops(decisions: &[Decision]) -> Vec<(&str, &str)> {
    decisions.iter().map(|decision| (decision.hop.as_str(), decision.place.as_str())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_walks_to_the_place_that_should_answer_and_back() {
    let mut house = House::start(HouseOptions::default()).await;

    // A command stays on the device and comes back as an action.
    let said = events(&house, text_request("turn on the kitchen lamp please", "", 8)).await;
    let Some(Event::Started(started)) = said.first() else { panic!("{said:?}") };
    assert_eq!(hops(&started.decisions), [("edge-agent", "command")]);
    let action = said.iter().find_map(|event| match event {
        Event::Action(action) => Some((action.name.as_str(), action.entity_id.as_str())),
        _ => None,
    });
    assert_eq!(action, Some(("turn_on", "kitchen_lamp")));
    let Some(Event::Done(done)) = said.last() else { panic!("{said:?}") };
    assert_eq!(done.finish_reason(), FinishReason::Action);

    // The device's model and the worker answer the same question, each with its own decisions and tokens.
    for (only, expected, decisions) in [
        ("device", "device", vec![("edge-agent", "device")]),
        ("cloud-fast", "cloud-fast/test", vec![("edge-agent", "cloud-fast"), ("router", "cloud-fast/test")]),
    ] {
        let said =
            events(&house, text_request("Help me save a short text for later. What kind of app?", only, 24))
                .await;
        let Some(Event::Started(started)) = said.first() else { panic!("{said:?}") };
        assert_eq!((started.place.as_str(), started.attempt), (expected, 1));
        assert_eq!(hops(&started.decisions), decisions);
        let mut tokens = 0;
        for event in &said {
            if let Event::Delta(delta) = event {
                assert_eq!(delta.first_token_index, tokens, "no token is lost or told twice");
                tokens += u32::try_from(delta.token_ids.len()).expect("few");
            }
        }
        let Some(Event::Done(done)) = said.last() else { panic!("{said:?}") };
        assert_eq!(done.usage.expect("usage").output_tokens, tokens);
        assert_eq!(done.model_hash, started.model_hash);
        assert!(done.price_usd > 0.0 && tokens > 0);
    }

    // An orchestrator's TERM ends each of them well.
    for process in house.processes.iter_mut().rev() {
        assert!(process.terminate().success());
    }
}
