//! New rules on a share of the requests: judged by their errors, costs and times beside the others', and taken back by
//! themselves when these leave their bounds.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::verdicts::Verdicts;
use super::watched::{FileReport, Watched};
use super::{RolloutOptions, Source};

/// Parts of the window; as each passes, what it counted is forgotten.
const PARTS: usize = 10;

/// What became of a canary so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CanaryReport {
    /// Its file.
    pub file: FileReport,
    /// Requests that it decided since it was last read.
    pub exposed: u64,
    /// Requests in all since then.
    pub all: u64,
    /// Times that it was taken back.
    pub rollbacks: u64,
    /// Why it was; `None`: it decides its share.
    pub rolled_back: Option<String>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Canary<R> {
    watched: Watched<R>,
    verdicts: Arc<Verdicts>,
    hash: fn(&R) -> String,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    bounds: Bounds,
    trials: Mutex<Trials>,
}

#[derive(Clone, Copy, Debug)]
struct Bounds {
    share: f64,
    error_rate: f64,
    cost_ratio: f64,
    latency_ratio: f64,
    part: Duration,
    requests_min: f64,
}

/// One request whose outcome is awaited. Dropped without one, it says nothing: its caller went away.
#[derive(Debug)]
pub struct Trial {
    state: Arc<State>,
    edition: u64,
    arm: Arm,
    begun: Instant,
    settled: bool,
}

/// By which rules a request is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arm {
    Live = 0,
    Canary = 1,
}

#[derive(Debug)]
struct Trials {
    /// Grows with every new text, so that what the last one began is not counted for this one.
    edition: u64,
    since: Instant,
    /// The part of time that is counted now.
    part: u64,
    parts: [[Sums; 2]; PARTS],
    /// The canary's requests under way: how many, and the sum of their starts in seconds after `since`.
    under_way: (f64, f64),
    exposed: u64,
    all: u64,
    rollbacks: u64,
    rolled_back: Option<String>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    begun: f64,
    errors: f64,
    answered: f64,
    usd: f64,
    seconds: f64,
}

// === impl Canary ===

impl<R: Send + Sync + 'static> Canary<R> {
    /// A canary whose rules were taken back before this start is not tried.
    pub(super) fn new<S: Source<Rules = R>>(watched: Watched<R>, options: &RolloutOptions) -> Self {
        let bounds = Bounds {
            share: options.canary_share,
            error_rate: options.canary_error_rate_max,
            cost_ratio: options.canary_cost_ratio_max,
            latency_ratio: options.canary_latency_ratio_max,
            part: Duration::from_millis(options.canary_window_ms) / PARTS as u32,
            requests_min: f64::from(options.canary_requests_min),
        };
        let verdicts = Arc::new(Verdicts::load(options));
        let state = Arc::new(State { bounds, trials: Mutex::new(Trials::new(0, 0)) });
        let canary = Self { watched, verdicts, hash: S::hash, state };
        let hash = canary.hash();
        canary.state.trials.lock().rolled_back = canary.judged_before(&hash);
        canary
    }

    /// The canary's rules, with a trial that says whether they decide, and their share; `None`: it was taken back.
    pub(super) fn pick(&self, key: u64) -> Option<(Arc<R>, Trial, f64)> {
        let mut trials = self.state.trials.lock();
        if trials.rolled_back.is_some() {
            return None;
        }
        let share = self.state.bounds.share;
        trials.go_on(self.state.bounds.part);
        let [live, canary] = trials.sums();
        // Few who ask much must not make the share larger than it is.
        let room = canary.begun + 1.0 <= share * (live.begun + canary.begun + 1.0);
        let lot = key as f64 / u64::MAX as f64;
        let arm = if lot < share && room { Arm::Canary } else { Arm::Live };
        let begun = Instant::now();
        trials.begin(arm, begun);
        let edition = trials.edition;
        drop(trials);
        let trial = Trial { state: self.state.clone(), edition, arm, begun, settled: false };
        Some((self.watched.current(), trial, share))
    }

    /// Takes a new text, which is then tried anew; takes back one whose requests do not come to an end.
    pub(super) async fn look<S: Source<Rules = R>>(&self, source: &Arc<S>) {
        // Of the rules that were judged until now: the file may say something else already.
        let hash = self.hash();
        let changed = self.watched.look(source).await;
        {
            let mut trials = self.state.trials.lock();
            trials.judge(&self.state.bounds);
            if let Some(reason) = &trials.rolled_back {
                self.verdicts.add(&hash, reason);
            }
            if changed {
                *trials = Trials::new(trials.edition + 1, trials.rollbacks);
                trials.rolled_back = self.judged_before(&self.hash());
            }
        }
        let verdicts = self.verdicts.clone();
        // It fails only where the runtime ends.
        let _ = tokio::task::spawn_blocking(move || verdicts.write()).await;
    }

    fn hash(&self) -> String {
        (self.hash)(&self.watched.current())
    }

    fn judged_before(&self, hash: &str) -> Option<String> {
        let reason = self.verdicts.of(hash)?;
        tracing::warn!(
            hash,
            reason,
            "the canary was taken back before and is not tried; a change of its text is"
        );
        Some(reason)
    }

    pub(super) fn report(&self) -> CanaryReport {
        let trials = self.state.trials.lock();
        CanaryReport {
            file: self.watched.report(),
            exposed: trials.exposed,
            all: trials.all,
            rollbacks: trials.rollbacks,
            rolled_back: trials.rolled_back.clone(),
        }
    }
}

// === impl Trial ===

impl Trial {
    /// Whether the canary decides this request.
    #[must_use]
    pub fn is_canary(&self) -> bool {
        self.arm == Arm::Canary
    }

    /// The request was answered whole, at this cost.
    pub fn answered(mut self, usd: f64) {
        self.settle(Some(usd));
    }

    /// The request was not answered, or not whole, and its caller is not to blame.
    pub fn failed(mut self) {
        self.settle(None);
    }

    fn settle(&mut self, usd: Option<f64>) {
        self.settled = true;
        let mut trials = self.state.trials.lock();
        if trials.edition != self.edition {
            return;
        }
        trials.go_on(self.state.bounds.part);
        trials.end(self.arm, self.begun);
        let sums = trials.now(self.arm);
        match usd {
            Some(usd) => {
                sums.answered += 1.0;
                sums.usd += usd;
                sums.seconds += self.begun.elapsed().as_secs_f64();
            }
            None => sums.errors += 1.0,
        }
        trials.judge(&self.state.bounds);
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        let mut trials = self.state.trials.lock();
        if trials.edition == self.edition {
            trials.end(self.arm, self.begun);
        }
    }
}

// === impl Trials ===

impl Trials {
    fn new(edition: u64, rollbacks: u64) -> Self {
        Self {
            edition,
            since: Instant::now(),
            part: 0,
            parts: [[Sums::default(); 2]; PARTS],
            under_way: (0.0, 0.0),
            exposed: 0,
            all: 0,
            rollbacks,
            rolled_back: None,
        }
    }

    /// Forgets the parts that fell out of the window.
    fn go_on(&mut self, part: Duration) {
        let now = self.since.elapsed().as_nanos() / part.as_nanos().max(1);
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        let passed = now.saturating_sub(self.part).min(PARTS as u64);
        for step in 0..passed {
            self.parts[slot(now - step)] = [Sums::default(); 2];
        }
        self.part = now;
    }

    fn now(&mut self, arm: Arm) -> &mut Sums {
        &mut self.parts[slot(self.part)][arm as usize]
    }

    /// What the window holds of each arm.
    fn sums(&self) -> [Sums; 2] {
        self.parts.iter().fold([Sums::default(); 2], |[live, canary], part| {
            [live.and(&part[Arm::Live as usize]), canary.and(&part[Arm::Canary as usize])]
        })
    }

    fn begin(&mut self, arm: Arm, begun: Instant) {
        self.now(arm).begun += 1.0;
        self.all += 1;
        if arm == Arm::Canary {
            self.exposed += 1;
            self.under_way.0 += 1.0;
            self.under_way.1 += begun.duration_since(self.since).as_secs_f64();
        }
    }

    fn end(&mut self, arm: Arm, begun: Instant) {
        if arm == Arm::Canary {
            self.under_way.0 -= 1.0;
            self.under_way.1 -= begun.duration_since(self.since).as_secs_f64();
        }
    }

    fn judge(&mut self, bounds: &Bounds) {
        if self.rolled_back.is_some() {
            return;
        }
        self.go_on(bounds.part);
        let Some(reason) = self.leaves(bounds) else { return };
        self.rollbacks += 1;
        let (exposed, all, seconds) = (self.exposed, self.all, self.since.elapsed().as_secs_f64());
        tracing::error!(reason, exposed, all, seconds, "the canary policy is taken back");
        self.rolled_back = Some(reason);
    }

    /// Which bound is left, if one is.
    fn leaves(&self, bounds: &Bounds) -> Option<String> {
        let [live, canary] = self.sums();
        let requests = canary.errors + canary.answered;
        if canary.errors > bounds.error_rate * requests.max(bounds.requests_min) {
            return Some(format!("{} of its {requests} requests failed", canary.errors));
        }
        if live.answered < bounds.requests_min {
            return None;
        }
        let enough = canary.answered >= bounds.requests_min;
        let (usd, live_usd) = (canary.usd / canary.answered, live.usd / live.answered);
        if enough && usd > bounds.cost_ratio * live_usd {
            return Some(format!("an answer costs {usd} USD in the mean, and {live_usd} USD otherwise"));
        }
        let live_seconds = live.seconds / live.answered;
        // Requests under way will take at least as long as they have: without them, those that never end would say nothing.
        let (under_way, begun) = self.under_way;
        let so_far = (under_way * self.since.elapsed().as_secs_f64() - begun).max(0.0);
        let count = canary.answered + under_way;
        let least = (canary.seconds + so_far) / count;
        let seconds = if enough { least.max(canary.seconds / canary.answered) } else { least };
        let slow = count >= bounds.requests_min && seconds > bounds.latency_ratio * live_seconds;
        slow.then(|| format!("an answer takes {seconds:.3} s in the mean, and {live_seconds:.3} s otherwise"))
    }
}

fn slot(part: u64) -> usize {
    (part % PARTS as u64) as usize
}

// === impl Sums ===

impl Sums {
    fn and(self, other: &Self) -> Self {
        Self {
            begun: self.begun + other.begun,
            errors: self.errors + other.errors,
            answered: self.answered + other.answered,
            usd: self.usd + other.usd,
            seconds: self.seconds + other.seconds,
        }
    }
}
