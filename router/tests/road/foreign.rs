//! Workers of other makes: they tell their load by ORCA, or with their answers, or not at all.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt as _};
use parking_lot::Mutex;
use proto::orca::open_rca_service_server::{OpenRcaService, OpenRcaServiceServer};
use proto::orca::{self, OrcaLoadReport, OrcaLoadReportRequest};
use proto::v1;
use router::config::LoadSource;
use score::score;
use tokio::sync::watch;
use tokio::time::{interval, sleep};
use tokio_stream::wrappers::{IntervalStream, WatchStream};
use tonic::metadata::{Binary, MetadataValue};
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::road::{Answer, Planned, Road, memory, question, question_at};
use crate::worker::{Step, short_answer};

/// What a scripted worker tells by ORCA.
#[derive(Clone)]
pub(crate) struct Orca {
    /// At which interval; `None`: it does not know the call.
    report: watch::Sender<Option<(Duration, OrcaLoadReport)>>,
    trailer: Arc<Mutex<Option<OrcaLoadReport>>>,
    asked: Arc<Mutex<Vec<OrcaLoadReportRequest>>>,
    /// Of which service it says what; `None`: it has no health service.
    health: watch::Sender<Option<(&'static str, ServingStatus)>>,
}

// === impl Orca ===

impl Default for Orca {
    fn default() -> Self {
        Self {
            report: watch::Sender::new(None),
            trailer: Arc::default(),
            asked: Arc::default(),
            health: watch::Sender::new(None),
        }
    }
}

impl Orca {
    pub(crate) fn service(&self) -> OpenRcaServiceServer<Self> {
        OpenRcaServiceServer::new(self.clone())
    }

    pub(crate) fn health(&self) -> HealthServer<Self> {
        HealthServer::new(self.clone())
    }

    fn set_health(&self, service: &'static str, status: ServingStatus) {
        self.health.send_replace(Some((service, status)));
    }

    /// Edits the trailers of every answer.
    pub(crate) fn trailers(&self) -> impl Fn(&mut http::HeaderMap) + Clone + Send + Sync + 'static + use<> {
        let trailer = self.trailer.clone();
        move |trailers| {
            use prost::Message as _;
            let Some(report) = &*trailer.lock() else { return };
            let value = MetadataValue::<Binary>::from_bytes(&report.encode_to_vec());
            trailers.insert(orca::TRAILER, value.as_encoded_bytes().try_into().unwrap());
        }
    }

    pub(crate) fn set(&self, every: Duration, report: OrcaLoadReport) {
        self.report.send_replace(Some((every, report)));
    }

    pub(crate) fn set_trailer(&self, report: OrcaLoadReport) {
        *self.trailer.lock() = Some(report);
    }
}

#[tonic::async_trait]
impl OpenRcaService for Orca {
    type StreamCoreMetricsStream = BoxStream<'static, Result<OrcaLoadReport, Status>>;

    async fn stream_core_metrics(
        &self,
        request: Request<OrcaLoadReportRequest>,
    ) -> Result<Response<Self::StreamCoreMetricsStream>, Status> {
        self.asked.lock().push(request.into_inner());
        let unknown = || Status::unimplemented("no ORCA here");
        let (every, _) = self.report.borrow().clone().ok_or_else(unknown)?;
        let report = self.report.clone();
        let reports = IntervalStream::new(interval(every)).filter_map(move |_| {
            let report = report.borrow().clone();
            async move { report.map(|(_, report)| Ok(report)) }
        });
        Ok(Response::new(reports.boxed()))
    }
}

#[tonic::async_trait]
impl Health for Orca {
    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let known = *self.health.borrow();
        let (service, _) = known.ok_or_else(|| Status::unimplemented("no health here"))?;
        if service != request.into_inner().service {
            return Err(Status::not_found("no such service"));
        }
        let said = WatchStream::new(self.health.subscribe()).filter_map(|said| async move {
            said.map(|(_, status)| Ok(HealthCheckResponse { status: status.into() }))
        });
        Ok(Response::new(said.boxed()))
    }

    async fn check(&self, _: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        Err(Status::unimplemented("it is watched"))
    }
}

/// An idle worker's own words, by ORCA.
fn said(metrics: &[(orca::Metric, f64)]) -> OrcaLoadReport {
    let rates = [(orca::PREFILL_RATE, 1000.0), (orca::OUTPUT_TOKEN_SECONDS, 0.01)];
    let all = rates.iter().chain(metrics);
    let named_metrics = all.map(|(metric, value)| (metric.name.to_owned(), *value)).collect();
    OrcaLoadReport { named_metrics, ..Default::default() }
}

fn used(application_utilization: f64) -> OrcaLoadReport {
    OrcaLoadReport { application_utilization, ..Default::default() }
}

/// Two workers of one tier that know nothing of this project's reports.
async fn strangers(load: LoadSource) -> Road {
    let plan: Vec<Planned<'_>> = vec![("slow/a", None, short_answer()), ("slow/b", None, short_answer())];
    Road::lay_with(memory(), plan, |options| {
        options.fleet.workers.iter_mut().for_each(|worker| worker.load = load);
    })
    .await
}

/// What was not known of a place's load and speed.
fn unknown(answer: &Answer, place: &str) -> Vec<String> {
    let mut notes = answer.candidate(place).notes.clone();
    notes.retain(|note| note == "load_unknown" || note == "latency_unknown");
    notes
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_speaks_orca_only_is_weighed_by_it() {
    for load in [LoadSource::Causeway, LoadSource::Orca] {
        let mut road = strangers(load).await;
        let every = Duration::from_millis(200);
        road.workers[0].state.orca.set(every, said(&[(orca::RUNNING, 4.0), (orca::QUEUED_TOKENS, 5000.0)]));
        road.workers[1].state.orca.set(every, said(&[(orca::RUNNING, 0.0)]));
        sleep(Duration::from_secs(5)).await;
        let answer = road.ask(question()).await.unwrap();
        assert_eq!(answer.place(), "slow/b");
        let [busy, idle] = ["slow/a", "slow/b"].map(|place| answer.candidate(place).expected_seconds);
        // Five seconds of prompts lie before it.
        assert!(busy > idle + 4.0 && idle < 1.0, "{busy} {idle}");
        assert_eq!(unknown(&answer, "slow/b"), [""; 0]);
        let asked = road.workers[0].state.orca.asked.lock().pop().unwrap();
        assert_eq!(asked.report_interval, Some(prost_types::Duration { seconds: 0, nanos: 200_000_000 }));
    }
}

#[tokio::test(start_paused = true)]
async fn a_draining_worker_can_say_so_by_orca() {
    let mut road = strangers(LoadSource::Orca).await;
    let every = Duration::from_millis(200);
    road.workers[0].state.orca.set(every, said(&[(orca::RUNNING, 0.0), (orca::DRAINING, 1.0)]));
    road.workers[1].state.orca.set(every, said(&[(orca::RUNNING, 7.0)]));
    sleep(Duration::from_secs(5)).await;
    let answer = road.ask(question()).await.unwrap();
    assert_eq!(answer.place(), "slow/b");
    assert_eq!(answer.candidate("slow/a").removal.as_ref().unwrap().code, "unhealthy");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_tells_only_what_is_in_use_costs_more_than_an_idle_one_and_less_than_a_full_one() {
    let mut plan: Vec<Planned<'_>> = crate::road::both();
    plan.truncate(1);
    plan.push(("slow/calm", None, short_answer()));
    plan.push(("slow/full", None, short_answer()));
    let mut road = Road::lay(plan).await;
    road.workers[1].state.orca.set(Duration::from_secs(1), used(0.3));
    road.workers[2].state.orca.set(Duration::from_secs(1), used(0.97));
    sleep(Duration::from_secs(5)).await;
    let answer = road.ask(question()).await.unwrap();
    let cost = |place| answer.candidate(place).expected_seconds;
    // Nothing is known of how fast they are: they are taken to be slower than the one that is known.
    assert!(cost("slow/a") * 1.5 < cost("slow/calm"), "{} {}", cost("slow/a"), cost("slow/calm"));
    assert!(cost("slow/calm") * 1.2 < cost("slow/full"), "{} {}", cost("slow/calm"), cost("slow/full"));
    assert_eq!(answer.place(), "slow/a");
}

#[tokio::test(start_paused = true)]
async fn reports_are_as_old_as_the_interval_that_a_worker_grants_lets_them_be() {
    let mut road = strangers(LoadSource::Orca).await;
    for worker in &road.workers {
        worker.state.orca.set(Duration::from_secs(20), said(&[(orca::RUNNING, 1.0)]));
    }
    // Three reports: the router knows what it is granted.
    sleep(Duration::from_secs(50)).await;
    sleep(Duration::from_secs(18)).await;
    let answer = road.ask(question()).await.unwrap();
    for place in ["slow/a", "slow/b"] {
        assert_eq!(unknown(&answer, place), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_in_trailers_is_heeded_where_nothing_else_comes() {
    let mut road = strangers(LoadSource::Causeway).await;
    for (index, queued) in [30_000.0, 0.0].into_iter().enumerate() {
        let report = said(&[(orca::RUNNING, 1.0), (orca::QUEUED_TOKENS, queued)]);
        road.workers[index].state.orca.set_trailer(report);
    }
    // Nothing is known of either: both are tried.
    for _ in 0..20 {
        road.ask(question()).await.unwrap();
    }
    let answer = road.ask(question()).await.unwrap();
    assert_eq!(answer.place(), "slow/b");
    let [busy, idle] = ["slow/a", "slow/b"].map(|place| answer.candidate(place).expected_seconds);
    assert!(busy > idle + 10.0, "{busy} {idle}");
    assert_eq!(unknown(&answer, "slow/b"), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn lies_in_trailers_harm_nobody() {
    let mut road = strangers(LoadSource::Causeway).await;
    let wrong = [f64::NAN, -1.0, f64::INFINITY, 1e300];
    for value in wrong {
        let mut report = said(&[(orca::RUNNING, value), (orca::QUEUED_TOKENS, value)]);
        report.named_metrics.insert(orca::PREFILL_RATE.name.to_owned(), value);
        report.cpu_utilization = value;
        road.workers.iter().for_each(|worker| worker.state.orca.set_trailer(report.clone()));
        for _ in 0..4 {
            let answer = road.ask(question_at(v1::Priority::Background)).await.unwrap();
            for candidate in &answer.decision().candidates {
                assert!(candidate.expected_seconds.is_finite(), "{value}: {candidate:?}");
            }
        }
    }
    score!("D1", true, "{} lies in trailers harm nobody", wrong.len());
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_never_ends_its_stream_holds_its_caller_for_a_moment_only() {
    let mut road = strangers(LoadSource::Causeway).await;
    let endless = [short_answer(), vec![Step::Hang]].concat();
    road.workers.iter().for_each(|worker| worker.state.set_script(endless.clone()));
    let before = tokio::time::Instant::now();
    road.ask(question()).await.unwrap();
    assert!(before.elapsed() <= Duration::from_millis(150), "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_says_it_is_not_serving_is_sent_nothing_until_it_is() {
    for service in ["causeway.v1.Generation", ""] {
        let mut road = Road::lay(crate::road::both()).await;
        let worker = road.workers[0].state.clone();
        // It had no such service when it was asked first.
        worker.orca.set_health(service, ServingStatus::NotServing);
        sleep(Duration::from_secs(65)).await;
        let answer = road.ask(question()).await.unwrap();
        assert_eq!(answer.place(), "quick/b");
        let removal = answer.candidate("slow/a").removal.as_ref().unwrap();
        assert_eq!(
            (removal.code.as_str(), removal.text.as_str()),
            ("unhealthy", "it takes no work: it says that it is not serving")
        );
        // It stands beyond the end of a watch.
        sleep(Duration::from_secs(65)).await;
        assert_eq!(road.ask(question()).await.unwrap().place(), "quick/b");
        worker.orca.set_health(service, ServingStatus::Serving);
        sleep(Duration::from_millis(50)).await;
        assert_eq!(road.ask(question()).await.unwrap().place(), "slow/a");
        worker.orca.set_health(service, ServingStatus::Unknown);
        sleep(Duration::from_millis(50)).await;
        assert_eq!(road.ask(question()).await.unwrap().place(), "slow/a", "who does not know serves");
    }
}
