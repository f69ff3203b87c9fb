//! The log of decisions: what stands in it, and that it decides again to the same bits.

use std::path::Path;

use policy::{DecisionLine, Outcome, Rules, replay};
use proto::v1;
use proto::v1::feedback::Verdict;
use tonic::Code;

use crate::road::{Answer, POLICY, Planned, Road, both, memory, question, question_at};
use crate::worker::Step;

async fn logged(planned: Vec<Planned<'_>>, folder: &Path, log_text: bool) -> Road {
    Road::lay_with(memory(), planned, |options| {
        options.decisions.path = folder.join("decisions.jsonl");
        options.decisions.log_text = log_text;
        options.decisions.feedback_wait_ms = 600_000;
    })
    .await
}

/// Ends the router and reads what it wrote.
async fn lines(mut road: Road, folder: &Path) -> Vec<DecisionLine> {
    road.end();
    road.ended().await;
    let text = std::fs::read_to_string(folder.join("decisions.jsonl")).unwrap();
    assert!(text.ends_with('\n'));
    text.lines().map(|line| DecisionLine::parse(line).unwrap()).collect()
}

fn same_bits(line: &DecisionLine, answer: &Answer) {
    let rules = Rules::parse("policy.toml", POLICY).unwrap();
    let again = replay(&rules, &line.record).unwrap();
    assert_eq!(again.place.map(|place| place.place), line.place);
    for weighed in &again.trail.candidates {
        let told = answer.candidate(&weighed.candidate.place);
        assert_eq!(weighed.columns.total_usd.to_bits(), told.total_usd.to_bits());
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_decided_and_what_came_of_it_stands_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut road = logged(both(), folder.path(), false).await;
    let mut answers = Vec::new();
    for (id, priority) in [("a", v1::Priority::Interactive), ("b", v1::Priority::Background)] {
        let request = v1::GenerateRequest { request_id: id.into(), ..question_at(priority) };
        answers.push(road.ask(request).await.unwrap());
    }
    let feedback = v1::Feedback { request_id: "a".into(), verdict: Some(Verdict::Right(false)) };
    assert!(road.client.give_feedback(feedback).await.unwrap().into_inner().known);
    let found = lines(road, folder.path()).await;
    let places: Vec<_> = found.iter().map(|line| line.place.as_deref().unwrap()).collect();
    assert_eq!(places, ["quick/b", "slow/a"], "the one with feedback need not wait");
    for (line, answer) in found.iter().zip(&answers) {
        same_bits(line, answer);
        let Outcome { usd, seconds, ttft_seconds, output_tokens, .. } = line.outcome.unwrap();
        assert_eq!((usd, output_tokens), (answer.done.as_ref().unwrap().price_usd, 3));
        assert!(seconds >= ttft_seconds && line.time_ms > 1_600_000_000_000);
        assert_eq!((line.hop.as_str(), line.propensity, &line.text), ("router", None, &None));
        assert_eq!(line.class.as_str(), answer.decision().class);
    }
    let right: Vec<_> = found.iter().map(|line| line.outcome.and_then(|outcome| outcome.right)).collect();
    assert_eq!(right, [Some(false), None]);
}

#[tokio::test(start_paused = true)]
async fn every_attempt_has_its_line_and_a_cancelled_answer_has_no_outcome() {
    let folder = tempfile::tempdir().unwrap();
    let mut plan = both();
    plan[0].2 = vec![Step::Refuse(Code::Unavailable, "away", None)];
    plan[1].2 = vec![Step::Started, Step::Delta("It", &[1]), Step::Hang];
    let mut road = logged(plan, folder.path(), true).await;
    let mut stream = road.client.generate(question()).await.unwrap().into_inner();
    stream.message().await.unwrap();
    drop(stream);
    road.workers[1].state.open(0).await;
    let nowhere = v1::GenerateRequest { privacy: v1::Privacy::LocalOnly.into(), ..question() };
    road.refused(nowhere).await;
    let found = lines(road, folder.path()).await;
    let places: Vec<_> = found.iter().map(|line| line.place.as_deref()).collect();
    assert_eq!(places, [Some("slow/a"), Some("quick/b"), None]);
    assert!(found.iter().all(|line| line.outcome.is_none()));
    assert!(found.iter().all(|line| line.text.as_deref() == Some("What time is it in Lima?")));
}

#[tokio::test(start_paused = true)]
async fn no_log_is_written_unless_it_is_asked_for() {
    let mut road = Road::lay(both()).await;
    road.ask(question()).await.unwrap();
    assert_eq!(router::Options::default().decisions.path.as_os_str(), "");
    road.end();
    road.ended().await;
}
