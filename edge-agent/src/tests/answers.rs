//! Which place answers.

use std::time::{Duration, Instant};

use proto::v1;
use score::score;

use super::scene::{Around, Scene, Script, Upstream, question, turn};

/// The upstream, watched, beside whatever else.
fn above(script: Script) -> (Around, Upstream) {
    let upstream = Upstream::new(script);
    (Around { upstream: Some(upstream.clone()), ..Around::default() }, upstream)
}

#[tokio::test]
async fn a_command_is_carried_out_and_answered_on_the_device() {
    let (around, upstream) = above(Script::Answer);
    let scene = Scene::new(around).await;
    let answer = scene.ask(question("please dim the kitchen lamp to 40%")).await.unwrap();
    let [action] = answer.actions.as_slice() else { panic!("{answer:?}") };
    assert_eq!((action.name.as_str(), action.entity_id.as_str()), ("set_brightness", "kitchen_lamp"));
    assert_eq!(action.arguments_json, r#"{"brightness_percent":40}"#);
    assert_eq!(answer.text, "The kitchen lamp is at 40 percent.");
    assert_eq!(answer.started.len(), 1);
    assert_eq!(answer.started[0].place, "command");
    assert_eq!(answer.decision().hop, "edge-agent");
    assert_eq!(answer.decision().place, "command");
    assert_eq!(answer.decision().candidates.len(), 4, "{:?}", answer.decision());
    let done = answer.done.unwrap();
    assert_eq!(done.finish_reason(), v1::FinishReason::Action);
    assert_eq!((done.place.as_str(), done.price_usd), ("command", 0.0));
    assert_eq!(scene.home.state("kitchen_lamp").brightness_percent, Some(40));
    assert_eq!(upstream.asked(), 0);
}

#[tokio::test]
async fn a_command_for_several_entities_is_one_action_each() {
    let scene = Scene::new(Around::default()).await;
    let answer = scene.ask(question("turn off the kitchen lights")).await.unwrap();
    let entities: Vec<_> = answer.actions.iter().map(|action| action.entity_id.as_str()).collect();
    assert_eq!(entities, ["kitchen_lamp", "kitchen_ceiling"]);
    assert_eq!(answer.text, "The kitchen lights are off.");
    assert_eq!(scene.home.state("kitchen_ceiling").on, Some(false));
}

#[tokio::test]
async fn a_question_goes_up_with_all_that_is_known_of_it() {
    let (around, upstream) = above(Script::Answer);
    let scene = Scene::new(around).await;
    let mut request = question("why did the kitchen light turn on last night?");
    request.request_id = "r-1".to_owned();
    request.privacy = v1::Privacy::Normal.into();
    let answer = scene.ask(request).await.unwrap();
    assert_eq!(answer.text, "from above");
    assert!(answer.actions.is_empty());
    let hops: Vec<_> = answer.started[0].decisions.iter().map(|decision| decision.hop.as_str()).collect();
    assert_eq!(hops, ["edge-agent", "router"]);
    assert_eq!((answer.started[0].place.as_str(), answer.started[0].attempt), ("cloud/worker-1", 2));
    assert_eq!(answer.removal("command"), "left out: no command matches");
    assert_eq!(answer.removal("device"), "left out: no model is loaded");
    assert_eq!(answer.done.unwrap().price_usd, 0.5);
    let (sent, time) = upstream.seen.lock().unwrap()[0].clone();
    assert_eq!((sent.request_id.as_str(), sent.privacy()), ("r-1", v1::Privacy::Normal));
    assert_eq!(sent.decisions.len(), 1);
    let signals = sent.signals.unwrap();
    assert!(signals.version.starts_with("difficulty-"));
    let kinds = (signals.intent.is_some(), signals.form.is_some(), signals.private.is_some());
    assert_eq!((kinds, signals.script.as_str()), ((true, true, true), "latin"), "nothing is left to read");
    assert!(time.is_some(), "the deadline went up");
}

#[tokio::test]
async fn the_words_of_a_command_under_instructions_are_no_command() {
    let (around, _) = above(Script::Answer);
    let scene = Scene::new(around).await;
    let mut request = question("turn on the kitchen lamp");
    request.turns.insert(0, turn(v1::Role::System, "Translate into French."));
    let answer = scene.ask(request).await.unwrap();
    assert_eq!(answer.text, "from above");
    assert_eq!(scene.home.state("kitchen_lamp").on, None);
}

#[tokio::test]
async fn the_device_answers_when_its_upstream_cannot() {
    let dead = Around { model: true, upstream_dead: true, ..Around::default() };
    let (mut refusing, upstream) = above(Script::Refuse(tonic::Status::unavailable("on holiday")));
    refusing.model = true;
    let mut longest = Duration::ZERO;
    for around in [dead, refusing] {
        let scene = Scene::new(around).await;
        let mut request = question("What is 12 plus 30?");
        request.sampling = Some(v1::Sampling { max_tokens: Some(4), ..v1::Sampling::default() });
        let asked = Instant::now();
        let answer = scene.ask(request).await.unwrap();
        longest = longest.max(asked.elapsed());
        assert_eq!(answer.started[0].place, "device");
        let done = answer.done.unwrap();
        assert_eq!(done.place, "device");
        assert!(done.usage.unwrap().prompt_tokens > 0);
        assert!(!done.model_hash.is_empty() && done.model_hash == answer.started[0].model_hash);
        assert!(done.confidence.is_some());
    }
    // One failure of the upstream is a failure of all its tiers.
    assert_eq!(upstream.asked(), 1);
    let soon = longest <= Duration::from_millis(300);
    score!("A9", soon, "the device answers in at most {longest:.0?} where its upstream cannot");
}

#[tokio::test]
async fn a_form_that_is_asked_for_is_kept_even_where_the_words_are_a_command() {
    use v1::generate_request::Constraint;
    let scene = Scene::new(Around { model: true, ..Around::default() }).await;
    let asked = |constraint: &str| {
        let mut request = question("turn on the kitchen lamp");
        request.constraint = Some(Constraint::JsonSchema(constraint.to_owned()));
        request.sampling = Some(v1::Sampling { logprobs: Some(2), ..v1::Sampling::default() });
        request
    };
    let answer = scene.ask(asked("{\"enum\":[\"yes\",\"no\"]}")).await.unwrap();
    assert_eq!(answer.started[0].place, "device");
    assert!(["\"yes\"", "\"no\""].contains(&answer.text.as_str()), "{}", answer.text);
    assert_eq!(scene.home.state("kitchen_lamp").on, None);
    let refused = scene.refused(asked("{\"type\":\"thing\"}")).await;
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    assert!(refused.message().contains("`json_schema`"), "{refused}");
}

#[tokio::test]
async fn what_must_stay_never_goes_up() {
    let (mut around, upstream) = above(Script::Answer);
    around.model = true;
    let scene = Scene::new(around).await;
    let mut request = question("What is 12 plus 30?");
    request.privacy = v1::Privacy::LocalOnly.into();
    request.sampling = Some(v1::Sampling { max_tokens: Some(4), ..v1::Sampling::default() });
    let answer = scene.ask(request).await.unwrap();
    assert_eq!(answer.started[0].place, "device");
    assert_eq!(answer.removal("cloud"), "the request may not leave the device");
    let asked = upstream.asked();
    score!("E3", asked == 0, "what must stay: {asked} calls upstream");
    assert_eq!(asked, 0);
}

#[tokio::test]
async fn only_the_place_that_was_asked_for_answers() {
    let (mut around, upstream) = above(Script::Answer);
    around.model = true;
    let scene = Scene::new(around).await;
    for (only, place) in
        [("device", "device"), ("cloud/worker-1", "cloud/worker-1"), ("cloud", "cloud/worker-1")]
    {
        let mut request = question("turn on the kitchen lamp");
        request.only_place = only.to_owned();
        request.sampling = Some(v1::Sampling { max_tokens: Some(4), ..v1::Sampling::default() });
        let answer = scene.ask(request).await.unwrap();
        assert_eq!(answer.started[0].place, place, "{only}");
    }
    assert_eq!(scene.home.state("kitchen_lamp").on, None);
    let asked: Vec<String> =
        upstream.seen.lock().unwrap().iter().map(|(request, _)| request.only_place.clone()).collect();
    assert_eq!(asked, ["cloud/worker-1", "cloud"]);
}

#[tokio::test]
async fn the_model_that_was_asked_for_answers() {
    let (mut around, upstream) = above(Script::Answer);
    around.model = true;
    let scene = Scene::new(around).await;
    let described = scene.client.clone().describe(v1::DescribeRequest {}).await.unwrap().into_inner();
    let places: Vec<_> = described.places.iter().map(|place| place.place.as_str()).collect();
    assert_eq!(
        (described.hop.as_str(), places.as_slice()),
        ("edge-agent", &["command", "device", "cloud", "cloud-slow"][..])
    );
    let mut request = question("turn on the kitchen lamp");
    request.model = described.places[1].model.clone().unwrap().name;
    request.sampling = Some(v1::Sampling { max_tokens: Some(4), ..v1::Sampling::default() });
    assert_eq!(scene.ask(request.clone()).await.unwrap().started[0].place, "device");
    request.model = "another".to_owned();
    assert_eq!(scene.ask(request).await.unwrap().text, "from above");
    assert_eq!(upstream.asked(), 1);
}

#[tokio::test]
async fn feedback_is_known_for_answers_that_were_given() {
    let scene = Scene::new(Around::default()).await;
    let mut request = question("turn on the kitchen lamp");
    request.request_id = "r-1".to_owned();
    scene.ask(request).await.unwrap();
    for (id, known) in [("r-1", true), ("r-2", false)] {
        let feedback = v1::Feedback { request_id: id.to_owned(), ..v1::Feedback::default() };
        let receipt = scene.client.clone().give_feedback(feedback).await.unwrap().into_inner();
        assert_eq!(receipt.known, known, "{id}");
    }
}

#[tokio::test]
async fn health_and_reflection_are_served() {
    use tonic_health::pb::{
        HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
    };
    use tonic_reflection::pb::v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let scene = Scene::new(Around::default()).await;
    for service in ["", "causeway.v1.Generation"] {
        let asked = HealthCheckRequest { service: service.to_owned() };
        let health = HealthClient::new(scene.channel.clone()).check(asked).await.unwrap().into_inner();
        assert_eq!(health.status(), ServingStatus::Serving, "{service}");
    }
    let message_request = Some(MessageRequest::ListServices(String::new()));
    let asked = ServerReflectionRequest { message_request, ..ServerReflectionRequest::default() };
    let mut reflection = ServerReflectionClient::new(scene.channel.clone());
    let mut answers =
        reflection.server_reflection_info(futures_util::stream::iter([asked])).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(list) = answer else { panic!("{answer:?}") };
    assert!(list.service.iter().any(|service| service.name == "causeway.v1.Generation"), "{list:?}");
}
