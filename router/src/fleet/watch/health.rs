//! Whether a worker says that it serves, by gRPC's own health service.

use std::sync::Arc;
use std::time::Duration;

use proto::v1::generation_server::SERVICE_NAME;
use tokio::time::sleep;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::Watching;
use crate::fleet::entry::Entry;

/// Largest answer taken, bytes: it holds one number.
const STATUS_BYTES_MAX: usize = 1 << 10;
/// A worker without the service is asked again after so long: it may have been exchanged.
const WITHOUT: Duration = Duration::from_secs(60);
/// What a worker is asked about: what it does for this router, or else all of it.
const SUBJECTS: [&str; 2] = [SERVICE_NAME, ""];

/// Watches until dropped.
pub(super) async fn watch(entry: Arc<Entry>, watching: Watching) {
    loop {
        let ended = statuses(&entry, &watching).await;
        let wait = match ended.code() {
            // Whoever does not have the service counts as serving.
            Code::Unimplemented => {
                entry.set_serving(true);
                WITHOUT
            }
            // It knows nothing of it any more, or the watch has ended in time: what it said last stands.
            Code::NotFound | Code::Ok | Code::DeadlineExceeded => watching.retry.1,
            // The process that said it may be gone. Whether it can be reached at all is told by its reports.
            _ => {
                entry.set_serving(true);
                watching.retry.1
            }
        };
        sleep(wait).await;
    }
}

/// Takes what a worker says until the watch ends, and says why it did.
async fn statuses(entry: &Entry, watching: &Watching) -> Status {
    let mut ended = Status::not_found("nothing was asked");
    for subject in SUBJECTS {
        ended = statuses_of(subject, entry, watching).await;
        if ended.code() != Code::NotFound {
            break;
        }
    }
    ended
}

async fn statuses_of(subject: &str, entry: &Entry, watching: &Watching) -> Status {
    let mut client = HealthClient::new(entry.who.channel.clone()).max_decoding_message_size(STATUS_BYTES_MAX);
    let asked = HealthCheckRequest { service: subject.to_owned() };
    let mut stream = match watching.opened(client.watch(asked)).await {
        Ok(response) => response.into_inner(),
        Err(status) => return status,
    };
    loop {
        // Between changes nothing is said. A peer that is gone is noticed by its connection.
        match stream.message().await {
            Ok(Some(said)) => match said.status() {
                ServingStatus::NotServing => entry.set_serving(false),
                ServingStatus::Serving => entry.set_serving(true),
                ServingStatus::ServiceUnknown => return Status::not_found("the service is not known there"),
                ServingStatus::Unknown => {}
            },
            Ok(None) => return Status::new(Code::Ok, "the worker ended the watch of its health"),
            Err(status) => return status,
        }
    }
}
