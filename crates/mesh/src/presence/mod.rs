//! Tells whoever asks whether a process takes calls, and which: gRPC's own health and reflection services.

#[cfg(test)]
mod tests;

use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tonic_reflection::server::Builder;

/// What health is told of a process as a whole.
const WHOLE: &str = "";

/// The health of a process.
#[derive(Debug)]
pub struct Presence {
    reporter: HealthReporter,
    services: &'static [&'static str],
}

// === impl Presence ===

impl Presence {
    /// A process that takes calls of these services, by their full names; `descriptors` is the encoded set of their
    /// files. The routes hold health and reflection, for the process to add its services to.
    ///
    /// # Panics
    /// The descriptors are no set of files. They are constants of a build, which its first start proves.
    #[must_use]
    pub async fn announce(services: &'static [&'static str], descriptors: &'static [u8]) -> (Self, Routes) {
        let (reporter, health) = tonic_health::server::health_reporter();
        let presence = Self { reporter, services };
        for name in presence.names() {
            presence.reporter.set_service_status(name, ServingStatus::Serving).await;
        }
        let reflection = || {
            Builder::configure()
                .register_encoded_file_descriptor_set(descriptors)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        // Tools that were built before there was a first edition ask for the one before it.
        let built = reflection().build_v1().and_then(|new| Ok((new, reflection().build_v1alpha()?)));
        #[expect(clippy::expect_used, reason = "the descriptors are constants of a build")]
        let (new, old) = built.expect("the descriptors are whole");
        (presence, Routes::new(health).add_service(new).add_service(old))
    }

    /// Tells that no more calls are taken, and lets those who watch go: they would hold up the drain.
    pub async fn leave(mut self) {
        for name in self.names() {
            self.reporter.set_service_status(name, ServingStatus::NotServing).await;
            self.reporter.clear_service_status(name).await;
        }
    }

    fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(WHOLE).chain(self.services.iter().copied())
    }
}
