//! A fleet that is drawn from: what a decision says of it, and that nobody is overlooked who alone may answer.

use proto::v1;
use router::config::PickOptions;

use crate::road::{Planned, Road, memory, question};
use crate::worker::{report, short_answer};

/// Eight workers of two tiers; one of the cheap ones serves another model.
fn eight() -> Vec<Planned<'static>> {
    let worker = |place, model, rate| (place, Some(report(model, rate, 0.01)), short_answer());
    vec![
        worker("slow/a", "small", 1000.0),
        worker("slow/b", "small", 1000.0),
        worker("slow/c", "other", 1000.0),
        worker("quick/d", "large", 1000.0),
        worker("quick/e", "large", 1000.0),
        worker("quick/f", "large", 1000.0),
        worker("quick/g", "large", 1000.0),
        worker("quick/h", "large", 1000.0),
    ]
}

/// A road whose router draws two workers of one kind.
async fn drawn() -> Road {
    Road::lay_with(memory(), eight(), |options| {
        options.fleet.pick = PickOptions { full_max: 1, drawn: 2, leaders: 1, named: 0 };
    })
    .await
}

fn ask(number: u32, request: v1::GenerateRequest) -> v1::GenerateRequest {
    v1::GenerateRequest { request_id: format!("question-{number}"), ..request }
}

#[tokio::test(start_paused = true)]
async fn a_decision_says_from_how_many_its_places_were_drawn() {
    let mut road = drawn().await;
    let mut weighed = std::collections::BTreeSet::new();
    for number in 0..100 {
        let answer = road.ask(ask(number, question())).await.unwrap();
        let decision = answer.decision();
        assert_eq!(decision.places_known, 8);
        assert!((1..=3).contains(&decision.candidates.len()), "{}", decision.candidates.len());
        weighed.extend(decision.candidates.iter().map(|one| one.place.clone()));
    }
    assert_eq!(weighed.len(), 8, "everyone is weighed some time");
    let mut road = Road::lay(eight()).await;
    let answer = road.ask(question()).await.unwrap();
    assert_eq!((answer.decision().places_known, answer.decision().candidates.len()), (0, 8));
}

#[tokio::test(start_paused = true)]
async fn who_alone_may_answer_is_found() {
    let mut road = drawn().await;
    for number in 0..20 {
        // Only the slow tier may answer it; where others were drawn, everyone is weighed.
        let here = v1::GenerateRequest { residency: "DE".into(), ..question() };
        let answer = road.ask(ask(number, here)).await.unwrap();
        assert!(answer.place().starts_with("slow/"));
        let decision = answer.decision();
        assert_eq!(decision.places_known == 0, decision.candidates.len() == 8);
        let other = v1::GenerateRequest { model: "other".into(), ..question() };
        assert_eq!(road.ask(ask(number, other)).await.unwrap().place(), "slow/c");
        let only = v1::GenerateRequest { only_place: "quick/g".into(), ..question() };
        let answer = road.ask(ask(number, only)).await.unwrap();
        assert_eq!((answer.place(), answer.decision().candidates.len()), ("quick/g", 1));
    }
    let nowhere = v1::GenerateRequest { residency: "FR".into(), ..question() };
    let status = road.refused(nowhere).await;
    assert!(status.message().contains("slow/b") && status.message().contains("quick/h"), "{status}");
    let unknown = v1::GenerateRequest { model: "none".into(), ..question() };
    let status = road.refused(unknown).await;
    assert!(status.message().contains("`other`"), "{status}");
}
