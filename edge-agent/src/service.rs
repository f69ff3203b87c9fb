//! The agent's hop: a request is checked, heard as a command or not, its facts are gathered, a place is chosen, its
//! answer is given.

use std::sync::Arc;

use async_stream::stream;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt as _};
use hop::{Requests, Stake};
use mesh::deadline::Deadline;
use mesh::process::Limits;
use mesh::tls::Peer;
use proto::v1;
use proto::v1::generate_event::Event;
use proto::v1::generation_server::Generation;
use tonic::{Request, Response, Status};

use crate::answer::{Begun, sent};
use crate::error::Error;
use crate::facts;
use crate::places::{Asked, Places};

/// Serves `Generation`.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    parts: Arc<Parts>,
}

/// What the service is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) limits: Limits,
    pub(crate) places: Places,
    pub(crate) requests: Requests,
}

// === impl Service ===

impl Service {
    /// A service of these parts.
    pub(crate) fn new(parts: Parts) -> Self {
        Self { parts: Arc::new(parts) }
    }

    /// From a request to one that is ready to be decided.
    fn ask(&self, request: Request<v1::GenerateRequest>) -> Result<Asked, Error> {
        let deadline = Deadline::of(&request);
        let previous_attempts = mesh::retry::previous_attempts(request.metadata());
        let peer = request.extensions().get::<Peer>().cloned().unwrap_or_default();
        let reading = self.parts.requests.read(&peer, request.into_inner())?;
        let Places { grammar, desk, .. } = &self.parts.places;
        // What is carried out is answered in words of the home's own, never in a form that was asked for.
        let said = facts::said(&reading.request).filter(|_| reading.request.constraint.is_none());
        let command = grammar.as_ref().zip(said).and_then(|(grammar, text)| grammar.hear(text));
        let facts = facts::of(&reading.request, &reading.signals, reading.tenant.clone());
        let mut asked = hop::Asked::new(desk, reading, facts, deadline);
        asked.previous_attempts = previous_attempts;
        Ok(Asked { asked, command })
    }

    /// Everything that the caller is sent, from `started` to `done`.
    fn events(
        (begun, mut stake): (Begun, Stake),
    ) -> impl Stream<Item = Result<v1::GenerateEvent, Status>> + Send {
        let Begun { started, first, mut rest } = begun;
        stream! {
            yield sent(Event::Started(started.clone()));
            let mut next = Some(Ok::<_, Error>(first));
            while let Some(event) = next {
                match event {
                    Ok(Event::Done(done)) => {
                        stake.done(&started.request_id, &done);
                        yield sent(Event::Done(done));
                        return;
                    }
                    Ok(event) => {
                        if let Event::Delta(delta) = &event {
                            stake.shows(u32::try_from(delta.token_ids.len()).unwrap_or(u32::MAX));
                        }
                        yield sent(event);
                    }
                    Err(error) => {
                        tracing::warn!(%error, "an answer broke off");
                        if error.is_retryable() {
                            // What came until then stands, and its caller is told that it is not all.
                            yield sent(Event::Done(stake.interrupted(&started)));
                        } else {
                            stake.failed();
                            yield Err(error.status());
                        }
                        return;
                    }
                }
                next = rest.next().await;
            }
        }
    }
}

#[tonic::async_trait]
impl Generation for Service {
    type GenerateStream = BoxStream<'static, Result<v1::GenerateEvent, Status>>;

    async fn generate(
        &self,
        request: Request<v1::GenerateRequest>,
    ) -> Result<Response<Self::GenerateStream>, Status> {
        let begun = async { self.parts.places.begin(self.ask(request)?).await };
        let begun = begun.await.map_err(|error| {
            tracing::info!(%error, retryable = error.is_retryable(), "a request was not answered");
            error.status()
        })?;
        Ok(Response::new(Self::events(begun).boxed()))
    }

    async fn give_feedback(
        &self,
        request: Request<v1::Feedback>,
    ) -> Result<Response<v1::FeedbackReceipt>, Status> {
        let feedback = request.into_inner();
        policy::wire::request::check_feedback(&feedback).map_err(|invalid| Error::from(invalid).status())?;
        Ok(Response::new(self.parts.places.desk.hear(&feedback)))
    }

    async fn describe(
        &self,
        _: Request<v1::DescribeRequest>,
    ) -> Result<Response<v1::DescribeResponse>, Status> {
        Ok(Response::new(v1::DescribeResponse {
            hop: self.parts.places.desk.hop().to_owned(),
            places: self.parts.places.describe(),
            request_bytes_max: u32::try_from(self.parts.limits.request_bytes_max).unwrap_or(u32::MAX),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            policy: Some(self.parts.places.desk.state()),
        }))
    }
}
