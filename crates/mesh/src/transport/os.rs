//! The operating system's sockets.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::{Address, BoxIo, Listener, Transport};

/// Connections that wait to be accepted; the kernel caps it further.
const BACKLOG: i32 = 4096;

/// A socket that a firmware process opens is for its own user only.
const SOCKET_MODE: u32 = 0o600;

/// Sockets of the operating system: TCP without delay, and Unix sockets.
#[derive(Debug, Clone, Copy, Default)]
pub struct Os;

#[derive(Debug)]
struct Tcp {
    inner: TcpListener,
    address: Address,
}

#[derive(Debug)]
struct Unix {
    inner: UnixListener,
    path: PathBuf,
    /// Device and inode of the socket's file, so that a successor's file is never removed.
    identity: (u64, u64),
}

// === impl Os ===

impl Transport for Os {
    fn connect<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<BoxIo>> {
        async move {
            match address {
                Address::Tcp(host) => {
                    let stream = TcpStream::connect(host.as_str()).await?;
                    stream.set_nodelay(true)?;
                    Ok(Box::new(stream) as BoxIo)
                }
                Address::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?) as BoxIo),
            }
        }
        .boxed()
    }

    fn bind<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        async move {
            match address {
                Address::Tcp(host) => {
                    let inner = TcpListener::bind(host.as_str()).await?;
                    // Asked again, a socket takes the longer queue: callers that all come back at once fill a short one,
                    // and each that finds it full tries again a second later.
                    socket2::SockRef::from(&inner).listen(BACKLOG)?;
                    let address = Address::Tcp(inner.local_addr()?.to_string());
                    Ok(Box::new(Tcp { inner, address }) as Box<dyn Listener>)
                }
                Address::Unix(path) => Ok(Box::new(Unix::bind(path).await?) as Box<dyn Listener>),
            }
        }
        .boxed()
    }

    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<Address>>> {
        async move {
            let found = tokio::net::lookup_host(name).await?;
            Ok(found.map(|address| Address::Tcp(address.to_string())).collect())
        }
        .boxed()
    }
}

// === impl Tcp ===

impl Listener for Tcp {
    fn local_address(&self) -> Address {
        self.address.clone()
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<BoxIo>> {
        async move {
            let (stream, _) = self.inner.accept().await?;
            // It fails only on a connection that is already gone, which its own task will notice.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "TCP_NODELAY was not set");
            }
            Ok(Box::new(stream) as BoxIo)
        }
        .boxed()
    }
}

// === impl Unix ===

impl Unix {
    async fn bind(path: &Path) -> io::Result<Self> {
        remove_stale(path).await?;
        let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
        // Linux gives the file the mode of the unbound socket, so nobody else can connect in between. Where that
        // does not work, the mode is set right after binding.
        let handle = fs::File::from(OwnedFd::from(socket.try_clone()?));
        let early = handle.set_permissions(fs::Permissions::from_mode(SOCKET_MODE));
        socket.bind(&socket2::SockAddr::unix(path)?)?;
        let file = fs::symlink_metadata(path)?;
        if early.is_err() || file.permissions().mode() & 0o777 != SOCKET_MODE {
            fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE))?;
        }
        socket.set_nonblocking(true)?;
        socket.listen(BACKLOG)?;
        let inner = UnixListener::from_std(OwnedFd::from(socket).into())?;
        Ok(Unix { inner, path: path.to_owned(), identity: (file.dev(), file.ino()) })
    }
}

impl Listener for Unix {
    fn local_address(&self) -> Address {
        Address::Unix(self.path.clone())
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<BoxIo>> {
        async move {
            let (stream, _) = self.inner.accept().await?;
            Ok(Box::new(stream) as BoxIo)
        }
        .boxed()
    }
}

impl Drop for Unix {
    fn drop(&mut self) {
        let ours =
            fs::symlink_metadata(&self.path).is_ok_and(|file| (file.dev(), file.ino()) == self.identity);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, path = %self.path.display(), "the socket's file was not removed");
        }
    }
}

/// Removes the file of a socket that nobody answers on; refuses anything else that is in the way.
async fn remove_stale(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !found.file_type().is_socket() {
        let what = format!("{} exists and is not a socket", path.display());
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(_) => {
            let what = format!("another process is listening on {}", path.display());
            Err(io::Error::new(io::ErrorKind::AddrInUse, what))
        }
        Err(error) => Err(error),
    }
}
