//! The agent's log of decisions, and policies that change while it runs.

use std::path::Path;
use std::time::Duration;

use policy::{DecisionLine, Rules, replay};
use proto::v1;
use proto::v1::feedback::Verdict;

use super::scene::{Around, POLICY, Scene, Script, Upstream, question};

/// A question that the upstream answers, by its id.
fn asked(id: &str) -> v1::GenerateRequest {
    v1::GenerateRequest { request_id: id.to_owned(), ..question("why is the sky blue?") }
}

fn lines(folder: &Path) -> Vec<DecisionLine> {
    let text = std::fs::read_to_string(folder.join("decisions.jsonl")).unwrap();
    text.lines().map(|line| DecisionLine::parse(line).unwrap()).collect()
}

/// Waits until something holds that another task brings about.
async fn until(holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("it never came");
}

#[tokio::test]
async fn what_was_decided_stands_in_the_log_and_replays_to_the_same_bits() {
    let around = Around { upstream: Some(Upstream::new(Script::Answer)), ..Around::default() };
    let scene = Scene::with(around, |options, folder| {
        options.decisions.path = folder.join("decisions.jsonl");
    })
    .await;
    let answer = scene.ask(asked("a")).await.unwrap();
    let feedback = v1::Feedback { request_id: "a".into(), verdict: Some(Verdict::Right(true)) };
    assert!(scene.client.clone().give_feedback(feedback).await.unwrap().into_inner().known);
    until(|| scene.folder.path().join("decisions.jsonl").metadata().is_ok_and(|file| file.len() > 0)).await;
    let [line] = lines(scene.folder.path()).try_into().unwrap();
    let outcome = line.outcome.unwrap();
    assert_eq!((outcome.usd, outcome.right, line.hop.as_str()), (0.5, Some(true), "edge-agent"));
    assert!(line.text.is_none());
    let again = replay(&Rules::parse("policy.toml", POLICY).unwrap(), &line.record).unwrap();
    for (weighed, told) in again.trail.candidates.iter().zip(&answer.decision().candidates) {
        assert_eq!(weighed.columns.total_usd.to_bits(), told.total_usd.to_bits());
    }
    assert_eq!(again.place.map(|place| place.place), line.place);
}

#[tokio::test]
async fn a_new_policy_is_in_force_a_broken_one_never_and_a_shadow_only_counts() {
    let forbidding = POLICY.replace("wrong_answer_usd", "tiers_forbidden = [\"cloud\"]\nwrong_answer_usd");
    let around = Around { upstream: Some(Upstream::new(Script::Answer)), ..Around::default() };
    let scene = Scene::with(around, |options, folder| {
        options.policy.reload_interval_ms = 5;
        options.policy.shadow = Some(folder.join("shadow.toml"));
        std::fs::write(folder.join("shadow.toml"), &forbidding).unwrap();
    })
    .await;
    let decided = async |id: &str| scene.ask(asked(id)).await.unwrap().decision().place.clone();
    let policy = scene.folder.path().join("policy.toml");
    let first = decided("a").await;
    assert!(first.starts_with("cloud"), "{first}");
    std::fs::write(&policy, &POLICY[..POLICY.len() / 2]).unwrap();
    until(|| (scene.policies)().live.refused == 1).await;
    assert_eq!(decided("b").await, first);
    std::fs::write(&policy, &forbidding).unwrap();
    until(|| (scene.policies)().live.reloads == 1).await;
    assert_eq!(decided("c").await, "cloud-slow");
    let report = (scene.policies)();
    assert_eq!(report.shadowed, 3);
    assert!(
        report.differences.iter().all(|one| (one.from.as_str(), one.to.as_str()) == ("cloud", "cloud-slow"))
    );
}
