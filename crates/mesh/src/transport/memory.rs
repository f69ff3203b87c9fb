//! Connections within one process, for tests and simulations that must not depend on the machine.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::{Address, BoxIo, Listener, Transport};

/// Bytes that each direction holds before a writer waits, as a socket's buffer would.
const BUFFER_BYTES: usize = 64 * 1024;

/// Connections that wait to be accepted.
const BACKLOG: usize = 64;

type Bound = Arc<Mutex<HashMap<Address, mpsc::Sender<BoxIo>>>>;

/// A network of its own: clones share it, and nothing outside can reach it.
#[derive(Clone, Default)]
pub struct Memory {
    bound: Bound,
    names: Arc<Mutex<HashMap<String, Vec<Address>>>>,
}

struct Local {
    address: Address,
    waiting: mpsc::Receiver<BoxIo>,
    bound: Bound,
}

// === impl Memory ===

impl Memory {
    /// Gives these addresses to a name with a port; `None`: it is not answered any more.
    pub fn name(&self, name: &str, addresses: Option<Vec<Address>>) {
        let mut names = self.names.lock();
        match addresses {
            Some(addresses) => drop(names.insert(name.to_owned(), addresses)),
            None => drop(names.remove(name)),
        }
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory").field("bound", &self.bound.lock().keys()).finish()
    }
}

impl Transport for Memory {
    fn connect<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<BoxIo>> {
        async move {
            let listener = self.bound.lock().get(address).cloned();
            let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
            let (here, there) = tokio::io::duplex(BUFFER_BYTES);
            listener.ok_or_else(refused)?.send(Box::new(there)).await.map_err(|_| refused())?;
            Ok(Box::new(here) as BoxIo)
        }
        .boxed()
    }

    fn bind<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        async move {
            let (sender, waiting) = mpsc::channel(BACKLOG);
            let mut bound = self.bound.lock();
            if bound.get(address).is_some_and(|earlier| !earlier.is_closed()) {
                return Err(io::Error::from(io::ErrorKind::AddrInUse));
            }
            bound.insert(address.clone(), sender);
            let listener = Local { address: address.clone(), waiting, bound: self.bound.clone() };
            Ok(Box::new(listener) as Box<dyn Listener>)
        }
        .boxed()
    }

    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<Address>>> {
        let found = self.names.lock().get(name).cloned();
        let unknown = move || io::Error::new(io::ErrorKind::NotFound, format!("`{name}` is not known"));
        async move { found.ok_or_else(unknown) }.boxed()
    }
}

// === impl Local ===

impl std::fmt::Debug for Local {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Local").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Listener for Local {
    fn local_address(&self) -> Address {
        self.address.clone()
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<BoxIo>> {
        async move { self.waiting.recv().await.ok_or_else(|| io::Error::from(io::ErrorKind::BrokenPipe)) }
            .boxed()
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.waiting.close();
        self.bound.lock().retain(|_, sender| !sender.is_closed());
    }
}
