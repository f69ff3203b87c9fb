//! What is asked of the API server, and how its answers are read.

use std::collections::VecDeque;
use std::time::Duration;

use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use mesh::connect::{Channel, ConnectOptions};
use mesh::process::Rim;
use mesh::tls::Trust;
use tokio::time::{Instant, timeout, timeout_at};
use tonic::Status;
use tonic::body::Body;
use tower::Service as _;

use super::slices::{GONE, List};
use crate::config::KubernetesOptions;

/// An answer that takes longer to begin, or a list that takes longer to end, is none.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// The server ends a watch after so long, so that one that is silent is known to be alive.
const WATCH: Duration = Duration::from_secs(240);
/// Slices in a page of a list.
const PAGE: usize = 100;
/// Bytes of such a page, and of one slice: a thousand endpoints take less than half of the latter.
const PAGE_BYTES_MAX: usize = 64 << 20;
const LINE_BYTES_MAX: usize = 2 << 20;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Problem {
    /// The version that was asked for is forgotten.
    Forgotten,
    /// Anything else.
    Failed(String),
}

/// A way to the server.
pub(super) struct Api<'a> {
    options: &'a KubernetesOptions,
    channel: Channel,
}

/// The lines of a watch.
pub(super) struct Lines {
    body: Body,
    ends_at: Instant,
    /// Read, and not a whole line yet.
    part: Vec<u8>,
    whole: VecDeque<Vec<u8>>,
}

// === impl Api ===

impl<'a> Api<'a> {
    /// Prepares it, with the authority as it stands in its file now.
    pub(super) async fn open(options: &'a KubernetesOptions, rim: &Rim) -> Result<Self, String> {
        let trust = if options.plaintext {
            None
        } else {
            let (path, shown) = (options.authority.clone(), options.authority.display());
            let pem = tokio::fs::read(path).await.map_err(|error| format!("{shown}: {error}"))?;
            Some(Trust::from_pem(&shown.to_string(), &pem).map_err(|error| error.to_string())?)
        };
        let mut connect = ConnectOptions { jitter_seed: Some(rim.seed), ..ConnectOptions::default() };
        connect.server_name = Some(options.api_server_name.clone());
        let channel = Channel::trusting(options.api.clone(), rim.transport.clone(), trust, connect);
        Ok(Self { options, channel })
    }

    /// The slices of the service, from where an earlier page ended.
    pub(super) async fn list(&self, rest: &str) -> Result<List, Problem> {
        let mut query = format!("limit={PAGE}");
        if !rest.is_empty() {
            query.push_str("&continue=");
            query.push_str(&escaped(rest));
        }
        let reading = async {
            let answer = self.get(&query).await?;
            let body = Limited::new(answer.into_body(), PAGE_BYTES_MAX).collect().await;
            let body = body.map_err(|error| Problem::Failed(format!("the list broke off: {error}")))?;
            serde_json::from_slice(&body.to_bytes())
                .map_err(|error| Problem::Failed(format!("the list cannot be read: {error}")))
        };
        in_time(reading).await
    }

    /// What happens from a version on.
    pub(super) async fn watch(&self, version: &str) -> Result<Lines, Problem> {
        let version = escaped(version);
        let seconds = WATCH.as_secs();
        let query =
            format!("watch=true&allowWatchBookmarks=true&resourceVersion={version}&timeoutSeconds={seconds}");
        let answer = in_time(self.get(&query)).await?;
        let ends_at = Instant::now() + WATCH + ANSWER_MAX;
        Ok(Lines { body: answer.into_body(), ends_at, part: Vec::new(), whole: VecDeque::new() })
    }

    async fn get(&self, query: &str) -> Result<Response<Body>, Problem> {
        let failed = |problem: &str| Problem::Failed(problem.to_owned());
        let KubernetesOptions { namespace, service, .. } = self.options;
        let path = format!(
            "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices\
             ?labelSelector=kubernetes.io%2Fservice-name%3D{service}&{query}"
        );
        let mut request = Request::get(path).header(header::ACCEPT, "application/json");
        // It is exchanged every hour or so, and never shown in the clear.
        if !self.options.plaintext {
            let token = &self.options.token;
            let shown = token.display();
            let read = tokio::fs::read_to_string(token).await;
            let token = read.map_err(|error| Problem::Failed(format!("{shown}: {error}")))?;
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.trim()));
        }
        let request = request.body(Body::empty()).map_err(|error| failed(&error.to_string()))?;
        let answer = self.channel.clone().call(request).await;
        let answer = answer.map_err(|status: Status| failed(status.message()))?;
        match answer.status() {
            StatusCode::OK => Ok(answer),
            status if status.as_u16() == GONE => Err(Problem::Forgotten),
            status => Err(Problem::Failed(format!("the API server answers with {status}"))),
        }
    }
}

async fn in_time<T>(reading: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    let late = |_| Err(Problem::Failed("there was no answer in time".to_owned()));
    timeout(ANSWER_MAX, reading).await.unwrap_or_else(late)
}

/// What the server gave is opaque, and may hold anything.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

// === impl Lines ===

impl Lines {
    /// The next line; `None`: the server has ended the watch.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, Problem> {
        let failed = |problem: String| Problem::Failed(problem);
        loop {
            if let Some(line) = self.whole.pop_front() {
                return Ok(Some(line));
            }
            let frame = timeout_at(self.ends_at, self.body.frame()).await;
            let frame = frame.map_err(|_| failed("the watch did not end when it should".to_owned()))?;
            let Some(frame) = frame else { return Ok(None) };
            let frame = frame.map_err(|error| failed(format!("the watch broke off: {error}")))?;
            let Some(bytes) = frame.data_ref() else { continue };
            self.take(bytes).map_err(failed)?;
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), String> {
        let mut lines = bytes.split(|byte| *byte == b'\n');
        let first = lines.next().unwrap_or_default();
        self.part.extend_from_slice(first);
        for next in lines {
            let whole = std::mem::replace(&mut self.part, next.to_vec());
            if !whole.is_empty() {
                self.whole.push_back(whole);
            }
        }
        if self.part.len() > LINE_BYTES_MAX {
            return Err(format!("a line of the watch is longer than {LINE_BYTES_MAX} bytes"));
        }
        Ok(())
    }
}
