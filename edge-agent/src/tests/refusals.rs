//! What is not answered, and what the caller is told.

use mesh::process::Rim;
use proto::v1;
use proto::v1::content_part::Part;
use tonic::{Code, Status};

use super::scene::{Around, Scene, Script, Upstream, options, question, rim};
use crate::{Agent, Options};

fn check(status: &Status, code: Code, parts: &[&str]) {
    assert_eq!(status.code(), code, "{status}");
    for part in parts {
        assert!(status.message().contains(part), "`{part}` is not in: {}", status.message());
    }
}

#[tokio::test]
async fn nobody_left_is_unavailable_with_every_reason() {
    let scene = Scene::new(Around { upstream_dead: true, ..Around::default() }).await;
    let status = scene.refused(question("what is the capital of France?")).await;
    let reasons = [
        "command: left out: no command matches",
        "device: left out: no model is loaded",
        "cloud: ",
        "up.sock",
    ];
    check(&status, Code::Unavailable, &reasons);
}

#[tokio::test]
async fn nobody_who_could_ever_answer_is_a_failed_precondition() {
    let scene = Scene::new(Around::default()).await;
    let status = scene.refused(question("what is the capital of France?")).await;
    check(&status, Code::FailedPrecondition, &["cloud: left out: no upstream is configured"]);
    let mut request = question("what is the capital of France?");
    request.model = "large".to_owned();
    check(&scene.refused(request).await, Code::NotFound, &["`large`", "no upstream"]);
}

#[tokio::test]
async fn what_must_stay_is_refused_rather_than_sent_up() {
    let upstream = Upstream::new(Script::Answer);
    let scene = Scene::new(Around { upstream: Some(upstream.clone()), ..Around::default() }).await;
    let mut request = question("what is the capital of France?");
    request.privacy = v1::Privacy::LocalOnly.into();
    check(&scene.refused(request).await, Code::FailedPrecondition, &["may not leave the device (privacy)"]);
    assert_eq!(upstream.asked(), 0);
}

#[tokio::test]
async fn a_name_that_no_place_has_is_refused_with_those_that_there_are() {
    let upstream = Upstream::new(Script::Refuse(Status::not_found("known are `large`")));
    let scene =
        Scene::new(Around { model: true, upstream: Some(upstream.clone()), ..Around::default() }).await;
    let only = |place: &str| {
        let mut request = question("hello");
        request.only_place = place.to_owned();
        request
    };
    let known = ["`nowhere`", "`command`", "`device`", "`cloud`, `cloud-slow`"];
    check(&scene.refused(only("nowhere")).await, Code::NotFound, &known);
    check(&scene.refused(only("nowhere/1")).await, Code::NotFound, &["`nowhere/1`"]);
    assert_eq!(upstream.asked(), 0);
    let mut request = question("hello");
    request.model = "nope".to_owned();
    check(&scene.refused(request).await, Code::NotFound, &["known are `large`; this device serves `"]);
}

#[tokio::test]
async fn a_price_that_a_request_names_bounds_its_answer_at_the_place_that_is_asked() {
    let upstream = Upstream::new(Script::Answer);
    let scene = Scene::new(Around { upstream: Some(upstream.clone()), ..Around::default() }).await;
    let mut request = question("why is the sky blue?");
    let bounds = |upstream: &Upstream| {
        let seen = upstream.seen.lock().unwrap();
        seen.last().unwrap().0.sampling.as_ref().and_then(|sampling| sampling.max_tokens)
    };
    scene.ask(request.clone()).await.unwrap();
    assert_eq!(bounds(&upstream), None, "it is the place's own");
    request.price_max_usd = Some(1.0);
    scene.ask(request.clone()).await.unwrap();
    assert_eq!(bounds(&upstream), Some(256), "what is asked for without a number");
    request.sampling = Some(v1::Sampling { max_tokens: Some(3), ..v1::Sampling::default() });
    scene.ask(request.clone()).await.unwrap();
    assert_eq!(bounds(&upstream), Some(3));
}

#[tokio::test]
async fn an_image_is_refused_for_want_of_the_capability() {
    let upstream = Upstream::new(Script::Answer);
    let scene = Scene::new(Around { upstream: Some(upstream.clone()), ..Around::default() }).await;
    let mut request = question("turn on the kitchen lamp");
    let image = v1::Blob { media_type: "image/png".to_owned(), data: vec![1] };
    request.turns[0].parts.push(v1::ContentPart { part: Some(Part::Image(image)) });
    check(&scene.refused(request).await, Code::FailedPrecondition, &["it lacks image (capability)"]);
    assert_eq!(upstream.asked(), 0);
}

#[tokio::test]
async fn a_request_that_is_wrong_is_refused_by_the_name_of_its_field() {
    let scene = Scene::new(Around::default()).await;
    let mut request = question("hello");
    request.sampling = Some(v1::Sampling { max_tokens: Some(0), ..v1::Sampling::default() });
    check(&scene.refused(request).await, Code::InvalidArgument, &["`sampling.max_tokens` is 0"]);
    let mut request = question("hello");
    (request.privacy, request.only_place) = (99, "cloud".to_owned());
    check(&scene.refused(request).await, Code::InvalidArgument, &["`privacy` is 99"]);
    let mut request = question("hello");
    request.priority = 99;
    check(&scene.refused(request).await, Code::InvalidArgument, &["`priority` is 99"]);
    // The agent serves on.
    assert!(scene.ask(question("turn on the kitchen lamp")).await.is_ok());
}

#[tokio::test]
async fn a_file_that_is_wrong_keeps_the_agent_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let started = async |change: &dyn Fn(&mut Options)| {
        let mut options = options(folder.path());
        change(&mut options);
        let rim: Rim = rim();
        Agent::bind(options, rim).await.map(drop).unwrap_err().to_string()
    };
    let broken = folder.path().join("broken");
    std::fs::write(&broken, "[[tier]\n").unwrap();
    for (change, expect) in [
        (&|options: &mut Options| options.policy.file = "/nowhere".into(), "`/nowhere` cannot be read"),
        (&|options: &mut Options| options.home.file = Some("/nowhere".into()), "`home.file`"),
        (&|options: &mut Options| options.policy.file = broken.clone(), "broken:1:"),
        (&|options: &mut Options| options.home.file = Some(broken.clone()), "broken:1:"),
        (&|options: &mut Options| options.model.path = Some(broken.clone()), "broken"),
        (
            &|options: &mut Options| {
                options.model.path = Some(broken.clone());
                options.model.tier = "cloud".to_owned();
            },
            "`model.tier` is `cloud`, which is no device tier of the policy; it has `device`",
        ),
    ] as [(&dyn Fn(&mut Options), &str); 6]
    {
        let error = started(change).await;
        assert!(error.contains(expect), "{error}\n{expect}");
    }
}
