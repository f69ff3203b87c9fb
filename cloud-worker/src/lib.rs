//! When in the batch? A model behind `Generate`, and what it reports of itself.

pub mod config;
mod stack;
mod service;
mod report;
mod meters;
mod error;

use std::future::Future;
use std::thread;

use inference::Handle;
use mesh::presence::Presence;
use mesh::process::Rim;
use mesh::serve::Server;
use mesh::transport::Address;
use tokio::sync::watch;

pub use config::Options;
pub use error::Error;
use proto::v1::CacheSharing;
use report::{Kept, Reports};
use service::Generation;

/// A worker with its model loaded and its address bound, ready to serve.
#[derive(Debug)]
pub struct Worker {
    options: Options,
    engine: inference::Service,
    handle: Handle,
    cache_id: u64,
    server: Server,
    address: Address,
}

// === impl Worker ===

impl Worker {
    /// Loads the model and binds the listener.
    ///
    /// # Errors
    ///
    /// The model cannot be loaded, or the address cannot be bound.
    pub async fn bind(options: Options, rim: Rim) -> Result<Self, Error> {
        let engine_options = options.engine.clone();
        let loading = tokio::task::spawn_blocking(move || engine_options.build());
        let (engine, handle) = loading.await.map_err(|_| Error::LoadAborted)??;
        // One way: a seed is nobody's to know.
        let cache_id = blake3::derive_key("causeway caches", &rim.seed.to_le_bytes());
        let cache_id = cache_id.iter().take(8).fold(0, |id, byte| id << 8 | u64::from(*byte)).max(1);
        let listener = rim.bind(&options.listen.address).await?;
        let address = listener.local_address();
        let server = Server::new(options.serve.clone(), listener, rim.identity);
        Ok(Self { options, engine, handle, cache_id, server, address })
    }

    /// Where it listens, with the port that was given.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Serves until `shutdown`, then drains.
    ///
    /// # Errors
    ///
    /// The engine's thread cannot be started, or the server fails.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), Error> {
        let engine = self.engine;
        let thread = thread::Builder::new().name("engine".to_owned()).spawn(move || engine.run());
        let thread = thread.map_err(Error::Thread)?;
        tracing::info!(address = %self.address, model = self.handle.model().name, "listening");
        meters::watch(&self.handle);
        let (ending, ended) = watch::channel(false);
        let generation =
            Generation::new(self.options.limits.clone(), self.options.sharing, self.handle.clone());
        let sharing = match self.options.engine.kv_shared {
            true => self.options.sharing.told(),
            false => CacheSharing::None,
        };
        let told = (self.options.engine.sequences_max, Kept { id: self.cache_id, sharing });
        let reports = Reports::new(self.options.report, self.handle.clone(), told, ended);
        let (presence, routes) = Presence::announce(&stack::SERVICES, proto::DESCRIPTORS).await;
        let stack = stack::stack(&self.options.limits, &self.options.authorize, generation, reports, routes);
        let shutdown = async {
            shutdown.await;
            ending.send_replace(true);
            presence.leave().await;
        };
        let served = self.server.serve(stack, shutdown).await;
        self.handle.stop();
        let joined = tokio::task::spawn_blocking(move || thread.join()).await;
        served?;
        matches!(joined, Ok(Ok(()))).then_some(()).ok_or(Error::EngineDied)
    }
}
