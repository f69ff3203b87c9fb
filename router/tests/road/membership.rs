//! Workers that are looked for: they join, leave, come back, and are not found for a while.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use mesh::process::Rim;
use mesh::transport::{Address, Memory};
use proto::v1::Priority;
use router::Options;
use router::config::DnsOptions;
use score::score;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use crate::road::{Planned, Road, question, question_at};
use crate::worker::{Step, report, short_answer};

const NAME: &str = "workers.example:50061";
const REFRESH: Duration = Duration::from_secs(30);

/// A network with names.
fn network() -> (Rim, Arc<Memory>) {
    let names = Arc::new(Memory::default());
    (Rim { transport: names.clone(), identity: None, seed: 7 }, names)
}

fn address(index: usize) -> Address {
    format!("127.0.0.1:{}", 6000 + index).parse().unwrap()
}

fn place(index: usize) -> String {
    format!("slow/127.0.0.1-{}", 6000 + index)
}

fn addresses(indexes: &[usize]) -> Option<Vec<Address>> {
    Some(indexes.iter().map(|index| address(*index)).collect())
}

fn by_name(options: &mut Options) {
    options.fleet.workers.clear();
    options.fleet.dns = vec![DnsOptions {
        name: NAME.parse().unwrap(),
        tier: "slow".into(),
        server_name: "worker.causeway".into(),
        region: None,
        load: Default::default(),
        refresh_ms: u64::try_from(REFRESH.as_millis()).unwrap(),
        refresh_min_ms: 2000,
    }];
}

fn plan(count: usize) -> Vec<Planned<'static>> {
    (0..count).map(|_| ("slow/any", Some(report("small", 1000.0, 0.01)), short_answer())).collect()
}

/// A router that finds these of its workers.
async fn road(workers: usize, found: &[usize]) -> (Road, Arc<Memory>) {
    let (rim, names) = network();
    names.name(NAME, addresses(found));
    let mut plan = plan(workers);
    // Only those are waited for that can be found.
    for (index, planned) in plan.iter_mut().enumerate() {
        planned.1 = planned.1.take().filter(|_| found.contains(&index));
    }
    let road = Road::lay_with(rim, plan, by_name).await;
    for worker in &road.workers {
        worker.state.set_report(report("small", 1000.0, 0.01));
    }
    (road, names)
}

async fn places(road: &mut Road) -> Vec<String> {
    let described = road.client.describe(proto::v1::DescribeRequest {}).await.unwrap().into_inner();
    described.places.into_iter().map(|place| place.place).collect()
}

#[tokio::test(start_paused = true)]
async fn workers_join_and_leave_as_their_name_says() {
    let (mut road, names) = road(3, &[0, 1]).await;
    assert_eq!(places(&mut road).await, [place(0), place(1)]);
    road.ask(question()).await.unwrap();
    names.name(NAME, addresses(&[1, 2]));
    sleep(REFRESH * 2).await;
    assert!(places(&mut road).await.contains(&place(2)));
    sleep(REFRESH * 2).await;
    assert_eq!(places(&mut road).await, [place(1), place(2)]);
    let seen = road.workers[0].state.seen().len();
    for _ in 0..20 {
        road.ask(question()).await.unwrap();
    }
    assert_eq!(road.workers[0].state.seen().len(), seen, "whoever is gone takes no new work");
    assert!(!road.workers[2].state.seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_gone_ends_what_it_holds() {
    let (rim, names) = network();
    names.name(NAME, addresses(&[0]));
    let mut plan = plan(2);
    plan[0].2.insert(2, Step::Wait(20_000));
    plan[1].1 = None;
    let mut road = Road::lay_with(rim, plan, |options| {
        by_name(options);
        options.fleet.dns[0].refresh_ms = 4000;
        // Nobody goes on with what another began.
        options.resume.attempts_max = 0;
    })
    .await;
    let mut client = road.client.clone();
    let answering = tokio::spawn(async move {
        let mut stream = client.generate(question()).await.unwrap().into_inner();
        let mut events = 0;
        while stream.message().await.unwrap().is_some() {
            events += 1;
        }
        events
    });
    road.workers[0].state.open(1).await;
    names.name(NAME, addresses(&[1]));
    sleep(Duration::from_secs(12)).await;
    assert_eq!(places(&mut road).await, [place(1)]);
    assert!(!answering.is_finished());
    assert_eq!(answering.await.unwrap(), 4, "started, two deltas and done");
    assert_eq!(road.workers[1].state.seen().len(), 0, "nobody else had to go on with it");
}

#[tokio::test(start_paused = true)]
async fn ten_minutes_without_answers_fail_no_request_and_show_as_age() {
    let (rim, names) = network();
    names.name(NAME, addresses(&[0, 1]));
    let mut road = Road::lay_with(rim, plan(2), by_name).await;
    names.name(NAME, None);
    let mut failed = 0;
    for minute in 1..=10 {
        for _ in 0..12 {
            failed += usize::from(road.ask(question()).await.is_err());
            sleep(Duration::from_secs(5)).await;
        }
        let [source] = (road.discovered)().try_into().unwrap();
        let age = source.age.unwrap();
        assert!(age + REFRESH * 2 >= Duration::from_secs(60 * minute), "{minute}: {age:?}");
        assert_eq!((source.source.as_str(), source.members), ("dns workers.example:50061", 2));
    }
    let [source] = (road.discovered)().try_into().unwrap();
    let age = source.age.unwrap();
    score!("B10", failed == 0, "by name: {failed} of 120 failed, an age of {age:.0?} told after 10 minutes");
    assert_eq!(failed, 0);
    // Asked again sooner at first, and never more often than every two seconds.
    assert!((15..60).contains(&source.failures), "{source:?}");
    // An answer without an address is none either.
    names.name(NAME, addresses(&[]));
    sleep(REFRESH * 3).await;
    road.ask(question()).await.unwrap();
    names.name(NAME, addresses(&[0, 1]));
    sleep(REFRESH * 2).await;
    let [source] = (road.discovered)().try_into().unwrap();
    assert!(source.age.unwrap() <= REFRESH * 2, "{source:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lost_worker_has_its_name_asked_again_at_once() {
    let (mut road, names) = road(2, &[0]).await;
    names.name(NAME, addresses(&[1]));
    road.workers[0].kill().await;
    sleep(Duration::from_secs(4)).await;
    let before = Instant::now();
    assert_eq!(road.ask(question()).await.unwrap().place(), place(1));
    assert!(before.elapsed() < REFRESH / 2);
}

#[tokio::test(start_paused = true)]
async fn coming_and_going_leaves_no_tasks_behind() {
    let (mut road, names) = road(3, &[0]).await;
    road.ask(question()).await.unwrap();
    sleep(REFRESH).await;
    let before = Handle::current().metrics().num_alive_tasks();
    for _ in 0..10 {
        names.name(NAME, addresses(&[0, 1, 2]));
        sleep(REFRESH * 2).await;
        assert_eq!(places(&mut road).await.len(), 3);
        for _ in 0..6 {
            road.ask(question()).await.unwrap();
        }
        names.name(NAME, addresses(&[0]));
        sleep(REFRESH * 4).await;
        assert_eq!(places(&mut road).await.len(), 1);
    }
    let after = Handle::current().metrics().num_alive_tasks();
    assert!(after <= before, "{before} tasks before, {after} after");
}

#[tokio::test(start_paused = true)]
async fn no_more_workers_are_taken_in_than_are_allowed() {
    let (rim, names) = network();
    names.name(NAME, addresses(&[0, 1, 2, 3]));
    let mut plan = plan(4);
    plan[2..].iter_mut().for_each(|planned| planned.1 = None);
    let mut road = Road::lay_with(rim, plan, |options| {
        by_name(options);
        options.fleet.workers_max = 2;
    })
    .await;
    assert_eq!(places(&mut road).await, [place(0), place(1)]);
    // Room that becomes free is filled.
    names.name(NAME, addresses(&[1, 2, 3]));
    sleep(REFRESH * 5).await;
    assert_eq!(places(&mut road).await, [place(1), place(2)]);
}

/// A question each so many milliseconds, each of which takes a while: how many each worker was asked.
async fn load(road: &Road, every_ms: u64, count: usize) -> BTreeMap<usize, usize> {
    let before: Vec<usize> = road.workers.iter().map(|worker| worker.state.seen().len()).collect();
    let asked = (0..count).map(|index| {
        let mut client = road.client.clone();
        async move {
            sleep(Duration::from_millis(every_ms * index as u64)).await;
            let question = question_at(Priority::Interactive);
            let mut stream = client.generate(question).await.unwrap().into_inner();
            while stream.message().await.unwrap().is_some() {}
        }
    });
    join_all(asked).await;
    let seen = road.workers.iter().map(|worker| worker.state.seen().len());
    seen.zip(before).map(|(seen, before)| seen - before).enumerate().collect()
}

/// Nineteen tokens, each of which takes longer the more answers are under way.
fn steady() -> Vec<Step> {
    let mut steps = vec![Step::Started, Step::Share(20), Step::Delta("It", &[1])];
    for _ in 0..9 {
        steps.extend([Step::Share(20), Step::Delta(" is", &[2, 3])]);
    }
    steps.push(Step::Done(10, 0, 19));
    steps
}

#[tokio::test(start_paused = true)]
async fn a_new_worker_is_neither_flooded_nor_starved() {
    let (road, names) = road(3, &[0, 1]).await;
    road.workers.iter().for_each(|worker| worker.state.set_script(steady()));
    let warm = load(&road, 120, 100).await;
    assert_eq!(warm[&2], 0);
    names.name(NAME, addresses(&[0, 1, 2]));
    // It joins while the load goes on, and its share is looked at from then on.
    while road.workers[2].state.seen().is_empty() {
        load(&road, 120, 50).await;
    }
    let shares = load(&road, 80, 300).await;
    assert!((50..=150).contains(&shares[&2]), "a fair share is 100: {shares:?}");
}

/// How many of 200 questions each of four equal workers gets when what was heard of them last is so old: that one has
/// nothing to do, and the others are busy.
async fn shares_after(age: Duration) -> BTreeMap<usize, usize> {
    let (road, _names) = road(4, &[0, 1, 2, 3]).await;
    road.workers.iter().for_each(|worker| worker.state.set_script(steady()));
    for (index, worker) in road.workers.iter().enumerate() {
        let queued_tokens = if index == 0 { 0 } else { 20_000 };
        let running = if index == 0 { 0 } else { 6 };
        let last = proto::v1::Report { queued_tokens, running, ..report("small", 1000.0, 0.01) };
        worker.state.set_report(last);
    }
    sleep(Duration::from_millis(500)).await;
    road.workers.iter().for_each(|worker| worker.state.mute());
    sleep(age).await;
    load(&road, 50, 200).await
}

#[tokio::test(start_paused = true)]
async fn stale_signals_make_nobody_a_magnet() {
    let most = |shares: &BTreeMap<usize, usize>| *shares.values().max().unwrap() as f64 / 50.0;
    // Older than its lifetime, and by several half-lives.
    let (recent, old) =
        (shares_after(Duration::from_secs(10)).await, shares_after(Duration::from_secs(180)).await);
    score!(
        "A10",
        most(&recent) <= 1.5 && most(&old) <= 1.5,
        "at most {:.2} × its share after 10 s, {:.2} × after 3 minutes",
        most(&recent),
        most(&old)
    );
    for shares in [recent, old] {
        let fair = shares.values().all(|count| (25..=75).contains(count));
        assert!(fair, "a fair share is 50: {shares:?}");
    }
}
