//! A slice in parts that different threads write.

/// A slice whose parts are written by different threads at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pieces<'a, T> {
    start: *mut T,
    length: usize,
    slice: std::marker::PhantomData<&'a mut [T]>,
}

// SAFETY: it gives out parts only by an unsafe function whose contract is that they do not overlap, so that it is a
// slice split among threads; the values themselves may go to other threads.
unsafe impl<T: Send> Sync for Pieces<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Pieces<'_, T> {}

impl<'a, T> Pieces<'a, T> {
    pub(crate) fn new(slice: &'a mut [T]) -> Self {
        Self { start: slice.as_mut_ptr(), length: slice.len(), slice: std::marker::PhantomData }
    }

    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// # Safety
    ///
    /// While the part lives, no other part that overlaps it is asked for.
    ///
    /// # Panics
    ///
    /// Where the part reaches past the slice's end.
    pub(crate) unsafe fn part(&self, start: usize, length: usize) -> &'a mut [T] {
        assert!(start <= self.length && length <= self.length - start, "a part must lie in the slice");
        // SAFETY: the part lies in the slice that this borrows for 'a, and by the contract nobody else has it.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), length) }
    }
}
