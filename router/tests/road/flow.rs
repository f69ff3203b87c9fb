//! More requests than the workers can answer: who is answered, who is sent away and how, and what is left afterwards.

use std::time::Duration;

use futures_util::StreamExt as _;
use mesh::connect::Channel;
use proto::v1::generate_event::Event;
use proto::v1::generation_client::GenerationClient;
use proto::v1::prospect_client::ProspectClient;
use proto::{Message as _, v1};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use score::score;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Status};

use crate::road::{Planned, Road, question_at};
use crate::worker::{Step, report};

/// What every caller gives an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Answers in a second of one worker: eight at once, a second each.
const CAPACITY: f64 = 8.0;

/// What became of one request.
struct Outcome {
    priority: v1::Priority,
    asked: Instant,
    began: Option<Instant>,
    ended: Instant,
    end: Result<(), Status>,
}

/// An answer of a second that needs a slot.
fn answer() -> Vec<Step> {
    let token: &[u32] = &[1, 2, 3, 4, 5];
    let mut steps = vec![Step::Slot, Step::Wait(60), Step::Started];
    for _ in 0..4 {
        steps.extend([Step::Delta("so ", token), Step::Wait(235)]);
    }
    steps.push(Step::Done(10, 0, 20));
    steps
}

fn plan() -> Vec<Planned<'static>> {
    vec![("slow/a", Some(report("small", 1000.0, 0.05)), answer())]
}

fn request(number: u32, priority: v1::Priority) -> v1::GenerateRequest {
    v1::GenerateRequest { request_id: format!("question-{number}"), ..question_at(priority) }
}

async fn ask(mut client: GenerationClient<Channel>, request: v1::GenerateRequest) -> Outcome {
    let (priority, asked) = (request.priority(), Instant::now());
    let mut call = tonic::Request::new(request);
    call.set_timeout(PATIENCE);
    let mut began = None;
    let answer = async {
        let mut stream = client.generate(call).await?.into_inner();
        began = Some(Instant::now());
        while let Some(event) = stream.next().await {
            if let Some(Event::Done(_)) = event?.event {
                return Ok(());
            }
        }
        Err(Status::unavailable("no end"))
    };
    let end = answer.await;
    Outcome { priority, asked, began, ended: Instant::now(), end }
}

/// Asks so many times a second, for so long.
async fn offer(
    road: &Road,
    (per_second, seconds): (f64, f64),
    priority: impl Fn(u32) -> v1::Priority,
) -> Vec<Outcome> {
    let times = (0..(per_second * seconds) as u32).map(|number| f64::from(number) / per_second);
    offer_at(road, times, priority).await
}

/// Asks at these times, seconds from now.
async fn offer_at(
    road: &Road,
    times: impl Iterator<Item = f64>,
    priority: impl Fn(u32) -> v1::Priority,
) -> Vec<Outcome> {
    let mut asked = JoinSet::new();
    let begin = Instant::now();
    for (number, at) in (0..).zip(times) {
        tokio::time::sleep_until(begin + Duration::from_secs_f64(at)).await;
        asked.spawn(ask(road.client.clone(), request(number, priority(number))));
    }
    asked.join_all().await
}

/// The time that this share of the times is below.
fn quantile(mut times: Vec<Duration>, share: f64) -> Duration {
    times.sort_unstable();
    times[((times.len() - 1) as f64 * share) as usize]
}

/// The share of what it can carry that is answered in a minute in which so many times that is asked, and the p99 of the
/// times to the first token of those who are answered.
async fn goodput(times: f64) -> (f64, Duration) {
    let road = Road::lay(plan()).await;
    // First it has to be known.
    offer(&road, (CAPACITY * 0.9, 10.0), |_| v1::Priority::Normal).await;
    let until = Instant::now() + Duration::from_secs(60);
    // A Poisson process.
    let (mut random, mut at) = (StdRng::seed_from_u64(5), 0.0);
    let arrivals = std::iter::repeat_with(|| {
        at -= random.random_range(f64::MIN_POSITIVE..1.0).ln() / (CAPACITY * times);
        at
    });
    let all = offer_at(&road, arrivals.take_while(|at| *at < 60.0), |_| v1::Priority::Normal).await;
    let in_time = all.iter().filter(|one| one.end.is_ok() && one.ended <= until).count();
    let began = all.iter().filter(|one| one.end.is_ok()).filter_map(|one| Some(one.began? - one.asked));
    // The first second goes by until the first answer ends.
    (in_time as f64 / 59.0 / CAPACITY, quantile(began.collect(), 0.99))
}

fn answered(outcomes: &[Outcome]) -> usize {
    outcomes.iter().filter(|outcome| outcome.end.is_ok()).count()
}

fn overload(status: &Status) -> v1::Overload {
    let value = status.metadata().get_bin(proto::OVERLOAD).expect("it says what it offers");
    v1::Overload::decode(value.to_bytes().unwrap()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn four_times_too_many_leave_what_is_answered_as_it_was() {
    let road = Road::lay(plan()).await;
    let usual = offer(&road, (CAPACITY * 0.9, 20.0), |_| v1::Priority::Normal).await;
    assert_eq!(answered(&usual), usual.len(), "what it can answer it does");
    let began = Instant::now();
    let many = offer(&road, (CAPACITY * 4.0, 20.0), |_| v1::Priority::Normal).await;
    let until = began + Duration::from_secs(20);
    let in_time = many.iter().filter(|outcome| outcome.end.is_ok() && outcome.ended <= until).count();
    // The first second of the twenty goes by until the first answer ends.
    let goodput = in_time as f64 / 19.0 / CAPACITY;
    assert!(goodput >= 0.9, "{goodput}");
    let waits: Vec<_> = many.iter().filter_map(|one| Some(one.began? - one.asked)).collect();
    assert!(waits.iter().all(|wait| *wait < Duration::from_secs(4)), "{:?}", waits.iter().max());
    for outcome in &many {
        let Err(status) = &outcome.end else { continue };
        assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
        let overload = overload(status);
        let ms = status.metadata().get("grpc-retry-pushback-ms").unwrap().to_str().unwrap();
        assert_eq!(ms, overload.pushback_ms.to_string());
        assert!((100..=4000).contains(&overload.pushback_ms), "{overload:?}");
        assert!(!overload.answer_locally, "no agent sent it");
    }
    // Those who were sent away were so at once, or had to go for others.
    let at_once = many.iter().filter(|one| one.end.is_err() && one.ended == one.asked).count();
    assert!(at_once * 10 > (many.len() - answered(&many)) * 9, "{at_once}");
}

#[tokio::test(start_paused = true)]
async fn goodput_holds_at_four_and_ten_times_what_can_be_carried() {
    let mut peak = (0.0, Duration::ZERO);
    for times in [0.25, 0.5, 0.75, 1.0, 1.25, 1.5] {
        let found = goodput(times).await;
        peak = if found.0 > peak.0 { found } else { peak };
    }
    let (four, ten) = (goodput(4.0).await, goodput(10.0).await);
    let [at_four, at_ten] = [four.0, ten.0].map(|goodput| 100.0 * goodput / peak.0);
    let pass = at_four >= 90.0 && at_ten >= 80.0 && four.1 <= peak.1 * 2;
    score!(
        "A1",
        pass,
        "{at_four:.0} % of the peak at 4 times, {at_ten:.0} % at 10 times; first token p99 {:.2?}, at the peak {:.2?}",
        four.1,
        peak.1
    );
    assert!(peak.0 >= 0.95 && pass, "{peak:?}, {four:?}, {ten:?}");
}

#[tokio::test(start_paused = true)]
async fn when_there_is_too_much_nobody_interactive_goes_without() {
    let road = Road::lay(plan()).await;
    let mix = |number: u32| match number % 5 {
        0 => v1::Priority::Interactive,
        _ => v1::Priority::Background,
    };
    let all = offer(&road, (CAPACITY * 4.0, 20.0), mix).await;
    let (interactive, background): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|one| one.priority == v1::Priority::Interactive);
    let share = |of: &[Outcome]| answered(of) as f64 / of.len() as f64;
    let [first, last] = [share(&interactive), share(&background)];
    score!(
        "A3",
        first >= 0.99 && last < first,
        "{:.1} % of the interactive answered, {:.1} % of the others",
        100.0 * first,
        100.0 * last
    );
    assert!(first >= 0.99, "{first} of the interactive");
    assert!(answered(&background) > 0, "and what is left is for the others");
}

#[tokio::test(start_paused = true)]
async fn two_seconds_after_the_burst_nobody_waits() {
    let road = Road::lay(plan()).await;
    let p99 = |of: &[Outcome]| {
        assert_eq!(answered(of), of.len());
        quantile(of.iter().map(|one| one.ended - one.asked).collect(), 0.99)
    };
    offer(&road, (CAPACITY * 0.5, 5.0), |_| v1::Priority::Normal).await;
    let before = p99(&offer(&road, (CAPACITY * 0.5, 20.0), |_| v1::Priority::Normal).await);
    let burst = offer(&road, (CAPACITY * 4.0, 10.0), |number| match number % 3 {
        0 => v1::Priority::Interactive,
        1 => v1::Priority::Normal,
        _ => v1::Priority::Background,
    });
    let burst = burst.await;
    let last = burst.iter().map(|one| one.asked).max().unwrap();
    let settled = burst.iter().map(|one| one.began.unwrap_or(one.ended)).max().unwrap();
    let emptied = settled.saturating_duration_since(last);
    let later = ask(road.client.clone(), request(1, v1::Priority::Background)).await;
    tokio::time::sleep_until(last + Duration::from_secs(5)).await;
    let after = p99(&offer(&road, (CAPACITY * 0.5, 20.0), |_| v1::Priority::Normal).await);
    let pass = emptied <= Duration::from_secs(2) && after <= before.mul_f64(1.2);
    score!(
        "A4",
        pass,
        "queue empty after {emptied:.1?}; p99 {before:.2?} before, {after:.2?} from 5 s after on"
    );
    assert!(emptied <= Duration::from_secs(2), "{emptied:?}");
    assert!(later.began.unwrap() - later.asked < Duration::from_millis(200));
    assert!(after <= before.mul_f64(1.2), "{before:?} before, {after:?} after");
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_while_waiting_leaves_no_trace() {
    let mut road = Road::lay(plan()).await;
    road.workers[0].state.set_script(vec![
        Step::Slot,
        Step::Started,
        Step::Delta("on and on", &[1]),
        Step::Hang,
    ]);
    let mut held = Vec::new();
    for number in 0..8 {
        let stream = road.client.generate(request(number, v1::Priority::Normal)).await.unwrap();
        held.push(stream.into_inner());
    }
    let waits = async |road: &Road, number| {
        let mut client = road.client.clone();
        let wait = client.generate(request(number, v1::Priority::Normal));
        assert!(timeout(Duration::from_millis(500), wait).await.is_err(), "there is no room");
    };
    waits(&road, 8).await;
    waits(&road, 9).await;
    sleep(Duration::from_millis(100)).await;
    assert_eq!(road.workers[0].state.seen().len(), 8, "what waits is at the router");
    road.workers[0].state.set_script(answer());
    held.pop();
    let outcome = ask(road.client.clone(), request(10, v1::Priority::Normal)).await;
    assert!(outcome.end.is_ok() && outcome.began.unwrap() - outcome.asked < Duration::from_millis(200));
}

#[tokio::test(start_paused = true)]
async fn what_comes_too_late_only_because_all_is_full_may_come_again() {
    let road = Road::lay(plan()).await;
    let mut asked = JoinSet::new();
    // Nothing is known of the worker yet, so that it is taken to be slow.
    for number in 0..64 {
        asked.spawn(ask(road.client.clone(), request(number, v1::Priority::Normal)));
    }
    let all = asked.join_all().await;
    let refused: Vec<&Status> = all.iter().filter_map(|outcome| outcome.end.as_ref().err()).collect();
    assert!(!refused.is_empty());
    for status in refused {
        assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
        assert!(["full", "deadline"].contains(&overload(status).reason.as_str()), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn agents_are_offered_to_answer_themselves_and_others_another_tier() {
    let mut plan = plan();
    plan.push(("quick/b", Some(report("large", 10_000.0, 0.001)), crate::worker::short_answer()));
    let mut road = Road::lay(plan).await;
    let only =
        |number| v1::GenerateRequest { only_place: "slow".into(), ..request(number, v1::Priority::Normal) };
    // First it has to be known.
    for number in 0..8 {
        assert!(road.ask(only(number)).await.is_ok());
    }
    let mut asked = JoinSet::new();
    for number in 10..74 {
        asked.spawn(ask(road.client.clone(), only(number)));
    }
    sleep(Duration::from_millis(100)).await;
    let agents = v1::Decision { hop: "edge-agent".into(), ..v1::Decision::default() };
    let status = road.refused(v1::GenerateRequest { decisions: vec![agents], ..only(100) }).await;
    let overload = overload(&status);
    assert_eq!((overload.answer_locally, overload.tiers), (true, vec!["quick".to_owned()]), "{status}");
    let other = road.ask(request(101, v1::Priority::Normal)).await.unwrap();
    assert_eq!(other.place(), "quick/b", "who names no tier is answered where there is room");
    asked.join_all().await;
}

#[tokio::test(start_paused = true)]
async fn agents_are_asked_for_quiet_when_not_even_the_most_urgent_may_wait() {
    let road = Road::lay(plan()).await;
    let outlook = async || {
        let mut client = ProspectClient::new(road.channel.clone());
        let watch = v1::WatchOutlookRequest { interval_ms: 500 };
        client.watch_outlook(watch).await.unwrap().into_inner().message().await.unwrap().unwrap()
    };
    offer(&road, (CAPACITY * 0.5, 4.0), |_| v1::Priority::Normal).await;
    let before = outlook().await;
    let mut asked = JoinSet::new();
    let mut fill = |priority, numbers: std::ops::Range<u32>| {
        for number in numbers {
            asked.spawn(ask(road.client.clone(), request(number, priority)));
        }
    };
    fill(v1::Priority::Normal, 0..64);
    sleep(Duration::from_millis(50)).await;
    let busy = outlook().await;
    assert_eq!((before.pushback_ms, busy.pushback_ms), (0, 0), "what is urgent may still come");
    let wait = busy.tiers[0].queue_seconds - before.tiers[0].queue_seconds;
    assert!((0.5..4.0).contains(&wait), "what waits is told: {wait}");
    fill(v1::Priority::Interactive, 100..164);
    sleep(Duration::from_millis(50)).await;
    let full = outlook().await;
    assert!((100..5000).contains(&full.pushback_ms), "{}", full.pushback_ms);
    asked.join_all().await;
    assert_eq!(outlook().await.pushback_ms, 0);
}

#[tokio::test(start_paused = true)]
async fn when_the_last_worker_is_lost_nobody_waits_for_it() {
    let mut road = Road::lay(plan()).await;
    road.workers[0].state.set_script(vec![Step::Slot, Step::Hang]);
    let mut asked = JoinSet::new();
    for number in 0..20 {
        asked.spawn(ask(road.client.clone(), request(number, v1::Priority::Normal)));
    }
    sleep(Duration::from_millis(500)).await;
    let lost = Instant::now();
    road.workers[0].kill().await;
    for outcome in asked.join_all().await {
        assert!(outcome.end.is_err() && outcome.ended < lost + Duration::from_millis(300));
    }
}
