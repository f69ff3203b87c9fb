//! Looks at an identity's files again and again, and takes what they hold when it can be used; what is in force stays
//! otherwise. Connections that are open keep the certificate that they were made with.

use std::convert::Infallible;
use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::error::Error;
use super::identity::{Identity, IdentityFiles};
use crate::telemetry::{About, Meter};

/// Time between two looks. A change is taken at the second look that finds it, since a pair of files is never
/// exchanged in one step: well within a second.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The most that each of the files may hold, bytes: hundreds of certificates.
const BYTES_MAX: u64 = 1 << 20;

/// What became of the files so far.
#[derive(Debug, Clone, Default)]
pub struct Renewals(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    taken: AtomicU64,
    refused: AtomicU64,
    /// 1 while what the files hold is not what is in force.
    stuck: AtomicU64,
}

/// The three files of an identity.
#[derive(Debug, Clone)]
pub(super) struct Paths([PathBuf; 3]);

/// What they hold.
pub(super) type Texts = [Vec<u8>; 3];

/// What was found at a look, told apart from what was found before. The key itself is not kept.
type Mark = Result<u64, String>;

// === impl Renewals ===

impl Renewals {
    /// Times that new certificates were taken.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.0.taken.load(Ordering::Relaxed)
    }

    /// Times that what was found could not be used.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }

    /// Whether what the files hold now is not what is in force.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.0.stuck.load(Ordering::Relaxed) > 0
    }

    /// Has them sent with the process's other numbers.
    fn publish(&self, identity: &Identity) {
        let Some(meter) = Meter::of_process() else { return };
        let about = |name, unit, description| About { name, unit, description };
        let counts = self.clone();
        let renewed = about("causeway.tls.renewals", "{renewal}", "New certificates that were taken.");
        meter.counts(renewed, move || vec![(counts.taken(), vec![])]);
        let counts = self.clone();
        let refused = about("causeway.tls.refusals", "{renewal}", "New certificates that could not be used.");
        meter.counts(refused, move || vec![(counts.refused(), vec![])]);
        let counts = self.clone();
        let stuck = about("causeway.tls.stuck", "1", "1 while the files hold what cannot be used.");
        meter.levels(stuck, move || vec![(f64::from(u8::from(counts.is_stuck())), vec![])]);
        let identity = identity.clone();
        let left = about("causeway.tls.expires_in", "s", "Time until the certificate in force ends.");
        meter.levels(left, move || {
            identity.expires_in_seconds().map(|seconds| (seconds, vec![])).into_iter().collect()
        });
    }
}

// === impl IdentityFiles ===

impl IdentityFiles {
    /// Keeps an identity that was loaded from these files as they are, for as long as it is polled.
    pub async fn watch(self, identity: Identity, renewals: Renewals) -> Infallible {
        renewals.publish(&identity);
        let Self { certificate: Some(certificate), key: Some(key), authority: Some(authority), .. } = &self
        else {
            return std::future::pending().await;
        };
        let paths = Paths([certificate.clone(), key.clone(), authority.clone()]);
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last: Mark = Ok(identity.mark());
        let mut judged = last.clone();
        loop {
            looks.tick().await;
            let from = paths.clone();
            let Ok(found) = tokio::task::spawn_blocking(move || from.read()).await else {
                // The runtime ends.
                return std::future::pending().await;
            };
            let mark = found.as_ref().map(mark).map_err(ToString::to_string);
            let settled = mark == last;
            last = mark;
            if settled && judged != last {
                judged = last.clone();
                self.judge(&identity, &renewals, found);
            }
        }
    }

    fn judge(&self, identity: &Identity, renewals: &Renewals, found: Result<Texts, Error>) {
        let counts = &renewals.0;
        if found.as_ref().is_ok_and(|texts| mark(texts) == identity.mark()) {
            tracing::info!("the certificates are again those in force");
            return counts.stuck.store(0, Ordering::Relaxed);
        }
        let fresh = found.and_then(|texts| self.identity_of(&texts)).and_then(Identity::unless_ended);
        match fresh {
            Ok(fresh) => {
                identity.renew(&fresh);
                counts.taken.fetch_add(1, Ordering::Relaxed);
                counts.stuck.store(0, Ordering::Relaxed);
                tracing::info!(name = fresh.spiffe(), "new certificates are in force");
            }
            Err(problem) => {
                counts.refused.fetch_add(1, Ordering::Relaxed);
                counts.stuck.store(1, Ordering::Relaxed);
                tracing::error!(%problem, "new certificates are refused; the last good ones stay in force");
            }
        }
    }
}

// === impl Paths ===

impl Paths {
    pub(super) fn new(certificate: &Path, key: &Path, authority: &Path) -> Self {
        Self([certificate, key, authority].map(Path::to_owned))
    }

    pub(super) fn read(&self) -> Result<Texts, Error> {
        let [certificate, key, authority] = &self.0;
        Ok([read(certificate)?, read(key)?, read(authority)?])
    }
}

pub(super) fn mark(texts: &Texts) -> u64 {
    let mut hasher = DefaultHasher::new();
    texts.hash(&mut hasher);
    hasher.finish()
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let whole = File::open(path).and_then(|open| open.take(BYTES_MAX + 1).read_to_end(&mut bytes));
    let short = whole.and_then(|count| match count as u64 <= BYTES_MAX {
        true => Ok(()),
        false => Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {BYTES_MAX} bytes"))),
    });
    short.map_err(|source| Error::Read { path: path.to_owned(), source })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
