//! Memory for the numbers of a step: what one operation gives back the next one takes, so that a step like the one
//! before asks the allocator for nothing.
//!
//! A thread has an arena of its own. A buffer comes from the arena of the thread that asks and goes to the one that
//! drops it; in a step that is one thread.

use std::{
    cell::RefCell,
    ops::{Deref, DerefMut},
    thread::LocalKey,
};

/// Buffers that an arena keeps, at most.
const KEPT_MAX: usize = 32;
/// A buffer is used for what needs a quarter of it or more; a small one for anything.
const WASTE_MAX: usize = 4;
const SMALL: usize = 1 << 12;

/// Numbers that have an arena.
pub(crate) trait Kept: Copy + Default + 'static {
    fn arena() -> &'static LocalKey<RefCell<Vec<Vec<Self>>>>;
}

thread_local! {
    static FLOATS: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
    static WORDS: RefCell<Vec<Vec<i32>>> = const { RefCell::new(Vec::new()) };
}

impl Kept for f32 {
    fn arena() -> &'static LocalKey<RefCell<Vec<Vec<Self>>>> {
        &FLOATS
    }
}

impl Kept for i32 {
    fn arena() -> &'static LocalKey<RefCell<Vec<Vec<Self>>>> {
        &WORDS
    }
}

/// Numbers that go back to the arena.
#[derive(Debug)]
pub(crate) struct Buffer<T: Kept> {
    /// At least `length`; those after it are of no use.
    numbers: Vec<T>,
    length: usize,
    /// It came from the arena: what others allocated would make the arena grow with every step.
    is_kept: bool,
}

impl<T: Kept> Buffer<T> {
    /// `length` numbers that are whatever was there before: for what is written whole before it is read.
    pub(crate) fn stale(length: usize) -> Self {
        let numbers = taken(length).unwrap_or_else(|| vec![T::default(); length]);
        Self { numbers, length, is_kept: true }
    }

    /// `length` zeros.
    pub(crate) fn zeroed(length: usize) -> Self {
        let mut buffer = Self::stale(length);
        buffer.fill(T::default());
        buffer
    }
}

/// The least of the kept vectors that `length` numbers fit without wasting much.
fn taken<T: Kept>(length: usize) -> Option<Vec<T>> {
    let most = length.saturating_mul(WASTE_MAX).max(SMALL);
    T::arena().with_borrow_mut(|kept| {
        let fitting = kept.iter().enumerate().filter(|(_, numbers)| (length..=most).contains(&numbers.len()));
        let best = fitting.min_by_key(|(_, numbers)| numbers.len()).map(|(at, _)| at);
        best.map(|at| kept.swap_remove(at))
    })
}

impl<T: Kept> From<Vec<T>> for Buffer<T> {
    fn from(numbers: Vec<T>) -> Self {
        Self { length: numbers.len(), numbers, is_kept: false }
    }
}

impl<T: Kept> Clone for Buffer<T> {
    fn clone(&self) -> Self {
        let mut copy = Self::stale(self.length);
        copy.copy_from_slice(self);
        copy
    }
}

impl<T: Kept> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.numbers[..self.length]
    }
}

impl<T: Kept> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.numbers[..self.length]
    }
}

impl<T: Kept> Drop for Buffer<T> {
    fn drop(&mut self) {
        if !self.is_kept {
            return;
        }
        let numbers = std::mem::take(&mut self.numbers);
        // At the end of a thread there is no arena any more, and the vector is just dropped.
        let _kept = T::arena().try_with(|kept| {
            let Ok(mut kept) = kept.try_borrow_mut() else { return };
            if kept.len() == KEPT_MAX {
                let least = kept.iter().enumerate().min_by_key(|(_, numbers)| numbers.len());
                match least.map(|(at, least)| (at, least.len())) {
                    Some((at, length)) if length < numbers.len() => drop(kept.swap_remove(at)),
                    _ => return,
                }
            }
            kept.push(numbers);
        });
    }
}
