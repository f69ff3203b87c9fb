//! Memory-mapped bytes, and the one place where they are read as numbers.

use std::{
    fs::File,
    marker::PhantomData,
    ops::Range,
    path::Path,
    sync::{Arc, OnceLock},
};

use candle_core::quantized::k_quants;
use half::bf16;
use memmap2::Mmap;

use crate::Error;

/// A range of a memory-mapped file, or bytes made from one.
#[derive(Debug, Clone)]
pub(crate) struct Bytes {
    source: Arc<Source>,
    range: Range<usize>,
}

#[derive(Debug)]
enum Source {
    Map(Mmap),
    Owned(Vec<u8>),
    /// A file that is being written: empty until it is whole.
    Later(OnceLock<Mmap>),
}

impl Source {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Map(_) | Self::Later(_) => self.map().map_or(&[], |map| map),
        }
    }

    fn map(&self) -> Option<&Mmap> {
        match self {
            Self::Map(map) => Some(map),
            Self::Later(map) => map.get(),
            Self::Owned(_) => None,
        }
    }
}

/// The bytes of a file that is being written.
#[derive(Debug)]
pub(crate) struct Later(Arc<Source>);

impl Later {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Source::Later(OnceLock::new())))
    }

    /// A part of the file to come; empty until [`Self::come`].
    pub(crate) fn part(&self, range: Range<usize>) -> Bytes {
        Bytes { source: Arc::clone(&self.0), range }
    }

    /// Maps the file, which is whole now. It must not be shortened while it is used.
    pub(crate) fn come(&self, file: &File) -> std::io::Result<()> {
        // SAFETY: as in `Bytes::map`.
        let map = unsafe { Mmap::map(file) }?;
        if let Source::Later(place) = &*self.0 {
            // Set once only: a second map would be of the same file.
            drop(place.set(map));
        }
        Ok(())
    }
}

impl Bytes {
    /// Maps a file. It must not be shortened while it is used: replace model files by renaming.
    pub(crate) fn map(path: &Path) -> Result<Self, Error> {
        let refused = |error: std::io::Error| Error::model(path, "file", format!("cannot be read: {error}"));
        let file = File::open(path).map_err(refused)?;
        if file.metadata().map_err(refused)?.len() == 0 {
            return Err(Error::model(path, "file", "is empty"));
        }
        Self::of(&file).map_err(refused)
    }

    /// The same for a file that is open.
    pub(crate) fn of(file: &File) -> std::io::Result<Self> {
        // SAFETY: the map is read-only and private to this process's view; the file's being changed by another
        // process while mapped is excluded by the contract above, as for every mapped executable.
        let map = unsafe { Mmap::map(file) }?;
        let range = 0..map.len();
        Ok(Self { source: Arc::new(Source::Map(map)), range })
    }

    /// Bytes that are in no file.
    pub(crate) fn owned(bytes: Vec<u8>) -> Self {
        let range = 0..bytes.len();
        Self { source: Arc::new(Source::Owned(bytes)), range }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        self.source.as_slice().get(self.range.clone()).unwrap_or(&[])
    }

    pub(crate) fn len(&self) -> usize {
        self.range.len()
    }

    /// The pages of `page` bytes that hold the bytes.
    pub(crate) fn pages(&self, page: usize) -> u64 {
        let first = self.as_slice().as_ptr().addr() / page;
        ((self.as_slice().as_ptr().addr() + self.len()).div_ceil(page) - first) as u64
    }

    /// These bytes and those of `next`, where that follows them in the same file with less than `gap` between.
    pub(crate) fn joined(&self, next: &Self, gap: usize) -> Option<Self> {
        let between = next.range.start.checked_sub(self.range.end)?;
        (Arc::ptr_eq(&self.source, &next.source) && between < gap)
            .then(|| Self { source: Arc::clone(&self.source), range: self.range.start..next.range.end })
    }

    /// Where the bytes start in their file.
    pub(crate) fn start(&self) -> usize {
        self.range.start
    }

    /// Whether the bytes are read from a file, and not from memory of their own.
    pub(crate) fn is_in_file(&self) -> bool {
        !matches!(*self.source, Source::Owned(_))
    }

    /// Lets the system take back the memory of bytes that were read and are hardly needed again; they can still be read.
    pub(crate) fn release(&self) {
        #[cfg(unix)]
        if let Some(map) = self.source.map() {
            // SAFETY: the map is read-only and of a file that does not change by the contract of `map`, so that pages
            // given back are the same when they are read again.
            let released = unsafe {
                let advice = memmap2::UncheckedAdvice::DontNeed;
                map.unchecked_advise_range(advice, self.range.start, self.range.len())
            };
            // Where the system refuses, the memory stays as it was.
            let _as_before = released;
        }
    }

    /// Asks the system to read bytes from the disk that are needed soon; does not wait for them.
    pub(crate) fn fetch(&self) {
        #[cfg(unix)]
        if let Some(map) = self.source.map() {
            // Where the system refuses, they are read when they are needed.
            let _later = map.advise_range(memmap2::Advice::WillNeed, self.range.start, self.range.len());
        }
    }

    /// Makes the pages of `page` bytes that are wholly within these bytes an area of their own among neighbours of the
    /// other kind: where a page is touched, the system maps others of the same area with it, and never those of another
    /// one. That is done by two marks that matter to nothing else here, what a dump and what a child of the process have
    /// of them.
    #[cfg(target_os = "linux")]
    pub(crate) fn set_apart(&self, page: usize, odd: bool) -> std::io::Result<()> {
        let mark = if odd { memmap2::Advice::DontDump } else { memmap2::Advice::DontFork };
        let address = self.as_slice().as_ptr().addr();
        let before = address.next_multiple_of(page) - address;
        let length = self.len().saturating_sub(before) / page * page;
        match self.source.map() {
            Some(map) if length > 0 => map.advise_range(mark, self.range.start + before, length),
            _ => Ok(()),
        }
    }

    /// `length` bytes from `start`, or nothing where they reach past the end.
    pub(crate) fn part(&self, start: usize, length: usize) -> Option<Self> {
        let end = start.checked_add(length)?;
        if end > self.len() {
            return None;
        }
        let range = self.range.start + start..self.range.start + end;
        Some(Self { source: Arc::clone(&self.source), range })
    }
}

/// Types for which any bytes of their size are a value.
///
/// # Safety
///
/// The type has no padding, no invalid bit pattern and no pointer.
pub(crate) unsafe trait Plain: Clone + Send + Sync + std::fmt::Debug + 'static {}

// SAFETY: every bit pattern is a number.
unsafe impl Plain for f32 {}
// SAFETY: every bit pattern is a number.
unsafe impl Plain for bf16 {}
// SAFETY: half's f16 is a transparent u16.
unsafe impl Plain for half::f16 {}

macro_rules! plain {
    ($($block:ident),*) => {$(
        // SAFETY: a `repr(C)` struct of u8, i8, f16 arrays whose size candle asserts to be their sum.
        unsafe impl Plain for k_quants::$block {}
    )*};
}
plain!(
    BlockQ4_0, BlockQ4_1, BlockQ5_0, BlockQ5_1, BlockQ8_0, BlockQ2K, BlockQ3K, BlockQ4K, BlockQ5K, BlockQ6K
);

/// Values of one plain type: read in place where the file aligns them, copied where it does not.
#[derive(Debug)]
pub(crate) enum Blocks<T> {
    Mapped(Bytes, PhantomData<T>),
    Owned(Vec<T>),
}

impl<T: Plain> Blocks<T> {
    /// `bytes` as whole values; bytes after the last whole value are left out.
    pub(crate) fn new(bytes: Bytes) -> Self {
        let slice = bytes.as_slice();
        if slice.as_ptr().cast::<T>().is_aligned() {
            return Self::Mapped(bytes, PhantomData);
        }
        let count = slice.len() / size_of::<T>();
        let mut values = Vec::<T>::with_capacity(count);
        // SAFETY: `count` values fit both the source slice and the new allocation, the two do not overlap, and any
        // bytes are a `T` because it is `Plain`; the length is set only after all of them are written.
        unsafe {
            std::ptr::copy_nonoverlapping(
                slice.as_ptr(),
                values.as_mut_ptr().cast::<u8>(),
                count * size_of::<T>(),
            );
            values.set_len(count);
        }
        bytes.release();
        Self::Owned(values)
    }

    /// The part of a file that the values are read from, if they are.
    pub(crate) fn file_part(&self) -> Option<&Bytes> {
        match self {
            Self::Mapped(bytes, _) => bytes.is_in_file().then_some(bytes),
            Self::Owned(_) => None,
        }
    }

    pub(crate) fn as_slice(&self) -> &[T] {
        match self {
            Self::Owned(values) => values,
            Self::Mapped(bytes, _) => {
                let slice = bytes.as_slice();
                // SAFETY: alignment was checked when this was made and the map never moves; the length is whole
                // values inside the slice; any bytes are a `T` because it is `Plain`.
                unsafe {
                    std::slice::from_raw_parts(slice.as_ptr().cast::<T>(), slice.len() / size_of::<T>())
                }
            }
        }
    }
}
