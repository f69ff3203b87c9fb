//! Workers that fail are kept out of the decision, asked again, and taken back; silent ones are steered around.

use std::time::Duration;

use proto::v1;
use score::score;
use tokio::time::{Instant, sleep};
use tonic::Code;

use crate::road::{Answer, Planned, Road, both, memory, question, question_at};
use crate::worker::{Step, Worker, report, short_answer};

const FAILS: [Step; 1] = [Step::Refuse(Code::Unavailable, "no", None)];

/// Three alike, the first of which does this instead.
fn three(script: &[Step]) -> Vec<Planned<'static>> {
    let plan = |place, script| (place, Some(report("small", 1000.0, 0.05)), script);
    vec![plan("slow/a", script.to_vec()), plan("slow/b", short_answer()), plan("slow/c", short_answer())]
}

fn asked(worker: &Worker) -> usize {
    worker.state.seen().len()
}

fn removal(answer: &Answer, place: &str) -> String {
    answer.candidate(place).removal.as_ref().map(|removal| removal.text.clone()).unwrap_or_default()
}

/// Background requests, to which failures weigh nothing: only the breaker keeps them away.
async fn ask(road: &mut Road) -> Result<Answer, tonic::Status> {
    road.ask(question_at(v1::Priority::Background)).await
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_always_fails_is_ejected_before_anybody_sees_it() {
    let mut road = Road::lay(three(&FAILS)).await;
    let begun = Instant::now();
    let (mut probes, mut reached, mut ejected) = (Vec::new(), 0, None);
    // Two requests a second for a minute.
    for turn in 0..120 {
        let before = asked(&road.workers[0]);
        // Each request draws its own lot among workers that cost the same.
        let request = v1::GenerateRequest {
            request_id: format!("question-{turn}"),
            ..question_at(v1::Priority::Background)
        };
        match road.ask(request).await {
            Ok(answer) if answer.place() != "slow/a" => {
                // The decision says of an ejection before it, not of one by its own first attempt.
                if removal(&answer, "slow/a").contains("failed there") {
                    ejected.get_or_insert((before, begun.elapsed()));
                }
            }
            _ => reached += 1,
        }
        if before >= 5 && asked(&road.workers[0]) > before {
            probes.push(begun.elapsed());
        }
        sleep(Duration::from_millis(500)).await;
    }
    let failed = asked(&road.workers[0]);
    let (first, at) = ejected.expect("it is ejected");
    let again = probes.first().map_or(Duration::MAX, |probe| *probe - at);
    score!(
        "A8",
        first <= 7 && reached <= 5 && again <= Duration::from_secs(2),
        "ejected after {first} failures, {reached} reach callers, asked again after {again:.1?}, {failed} in a minute"
    );
    assert_eq!(reached, 0);
    assert!((5..5 + 7).contains(&failed), "{failed} requests failed there");
    // Each ejection is twice the one before it, at least: 1, 2, 4, 8 … seconds, give or take a fifth.
    let gaps: Vec<_> = probes.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
    assert!(gaps.len() >= 2 && gaps.windows(2).all(|pair| pair[1] > pair[0] * 1.2), "{gaps:?}");
    let text = removal(&ask(&mut road).await.unwrap(), "slow/a");
    assert!(text.contains("failed there; it is asked again in"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_mends_is_taken_back_by_one_request() {
    let mut plan = both();
    plan[0].2 = FAILS.to_vec();
    let mut road = Road::lay(plan).await;
    for _ in 0..7 {
        assert_eq!(ask(&mut road).await.unwrap().place(), "quick/b");
    }
    // It is the only one of its tier, so that it stays; the other tier is to be preferred all the same.
    road.workers[0].state.set_script(short_answer());
    let answer = road.ask(question_at(v1::Priority::Interactive)).await.unwrap();
    assert_eq!(answer.place(), "quick/b");
    sleep(Duration::from_millis(1_300)).await;
    assert_eq!(ask(&mut road).await.unwrap().place(), "slow/a");
    assert_eq!(road.ask(question()).await.unwrap().place(), "slow/a", "nothing is held against it");
}

#[tokio::test(start_paused = true)]
async fn a_tier_is_never_left_with_nobody() {
    let mut road = Road::lay(three(&FAILS)).await;
    for worker in &road.workers {
        worker.state.set_script(FAILS.to_vec());
    }
    let (mut tried, mut longest) = (Vec::new(), Duration::ZERO);
    for turn in 0..200 {
        let before: Vec<_> = road.workers.iter().map(asked).collect();
        let request = v1::GenerateRequest { request_id: format!("question-{turn}"), ..question() };
        let instant = Instant::now();
        let status = road.refused(request).await;
        assert_eq!(status.code(), Code::Unavailable, "{status}");
        longest = longest.max(instant.elapsed());
        tried.push(road.workers.iter().map(asked).sum::<usize>() - before.iter().sum::<usize>());
        sleep(Duration::from_millis(500)).await;
    }
    let unplaced = tried.iter().filter(|tries| **tries == 0).count();
    let soon = longest < Duration::from_millis(300);
    score!(
        "A9",
        unplaced == 0 && soon,
        "{unplaced} of 200 had no worker left, each told after at most {longest:.1?}"
    );
    assert!(soon, "the agent can answer itself at once: {longest:?}");
    assert_eq!(unplaced, 0, "each is tried somewhere");
    assert!(
        tried[100..].iter().filter(|tries| **tries > 1).count() <= 12,
        "and hardly more than there: {tried:?}"
    );
    // And the one that mends is found.
    road.workers[2].state.set_script(short_answer());
    for turn in 0..300 {
        let request = v1::GenerateRequest { request_id: format!("later-{turn}"), ..question() };
        if road.ask(request).await.is_ok() {
            return;
        }
        sleep(Duration::from_millis(500)).await;
    }
    panic!("nobody asked the one that is well");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_fails_at_once_does_not_look_quick() {
    // Dear and quick beside cheap and slow: whoever waits prefers the quick one.
    let mut plan = both();
    plan[1].2 = FAILS.to_vec();
    let mut road = Road::lay(plan).await;
    for _ in 0..5 {
        assert_eq!(road.ask(question_at(v1::Priority::Interactive)).await.unwrap().place(), "slow/a");
    }
    assert!(asked(&road.workers[1]) <= 2, "{} tries", asked(&road.workers[1]));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_full_is_left_alone_for_as_long_as_it_says() {
    let mut plan = both();
    plan[1].2 = vec![Step::Refuse(Code::ResourceExhausted, "full", Some(20_000))];
    let mut road = Road::lay(plan).await;
    for _ in 0..8 {
        assert_eq!(road.ask(question_at(v1::Priority::Interactive)).await.unwrap().place(), "slow/a");
    }
    assert_eq!(asked(&road.workers[1]), 1);
    let answer = road.ask(question_at(v1::Priority::Interactive)).await.unwrap();
    assert_eq!(removal(&answer, "quick/b"), "", "it is not ejected");
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_answer_is_stuck_is_doubted_at_once() {
    let stuck = vec![Step::Started, Step::Delta("It is ", &[7, 8]), Step::Hang];
    let mut plan = both();
    plan[0].2 = stuck;
    let mut road = Road::lay(plan).await;
    // As when its process is stopped: no report comes, nor any token, and no connection closes.
    let mut stream = road.client.generate(question_at(v1::Priority::Background)).await.unwrap().into_inner();
    road.workers[0].state.mute();
    let reader = tokio::spawn(async move { while let Ok(Some(_)) = stream.message().await {} });
    // Eight gaps of the 50 ms that it reported.
    sleep(Duration::from_millis(900)).await;
    for _ in 0..10 {
        let answer = ask(&mut road).await.unwrap();
        assert_eq!(answer.place(), "quick/b");
        sleep(Duration::from_millis(100)).await;
    }
    let text = removal(&ask(&mut road).await.unwrap(), "slow/a");
    assert!(text.contains("nothing was heard of it for"), "{text}");
    assert_eq!(asked(&road.workers[0]), 1);
    // A single report is a sign of life.
    road.workers[0].state.set_script(short_answer());
    road.workers[0].state.set_report(report("small", 1000.0, 0.05));
    sleep(Duration::from_millis(300)).await;
    assert_eq!(ask(&mut road).await.unwrap().place(), "slow/a");
    reader.abort();
}

#[tokio::test(start_paused = true)]
async fn a_silent_worker_is_sent_one_request_to_show_that_it_lives() {
    let mut plan = both();
    plan[0].2 = vec![Step::Hang];
    let mut road = Road::lay_with(memory(), plan, |options| options.fleet.stale_after_ms = 1_000).await;
    road.workers[0].state.mute();
    sleep(Duration::from_millis(1_400)).await;
    let mut client = road.client.clone();
    let first = tokio::spawn(async move { client.generate(question_at(v1::Priority::Background)).await });
    road.workers[0].state.open(1).await;
    for _ in 0..5 {
        assert_eq!(ask(&mut road).await.unwrap().place(), "quick/b");
    }
    assert_eq!(asked(&road.workers[0]), 1);
    first.abort();
}

#[tokio::test(start_paused = true)]
async fn a_request_at_a_worker_that_is_stopped_goes_elsewhere_within_two_seconds() {
    let mut plan = both();
    plan[0].2 = vec![Step::Hang];
    let mut road = Road::lay(plan).await;
    road.workers[0].state.mute();
    for turn in 0..10 {
        let begun = Instant::now();
        let answer = ask(&mut road).await.unwrap();
        assert_eq!(answer.place(), "quick/b");
        let most = if turn == 0 { Duration::from_secs(2) } else { Duration::from_millis(10) };
        assert!(begun.elapsed() < most, "{turn}: {:?}", begun.elapsed());
        sleep(Duration::from_millis(150)).await;
    }
    assert_eq!(asked(&road.workers[0]), 1, "it is sent nothing more until it is heard");
    let done = ask(&mut road).await.unwrap().done.unwrap();
    assert!(
        (done.price_usd - (6.0 * 10.0 + 4.0 * 10.0 + 3.0 * 30.0) / 1e6).abs() < 1e-9,
        "{}",
        done.price_usd
    );
}

#[tokio::test(start_paused = true)]
async fn no_request_outlives_its_deadline() {
    let mut late = Vec::new();
    for script in [vec![Step::Hang], vec![Step::Started, Step::Delta("It ", &[7]), Step::Hang]] {
        let mut plan = both();
        for (_, _, planned) in &mut plan {
            planned.clone_from(&script);
        }
        let mut road = Road::lay(plan).await;
        for worker in &road.workers {
            worker.state.mute();
        }
        let mut request = tonic::Request::new(question());
        request.set_timeout(Duration::from_millis(2_600));
        let begun = Instant::now();
        let status = road.refused(request).await;
        assert_eq!(status.code(), Code::DeadlineExceeded);
        late.push(begun.elapsed().saturating_sub(Duration::from_millis(2_600)));
    }
    let late = late.into_iter().max().unwrap();
    let pass = late <= Duration::from_millis(100);
    score!("B4", pass, "a call at workers that say nothing outlives its deadline by {late:.1?}");
    assert!(pass, "{late:?}");
}
