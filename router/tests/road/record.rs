//! The log of decisions: what stands in it, and that it decides again to the same bits.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use hop::bound::Lines;
use mesh::journal::JournalFormat;
use policy::{DecisionLine, Outcome, Rules, replay};
use proto::v1;
use proto::v1::feedback::Verdict;
use router::config::PickOptions;
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
async fn what_was_drawn_decides_again_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let mut plan = both();
    plan.extend(
        both()
            .into_iter()
            .zip(["slow/c", "quick/d"])
            .map(|((_, report, script), place)| (place, report, script)),
    );
    let mut road = Road::lay_with(memory(), plan, |options| {
        options.decisions.path = folder.path().join("decisions.jsonl");
        options.decisions.feedback_wait_ms = 1;
        options.fleet.pick = PickOptions { full_max: 1, drawn: 2, leaders: 1, named: 1 };
    })
    .await;
    let answer = road.ask(question()).await.unwrap();
    let found = lines(road, folder.path()).await;
    assert_eq!((found[0].record.facts.places_known, found.len()), (Some(4), 1));
    assert!(found[0].record.candidates.len() < 4);
    same_bits(&found[0], &answer);
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

#[tokio::test(start_paused = true)]
async fn whoever_asks_again_was_answered_wrongly() {
    let folder = tempfile::tempdir().unwrap();
    let mut road = logged(both(), folder.path(), false).await;
    let verdicts = [
        ("a", Verdict::Retried(true), Some(false)),
        ("b", Verdict::Retried(false), None),
        ("c", Verdict::Right(true), Some(true)),
    ];
    for (id, verdict, _) in verdicts {
        road.ask(v1::GenerateRequest { request_id: id.into(), ..question() }).await.unwrap();
        let feedback = v1::Feedback { request_id: id.into(), verdict: Some(verdict) };
        assert!(road.client.give_feedback(feedback).await.unwrap().into_inner().known);
    }
    let found = lines(road, folder.path()).await;
    // `b` has no verdict and waits for one until the end.
    let right: Vec<_> = found.iter().map(|line| line.outcome.unwrap().right).collect();
    assert_eq!(right, [verdicts[0].2, verdicts[2].2, verdicts[1].2]);
}

#[tokio::test(start_paused = true)]
async fn what_the_agent_did_not_say_of_the_text_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut road = logged(both(), folder.path(), false).await;
    let mut told = question();
    let intent = v1::Intent { name: "weather".into(), probability: 0.5, in_scope: true };
    told.signals.as_mut().unwrap().intent = Some(intent);
    told.conversation_id = "talk".into();
    for request in [question(), told] {
        road.ask(request).await.unwrap();
    }
    let found = lines(road, folder.path()).await;
    let [read, told] = found.as_slice() else { panic!("{found:?}") };
    let read = &read.record.facts;
    assert!(!read.intent.is_empty() && read.intent_probability > 0.0, "{read:?}");
    assert_eq!((read.script.as_str(), read.language.as_str(), read.turns), ("latin", "en", 1));
    assert_eq!(read.prompt_tokens, 10, "what was said is believed");
    assert!(read.versions.iter().any(|version| version.name.as_str() == "intent"), "{:?}", read.versions);
    let told = &told.record.facts;
    assert_eq!((told.intent.as_str(), told.in_scope, told.conversation.as_str()), ("weather", true, "talk"));
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_bound_says_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("decisions.jsonl");
    let mut road = Road::lay_with(memory(), both(), |options| {
        options.decisions.path = path.clone();
        options.decisions.format = JournalFormat::Parquet;
        options.decisions.file_bytes_max = 8_000;
        options.decisions.feedback_wait_ms = 0;
    })
    .await;
    let mut answers = Vec::new();
    for number in 0..10 {
        let request = v1::GenerateRequest { request_id: format!("question-{number}"), ..question() };
        answers.push(road.ask(request).await.unwrap());
    }
    road.end();
    road.ended().await;
    let mut text = String::new();
    let mut files = 0;
    for number in (1..8).rev() {
        let bound = folder.path().join(format!("decisions.jsonl.{number}.parquet"));
        assert!(!folder.path().join(format!("decisions.jsonl.{number}")).exists());
        if let Ok(file) = File::open(bound) {
            files += 1;
            Lines::open(file).unwrap().read_to_string(&mut text).unwrap();
        }
    }
    assert!(files > 1 && std::fs::read(&path).unwrap().is_empty(), "{files} files");
    let found: Vec<_> = text.lines().map(|line| DecisionLine::parse(line).unwrap()).collect();
    assert_eq!(found.len(), answers.len());
    for (line, answer) in found.iter().zip(&answers) {
        same_bits(line, answer);
        let totals: Vec<_> = line.weighed.iter().map(|one| one.total_usd.to_bits()).collect();
        let told: Vec<_> =
            line.weighed.iter().map(|one| answer.candidate(&one.place).total_usd.to_bits()).collect();
        assert_eq!(totals, told);
    }
}
