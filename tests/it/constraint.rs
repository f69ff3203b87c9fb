//! An answer in a form that is asked for, from the device and from a worker, through the agent.

use causeway_tests::{House, HouseOptions, text_request};
use proto::v1::generate_event::Event;
use proto::v1::generate_request::Constraint;
use proto::v1::generation_client::GenerationClient;
use proto::v1::{Delta, GenerateRequest, Sampling};
use tonic::{Code, Status};

const SCHEMA: &str = r#"{"type":"object","additionalProperties":false,"required":["action","level"],
"properties":{"action":{"enum":["turn_on","turn_off"]},"level":{"type":"integer","minimum":0,"maximum":9}}}"#;

/// The deltas of an answer; nothing else than text may come.
async fn deltas(house: &House, request: GenerateRequest) -> Result<Vec<Delta>, Status> {
    let mut client = GenerationClient::new(house.agent.clone());
    let mut stream = client.generate(request).await?.into_inner();
    let mut deltas = Vec::new();
    while let Some(message) = stream.message().await? {
        match message.event {
            Some(Event::Delta(delta)) => deltas.push(delta),
            Some(Event::Action(action)) => panic!("{action:?}"),
            _ => {}
        }
    }
    Ok(deltas)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_has_the_form_that_was_asked_for_wherever_it_is_made() {
    let house = House::start(HouseOptions::default()).await;
    for (only, seed) in [("device", 1), ("device", 2), ("cloud-fast", 1), ("cloud-fast", 2)] {
        // The same words are a command to the home where no form is asked for.
        let mut request = text_request("turn on the kitchen lamp please", only, 64);
        request.constraint = Some(Constraint::JsonSchema(SCHEMA.to_owned()));
        request.sampling = Some(Sampling {
            temperature: Some(1.0),
            seed: Some(seed),
            logprobs: Some(3),
            presence_penalty: Some(0.2),
            ..request.sampling.unwrap_or_default()
        });
        let deltas = deltas(&house, request).await.expect("an answer");
        let text: String = deltas.iter().map(|delta| delta.text.as_str()).collect();
        let found: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert!(["turn_on", "turn_off"].iter().any(|action| found["action"] == *action), "{text}");
        assert!(found["level"].as_u64().is_some_and(|level| level <= 9), "{text}");
        for delta in &deltas {
            assert_eq!(delta.logprobs.len(), delta.token_ids.len());
            assert!(delta.logprobs.iter().all(|one| one.logprob <= 0.0 && one.top.len() == 3));
        }
    }
    for (only, constraint, field) in [
        ("device", Constraint::Regex("a(".to_owned()), "`regex`"),
        ("cloud-fast", Constraint::LarkGrammar("begin: \"a\"".to_owned()), "`lark_grammar`"),
        ("cloud-fast", Constraint::JsonSchema(" ".repeat(70_000)), "`json_schema`"),
    ] {
        let mut request = text_request("hello", only, 8);
        request.constraint = Some(constraint);
        let refused = deltas(&house, request).await.expect_err("it is refused");
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        assert!(refused.message().contains(field), "{refused}");
    }
}
