//! Rules from a file, changed under way: reloaded when they change, tried beside those in force, or on a share of the
//! requests that ends by itself when it goes badly.

mod options;
mod watched;
mod canary;
mod verdicts;
mod differences;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use self::canary::Canary;
pub use self::canary::{CanaryReport, Trial};
pub use self::differences::Difference;
use self::differences::Differences;
pub use self::options::RolloutOptions;
pub use self::watched::FileReport;
use self::watched::Watched;

/// Reads rules from the text of a file.
pub trait Source: Send + Sync + 'static {
    /// What is read.
    type Rules: Send + Sync + 'static;
    /// Why it cannot be.
    type Error: Display;

    /// Bytes of the largest file. One more is read, so that [`Source::read`] can say that it is too large.
    const BYTES_MAX: usize;

    /// Reads the text of `file`, or says what is wrong with it.
    ///
    /// # Errors
    /// The text is none that these rules can be read from.
    fn read(&self, file: &str, text: &str) -> Result<Self::Rules, Self::Error>;

    /// What tells these rules from all others, at most 64 bytes on one line, such as a hash of their text.
    fn hash(rules: &Self::Rules) -> String;

    /// Line and column at which an error stands, counted from 1.
    fn position(error: &Self::Error) -> Option<(usize, usize)>;
}

/// Why rules could not be read at the start.
#[derive(Debug, thiserror::Error)]
pub enum LoadError<E> {
    /// The file could not be read.
    #[error("`{}` cannot be read: {source}; set `{key}` to a file that can", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The key that names it.
        key: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// What it says is wrong.
    #[error("{0}")]
    Refused(E),
}

/// The rules in force, and what is tried beside them.
#[derive(Debug)]
pub struct Rollout<S: Source> {
    source: Arc<S>,
    interval: Duration,
    live: Watched<S::Rules>,
    shadow: Option<Watched<S::Rules>>,
    canary: Option<Canary<S::Rules>>,
    differences: Differences,
}

/// The rules for one request, held through it, so that all its decisions are made under the same.
#[derive(Debug)]
pub struct Picked<R> {
    /// What decides.
    pub rules: Arc<R>,
    /// What is decided by beside it, for the count of differences only.
    pub shadow: Option<Arc<R>>,
    /// The rules that chance could have taken instead, and with which probability it would have.
    pub instead: Option<(Arc<R>, f64)>,
    /// Takes the outcome, where a canary is being judged.
    pub trial: Option<Trial>,
}

/// What became of the rules so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// The rules in force.
    pub live: FileReport,
    /// Those beside them.
    pub shadow: Option<FileReport>,
    /// Those that are tried.
    pub canary: Option<CanaryReport>,
    /// Decisions that the shadow was asked for.
    pub shadowed: u64,
    /// Where it would have chosen otherwise.
    pub differences: Vec<Difference>,
}

// === impl Rollout ===

impl<S: Source> Rollout<S> {
    /// Reads every file.
    ///
    /// # Errors
    /// A file cannot be read, or says something that is no rule.
    pub fn load(options: &RolloutOptions, source: S) -> Result<Self, LoadError<S::Error>> {
        let load = |key, file: &PathBuf| Watched::load(key, file.clone(), &source);
        let live = load("policy.file", &options.file)?;
        let shadow = options.shadow.as_ref().map(|file| load("policy.shadow", file)).transpose()?;
        let canary = options.canary.as_ref().map(|file| load("policy.canary", file)).transpose()?;
        Ok(Self {
            live,
            shadow,
            canary: canary.map(|watched| Canary::new::<S>(watched, options)),
            interval: Duration::from_millis(options.reload_interval_ms),
            differences: Differences::default(),
            source: Arc::new(source),
        })
    }

    /// The rules in force.
    pub fn live(&self) -> Arc<S::Rules> {
        self.live.current()
    }

    /// The rules for a request. `key` is a uniform hash of who asks: the same one is always treated alike.
    pub fn pick(&self, key: u64) -> Picked<S::Rules> {
        let shadow = self.shadow.as_ref().map(Watched::current);
        let live = self.live.current();
        let Some((canary, trial, share)) = self.canary.as_ref().and_then(|canary| canary.pick(key)) else {
            return Picked { rules: live, shadow, instead: None, trial: None };
        };
        let (rules, instead) =
            if trial.is_canary() { (canary, (live, 1.0 - share)) } else { (live, (canary, share)) };
        Picked { rules, shadow, instead: Some(instead), trial: Some(trial) }
    }

    /// Counts a decision that the shadow made too; `None`: every place was removed.
    pub fn compare(&self, class: &str, live: Option<&str>, shadow: Option<&str>) {
        self.differences.note(class, live, shadow);
    }

    /// Looks after the files and the canary, for as long as it is polled.
    pub async fn watch(&self) -> Infallible {
        if self.interval.is_zero() {
            return std::future::pending().await;
        }
        let mut ticks = interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.live.look(&self.source).await;
            if let Some(shadow) = &self.shadow {
                shadow.look(&self.source).await;
            }
            if let Some(canary) = &self.canary {
                canary.look(&self.source).await;
            }
        }
    }

    /// What became of the rules so far.
    pub fn report(&self) -> Report {
        let (shadowed, differences) = self.differences.report();
        Report {
            live: self.live.report(),
            shadow: self.shadow.as_ref().map(Watched::report),
            canary: self.canary.as_ref().map(Canary::report),
            shadowed,
            differences,
        }
    }
}
