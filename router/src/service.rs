//! The router's hop: a request is checked, its facts are gathered, a worker is chosen, its answer is carried back.

use std::sync::Arc;

use futures_util::stream::BoxStream;
use futures_util::{FutureExt as _, StreamExt as _};
use hop::{Asked, Requests};
use mesh::deadline::Deadline;
use mesh::process::Limits;
use mesh::telemetry::EntersItself;
use mesh::tls::Peer;
use policy::Name;
use policy::wire::request;
use proto::v1;
use proto::v1::generation_server::Generation;
use tonic::{Request, Response, Status};

use crate::dispatch::Dispatch;
use crate::error::Error;
use crate::fleet::Place;
use crate::relay::{Answering, Event, Generates};

/// Serves `Generation`.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    limits: Limits,
    dispatch: Dispatch,
    requests: Arc<Requests>,
}

// === impl Service ===

impl Service {
    /// A service that takes in what `requests` lets through, and dispatches it.
    pub(crate) fn new(limits: Limits, dispatch: Dispatch, requests: Requests) -> Self {
        Self { limits, dispatch, requests: Arc::new(requests) }
    }

    /// Sends away what no tier would even let wait, before anything is read of its text: that must cost little.
    fn welcome(&self, request: &mut Request<v1::GenerateRequest>) -> Result<(), Error> {
        if !self.dispatch.fleet.lanes().are_busy() {
            return Ok(());
        }
        let peer = request.extensions().get::<Peer>().cloned().unwrap_or_default();
        hop::hold(&peer, request.get_mut());
        let tenant = peer.tenant().map(Name::from);
        self.dispatch.welcome(request.get_ref(), tenant.unwrap_or_default())
    }

    /// From a request to one that is ready to be decided.
    fn ask(&self, request: Request<v1::GenerateRequest>) -> Result<Asked, Error> {
        let deadline = Deadline::of(&request);
        let previous_attempts = mesh::retry::previous_attempts(request.metadata());
        let peer = request.extensions().get::<Peer>().cloned().unwrap_or_default();
        let mut reading = self.requests.read(&peer, request.into_inner())?;
        let Dispatch { fleet, desk, .. } = &self.dispatch;
        let mut facts = request::facts(&reading.request, &reading.signals, reading.tenant.clone());
        if let Some(only) = facts.only_place.as_ref() {
            fleet.knows(only)?;
        }
        facts.versions.push(fleet.version());
        if !reading.request.model.is_empty() {
            fleet.serves(&reading.request.model)?;
        }
        let v1::GenerateRequest { resume, decisions, .. } = &mut reading.request;
        if let Some(resume) =
            resume.as_mut().filter(|it| it.numeric_class.is_none() && !it.token_ids.is_empty())
        {
            resume.numeric_class = fleet.numeric_class_before(decisions);
        }
        let mut asked = Asked::new(desk, reading, facts, deadline);
        asked.previous_attempts = previous_attempts;
        Ok(asked)
    }
}

impl Generates for Service {
    fn events(&self, mut request: Request<v1::GenerateRequest>) -> Answering {
        // Before anything is waited for, so that no answer holds room for what only this needs.
        let asked = self.welcome(&mut request).and_then(|()| self.ask(request)).map(Box::new);
        let dispatch = self.dispatch.clone();
        let answer = async move {
            let answer = match asked {
                Ok(asked) => dispatch.begin(asked).await,
                Err(error) => Err(error),
            };
            let answer = answer.map_err(|error| {
                tracing::info!(%error, retryable = error.is_retryable(), "a request was not answered");
                error.status()
            })?;
            let mut response = Response::new(answer.stream().boxed());
            response.extensions_mut().insert(EntersItself);
            Ok(response)
        };
        answer.boxed()
    }
}

#[tonic::async_trait]
impl Generation for Service {
    type GenerateStream = BoxStream<'static, Result<v1::GenerateEvent, Status>>;

    /// For those that cannot pass events on as they are.
    async fn generate(
        &self,
        request: Request<v1::GenerateRequest>,
    ) -> Result<Response<Self::GenerateStream>, Status> {
        let message = |event: Event| event.message().map_err(|error| Status::internal(error.to_string()));
        let answer = self.events(request).await?;
        Ok(answer.map(|events| events.map(move |event| event.and_then(message)).boxed()))
    }

    async fn give_feedback(
        &self,
        request: Request<v1::Feedback>,
    ) -> Result<Response<v1::FeedbackReceipt>, Status> {
        let feedback = request.into_inner();
        request::check_feedback(&feedback).map_err(|invalid| Error::from(invalid).status())?;
        Ok(Response::new(self.dispatch.desk.hear(&feedback)))
    }

    async fn describe(
        &self,
        _: Request<v1::DescribeRequest>,
    ) -> Result<Response<v1::DescribeResponse>, Status> {
        let place = |Place { place, tier, model, errors }| v1::PlaceDescription {
            place: place.to_string(),
            tier: tier.to_string(),
            model,
            prediction_error: prediction_error(errors),
        };
        let Dispatch { fleet, desk, .. } = &self.dispatch;
        Ok(Response::new(v1::DescribeResponse {
            hop: desk.hop().to_owned(),
            places: fleet.places().into_iter().map(place).collect(),
            request_bytes_max: u32::try_from(self.limits.request_bytes_max).unwrap_or(u32::MAX),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            policy: Some(desk.state()),
        }))
    }
}

/// How far predictions were off, as it travels.
fn prediction_error([first, token]: [Option<[f64; 2]>; 2]) -> Option<v1::PredictionError> {
    first.or(token)?;
    let part = |of: Option<[f64; 2]>, index: usize| of.map(|quantiles| quantiles[index] as f32);
    Some(v1::PredictionError {
        first_token_p50: part(first, 0),
        first_token_p95: part(first, 1),
        output_token_p50: part(token, 0),
        output_token_p95: part(token, 1),
    })
}
