//! Workers that all fail: how often one is ejected and comes back.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use proto::v1;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use score::score;
use tokio::time::{Instant, sleep};
use tonic::Code;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::road::{Planned, Road, question};
use crate::worker::{Step, report, short_answer};

const PLACES: [&str; 3] = ["slow/a", "slow/b", "slow/c"];
const MINUTE: Duration = Duration::from_secs(60);

/// When operators were told that a worker serves again, by its place.
type Told = Arc<Mutex<BTreeMap<String, Vec<Instant>>>>;

/// Hears what this thread logs.
struct Ear(Told);

#[derive(Default)]
struct Words {
    message: String,
    place: String,
}

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            "place" => self.place = format!("{value:?}"),
            _ => {}
        }
    }
}

impl Subscriber for Ear {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
    }

    fn event(&self, event: &Event<'_>) {
        let mut words = Words::default();
        event.record(&mut words);
        if words.message == "a worker that was ejected serves again" {
            self.0.lock().entry(words.place).or_default().push(Instant::now());
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// How often one came back within a minute at most, of workers that are asked twice a second for three minutes and more and do this.
async fn back_in_a_minute(does: impl Fn(&mut StdRng) -> Vec<Step>) -> usize {
    let told = Told::default();
    let _heard = tracing::subscriber::set_default(Ear(told.clone()));
    let plan = |place| -> Planned<'static> { (place, Some(report("small", 1000.0, 0.05)), short_answer()) };
    let mut road = Road::lay(PLACES.map(plan).into()).await;
    let mut random = StdRng::seed_from_u64(5);
    for turn in 0..400 {
        for worker in &road.workers {
            worker.state.set_script(does(&mut random));
        }
        let request = v1::GenerateRequest { request_id: format!("question-{turn}"), ..question() };
        drop(road.ask(request).await);
        sleep(Duration::from_millis(500)).await;
    }
    let told = told.lock();
    let within = |times: &Vec<Instant>| {
        let from = |from: &Instant| times.iter().filter(|at| **at >= *from && **at < *from + MINUTE).count();
        times.iter().map(from).max().unwrap_or(0)
    };
    told.values().map(within).max().unwrap_or(0)
}

#[tokio::test(start_paused = true)]
async fn workers_that_fail_come_back_once_a_minute_at_most() {
    let fails = || vec![Step::Refuse(Code::Unavailable, "no", None)];
    let breaks = || vec![Step::Started, Step::Delta("It ", &[7]), Step::Fail(Code::Unavailable, "no")];
    let at_once = back_in_a_minute(|_| fails()).await;
    let in_the_midst = back_in_a_minute(|_| breaks()).await;
    let mostly =
        back_in_a_minute(|random| if random.random_bool(0.6) { fails() } else { short_answer() }).await;
    let most = at_once.max(in_the_midst).max(mostly);
    score!(
        "A9",
        most <= 1,
        "in a minute one comes back {at_once} times where all fail at once, {in_the_midst} where they do after their first token, {mostly} where six in ten do"
    );
    assert!(most <= 1, "{at_once}, {in_the_midst}, {mostly}");
}
