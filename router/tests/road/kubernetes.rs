//! Workers behind a Kubernetes service, by a double of the API server that lists, watches, marks, forgets and breaks off.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{Full, StreamBody};
use mesh::process::Rim;
use mesh::serve::{ServeOptions, Server};
use parking_lot::Mutex;
use router::Options;
use score::score;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::body::Body;
use tower::service_fn;

use crate::road::{Planned, Road, memory, question};
use crate::worker::{report, short_answer};

const ADDRESS: &str = "127.0.0.1:8001";
const PATH: &str = "/apis/discovery.k8s.io/v1/namespaces/models/endpointslices";

/// What the double holds and was asked.
#[derive(Clone, Default)]
struct Cluster(Arc<Mutex<Held>>);

#[derive(Default)]
struct Held {
    version: u64,
    slices: BTreeMap<String, Value>,
    watches: Vec<mpsc::Sender<String>>,
    asked: Vec<String>,
    /// Versions before this one are forgotten.
    oldest: u64,
    /// Slices in a page.
    page: usize,
}

/// A running double; it breaks off every connection when dropped.
struct Running {
    _stop: oneshot::Sender<()>,
}

// === impl Cluster ===

impl Cluster {
    async fn run(&self, rim: &Rim) -> Running {
        let listener = rim.bind(&ADDRESS.parse().unwrap()).await.unwrap();
        let options = ServeOptions { drain_deadline_ms: 0, ..Default::default() };
        let server = Server::new(options, listener, None);
        let (stop, stopped) = oneshot::channel::<()>();
        let cluster = self.clone();
        let service = service_fn(move |request: Request<Body>| {
            let answer = cluster.answer(&request);
            async move { Ok::<_, Infallible>(answer) }
        });
        tokio::spawn(async move { server.serve(service, async { drop(stopped.await) }).await.unwrap() });
        Running { _stop: stop }
    }

    fn answer(&self, request: &Request<Body>) -> Response<Body> {
        let query = request.uri().query().unwrap_or_default().to_owned();
        assert_eq!(request.uri().path(), PATH);
        assert!(query.starts_with("labelSelector=kubernetes.io%2Fservice-name%3Dworkers&"), "{query}");
        let held = &mut *self.0.lock();
        held.asked.push(query.clone());
        let value = |key: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(name, _)| *name == key).map(|(_, value)| value.to_owned())
        };
        if value("watch").is_some() {
            let from: u64 = value("resourceVersion").unwrap().parse().unwrap();
            if from < held.oldest {
                let mut gone = Response::new(Body::empty());
                *gone.status_mut() = StatusCode::GONE;
                return gone;
            }
            let (lines, receiver) = mpsc::channel(64);
            held.watches.push(lines);
            // In two pieces: lines do not come as frames do.
            let pieces = ReceiverStream::new(receiver).flat_map(|line: String| {
                let (first, second) = line.split_at(line.len() / 2);
                let pieces = [first, second].map(|piece| Bytes::from(piece.to_owned()));
                futures_util::stream::iter(pieces.map(|piece| Ok::<_, Status>(Frame::data(piece))))
            });
            return Response::new(Body::new(StreamBody::new(pieces)));
        }
        let from: usize = value("continue").map_or(0, |at| at.parse().unwrap());
        let items: Vec<_> = held.slices.values().skip(from).take(held.page.max(1)).collect();
        let next = from + items.len();
        let rest = if next < held.slices.len() { next.to_string() } else { String::new() };
        let meta = json!({ "resourceVersion": held.version.to_string(), "continue": rest });
        let list = json!({ "kind": "EndpointSliceList", "metadata": meta, "items": items });
        Response::new(Body::new(Full::new(Bytes::from(list.to_string()))))
    }

    /// A slice with one pod, `index`, in this condition.
    fn set(&self, index: usize, terminating: bool) {
        let held = &mut *self.0.lock();
        held.version += 1;
        let name = format!("workers-{index}");
        let kind = if held.slices.contains_key(&name) { "MODIFIED" } else { "ADDED" };
        let slice = json!({
            "metadata": { "name": name, "resourceVersion": held.version.to_string() },
            "addressType": "IPv4",
            "endpoints": [{
                "addresses": ["127.0.0.1"],
                "conditions": { "ready": !terminating, "serving": true, "terminating": terminating },
                "targetRef": { "kind": "Pod", "name": format!("pod-{index}") },
            }],
            "ports": [{ "name": "grpc", "port": 6000 + index }],
        });
        held.slices.insert(name, slice.clone());
        held.tell(kind, &slice);
    }

    fn remove(&self, index: usize) {
        let held = &mut *self.0.lock();
        held.version += 1;
        let mut slice = held.slices.remove(&format!("workers-{index}")).unwrap();
        slice["metadata"]["resourceVersion"] = held.version.to_string().into();
        held.tell("DELETED", &slice);
    }

    fn bookmark(&self) {
        let held = &mut *self.0.lock();
        held.version += 100;
        let mark = json!({ "metadata": { "resourceVersion": held.version.to_string() } });
        held.tell("BOOKMARK", &mark);
    }

    /// Ends every watch as the server does from time to time.
    fn end_watches(&self) {
        self.0.lock().watches.clear();
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().asked)
    }
}

// === impl Held ===

impl Held {
    fn tell(&self, kind: &str, object: &Value) {
        let line = format!("{}\n", json!({ "type": kind, "object": object }));
        for watch in &self.watches {
            drop(watch.try_send(line.clone()));
        }
    }
}

fn by_service(options: &mut Options) {
    let service = json!({
        "service": "workers",
        "namespace": "models",
        "tier": "slow",
        "port": "grpc",
        "api": ADDRESS,
        "plaintext": true,
    });
    options.fleet.workers.clear();
    options.fleet.kubernetes = vec![serde_json::from_value(service).unwrap()];
}

async fn road(cluster: &Cluster, workers: usize, found: usize) -> (Road, Running) {
    let rim = memory();
    (0..found).for_each(|index| cluster.set(index, false));
    let running = cluster.run(&rim).await;
    let said = |index| (index < found).then(|| report("small", 1000.0, 0.01));
    let plan: Vec<Planned<'_>> =
        (0..workers).map(|index| ("slow/any", said(index), short_answer())).collect();
    let road = Road::lay_with(rim, plan, by_service).await;
    for worker in &road.workers {
        worker.state.set_report(report("small", 1000.0, 0.01));
    }
    (road, running)
}

async fn places(road: &mut Road) -> Vec<String> {
    sleep(Duration::from_millis(20)).await;
    let described = road.client.describe(proto::v1::DescribeRequest {}).await.unwrap().into_inner();
    described.places.into_iter().map(|place| place.place).collect()
}

#[tokio::test(start_paused = true)]
async fn pods_join_drain_and_leave_as_they_are_watched() {
    let cluster = Cluster::default();
    let (mut road, _running) = road(&cluster, 3, 2).await;
    assert_eq!(places(&mut road).await, ["slow/pod-0", "slow/pod-1"], "two pages of one slice");
    cluster.set(2, false);
    assert_eq!(places(&mut road).await, ["slow/pod-0", "slow/pod-1", "slow/pod-2"]);
    cluster.set(0, true);
    cluster.set(1, true);
    sleep(Duration::from_millis(300)).await;
    for _ in 0..5 {
        let answer = road.ask(question()).await.unwrap();
        assert_eq!(answer.place(), "slow/pod-2");
        let removal = answer.candidate("slow/pod-0").removal.as_ref().unwrap();
        assert_eq!(removal.text, "it takes no work: it is being taken out of service");
    }
    cluster.remove(0);
    assert_eq!(places(&mut road).await, ["slow/pod-1", "slow/pod-2"]);
    // One that was not ready for a while is the same worker as before.
    cluster.set(1, false);
    sleep(Duration::from_millis(20)).await;
    assert!(road.ask(question()).await.unwrap().candidate("slow/pod-1").removal.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_goes_on_from_the_last_mark() {
    let cluster = Cluster::default();
    let (mut road, _running) = road(&cluster, 2, 1).await;
    cluster.bookmark();
    sleep(Duration::from_millis(20)).await;
    cluster.asked();
    cluster.end_watches();
    sleep(Duration::from_secs(2)).await;
    let asked = cluster.asked();
    let [again] = &asked[..] else { panic!("{asked:?}") };
    assert!(again.contains("watch=true") && again.contains("resourceVersion=101&"), "{again}");
    cluster.set(1, false);
    assert_eq!(places(&mut road).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_forgotten_is_listed_anew() {
    let cluster = Cluster::default();
    let (mut road, _running) = road(&cluster, 3, 2).await;
    // What happens meanwhile is in no watch.
    cluster.end_watches();
    cluster.remove(0);
    cluster.set(2, false);
    cluster.0.lock().oldest = 4;
    cluster.asked();
    sleep(Duration::from_secs(2)).await;
    assert_eq!(places(&mut road).await, ["slow/pod-1", "slow/pod-2"]);
    let asked = cluster.asked();
    assert!(asked[0].contains("resourceVersion=2&"), "{asked:?}");
    assert!(asked[1].contains("limit="), "{asked:?}");
    let [source] = (road.discovered)().try_into().unwrap();
    assert_eq!(source.failures, 0, "which is no failure");
    // The same, said within a watch.
    cluster.0.lock().tell("ERROR", &json!({ "code": 410, "message": "too old resource version" }));
    sleep(Duration::from_secs(2)).await;
    assert!(cluster.asked()[0].contains("limit="));
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_away_fails_no_request() {
    let cluster = Cluster::default();
    let (mut road, running) = road(&cluster, 2, 1).await;
    drop(running);
    cluster.end_watches();
    let mut failed = 0;
    for _ in 0..20 {
        failed += usize::from(road.ask(question()).await.is_err());
        sleep(Duration::from_secs(30)).await;
    }
    let [source] = (road.discovered)().try_into().unwrap();
    score!("B10", failed == 0, "by slices: {failed} of 20 failed, an age of {:.0?}", source.age.unwrap());
    assert_eq!(failed, 0);
    assert_eq!((source.source.as_str(), source.members), ("kubernetes models/workers", 1));
    assert!(source.age.unwrap() > Duration::from_secs(590), "{source:?}");
    assert!((20..200).contains(&source.failures), "{source:?}");
    cluster.asked();
    let _running = cluster.run(&road.rim).await;
    sleep(Duration::from_secs(40)).await;
    assert!(cluster.asked()[0].contains("resourceVersion=1&"), "what is known needs no list");
    cluster.set(1, false);
    assert_eq!(places(&mut road).await, ["slow/pod-0", "slow/pod-1"]);
    let [source] = (road.discovered)().try_into().unwrap();
    assert!(source.age.unwrap() < Duration::from_secs(1), "{source:?}");
}
