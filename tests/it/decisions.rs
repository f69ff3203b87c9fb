//! The decision logs of real processes: whole after a kill, read by `causeway policy replay`, the same to the bit.

use std::fs;
use std::process::Command;
use std::time::Duration;

use causeway_tests::{House, HouseOptions, binary, root, text_request};
use policy::{DecisionLine, Rules, replay};
use proto::v1::generation_client::GenerationClient;

/// Questions that are asked before the processes are killed.
const QUESTIONS: usize = 8;

/// The lines of a log; all are whole.
fn lines(text: &str) -> Vec<DecisionLine> {
    assert!(text.is_empty() || text.ends_with('\n'), "the last line is torn");
    text.lines().map(|line| DecisionLine::parse(line).expect("a whole line")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_logged_before_a_kill_replays_to_the_same_bits() {
    let mut house = House::start(HouseOptions { decisions: true, ..HouseOptions::default() }).await;
    let mut client = GenerationClient::new(house.agent.clone());
    let mut totals = Vec::new();
    for _ in 0..QUESTIONS {
        let request = text_request("What is the capital of Peru?", "cloud-fast", 4);
        let mut stream = client.generate(request).await.expect("an answer begins").into_inner();
        while let Some(event) = stream.message().await.expect("the answer goes on") {
            if let Some(proto::v1::generate_event::Event::Started(started)) = event.event {
                let [_, router] = started.decisions.as_slice() else { panic!("{started:?}") };
                totals.extend(router.candidates.iter().map(|candidate| candidate.total_usd.to_bits()));
            }
        }
    }
    let written = |name: &str| fs::read_to_string(house.decisions(name)).unwrap_or_default();
    let names = ["causeway-router", "causeway-edge-agent"];
    let waiting = async {
        // The writers say nothing when they have written.
        while names.iter().any(|name| written(name).lines().count() < QUESTIONS) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("the logs are written");
    let logs = names.map(|name| house.decisions(name));
    for process in &mut house.processes {
        process.kill();
    }
    let policy = root().join("deploy/policies/demo.toml");
    let rules = Rules::parse("demo.toml", &fs::read_to_string(&policy).expect("readable")).expect("a policy");
    let mut again = Vec::new();
    for log in &logs {
        let found = lines(&fs::read_to_string(log).expect("readable"));
        assert_eq!(found.len(), QUESTIONS);
        for line in &found {
            let decision = replay(&rules, &line.record).expect("the same policy");
            assert_eq!(decision.place.as_ref().map(|place| &place.place), line.place.as_ref());
            assert!(line.text.is_none() && line.outcome.is_some_and(|outcome| outcome.output_tokens > 0));
            if line.hop == *"router" {
                let columns =
                    decision.trail.candidates.iter().map(|weighed| weighed.columns.total_usd.to_bits());
                again.extend(columns);
            }
        }
        let output = Command::new(binary("causeway"))
            .args(["policy", "replay"])
            .arg(log)
            .arg("--policy")
            .arg(&policy)
            .arg("--json")
            .output()
            .expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(again, totals, "what the caller was told, decided again");
}
