//! The rim of a process: where it is given the operating system, or a stand-in for it.

mod address;
mod os;
mod memory;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};

pub use self::address::{Address, AddressError};
pub use self::memory::Memory;
pub use self::os::Os;

/// A connected stream of bytes.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connected stream of bytes of whatever kind.
pub type BoxIo = Box<dyn Io>;

/// Makes connections and listeners.
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Connects to an address; the caller bounds the time.
    fn connect<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<BoxIo>>;

    /// Takes an address for itself.
    fn bind<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<Box<dyn Listener>>>;

    /// Every address of a name with a port, such as `workers.example:50061`; the caller bounds the time. A transport that
    /// knows no names says so.
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<Address>>> {
        let problem = format!("`{name}`: there are no names here");
        Box::pin(async move { Err(io::Error::new(io::ErrorKind::Unsupported, problem)) })
    }
}

/// Accepts connections on an address until it is dropped.
pub trait Listener: fmt::Debug + Send {
    /// The address as bound, with the port that the system chose where 0 was asked for.
    fn local_address(&self) -> Address;

    /// Waits for the next connection. Dropping the future loses no connection.
    fn accept(&mut self) -> BoxFuture<'_, io::Result<BoxIo>>;
}
