//! Which worker answers, and what the caller is told of it.

use proto::v1;
use proto::v1::content_part::Part;
use tonic::Code;

use crate::road::{Planned, Road, both, memory, question, question_at};
use crate::worker::{Step, report, short_answer};

#[tokio::test(start_paused = true)]
async fn the_choice_flips_with_what_a_second_is_worth() {
    let mut road = Road::lay(both()).await;
    for (priority, place, class) in [
        (v1::Priority::Interactive, "quick/b", "interactive"),
        (v1::Priority::Background, "slow/a", "background"),
        (v1::Priority::Normal, "slow/a", "default"),
        (v1::Priority::Interactive, "quick/b", "interactive"),
    ] {
        let answer = road.ask(question_at(priority)).await.unwrap();
        assert_eq!((answer.place(), answer.decision().class.as_str()), (place, class));
        assert_eq!((answer.text.as_str(), answer.token_ids.as_slice()), ("It is noon.", &[7, 8, 9][..]));
        let decision = answer.decision();
        assert_eq!((decision.hop.as_str(), decision.place.as_str()), ("router", place));
        let other = answer.candidate(if place == "slow/a" { "quick/b" } else { "slow/a" });
        assert!(answer.candidate(place).total_usd < other.total_usd);
        assert_eq!(answer.started().attempt, 1);
        assert_eq!(answer.started().model_hash, "worker-hash");
    }
}

#[tokio::test(start_paused = true)]
async fn the_price_is_of_the_tier_and_of_what_was_used() {
    let mut road = Road::lay(both()).await;
    for (priority, usd) in [
        (v1::Priority::Background, (6.0 * 1.0 + 4.0 * 0.5 + 3.0 * 2.0) / 1e6),
        (v1::Priority::Interactive, (6.0 * 10.0 + 4.0 * 10.0 + 3.0 * 30.0) / 1e6),
    ] {
        let answer = road.ask(question_at(priority)).await.unwrap();
        let done = answer.done.as_ref().unwrap();
        assert!((done.price_usd - usd).abs() < 1e-12, "{} is not {usd}", done.price_usd);
        assert_eq!(done.usage.unwrap().cached_prompt_tokens, 4);
        assert_eq!(done.finish_reason(), v1::FinishReason::Stop);
    }
}

#[tokio::test(start_paused = true)]
async fn a_burst_between_two_reports_is_spread() {
    let plan = |name| -> Planned<'static> {
        let report = v1::Report { running_max: 2, ..report("small", 1000.0, 0.05) };
        (name, Some(report), vec![Step::Started, Step::Delta("It", &[1]), Step::Hang])
    };
    let mut road = Road::lay(vec![plan("slow/a"), plan("slow/b"), plan("slow/c")]).await;
    let mut streams = Vec::new();
    for index in 0..6 {
        let request = v1::GenerateRequest { request_id: format!("burst-{index}"), ..question() };
        let request = v1::GenerateRequest { priority: v1::Priority::Interactive.into(), ..request };
        streams.push(road.client.generate(request).await.unwrap());
    }
    for worker in &road.workers {
        worker.state.open(2).await;
    }
    drop(streams);
    for worker in &road.workers {
        worker.state.open(0).await;
    }
}

#[tokio::test(start_paused = true)]
async fn reports_that_lie_do_no_harm() {
    let lie = v1::Report {
        prefill_tokens_per_second: f32::NAN,
        seconds_per_output_token: f32::NEG_INFINITY,
        queued_tokens: u64::MAX,
        running: u32::MAX,
        waiting: u32::MAX,
        interval_ms: u32::MAX,
        ..report("liar", 0.0, 0.0)
    };
    let mut plan = both();
    plan.push(("quick/liar", Some(lie.clone()), short_answer()));
    let mut road = Road::lay(plan).await;
    let answer = road.ask(question_at(v1::Priority::Interactive)).await.unwrap();
    assert_eq!(answer.place(), "quick/b");
    let liar = answer.candidate("quick/liar");
    assert!(liar.total_usd.is_finite() && liar.total_usd > answer.candidate("quick/b").total_usd, "{liar:?}");

    let mut alone = Road::lay(vec![("quick/liar", Some(lie), short_answer())]).await;
    let answer = alone.ask(question()).await.unwrap();
    assert_eq!(answer.place(), "quick/liar");
    assert!(answer.candidate("quick/liar").notes.iter().any(|note| note == "latency_unknown"));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_never_reports_is_costed_conservatively_and_still_serves() {
    let mut plan = both();
    plan.push(("quick/silent", None, short_answer()));
    let mut road = Road::lay(plan).await;
    let answer = road.ask(question_at(v1::Priority::Interactive)).await.unwrap();
    assert_eq!(answer.place(), "quick/b");
    assert!(answer.candidate("quick/silent").notes.iter().any(|note| note == "latency_unknown"));
    let only = v1::GenerateRequest { only_place: "quick/silent".into(), ..question() };
    assert_eq!(road.ask(only).await.unwrap().place(), "quick/silent");
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_by_name_is_what_answers() {
    let mut road = Road::lay(both()).await;
    for (model, only, place) in [
        ("small", "", "slow/a"),
        ("large", "", "quick/b"),
        ("", "quick", "quick/b"),
        ("", "slow/a", "slow/a"),
        ("large", "quick/b", "quick/b"),
    ] {
        let request = v1::GenerateRequest { model: model.into(), only_place: only.into(), ..question() };
        assert_eq!(road.ask(request).await.unwrap().place(), place, "model {model:?}, only {only:?}");
    }
    let status = road.refused(v1::GenerateRequest { model: "huge".into(), ..question() }).await;
    assert_eq!(status.code(), Code::NotFound);
    assert_eq!(status.message(), "no worker serves the model `huge`; known are `large`, `small`");
    let both = v1::GenerateRequest { model: "large".into(), only_place: "slow".into(), ..question() };
    let status = road.refused(both).await;
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains("it serves the model `small`"), "{}", status.message());
}

#[tokio::test(start_paused = true)]
async fn constraints_that_no_place_meets_are_named() {
    let mut road = Road::lay(both()).await;
    let image = Part::Image(v1::Blob { media_type: "image/png".into(), data: vec![1] });
    let mut seeing = question();
    seeing.turns[0].parts.push(v1::ContentPart { part: Some(image) });
    for (request, named) in [
        (v1::GenerateRequest { privacy: v1::Privacy::LocalOnly.into(), ..question() }, "privacy"),
        (v1::GenerateRequest { privacy: v1::Privacy::HomeOnly.into(), ..question() }, "privacy"),
        (v1::GenerateRequest { residency: "FR".into(), ..question() }, "residency"),
        (v1::GenerateRequest { price_max_usd: Some(0.0), ..question() }, "budget"),
        (seeing, "lacks image"),
    ] {
        let status = road.refused(request).await;
        assert_eq!(status.code(), Code::FailedPrecondition, "{named}");
        assert!(status.message().contains(named), "{}", status.message());
    }
    let german = v1::GenerateRequest { residency: "DE".into(), ..question_at(v1::Priority::Interactive) };
    assert_eq!(road.ask(german).await.unwrap().place(), "slow/a");
    assert!(road.workers.iter().map(|worker| worker.state.seen().len()).sum::<usize>() == 1);
}

#[tokio::test(start_paused = true)]
async fn wrong_requests_are_refused_by_the_field() {
    let mut road = Road::lay(both()).await;
    let status = road.refused(v1::GenerateRequest::default()).await;
    assert_eq!(
        (status.code(), status.message()),
        (Code::InvalidArgument, "`turns` is 0; give from 1 to 256 turns")
    );
    let huge = Part::Text("x".repeat(2 << 20));
    let mut request = question();
    request.turns[0].parts[0].part = Some(huge);
    let status = road.refused(request).await;
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
    assert_eq!(road.ask(question()).await.unwrap().place(), "slow/a");
}

#[tokio::test(start_paused = true)]
async fn signals_of_strangers_are_read_again() {
    let lie = v1::Signals { version: "lie".into(), ..question().signals.unwrap() };
    for (listen, believed) in [("127.0.0.1:50051", true), ("router.test:50051", false)] {
        let listen = listen.parse().unwrap();
        let mut road = Road::lay_with(memory(), both(), |options| options.listen.address = listen).await;
        let request = v1::GenerateRequest { signals: Some(lie.clone()), ..question() };
        let answer = road.ask(request).await.unwrap();
        let version = &answer.decision().versions[0].version;
        assert_eq!(version == "lie", believed, "{version}");
        let seen = road.workers.iter().flat_map(|worker| worker.state.seen()).next().unwrap();
        assert_eq!(seen.request.signals.unwrap().version == "lie", believed);
        let request = v1::GenerateRequest { signals: None, ..question() };
        assert!(road.ask(request).await.unwrap().decision().versions[0].version.starts_with("difficulty-"));
    }
}

#[tokio::test(start_paused = true)]
async fn decisions_of_earlier_hops_come_first_and_a_missing_id_is_made() {
    let mut road = Road::lay(both()).await;
    let earlier = v1::Decision { hop: "edge-agent".into(), place: "upstream".into(), ..Default::default() };
    let request = v1::GenerateRequest { request_id: String::new(), decisions: vec![earlier], ..question() };
    let answer = road.ask(request).await.unwrap();
    let hops: Vec<_> = answer.started().decisions.iter().map(|decision| decision.hop.as_str()).collect();
    assert_eq!(hops, ["edge-agent", "router"]);
    assert_eq!(answer.started().request_id.len(), 32);
    let seen = road.workers[0].state.seen();
    assert_eq!(seen[0].request.request_id, answer.started().request_id);
    assert_eq!(seen[0].request.decisions.len(), 2);
}
