//! Workers are killed in the midst of their answers, one after the other: every answer is complete, and the one that it
//! would have been.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::{Duration, Instant};

use causeway_tests::{House, HouseOptions, text_request};
use proto::v1::generate_event::Event;
use proto::v1::generation_client::GenerationClient;
use proto::v1::{FinishReason, GenerateRequest};
use score::score;

/// Tokens that are asked for.
const TOKENS_MAX: u32 = 48;

/// What a caller saw.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    text: String,
    token_ids: Vec<u32>,
    finish: i32,
}

/// An answer: whose worker began it, what came, and how long nothing came after that worker was killed.
struct Asked {
    place: String,
    seen: Seen,
    gap: Duration,
}

/// Asks; after so many tokens the worker that answers is killed.
async fn ask(house: &mut House, request: GenerateRequest, kill_after: Option<usize>) -> Asked {
    let mut client = GenerationClient::new(house.agent.clone());
    let mut stream = client.generate(request).await.expect("an answer begins").into_inner();
    let (mut seen, mut place, mut killed, mut gap) = (Seen::default(), String::new(), None, Duration::ZERO);
    while let Some(event) = stream.message().await.expect("the answer ends well") {
        match event.event {
            Some(Event::Started(started)) => place = started.place,
            Some(Event::Delta(delta)) => {
                assert_eq!(
                    delta.first_token_index as usize,
                    seen.token_ids.len(),
                    "no token twice, none lost"
                );
                // What was on its way comes first.
                if let Some(last) = &mut killed {
                    gap = gap.max(std::mem::replace(last, Instant::now()).elapsed());
                }
                seen.text.push_str(&delta.text);
                seen.token_ids.extend(delta.token_ids);
                if killed.is_none() && kill_after.is_some_and(|tokens| tokens <= seen.token_ids.len()) {
                    killed = Some(Instant::now());
                    match place.strip_prefix("cloud-fast/spare-") {
                        Some(index) => house.spares[index.parse::<usize>().expect("an index")].kill(),
                        None => house.processes[0].kill(),
                    }
                }
            }
            Some(Event::Done(done)) => seen.finish = done.finish_reason,
            _ => {}
        }
    }
    Asked { place, seen, gap }
}

/// Kills so many workers in the midst of their answers; the longest time in which nothing came.
async fn kill(times: usize) -> Duration {
    let options = HouseOptions { step_interval_min_ms: 10, spares: 1, ..HouseOptions::default() };
    let mut house = House::start(options).await;
    let texts = ["List the numbers from 1 to 200.", "Tell me of the sea, the wind and the stars."];
    let (mut answers, mut longest) = (HashMap::new(), Duration::ZERO);
    for turn in 0..times {
        let kind = turn % 16;
        let mut request = text_request(texts[kind % texts.len()], "cloud-fast", TOKENS_MAX);
        let sampling = request.sampling.as_mut().expect("given");
        sampling.temperature = Some(if kind % 4 < 2 { 0.0 } else { 1.2 });
        sampling.seed = Some(kind as u64);
        let whole = match answers.entry(kind) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(ask(&mut house, request.clone(), None).await.seen),
        };
        let kill_after = 1 + turn % (whole.token_ids.len() / 2).max(1);
        let Asked { place: victim, seen, gap } = ask(&mut house, request, Some(kill_after)).await;
        longest = longest.max(gap);
        assert_ne!(seen.finish, i32::from(FinishReason::Interrupted), "turn {turn}");
        assert_eq!(
            &seen, &*whole,
            "turn {turn}: the same answer as without the kill after {kill_after} tokens"
        );
        let index = victim.strip_prefix("cloud-fast/spare-").map(|index| index.parse().expect("an index"));
        house.revive(index);
        is_back(&house, &victim).await;
    }
    longest
}

/// Waits until the router sends requests to a worker that was started again.
async fn is_back(house: &House, place: &str) {
    let mut client = GenerationClient::new(house.router.clone());
    let asked = async {
        while client.generate(text_request("Are you there?", place, 1)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), asked).await.expect("the worker comes back");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_outlives_the_worker_that_began_it() {
    kill(6).await;
}

/// Takes minutes: `cargo test -p causeway-tests -- --ignored five_hundred`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes of kills"]
async fn five_hundred_kills_leave_five_hundred_answers() {
    let longest = kill(500).await;
    score!(
        "B3",
        longest <= Duration::from_millis(500),
        "500 of 500 whole and the same, nothing came for {longest:.0?} at most"
    );
}
