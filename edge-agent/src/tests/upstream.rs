//! What becomes of an answer that the upstream makes.

use std::time::Duration;

use proto::v1;
use proto::v1::generate_event::Event;
use tonic::{Code, Status};

use super::scene::{Around, Scene, Script, Upstream, question};

async fn scene(script: Script) -> (Scene, Upstream) {
    let upstream = Upstream::new(script);
    (Scene::new(Around { upstream: Some(upstream.clone()), ..Around::default() }).await, upstream)
}

#[tokio::test]
async fn an_answer_whose_place_is_lost_ends_as_interrupted_with_what_came() {
    let (scene, upstream) = scene(Script::Break(Status::unavailable("worker lost"))).await;
    let mut events =
        scene.client.clone().generate(question("why is the sky blue?")).await.unwrap().into_inner();
    assert!(matches!(events.message().await.unwrap().unwrap().event, Some(Event::Started(_))));
    assert!(matches!(events.message().await.unwrap().unwrap().event, Some(Event::Delta(_))));
    let Some(Event::Done(done)) = events.message().await.unwrap().unwrap().event else { panic!("no done") };
    assert_eq!(done.finish_reason(), v1::FinishReason::Interrupted);
    assert!(done.usage.is_some() && done.place.starts_with("cloud"), "{done:?}");
    assert!(events.message().await.unwrap().is_none());
    assert_eq!(upstream.asked(), 1);
}

#[tokio::test]
async fn dropping_the_answer_drops_it_upstream() {
    let (scene, upstream) = scene(Script::Hang).await;
    let mut events =
        scene.client.clone().generate(question("why is the sky blue?")).await.unwrap().into_inner();
    events.message().await.unwrap();
    drop(events);
    tokio::time::timeout(Duration::from_secs(10), upstream.dropped.notified()).await.unwrap();
}

#[tokio::test]
async fn the_deadline_holds_while_the_answer_streams() {
    let (scene, upstream) = scene(Script::Hang).await;
    let mut call = tonic::Request::new(question("why is the sky blue?"));
    call.set_timeout(Duration::from_millis(500));
    let mut events = scene.client.clone().generate(call).await.unwrap().into_inner();
    let status = loop {
        match events.message().await {
            Ok(event) => assert!(event.is_some()),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::DeadlineExceeded);
    tokio::time::timeout(Duration::from_secs(10), upstream.dropped.notified()).await.unwrap();
    assert!(upstream.seen.lock().unwrap()[0].1.is_some());
}

#[tokio::test]
async fn the_upstreams_judgement_of_the_request_is_passed_on() {
    for (status, code) in [
        (Status::invalid_argument("`turns` is odd"), Code::InvalidArgument),
        (Status::not_found("no such model"), Code::NotFound),
        (Status::resource_exhausted("full"), Code::ResourceExhausted),
        (Status::failed_precondition("nobody may"), Code::FailedPrecondition),
        (Status::deadline_exceeded("too slow"), Code::DeadlineExceeded),
        (Status::internal("oops"), Code::Unavailable),
        (Status::unavailable("away"), Code::Unavailable),
    ] {
        let words = status.message().to_owned();
        let (scene, upstream) = scene(Script::Refuse(status)).await;
        let status = scene.refused(question("why is the sky blue?")).await;
        assert_eq!(status.code(), code, "{status}");
        assert!(status.message().contains(&words), "{status}");
        assert_eq!(upstream.asked(), 1, "{status}");
    }
}

#[tokio::test]
async fn an_upstream_that_comes_back_is_asked_again() {
    let mut scene = Scene::new(Around { upstream_dead: true, ..Around::default() }).await;
    let question = || question("why is the sky blue?");
    assert_eq!(scene.refused(question()).await.code(), Code::Unavailable);
    Upstream::new(Script::Answer).serve(scene.folder.path(), &mut scene.running).await;
    let answered = async {
        while scene.ask(question()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), answered).await.unwrap();
}
