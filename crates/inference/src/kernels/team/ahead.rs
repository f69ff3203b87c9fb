//! Weights that are needed soon: threads that wait for work meanwhile bring near what will be theirs of them.
//!
//! Between two shared products one thread adds, norms, turns and rounds, which leaves memory idle. Nothing waits for
//! what is brought near, and nothing depends on it.

use std::sync::{
    Mutex,
    atomic::{AtomicU32, Ordering},
};

/// Matrices that are told of together, at most.
pub(super) const MATRICES_MAX: usize = 3;
/// Bytes that a thread brings near, at most: a part of its second cache.
const BYTES_MAX: usize = 384 << 10;
/// Bytes between two looks for work.
const STEP: usize = 1 << 10;

/// A matrix that is multiplied soon, as runs of equal length that are shared out evenly, the first to the first thread.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Coming {
    /// The addresses where its runs begin, and those of a matrix of the same shape that is multiplied along with it.
    pub(crate) starts: [Option<usize>; 2],
    pub(crate) runs: usize,
    /// Bytes of a run.
    pub(crate) length: usize,
}

/// What was told last.
#[derive(Debug, Default)]
pub(super) struct Soon {
    turn: AtomicU32,
    what: Mutex<[Option<Coming>; MATRICES_MAX]>,
}

impl Soon {
    pub(super) fn tell(&self, what: [Option<Coming>; MATRICES_MAX]) {
        // A thread that just reads the last message misses this one.
        if let Ok(mut place) = self.what.try_lock() {
            *place = what;
            self.turn.fetch_add(1, Ordering::Release);
        }
    }
}

/// How far one thread came with it.
#[derive(Debug, Default)]
pub(super) struct Fetcher {
    turn: u32,
    /// Addresses from and to which it has still to bring near.
    left: [(usize, usize); 2 * MATRICES_MAX],
}

impl Fetcher {
    /// Brings some of it near for thread `index` of `threads`; false where nothing is left.
    pub(super) fn step(&mut self, soon: &Soon, (index, threads): (usize, usize)) -> bool {
        let turn = soon.turn.load(Ordering::Acquire);
        if turn != self.turn {
            self.turn = turn;
            self.left =
                soon.what.try_lock().map_or_else(|_| Default::default(), |w| parts(*w, index, threads));
        }
        let Some((from, to)) = self.left.iter_mut().find(|(from, to)| from < to) else { return false };
        let end = from.saturating_add(STEP).min(*to);
        fetch(*from, end);
        *from = end;
        true
    }
}

/// The beginning of thread `index`'s share.
fn parts(
    what: [Option<Coming>; MATRICES_MAX],
    index: usize,
    threads: usize,
) -> [(usize, usize); 2 * MATRICES_MAX] {
    let mut parts = [(0, 0); 2 * MATRICES_MAX];
    let total: usize = what.iter().flatten().map(|matrix| matrix.runs).sum();
    let (first, last) = (index * total / threads, (index + 1) * total / threads);
    let (mut before, mut left) = (0, BYTES_MAX);
    for (parts, matrix) in parts.as_chunks_mut::<2>().0.iter_mut().zip(what.iter().flatten()) {
        let own = |run: usize| run.saturating_sub(before).min(matrix.runs);
        let count = matrix.starts.iter().flatten().count().max(1);
        let bytes = ((own(last) - own(first)) * matrix.length).min(left / count);
        for (part, start) in parts.iter_mut().zip(matrix.starts) {
            let from = start.map_or(0, |start| start + own(first) * matrix.length);
            *part = (from, if start.is_some() { from + bytes } else { from });
        }
        left -= bytes * count;
        before += matrix.runs;
    }
    parts
}

/// Asks for the lines from one address to another, into the second cache.
#[cfg(target_arch = "x86_64")]
fn fetch(from: usize, to: usize) {
    use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
    for address in (from..to).step_by(64) {
        // SAFETY: a prefetch may ask for any address, also of memory that was given back.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(std::ptr::without_provenance(address)) };
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn fetch(_from: usize, _to: usize) {}

#[cfg(test)]
mod tests {
    use super::{BYTES_MAX, Coming, MATRICES_MAX, parts};

    fn matrix(starts: [Option<usize>; 2], runs: usize, length: usize) -> Option<Coming> {
        Some(Coming { starts, runs, length })
    }

    #[test]
    fn shares_follow_each_other_over_the_matrices_and_are_bounded() {
        let check = |what: [Option<Coming>; MATRICES_MAX], (index, threads), expected: &[(usize, usize)]| {
            let parts = parts(what, index, threads);
            assert_eq!(parts.into_iter().filter(|(from, to)| from < to).collect::<Vec<_>>(), expected);
        };
        let three = [
            matrix([Some(1_000), None], 4, 10),
            matrix([Some(2_000), None], 2, 100),
            matrix([Some(3_000), None], 2, 10),
        ];
        check(three, (0, 2), &[(1_000, 1_040)]);
        check(three, (1, 2), &[(2_000, 2_200), (3_000, 3_020)]);
        check(three, (1, 3), &[(1_020, 1_040), (2_000, 2_100)]);
        check([None; MATRICES_MAX], (1, 2), &[]);
        let pair = [matrix([Some(1 << 30), Some(1 << 31)], 1 << 10, 1 << 10), None, None];
        let from = |start: usize| start + (1 << 19);
        let ends = |start: usize| (from(start), from(start) + BYTES_MAX / 2);
        check(pair, (1, 2), &[ends(1 << 30), ends(1 << 31)]);
    }
}
