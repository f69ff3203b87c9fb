//! The layer that reads a call's token, before anything is decided of it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header};
use http_body_util::{Either, Empty};
use pin_project_lite::pin_project;
use tonic::Status;
use tower::{Layer, Service};

use super::check::Check;
use super::keys::Keys;
use super::refusal::{Counts, Refusal};
use super::{Error, TENANT, Token, TokenOptions};
use crate::admit::HEALTH_PREFIX;
use crate::tls::Peer;

/// How a token is brought, by RFC 6750; the name of a scheme is of any case.
const SCHEME: &str = "Bearer";

/// Reads the tokens of a service's calls into their [`Peer`].
#[derive(Debug, Clone, Default)]
pub struct TokenLayer {
    /// `None`: no token is looked at.
    believed: Option<Arc<Believed>>,
    counts: Arc<Counts>,
}

#[derive(Debug)]
struct Believed {
    check: Check,
    keys: Keys,
    required: bool,
    watching: tokio::task::AbortHandle,
}

/// See [`TokenLayer`].
#[derive(Debug, Clone)]
pub struct TokenService<S> {
    inner: S,
    layer: TokenLayer,
}

pin_project! {
    /// The answer of a [`TokenService`].
    #[derive(Debug)]
    pub struct TokenFuture<F> {
        #[pin]
        inner: Option<F>,
        // Taken by the first poll.
        refused: Option<Status>,
    }
}

// === impl TokenLayer ===

impl TokenLayer {
    /// Reads the keys, and keeps them as their file says for as long as the layer lives.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn load(options: &TokenOptions) -> Result<Self, Error> {
        let counts = Arc::<Counts>::default();
        let Some(file) = &options.jwks else { return Ok(Self { believed: None, counts }) };
        let keys = Keys::load(file, options.cache_max, counts.clone());
        let keys = keys.map_err(|problem| Error::of_keys(file, problem))?;
        counts.publish();
        let watching = tokio::spawn(keys.clone().watch()).abort_handle();
        let (check, required) = (Check::new(options), options.required);
        Ok(Self { believed: Some(Arc::new(Believed { check, keys, required, watching })), counts })
    }

    /// Calls that were refused for this.
    #[must_use]
    pub fn refused(&self, refusal: Refusal) -> u64 {
        self.counts.refused(refusal)
    }

    /// Puts what the token says into the call's [`Peer`], or says why it is not believed.
    fn read<Q>(&self, request: &mut Request<Q>) -> Result<(), Refusal> {
        if let Some(believed) = &self.believed {
            let token = believed.token(request.headers())?;
            // Nothing behind this has a use for it, and what is not there is not logged or sent on.
            request.headers_mut().remove(header::AUTHORIZATION);
            if let Some(token) = token {
                request.extensions_mut().get_or_insert_default::<Peer>().token = Some(token);
            }
        }
        let peer = request.extensions().get::<Peer>();
        let tenant = peer.and_then(Peer::tenant).unwrap_or_default().as_bytes();
        let claimed = request.headers().get_all(TENANT);
        let apart = claimed.iter().any(|claimed| claimed.as_bytes() != tenant);
        if apart { Err(Refusal::OtherTenant) } else { Ok(()) }
    }

    fn refuse<Q>(&self, request: &mut Request<Q>) -> Option<Status> {
        // Whoever asks whether this process lives is told, whatever else it brings.
        if request.uri().path().starts_with(HEALTH_PREFIX) {
            return None;
        }
        let refusal = self.read(request).err()?;
        self.counts.add(refusal);
        tracing::info!(reason = refusal.code(), "a call is refused for its token");
        Some(refusal.status())
    }
}

// === impl Believed ===

impl Believed {
    /// What the call's token says; `None`: it has none, and needs none.
    fn token(&self, headers: &HeaderMap) -> Result<Option<Arc<Token>>, Refusal> {
        let mut said = headers.get_all(header::AUTHORIZATION).iter();
        let said = match (said.next(), said.next()) {
            (None, _) if self.required => return Err(Refusal::Missing),
            (None, _) => return Ok(None),
            (Some(_), Some(_)) => return Err(Refusal::Several),
            (Some(said), None) => said.to_str().map_err(|_| Refusal::Malformed)?,
        };
        let (scheme, token) = said.split_once(' ').ok_or(Refusal::Scheme)?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return Err(Refusal::Scheme);
        }
        self.check.judge(token.trim_start_matches(' '), &self.keys.now(), now_s()).map(Some)
    }
}

impl Drop for Believed {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

/// Seconds since 1970, by the clock of this machine.
fn now_s() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64()
}

impl<S> Layer<S> for TokenLayer {
    type Service = TokenService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        TokenService { inner, layer: self.clone() }
    }
}

// === impl TokenService ===

impl<S, Q, B> Service<Request<Q>> for TokenService<S>
where
    S: Service<Request<Q>, Response = Response<B>>,
{
    type Response = Response<Either<B, Empty<Bytes>>>;
    type Error = S::Error;
    type Future = TokenFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Q>) -> Self::Future {
        match self.layer.refuse(&mut request) {
            None => TokenFuture { inner: Some(self.inner.call(request)), refused: None },
            refused => TokenFuture { inner: None, refused },
        }
    }
}

impl<F, B, E> Future for TokenFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<Either<B, Empty<Bytes>>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Some(inner) = this.inner.as_pin_mut() {
            return Poll::Ready(Ok(ready!(inner.poll(cx))?.map(Either::Left)));
        }
        let status = this.refused.take().unwrap_or_else(|| Status::unauthenticated(""));
        let (parts, ()) = status.into_http::<()>().into_parts();
        Poll::Ready(Ok(Response::from_parts(parts, Either::Right(Empty::new()))))
    }
}
