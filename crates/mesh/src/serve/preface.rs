//! Waits for the client's HTTP/2 preface, so that whoever sends something else, or nothing, is let go early.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};

use super::writes::writes_to_inner;

/// What every HTTP/2 client sends first.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Tells a person with a browser or a plain client what they have reached.
const HTTP1_ANSWER: &[u8] = b"HTTP/1.1 505 HTTP Version Not Supported\r\ncontent-type: text/plain\r\n\
connection: close\r\ncontent-length: 45\r\n\r\nThis port speaks gRPC: HTTP/2, no upgrading.\n";

/// A connection whose preface was read and is given to its next reader again.
#[derive(Debug)]
pub(super) struct Prefaced<T> {
    inner: T,
    given_back: &'static [u8],
}

/// Reads the preface; the caller bounds the time.
pub(super) async fn read<T: AsyncRead + AsyncWrite + Unpin>(mut inner: T) -> io::Result<Prefaced<T>> {
    let mut head = [0; PREFACE.len()];
    let mut filled = 0;
    while filled < head.len() {
        let count = inner.read(&mut head[filled..]).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        filled += count;
        if !PREFACE.starts_with(&head[..filled]) {
            return Err(refuse(inner, &head[..filled]).await);
        }
    }
    Ok(Prefaced { inner, given_back: PREFACE })
}

async fn refuse<T: AsyncWrite + Unpin>(mut inner: T, head: &[u8]) -> io::Error {
    let what = match head.first() {
        Some(0x16) => "it began with TLS, but this port is configured without",
        Some(letter) if letter.is_ascii_uppercase() => {
            // A courtesy to whoever is there; the connection is closed either way.
            drop(inner.write_all(HTTP1_ANSWER).await);
            drop(inner.shutdown().await);
            "it began with HTTP/1"
        }
        _ => "it did not begin with HTTP/2's preface",
    };
    io::Error::new(io::ErrorKind::InvalidData, what)
}

// === impl Prefaced ===

impl<T: AsyncRead + Unpin> AsyncRead for Prefaced<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.given_back.is_empty() {
            return Pin::new(&mut self.inner).poll_read(cx, buf);
        }
        let (now, later) = self.given_back.split_at(self.given_back.len().min(buf.remaining()));
        buf.put_slice(now);
        self.given_back = later;
        Poll::Ready(Ok(()))
    }
}

writes_to_inner!(Prefaced);
