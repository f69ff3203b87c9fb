//! A team of threads that takes the pieces of one computation one by one; who asks for it works along.
//!
//! Each thread begins with neighbouring pieces of its own, so that what it reads is one stretch of memory, and then
//! takes from the ends of the others'.
//!
//! Nobody waits for a thread, only for pieces that were begun: a thread whose core was taken by another process costs
//! the piece that it holds. Who waits spins briefly, then sleeps, which gives its core to the thread it waits for. After
//! a wait that was long beside the work itself, the asker works alone for a while.

mod ahead;
mod pieces;

use std::{
    cell::{Cell, RefCell, UnsafeCell},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

pub(crate) use ahead::Coming;
pub(crate) use pieces::Pieces;

use ahead::{Fetcher, MATRICES_MAX, Soon};

/// Turns of a wait that keep the core, some tens of microseconds.
const SPINS_MAX: u32 = 1 << 11;
/// Turns after those that offer the core to others, before sleeping.
const YIELDS_MAX: u32 = 1 << 6;
/// A wait this long, and longer than half the work before it, means that a thread has lost its core.
const STRAIN_MIN: Duration = Duration::from_micros(150);
/// How long the asker then works alone; doubled while the strain lasts.
const ALONE_MIN: Duration = Duration::from_millis(10);
const ALONE_MAX: Duration = Duration::from_millis(320);
/// After so long without strain the next one counts as the first.
const STRAIN_PAST: Duration = Duration::from_millis(50);

thread_local! {
    static CURRENT: RefCell<Option<Arc<Shared>>> = const { RefCell::new(None) };
}

/// Threads that wait for pieces of work.
#[derive(Debug)]
pub(crate) struct Team {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// On lines of their own what different threads write all the time.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Apart<T>(T);

#[derive(Debug)]
struct Shared {
    size: usize,
    /// For each thread how many jobs there were in the upper half, and in the quarters below from and to which of its
    /// pieces of the present one nobody took yet.
    untaken: Box<[Apart<AtomicU64>]>,
    /// Pieces of the present job that are not computed yet.
    unfinished: Apart<AtomicU32>,
    job: UnsafeCell<Job>,
    /// Held by who asks, for the whole job.
    asking: AtomicBool,
    sleepers: AtomicUsize,
    asker_sleeps: AtomicBool,
    ended: AtomicBool,
    panicked: AtomicBool,
    lock: Mutex<()>,
    work_came: Condvar,
    work_done: Condvar,
    strain: Mutex<Strain>,
    soon: Soon,
}

/// The function of the present job, without its lifetime.
#[derive(Debug, Clone, Copy)]
struct Job {
    work: *const (dyn Fn(usize) + Sync),
}

// SAFETY: `job` is written only by the asker while no piece is untaken or unfinished, and read only by a thread that
// took a piece, between the taking and the finishing of it; taking acquires what the asker released. The pointer in it
// is to a `Sync` function, so that it may be called from any thread.
unsafe impl Sync for Shared {}
// SAFETY: as above; a `Shared` owns nothing bound to a thread.
unsafe impl Send for Shared {}

#[derive(Debug, Default)]
struct Strain {
    alone_until: Option<Instant>,
    alone_for: Duration,
}

impl Team {
    /// `size` threads with the one that asks; 0 means one per core.
    ///
    /// # Errors
    ///
    /// The operating system's, where it has no more threads to give.
    pub(crate) fn new(size: usize) -> std::io::Result<Self> {
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let size = if size == 0 { cores() } else { size };
        let nothing: &'static (dyn Fn(usize) + Sync) = &|_| {};
        let shared = Arc::new(Shared {
            size,
            untaken: (0..size).map(|_| Apart::default()).collect(),
            unfinished: Apart::default(),
            job: UnsafeCell::new(Job { work: nothing }),
            asking: AtomicBool::new(false),
            sleepers: AtomicUsize::new(0),
            asker_sleeps: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            panicked: AtomicBool::new(false),
            lock: Mutex::new(()),
            work_came: Condvar::new(),
            work_done: Condvar::new(),
            strain: Mutex::default(),
            soon: Soon::default(),
        });
        let mut team = Self { shared, threads: Vec::with_capacity(size) };
        for index in 1..size {
            let shared = Arc::clone(&team.shared);
            let thread = std::thread::Builder::new().name(format!("inference-{index}"));
            team.threads.push(thread.spawn(move || shared.serve(index))?);
        }
        Ok(team)
    }

    /// Runs `work` so that what it shares out goes to this team.
    pub(crate) fn install<R>(&self, work: impl FnOnce() -> R) -> R {
        let before = CURRENT.with(|current| current.replace(Some(Arc::clone(&self.shared))));
        let restore = Restore(Cell::new(before));
        let result = work();
        drop(restore);
        result
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        drop(self.shared.locked());
        self.shared.work_came.notify_all();
        for thread in self.threads.drain(..) {
            // A thread that panicked has told the asker already.
            let _ended = thread.join();
        }
    }
}

/// Puts the team back that was installed before, also when the work panics.
struct Restore(Cell<Option<Arc<Shared>>>);

impl Drop for Restore {
    fn drop(&mut self) {
        let before = self.0.take();
        CURRENT.with(|current| current.replace(before));
    }
}

/// Threads of the installed team; 1 where there is none.
pub(crate) fn size() -> usize {
    CURRENT.with(|current| current.borrow().as_ref().map_or(1, |shared| shared.size))
}

/// Calls `work` once with each number below `pieces`, on the threads of the installed team, and returns when all calls
/// have returned. Without a team, or inside another shared job, the calls are made here one after another.
pub(crate) fn share(pieces: usize, work: impl Fn(usize) + Sync) {
    let shared = CURRENT.with(|current| current.borrow().clone());
    match shared {
        Some(shared) if pieces > 1 && shared.size > 1 && u32::try_from(pieces).is_ok() => {
            shared.ask(pieces, &work);
        }
        _ => (0..pieces).for_each(work),
    }
}

/// Tells the threads of the installed team what is read next.
pub(crate) fn soon(what: [Option<Coming>; MATRICES_MAX]) {
    CURRENT.with_borrow(|current| {
        if let Some(shared) = current.as_ref().filter(|shared| shared.size > 1) {
            shared.soon.tell(what);
        }
    });
}

/// Calls `work` with each run of `length` values of `out`, the last of which may be shorter, and its index.
pub(crate) fn share_runs<T: Send>(out: &mut [T], length: usize, work: impl Fn(usize, &mut [T]) + Sync) {
    let whole = Pieces::new(out);
    let length = length.max(1);
    share(whole.len().div_ceil(length), |piece| {
        let start = piece * length;
        // SAFETY: each piece is asked for once, and runs of different pieces do not overlap.
        let run = unsafe { whole.part(start, length.min(whole.len() - start)) };
        work(piece, run);
    });
}

/// Pieces of a job, at most; more are taken in runs.
const PIECES_MAX: usize = u16::MAX as usize;

/// From and to which pieces nobody took yet.
fn bounds(untaken: u64) -> (usize, usize) {
    (usize::from((untaken >> 16) as u16), usize::from(untaken as u16))
}

impl Shared {
    fn locked(&self) -> MutexGuard<'_, ()> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, pieces: usize, work: &(dyn Fn(usize) + Sync)) {
        if pieces > PIECES_MAX {
            let run = pieces.div_ceil(PIECES_MAX);
            let work = |at: usize| (at * run..pieces.min((at + 1) * run)).for_each(work);
            return self.ask(pieces.div_ceil(run), &work);
        }
        if self.is_strained() || self.asking.swap(true, Ordering::Acquire) {
            return (0..pieces).for_each(work);
        }
        let work: *const (dyn Fn(usize) + Sync + '_) = work;
        // SAFETY: only the lifetime changes. The pointer is used only for pieces of this job, and every piece is
        // finished before this function returns; it does not unwind before, since a piece's panic is caught.
        let work: *const (dyn Fn(usize) + Sync) = unsafe { std::mem::transmute(work) };
        // SAFETY: no piece is untaken or unfinished and `asking` is ours, so that nobody else reads or writes the job.
        unsafe { *self.job.get() = Job { work } };
        self.unfinished.0.store(pieces as u32, Ordering::Relaxed);
        let number = (self.untaken[0].0.load(Ordering::Relaxed) >> 32).wrapping_add(1) << 32;
        for (index, untaken) in self.untaken.iter().enumerate() {
            let [from, to] = [index, index + 1].map(|index| (index * pieces / self.size) as u64);
            untaken.0.store(number | from << 16 | to, Ordering::SeqCst);
        }
        if self.sleepers.load(Ordering::SeqCst) > 0 {
            drop(self.locked());
            self.work_came.notify_all();
        }
        let began = Instant::now();
        while self.take(0) {}
        let waits = Instant::now();
        self.wait();
        self.note(waits - began, waits.elapsed());
        self.asking.store(false, Ordering::Release);
        if self.panicked.swap(false, Ordering::Relaxed) {
            resume_unwind(Box::new("a piece of shared work panicked"));
        }
    }

    /// Computes one piece, if there is one: the first of the thread's own, or the last of another's.
    fn take(&self, index: usize) -> bool {
        let own = || self.taken(index, |untaken| untaken + (1 << 16), |(from, _)| from);
        let of = |other: usize| self.taken(other, |untaken| untaken - 1, |(_, to)| to - 1);
        let others = || (index + 1..self.size).chain(0..index).find_map(of);
        let Some(piece) = own().or_else(others) else { return false };
        // SAFETY: a piece of the present job was taken and is not finished, so that the asker does not write the job;
        // the exchange acquired what it wrote before.
        let job = unsafe { *self.job.get() };
        // SAFETY: the asker keeps the function until every piece is finished.
        let work = unsafe { &*job.work };
        if catch_unwind(AssertUnwindSafe(|| work(piece))).is_err() {
            self.panicked.store(true, Ordering::Relaxed);
        }
        self.finish(1);
        true
    }

    /// Takes one of a thread's pieces, which one `piece` says, and leaves what `rest` says.
    fn taken(
        &self,
        index: usize,
        rest: impl Fn(u64) -> u64,
        piece: impl Fn((usize, usize)) -> usize,
    ) -> Option<usize> {
        let untaken = &self.untaken[index].0;
        let mut seen = untaken.load(Ordering::Acquire);
        loop {
            let (from, to) = bounds(seen);
            if from == to {
                return None;
            }
            match untaken.compare_exchange_weak(seen, rest(seen), Ordering::Acquire, Ordering::Acquire) {
                Ok(_) => return Some(piece((from, to))),
                Err(now) => seen = now,
            }
        }
    }

    /// Whether a piece of anybody's is untaken.
    fn has_work(&self) -> bool {
        self.untaken.iter().any(|untaken| {
            let (from, to) = bounds(untaken.0.load(Ordering::SeqCst));
            from < to
        })
    }

    fn finish(&self, pieces: u32) {
        if self.unfinished.0.fetch_sub(pieces, Ordering::SeqCst) == pieces
            && self.asker_sleeps.load(Ordering::SeqCst)
        {
            drop(self.locked());
            self.work_done.notify_all();
        }
    }

    /// What every thread but the asker does.
    fn serve(&self, index: usize) {
        let mut turns = 0;
        let mut fetcher = Fetcher::default();
        while !self.ended.load(Ordering::Relaxed) {
            if self.take(index) {
                turns = 0;
            } else if fetcher.step(&self.soon, (index, self.size)) {
                // What was asked for comes while this thread goes on waiting.
            } else if turns < SPINS_MAX {
                turns += 1;
                std::hint::spin_loop();
            } else if turns < SPINS_MAX + YIELDS_MAX {
                turns += 1;
                std::thread::yield_now();
            } else {
                self.sleep();
                turns = 0;
            }
        }
    }

    /// Sleeps until there is work, or the end.
    fn sleep(&self) {
        let mut locked = self.locked();
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        while !self.has_work() && !self.ended.load(Ordering::SeqCst) {
            locked = self.work_came.wait(locked).unwrap_or_else(PoisonError::into_inner);
        }
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
    }

    /// Waits for the pieces that others have begun.
    fn wait(&self) {
        for turn in 0..SPINS_MAX + YIELDS_MAX {
            if self.unfinished.0.load(Ordering::Acquire) == 0 {
                return;
            }
            if turn < SPINS_MAX { std::hint::spin_loop() } else { std::thread::yield_now() }
        }
        let mut locked = self.locked();
        self.asker_sleeps.store(true, Ordering::SeqCst);
        while self.unfinished.0.load(Ordering::SeqCst) != 0 {
            locked = self.work_done.wait(locked).unwrap_or_else(PoisonError::into_inner);
        }
        self.asker_sleeps.store(false, Ordering::SeqCst);
    }

    fn is_strained(&self) -> bool {
        let strain = self.strain.lock().unwrap_or_else(PoisonError::into_inner);
        strain.alone_until.is_some_and(|until| Instant::now() < until)
    }

    /// Decides from the job just ended whether the next ones are done alone.
    fn note(&self, worked: Duration, waited: Duration) {
        let mut strain = self.strain.lock().unwrap_or_else(PoisonError::into_inner);
        if waited > STRAIN_MIN && waited > worked / 2 {
            let alone_for = (strain.alone_for * 2).clamp(ALONE_MIN, ALONE_MAX);
            *strain = Strain { alone_until: Some(Instant::now() + alone_for), alone_for };
        } else if strain.alone_until.is_some_and(|until| until.elapsed() > STRAIN_PAST) {
            *strain = Strain::default();
        }
    }
}

#[cfg(test)]
mod tests;
