//! Budgets and caps over many requests.

use futures_util::future::join_all;
use proto::v1;
use score::score;
use tonic::Code;

use crate::road::{POLICY, Road, both, memory, policy_file, question};
use crate::worker::Step;

fn bounded(number: u64) -> v1::GenerateRequest {
    let sampling = v1::Sampling { max_tokens: Some(100), ..v1::Sampling::default() };
    v1::GenerateRequest {
        request_id: format!("question-{number}"),
        sampling: Some(sampling),
        only_place: "slow".into(),
        ..question()
    }
}

async fn road(more: &str, script: Vec<Step>) -> (Road, tempfile::NamedTempFile) {
    let policy = policy_file(&format!("{POLICY}{more}"));
    let mut plan = both();
    plan[0].2 = script;
    let file = policy.path().to_owned();
    (Road::lay_with(memory(), plan, |options| options.policy.file = file).await, policy)
}

#[tokio::test(start_paused = true)]
async fn answers_under_way_hold_the_most_that_they_can_cost() {
    // One answer costs at most 10 tokens in and 100 out: 210 millionths of a dollar.
    let budget = "\n[[budget]]\nname = \"all\"\nusd_max = 0.0005\nwindow_seconds = 31622400\n";
    let script = vec![Step::Started, Step::Delta("It", &[1]), Step::Hang];
    let (mut road, _policy) = road(budget, script).await;
    let mut streams = Vec::new();
    for number in 0..2 {
        let mut stream = road.client.generate(bounded(number)).await.unwrap().into_inner();
        for _ in 0..2 {
            stream.message().await.unwrap();
        }
        streams.push(stream);
    }
    let status = road.refused(bounded(2)).await;
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains("budget all"), "{}", status.message());
    // Those who left paid for what they saw.
    drop(streams);
    road.workers[0].state.open(0).await;
    let mut stream = loop {
        match road.client.generate(bounded(3)).await {
            Ok(stream) => break stream.into_inner(),
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(1)).await,
        }
    };
    assert!(stream.message().await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn what_was_spent_is_spent() {
    let budget = "\n[[budget]]\nname = \"all\"\nusd_max = 0.00023\nwindow_seconds = 31622400\n";
    let script = vec![Step::Started, Step::Delta("It", &[1]), Step::Done(10, 0, 6)];
    let (mut road, _policy) = road(budget, script).await;
    // 22 millionths: then 208 are left, and 210 may be needed.
    let answer = road.ask(bounded(0)).await.unwrap();
    assert!((answer.done.unwrap().price_usd - 22e-6).abs() < 1e-12);
    assert_eq!(road.refused(bounded(1)).await.code(), Code::FailedPrecondition);
    let sampling = v1::Sampling { max_tokens: Some(90), ..v1::Sampling::default() };
    let smaller = v1::GenerateRequest { sampling: Some(sampling), ..bounded(2) };
    assert_eq!(road.ask(smaller).await.unwrap().place(), "slow/a");
}

#[tokio::test(start_paused = true)]
async fn a_cap_bounds_what_goes_up() {
    let cap = "\n[[escalation_cap]]\nname = \"few\"\ntiers_up = [\"quick\"]\nshare_max = 0.25\nfree_requests = 0\nwindow_seconds = 86400\n";
    let (mut road, _policy) = road(cap, crate::worker::short_answer()).await;
    let mut quick = 0;
    for number in 0..40 {
        let request = v1::GenerateRequest {
            request_id: format!("question-{number}"),
            priority: v1::Priority::Interactive.into(),
            ..question()
        };
        quick += usize::from(road.ask(request).await.unwrap().place() == "quick/b");
    }
    assert_eq!(quick, 10);
}

#[tokio::test(start_paused = true)]
async fn a_restart_refills_no_budget_and_no_cap() {
    let budget = "\n[[budget]]\nname = \"all\"\nusd_max = 0.00023\nwindow_seconds = 31622400\n";
    let cap = "\n[[escalation_cap]]\nname = \"few\"\ntiers_up = [\"quick\"]\nshare_max = 0.5\nfree_requests = 1\nwindow_seconds = 86400\n";
    let folder = tempfile::tempdir().unwrap();
    let books = folder.path().join("books");
    let policy = policy_file(&format!("{POLICY}{budget}{cap}"));
    let lay = async || {
        let mut plan = both();
        for (_, _, script) in &mut plan {
            *script = vec![Step::Started, Step::Delta("It", &[1]), Step::Done(10, 0, 6)];
        }
        Road::lay_with(memory(), plan, |options| {
            options.policy.file = policy.path().to_owned();
            options.budgets.path = Some(books.clone());
        })
        .await
    };
    let mut road = lay().await;
    // 22 millionths: then 208 are left, and 210 may be needed.
    road.ask(bounded(0)).await.unwrap();
    road.end();
    road.ended().await;
    let mut road = lay().await;
    let status = road.refused(bounded(1)).await;
    assert!(status.message().contains("budget"), "{}", status.message());
    // Books that nobody can read are put aside, and requests are answered.
    road.end();
    road.ended().await;
    std::fs::write(&books, "{\"schema\":").unwrap();
    let mut road = lay().await;
    assert_eq!(road.ask(bounded(2)).await.unwrap().place(), "slow/a");
    assert!(folder.path().join("books.broken").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_streams_at_once_spend_no_more_than_there_is() {
    // One answer may cost 210 millionths of a dollar, and does cost 30.
    let budget = "\n[[budget]]\nname = \"all\"\nusd_max = 0.01\nwindow_seconds = 31622400\n";
    let token: &[u32] = &[1, 2];
    let mut script = vec![Step::Started];
    for _ in 0..5 {
        script.extend([Step::Delta("so ", token), Step::Wait(1)]);
    }
    script.push(Step::Done(10, 0, 10));
    let (road, _policy) = road(budget, script).await;
    let one = |number: u64| {
        let mut client = road.client.clone();
        async move {
            let mut stream = client.generate(bounded(number)).await.ok()?.into_inner();
            let mut shown = 0;
            while let Some(event) = stream.message().await.unwrap() {
                match event.event.unwrap() {
                    v1::generate_event::Event::Delta(delta) => shown += delta.token_ids.len(),
                    v1::generate_event::Event::Done(done) => return Some(done.price_usd),
                    _ => {}
                }
                // Every third caller leaves in the midst of it, and has paid for what it saw.
                if number.is_multiple_of(3) && shown == 4 {
                    return Some(18e-6);
                }
            }
            panic!("a stream without an end");
        }
    };
    let (mut spent, mut most, mut gone) = (0.0, 0, 0);
    for round in 0_u64.. {
        let answers = join_all((0..64).map(|number| one(round * 64 + number))).await;
        let answers: Vec<f64> = answers.into_iter().flatten().collect();
        spent += answers.iter().sum::<f64>();
        most = most.max(answers.len());
        gone += answers.iter().filter(|usd| **usd == 18e-6).count();
        // Those who left are settled a little later.
        road.workers[0].state.open(0).await;
        if answers.is_empty() {
            break;
        }
    }
    // One answer costs 30 millionths of a dollar.
    let over = ((spent - 0.01) / 30e-6).max(0.0);
    score!("D8", over <= 1.0, "64 streams at once: {over:.2} requests beyond the budget");
    assert!(spent <= 0.01 + 1e-12, "{spent}");
    // What was held and not used has come back: less is left than one answer may cost. To those who left a little more may
    // have been on its way.
    assert!(spent + gone as f64 * 12e-6 > 0.01 - 210e-6 - 1e-12, "{spent}, {gone} left");
    assert!(most > 16, "many went at once, {most} at most");
}
