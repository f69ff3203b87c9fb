//! A second worker beside a late one: for whom, when, how often, and what it costs.

use std::time::Duration;

use proto::v1;
use score::score;
use tokio::time::{Instant, sleep};

use crate::road::{POLICY, Planned, Road, memory, policy_file, question};
use crate::worker::{Step, report, short_answer};

/// An answer whose first token takes so many milliseconds.
fn after(ms: u64) -> Vec<Step> {
    [vec![Step::Started, Step::Wait(ms)], short_answer()[1..].to_vec()].concat()
}

/// Workers alike, which report a first token after 100 ms for ten tokens of prompt.
fn alike(count: usize) -> Vec<Planned<'static>> {
    let places = ["slow/a", "slow/b", "slow/c", "slow/d"];
    let plan = |place: &&'static str| (*place, Some(report("small", 100.0, 0.01)), after(100));
    places[..count].iter().map(plan).collect()
}

async fn road(plan: Vec<Planned<'_>>, hedged: bool) -> Road {
    let policy = match hedged {
        true => POLICY.replace("second_usd", "hedge = true\nsecond_usd"),
        false => POLICY.to_owned(),
    };
    let file = policy_file(&policy);
    Road::lay_with(memory(), plan, |options| options.policy.file = file.path().to_owned()).await
}

fn asked(road: &Road) -> usize {
    road.workers.iter().map(|worker| worker.state.seen().len()).sum()
}

/// Milliseconds to the first token of each of so many requests, a tenth of a second apart, after the last worker has
/// become ten times as slow; and the attempts made.
async fn first_tokens(hedged: bool, count: usize) -> (Vec<u128>, usize) {
    let mut road = road(alike(4), hedged).await;
    for turn in 0..100 {
        let request = v1::GenerateRequest { request_id: format!("before-{turn}"), ..question() };
        road.ask(request).await.unwrap();
    }
    let before = asked(&road);
    let mut tasks = tokio::task::JoinSet::new();
    for turn in 0..count {
        // It is slow now and then, so that nobody can learn to do without it.
        let ms = if turn % 40 < 20 { 1_000 } else { 100 };
        road.workers[3].state.set_script(after(ms));
        let request = v1::GenerateRequest { request_id: format!("question-{turn}"), ..question() };
        let mut client = road.client.clone();
        tasks.spawn(async move {
            let begun = Instant::now();
            let mut stream = client.generate(request).await.unwrap().into_inner();
            let took = begun.elapsed().as_millis();
            while stream.message().await.unwrap().is_some() {}
            took
        });
        sleep(Duration::from_millis(100)).await;
    }
    let mut took = tasks.join_all().await;
    took.sort_unstable();
    (took, asked(&road) - before)
}

#[tokio::test(start_paused = true)]
async fn hedges_halve_the_tail_for_a_twentieth_more_work() {
    let count = 1_000;
    let p99 = |took: &[u128]| took[took.len() * 99 / 100];
    let (plain, made) = first_tokens(false, count).await;
    assert_eq!(made, count);
    let (hedged, made) = first_tokens(true, count).await;
    let (before, after) = (p99(&plain), p99(&hedged));
    score!(
        "A7",
        after * 2 <= before && made <= count * 105 / 100,
        "first token p99 {before} ms without, {after} ms with {} attempts for {count}, one slow every other 2 s",
        made
    );
    assert!(p99(&hedged) * 2 <= p99(&plain), "{} ms, without {} ms", p99(&hedged), p99(&plain));
    assert!(made > count && made <= count * 105 / 100, "{made} attempts of {count}");
}

/// A road on which the first request goes to a worker that does this, and hedges are allowed.
async fn first_does(script: Vec<Step>, change: impl FnOnce(&mut router::Options)) -> Road {
    let file = policy_file(&POLICY.replace("second_usd", "hedge = true\nsecond_usd"));
    let mut plan = alike(2);
    plan[0].2 = script;
    // Cheaper in time, so that it is the one that is asked.
    plan[0].1 = Some(report("small", 200.0, 0.01));
    Road::lay_with(memory(), plan, |options| {
        options.policy.file = file.path().to_owned();
        options.hedge.budget_percent = 100.0;
        change(options);
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_hedge_costs_a_prompt_more_and_is_named() {
    let mut road = first_does(after(2_000), |_| {}).await;
    let begun = Instant::now();
    let answer = road.ask(question()).await.unwrap();
    assert!(begun.elapsed() < Duration::from_millis(400), "{:?}", begun.elapsed());
    assert_eq!((answer.place(), answer.started().attempt), ("slow/b", 2));
    let removal = answer.candidate("slow/a").removal.as_ref().unwrap();
    assert_eq!(
        (removal.code.as_str(), removal.text.as_str()),
        ("excluded", "left out: the first token of attempt 1 is late")
    );
    // Ten tokens of prompt at both, four of which were cached at the second; three of answer.
    let usd = answer.done.as_ref().unwrap().price_usd;
    assert!((usd - (10.0 + 6.0 + 4.0 * 0.5 + 3.0 * 2.0) / 1e6).abs() < 1e-12, "{usd}");
    // The slower one is told to stop at once.
    road.workers[0].state.open(0).await;
    let told: Vec<_> = road.workers.iter().map(|worker| worker.state.seen()[0].previous_attempts).collect();
    assert_eq!(told, [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn whoever_begins_first_has_the_answer() {
    // The first begins while the second is at it.
    let mut road = first_does(after(150), |_| {}).await;
    let answer = road.ask(question()).await.unwrap();
    assert_eq!((answer.place(), answer.started().attempt), ("slow/a", 1));
    road.workers[1].state.open(0).await;
    assert_eq!(asked(&road), 2);
    // The second fails, and the first goes on.
    let mut road = first_does(after(400), |_| {}).await;
    road.workers[1].state.set_script(vec![Step::Refuse(tonic::Code::Unavailable, "no", None)]);
    assert_eq!(road.ask(question()).await.unwrap().place(), "slow/a");
    // The first fails while the second is at it.
    let fails = vec![Step::Started, Step::Wait(150), Step::Fail(tonic::Code::Unavailable, "lost")];
    let mut road = first_does(fails, |_| {}).await;
    assert_eq!(road.ask(question()).await.unwrap().place(), "slow/b");
    assert_eq!(asked(&road), 2);
}

#[tokio::test(start_paused = true)]
async fn there_is_no_hedge_where_none_is_allowed() {
    let slow = || after(2_000);
    let check = async |mut road: Road, request: v1::GenerateRequest| {
        let answer = road.ask(request).await.unwrap();
        assert_eq!((answer.place(), asked(&road)), ("slow/a", 1));
    };
    // The policy says so.
    let file = policy_file(POLICY);
    let unhedged = |options: &mut router::Options| options.policy.file = file.path().to_owned();
    check(first_does(slow(), unhedged).await, question()).await;
    // The budget is empty.
    check(first_does(slow(), |options| options.hedge.budget_percent = 0.0).await, question()).await;
    // There is nobody else.
    let only = v1::GenerateRequest { only_place: "slow/a".into(), ..question() };
    check(first_does(slow(), |_| {}).await, only).await;
    // Its first token was shown by whoever asks.
    let resume = v1::Resume { token_ids: vec![1], model_hash: "small-hash".into(), numeric_class: None };
    let goes_on = v1::GenerateRequest { resume: Some(resume), ..question() };
    check(first_does(vec![Step::Started, Step::Wait(2_000), Step::Done(10, 0, 0)], |_| {}).await, goes_on)
        .await;
    // Its first token is there.
    let mut begun = short_answer();
    begun.insert(2, Step::Wait(200));
    check(first_does(begun, |_| {}).await, question()).await;
    score!("A7", true, "none after the first token");
}
