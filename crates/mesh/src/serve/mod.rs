//! Accepts connections, serves HTTP/2 on them, and stops within a bounded time.

mod options;
mod counters;
mod writes;
mod preface;
mod authority;
mod guard;
mod bridge;
mod call;
mod connection;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::codegen::StdError;
use tower::Service;

pub(crate) use self::call::{Aside, go_on_beside};
use self::connection::Shared;
pub use self::counters::{Counters, Fault, Served};
pub use self::options::ServeOptions;
use crate::config::Invalid;
use crate::tls::Identity;
use crate::transport::{Address, BoxIo, Listener};

/// The first and the longest pause after an accept that failed for want of resources.
const ACCEPT_PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(200));

/// Serves one listener.
pub struct Server {
    options: ServeOptions,
    listener: Box<dyn Listener>,
    identity: Option<Identity>,
    counters: Counters,
}

/// Serving could not begin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Options that cannot work.
    #[error("the server's options cannot work: `{}` {}; {}", .0.key, .0.problem, .0.mend)]
    Options(Invalid),
}

// === impl Server ===

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("listener", &self.listener).finish_non_exhaustive()
    }
}

impl Server {
    /// A server on a bound listener; without an identity it speaks plaintext.
    #[must_use]
    pub fn new(options: ServeOptions, listener: Box<dyn Listener>, identity: Option<Identity>) -> Self {
        Server { options, listener, identity, counters: Counters::default() }
    }

    /// The address as bound.
    #[must_use]
    pub fn local_address(&self) -> Address {
        self.listener.local_address()
    }

    /// Live counts of this server's connections.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters.clone()
    }

    /// Serves until `shutdown` completes, then stops accepting, lets calls finish, and closes what is left at the
    /// drain deadline.
    ///
    /// No error of a connection, and no error of accepting, ends this: a process out of file descriptors serves
    /// those it has and accepts again when it can.
    ///
    /// # Errors
    /// Options that cannot work.
    pub async fn serve<S, B>(self, service: S, shutdown: impl Future<Output = ()>) -> Result<Served, Error>
    where
        S: Service<Request<tonic::body::Body>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send,
        B: Body<Data = Bytes, Error: Into<StdError>> + Send + 'static,
    {
        if let Some(invalid) = self.options.invalid("listen").into_iter().next() {
            return Err(Error::Options(invalid));
        }
        let tasks = TaskTracker::new();
        let (drain, force) = (CancellationToken::new(), CancellationToken::new());
        let drain_deadline = Duration::from_millis(self.options.drain_deadline_ms);
        let counters = self.counters.clone();
        let address = self.listener.local_address();
        let shared =
            Shared::new(&self.options, self.identity, counters.clone(), drain.clone(), force.clone());
        let shared = Arc::new(shared.at(&address));
        let places = Arc::new(Semaphore::new(self.options.connections_max));
        counters.publish(&address);
        let mut listener = self.listener;
        tokio::pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut shutdown => break,
                accepted = accept(listener.as_mut(), &places, &counters) => accepted,
            };
            let Some((io, place)) = accepted else { break };
            counters.accepted();
            let (shared, service) = (shared.clone(), service.clone());
            tasks.spawn(async move {
                shared.run(io, service).await;
                drop(place);
            });
        }
        drop(listener);
        tasks.close();
        drain.cancel();
        if timeout(drain_deadline, tasks.wait()).await.is_err() {
            force.cancel();
            tasks.wait().await;
        }
        Ok(counters.read())
    }
}

/// Waits for room and then for a connection, through every error of accepting.
///
/// Waiting for room first leaves further connections in the kernel's backlog, where they cost this process nothing.
async fn accept(
    listener: &mut dyn Listener,
    places: &Arc<Semaphore>,
    counters: &Counters,
) -> Option<(BoxIo, OwnedSemaphorePermit)> {
    let place = match places.clone().try_acquire_owned() {
        Ok(place) => place,
        Err(_) => {
            counters.fault(Fault::Full);
            tracing::warn!("there are serve.connections_max connections; further ones wait");
            places.clone().acquire_owned().await.ok()?
        }
    };
    let mut pause = ACCEPT_PAUSES.0;
    loop {
        match listener.accept().await {
            Ok(io) => return Some((io, place)),
            Err(error) if is_of_connection(&error) => {
                tracing::debug!(%error, "a connection ended before it began");
            }
            Err(error) => {
                counters.fault(Fault::AcceptFailed);
                tracing::warn!(%error, pause_ms = pause.as_millis(), "accepting a connection failed");
                // Nothing announces that a file descriptor became free, so this is a wait for time.
                sleep(pause).await;
                pause = (pause * 2).min(ACCEPT_PAUSES.1);
            }
        }
    }
}

/// Errors that the next connection does not share.
fn is_of_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
