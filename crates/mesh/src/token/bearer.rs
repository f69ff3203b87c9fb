//! The token that a process itself sends: from a file, read again when it changes, and shown to nobody but the peer.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderValue, header};
use tokio::task::AbortHandle;

use super::{Error, file};

/// More than any token that a peer would read.
const BYTES_MAX: u64 = 64 << 10;

/// A token to send. Clones share it, and what its file comes to hold.
#[derive(Debug, Clone)]
pub struct Bearer {
    /// Marked as sensitive: it is not printed, and no table of compressed headers keeps it.
    held: Arc<ArcSwap<HeaderValue>>,
    _watching: Arc<Watching>,
}

#[derive(Debug)]
struct Watching(AbortHandle);

// === impl Bearer ===

impl Bearer {
    /// Reads it, and keeps it as its file says for as long as anybody holds it. A file that comes to hold none leaves the last
    /// one in force.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn load(file: &Path) -> Result<Self, Error> {
        let named = |problem| Error::of_bearer(file, problem);
        let text = file::read(file, BYTES_MAX).map_err(named)?;
        let held = Arc::new(ArcSwap::from_pointee(value(&text).map_err(named)?));
        let (name, kept) = (file.to_owned(), held.clone());
        let judge = move |found: file::Found| match found.and_then(|text| value(&text)) {
            Ok(value) => {
                tracing::info!(file = %name.display(), "a new token is sent from now on");
                kept.store(Arc::new(value));
            }
            Err(problem) => {
                tracing::error!(file = %name.display(), problem, "a new token cannot be used; the last one is still sent");
            }
        };
        let watching = tokio::spawn(file::watch(file.to_owned(), BYTES_MAX, text, judge));
        Ok(Self { held, _watching: Arc::new(Watching(watching.abort_handle())) })
    }

    /// Puts it on a call that brings none of its own.
    pub(crate) fn put_on(&self, headers: &mut HeaderMap) {
        headers.entry(header::AUTHORIZATION).or_insert_with(|| HeaderValue::clone(&self.held.load()));
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn value(text: &[u8]) -> Result<HeaderValue, String> {
    let text = text.trim_ascii();
    // By RFC 6750, section 2.1.
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
    if text.is_empty() || !text.iter().all(plain) {
        return Err("it holds no token".to_owned());
    }
    let value = HeaderValue::from_bytes(&[b"Bearer ", text].concat());
    let mut value = value.map_err(|_| "it holds no token".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}
