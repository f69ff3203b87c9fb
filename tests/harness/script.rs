//! A worker within this process whose answers count, and which goes on after the tokens that it is told.

use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt as _};
use mesh::serve::{ServeOptions, Server};
use mesh::transport::{Address, Os, Transport as _};
use proto::v1;
use proto::v1::fleet_server::{Fleet, FleetServer};
use proto::v1::generate_event::Event;
use proto::v1::generation_server::{Generation, GenerationServer};
use tonic::service::Routes;
use tonic::{Request, Response, Status};

/// What tells its model from others.
const MODEL: &str = "counting";

/// It makes tokens 0, 1 … at this pace.
#[derive(Debug, Clone, Copy)]
pub struct Counting {
    /// Between two tokens.
    pub gap: Duration,
}

// === impl Counting ===

impl Counting {
    /// Serves on loopback as long as the runtime lives; where.
    pub async fn serve(self) -> Address {
        let listener = Os.bind(&Address::Tcp("127.0.0.1:0".to_owned())).await.expect("a port");
        let server = Server::new(ServeOptions::default(), listener, None);
        let address = server.local_address();
        let routes = Routes::new(GenerationServer::new(self)).add_service(FleetServer::new(self)).prepare();
        tokio::spawn(server.serve(routes, std::future::pending()));
        address
    }

    fn report(self, interval_ms: u32) -> v1::Report {
        let name = || MODEL.to_owned();
        let model = v1::ModelDescription {
            name: name(),
            hash: name(),
            context_tokens_max: 1 << 16,
            ..Default::default()
        };
        v1::Report {
            interval_ms,
            model: Some(model),
            running_max: 1 << 10,
            prefill_tokens_per_second: 10_000.0,
            seconds_per_output_token: self.gap.as_secs_f32(),
            ..v1::Report::default()
        }
    }
}

#[tonic::async_trait]
impl Fleet for Counting {
    type WatchReportsStream = BoxStream<'static, Result<v1::Report, Status>>;

    async fn watch_reports(
        &self,
        request: Request<v1::WatchReportsRequest>,
    ) -> Result<Response<Self::WatchReportsStream>, Status> {
        let interval_ms = request.into_inner().interval_ms.max(50);
        let report = self.report(interval_ms);
        let ticks = tokio::time::interval(Duration::from_millis(interval_ms.into()));
        let reports = stream::unfold(ticks, move |mut ticks| {
            let report = report.clone();
            async move {
                ticks.tick().await;
                Some((Ok(report), ticks))
            }
        });
        Ok(Response::new(reports.boxed()))
    }
}

#[tonic::async_trait]
impl Generation for Counting {
    type GenerateStream = BoxStream<'static, Result<v1::GenerateEvent, Status>>;

    async fn generate(
        &self,
        request: Request<v1::GenerateRequest>,
    ) -> Result<Response<Self::GenerateStream>, Status> {
        let request = request.into_inner();
        let wanted = request.sampling.as_ref().and_then(|sampling| sampling.max_tokens).unwrap_or(20);
        let from = request.resume.map_or(0, |resume| resume.token_ids.len() as u32);
        let started = Event::Started(v1::Started {
            request_id: request.request_id,
            decisions: request.decisions,
            model_hash: MODEL.to_owned(),
            ..v1::Started::default()
        });
        let gap = self.gap;
        let tokens = stream::unfold(from, move |at| async move {
            if at > wanted {
                return None;
            }
            tokio::time::sleep(gap).await;
            let event = if at < wanted { delta(at) } else { done(wanted - from) };
            Some((event, at + 1))
        });
        let events = stream::iter([started]).chain(tokens);
        Ok(Response::new(events.map(|event| Ok(v1::GenerateEvent { event: Some(event) })).boxed()))
    }

    async fn give_feedback(&self, _: Request<v1::Feedback>) -> Result<Response<v1::FeedbackReceipt>, Status> {
        Err(Status::unimplemented("not in this script"))
    }

    async fn describe(
        &self,
        _: Request<v1::DescribeRequest>,
    ) -> Result<Response<v1::DescribeResponse>, Status> {
        Err(Status::unimplemented("not in this script"))
    }
}

/// The token of an index is that index.
fn delta(index: u32) -> Event {
    let text = format!("{index} ");
    Event::Delta(v1::Delta { text, token_ids: vec![index], first_token_index: index, ..v1::Delta::default() })
}

fn done(output_tokens: u32) -> Event {
    Event::Done(v1::Done {
        usage: Some(v1::Usage { prompt_tokens: 10, output_tokens, ..v1::Usage::default() }),
        finish_reason: v1::FinishReason::Stop.into(),
        model_hash: MODEL.to_owned(),
        ..v1::Done::default()
    })
}
