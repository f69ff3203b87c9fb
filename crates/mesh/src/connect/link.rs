//! The state of the connection to one peer: one attempt at a time, backoff after failures.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use hyper::client::conn::http2::SendRequest;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tonic::body::Body;
use tonic::{Code, Status};

use super::dial::{Connection, Dial};
use crate::status;
use crate::transport::Address;

/// How long a failed call waits for its connection to say why it ended. The connection's end is what failed the
/// call, so the wait is for work that is already under way.
const CAUSE_WAIT: Duration = Duration::from_millis(100);

/// How the connection of a channel stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectionState {
    /// No connection, and no reason against making one.
    Idle,
    /// An attempt is under way.
    Connecting,
    /// Connected.
    Ready,
    /// The last attempt failed; calls fail until the pause is over.
    Failed {
        /// Why, with all causes.
        error: String,
        /// When it failed.
        since: Instant,
    },
}

/// The link to one peer. Clones share it.
#[derive(Clone)]
pub(super) struct Link {
    shared: Arc<Shared>,
}

struct Shared {
    dial: Dial,
    state: Mutex<State>,
}

struct State {
    phase: Phase,
    /// Attempts that failed since the peer last answered a call.
    failures: u32,
    random: StdRng,
}

enum Phase {
    Idle,
    /// The receiver learns of the attempt's end by the sender's drop.
    Connecting(watch::Receiver<()>),
    Ready(Arc<Session>),
    Failed {
        error: Arc<str>,
        since: Instant,
        retry_at: Instant,
    },
}

enum Wait {
    Attempt(watch::Receiver<()>),
    End(Arc<Session>),
}

/// One connection, as its calls see it.
pub(super) struct Session {
    address: Address,
    sender: SendRequest<Body>,
    /// Whether the peer has ever answered on it. TLS 1.3 lets a client believe that it is connected before the
    /// server has judged its certificate, so only an answer proves a connection.
    proven: AtomicBool,
    end: watch::Receiver<Option<Arc<str>>>,
}

// === impl Link ===

impl Link {
    pub(super) fn new(dial: Dial) -> Self {
        let random = StdRng::seed_from_u64(dial.options.jitter_seed.unwrap_or_else(rand::random));
        let state = Mutex::new(State { phase: Phase::Idle, failures: 0, random });
        Link { shared: Arc::new(Shared { dial, state }) }
    }

    pub(super) fn address(&self) -> &Address {
        &self.shared.dial.address
    }

    pub(super) fn state(&self) -> ConnectionState {
        match &self.shared.state.lock().phase {
            Phase::Idle => ConnectionState::Idle,
            Phase::Connecting(_) => ConnectionState::Connecting,
            Phase::Ready(session) if session.sender.is_closed() => ConnectionState::Idle,
            Phase::Ready(_) => ConnectionState::Ready,
            Phase::Failed { error, since, .. } => {
                ConnectionState::Failed { error: error.to_string(), since: *since }
            }
        }
    }

    /// Until the next attempt; `None`: it may be made at once.
    pub(super) fn retry_in(&self) -> Option<Duration> {
        match &self.shared.state.lock().phase {
            Phase::Failed { retry_at, .. } => Some(retry_at.saturating_duration_since(Instant::now())),
            _ => None,
        }
    }

    /// The present connection, or a new one; at most one attempt is under way, and all callers wait for it.
    pub(super) async fn session(&self) -> Result<Arc<Session>, Status> {
        let mut waited = false;
        loop {
            let wait = match &mut *self.shared.state.lock() {
                State { phase: Phase::Ready(session), .. } if !session.sender.is_closed() => {
                    return Ok(session.clone());
                }
                State { phase: Phase::Connecting(attempt), .. } => Wait::Attempt(attempt.clone()),
                // Whoever waited for an attempt takes its outcome; whoever comes later starts the next when due.
                State { phase: Phase::Failed { error, retry_at, .. }, .. }
                    if waited || Instant::now() < *retry_at =>
                {
                    return Err(self.unreachable(error, *retry_at));
                }
                // A connection that never answered counts as a failed attempt; its cause is about to be known.
                State { phase: Phase::Ready(session), .. } if !waited && !session.is_proven() => {
                    Wait::End(session.clone())
                }
                state => Wait::Attempt(self.begin(state)),
            };
            waited = true;
            match wait {
                // The sender never sends: its drop is the event.
                Wait::Attempt(mut attempt) => drop(attempt.changed().await),
                Wait::End(session) => drop(session.ended().await),
            }
        }
    }

    fn unreachable(&self, error: &str, retry_at: Instant) -> Status {
        let pause = retry_at.saturating_duration_since(Instant::now());
        let address = self.address();
        Status::unavailable(format!(
            "{address} cannot be reached: {error}; next attempt in {} ms",
            pause.as_millis()
        ))
    }

    /// Begins an attempt in a task of its own, so that it outlives a caller who gives up.
    fn begin(&self, state: &mut State) -> watch::Receiver<()> {
        if matches!(&state.phase, Phase::Ready(session) if session.is_proven()) {
            state.failures = 0;
        }
        let (ended, attempt) = watch::channel(());
        state.phase = Phase::Connecting(attempt.clone());
        tokio::spawn(run(self.shared.clone(), ended));
        attempt
    }
}

/// Makes one attempt and, if it succeeds, drives the connection to its end.
async fn run(shared: Arc<Shared>, attempt: watch::Sender<()>) {
    let (sender, connection) = match shared.dial.connect().await {
        Ok(connected) => connected,
        Err(error) => return shared.failed(&mut shared.state.lock(), error.into()),
    };
    // From here on only calls keep the channel and the session alive, not their own connection.
    let (end, channel, session) = {
        let (end, session) = Session::new(&shared.dial.address, sender);
        let weak = Arc::downgrade(&session);
        shared.state.lock().phase = Phase::Ready(session);
        (end, Arc::downgrade(&shared), weak)
    };
    drop((shared, attempt));
    let error = outcome(connection).await;
    if let Some(shared) = channel.upgrade() {
        shared.ended(&session, error.clone());
    }
    end.send_replace(Some(error));
}

/// Drives a connection to its end and says how it ended.
async fn outcome(connection: Connection) -> Arc<str> {
    match connection.await {
        Ok(()) => "the peer closed the connection".into(),
        Err(error) => status::chain(&error).into(),
    }
}

// === impl Shared ===

impl Shared {
    /// A proven connection that ends leaves the way free; one that never answered counts as a failed attempt.
    fn ended(&self, session: &Weak<Session>, error: Arc<str>) {
        let state = &mut *self.state.lock();
        let Phase::Ready(current) = &state.phase else { return };
        // A successor may have taken its place already.
        if !std::ptr::eq(Arc::as_ptr(current), session.as_ptr()) {
            return;
        }
        if current.is_proven() {
            state.failures = 0;
            state.phase = Phase::Idle;
        } else {
            self.failed(state, error);
        }
    }

    fn failed(&self, state: &mut State, error: Arc<str>) {
        state.failures = state.failures.saturating_add(1);
        let options = &self.dial.options;
        let doubled = options.reconnect_min_ms.saturating_mul(1 << (state.failures - 1).min(16));
        let pause_ms = doubled.min(options.reconnect_max_ms) as f64 * state.random.random_range(0.8..1.2);
        let since = Instant::now();
        let retry_at = since + Duration::from_secs_f64(pause_ms / 1000.0);
        tracing::debug!(address = %self.dial.address, %error, pause_ms, "connecting failed");
        state.phase = Phase::Failed { error, since, retry_at };
    }
}

// === impl Session ===

impl Session {
    fn new(address: &Address, sender: SendRequest<Body>) -> (watch::Sender<Option<Arc<str>>>, Arc<Self>) {
        let (sent, end) = watch::channel(None);
        let proven = AtomicBool::new(false);
        (sent, Arc::new(Session { address: address.clone(), sender, proven, end }))
    }

    pub(super) fn sender(&self) -> SendRequest<Body> {
        self.sender.clone()
    }

    /// Notes that the peer has answered.
    pub(super) fn prove(&self) {
        self.proven.store(true, Ordering::Relaxed);
    }

    fn is_proven(&self) -> bool {
        self.proven.load(Ordering::Relaxed)
    }

    /// Waits a little for the connection's end, and gives its cause.
    pub(super) async fn ended(&self) -> Option<Arc<str>> {
        let mut end = self.end.clone();
        let cause = timeout(CAUSE_WAIT, end.wait_for(Option::is_some)).await.ok()?.ok()?;
        cause.clone()
    }

    /// The status of a call that this connection failed.
    pub(super) async fn status_of(&self, error: &hyper::Error) -> Status {
        let status = status::of_hyper(error);
        if status.code() != Code::Unavailable {
            return self.say(&status);
        }
        match self.ended().await {
            Some(cause) => Status::unavailable(format!("the connection to {} ended: {cause}", self.address)),
            None => self.say(&status),
        }
    }

    /// A status with the peer's address in its message.
    pub(super) fn say(&self, status: &Status) -> Status {
        Status::new(status.code(), format!("the call to {} failed: {}", self.address, status.message()))
    }
}
