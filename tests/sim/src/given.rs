//! What a process asks its machine for, and a simulation gives it: random bytes and the wall clock.
//!
//! The shipped code takes its transport, its clock for waiting and its random numbers as they are given. What is left
//! is asked of the system by the libraries below it: the keys of hash maps, the order in which `tokio::select!` polls,
//! the date in a response's headers. All of it comes through two functions of the C library, which stand here instead.
//! A process simulates one seed: some of those libraries count across a whole process.

use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// What the wall clock shows when a simulation begins: 2026-01-01, milliseconds since 1970.
const BEGINS_MS: i64 = 1_767_225_600_000;

static SIMULATED: AtomicBool = AtomicBool::new(false);
static SEED: AtomicU64 = AtomicU64::new(0);
static ELAPSED_MS: AtomicI64 = AtomicI64::new(0);
static JUMPED_MS: AtomicI64 = AtomicI64::new(0);

/// From now on this process has nothing but what follows from the seed. Threads that drew random keys before keep them.
pub(crate) fn begin(seed: u64) {
    SEED.store(mixed(seed), Ordering::Relaxed);
    SIMULATED.store(true, Ordering::Relaxed);
}

/// So much virtual time has passed.
pub(crate) fn elapsed(time: Duration) {
    ELAPSED_MS.store(i64::try_from(time.as_millis()).unwrap_or(i64::MAX), Ordering::Relaxed);
}

/// Somebody sets the wall clock, forwards or back.
pub(crate) fn jump(by_ms: i64) {
    JUMPED_MS.fetch_add(by_ms, Ordering::Relaxed);
}

/// The SplitMix64 step: a bijection that leaves no pattern.
pub(crate) fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

/// The C library's function of this name.
///
/// # Safety
/// As there: `buffer` holds `len` bytes that can be written.
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(buffer: *mut c_void, len: libc::size_t, flags: libc::c_uint) -> libc::ssize_t {
    if !SIMULATED.load(Ordering::Relaxed) {
        // SAFETY: the caller's promise is the kernel's condition.
        return unsafe { libc::syscall(libc::SYS_getrandom, buffer, len, flags) as libc::ssize_t };
    }
    // SAFETY: the caller promises that `len` bytes can be written there.
    let bytes = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), len) };
    let mut state = SEED.load(Ordering::Relaxed);
    for chunk in bytes.chunks_mut(8) {
        // The same for everyone who asks: which thread asks first is not given.
        state = mixed(state);
        chunk.copy_from_slice(&state.to_le_bytes()[..chunk.len()]);
    }
    len as libc::ssize_t
}

/// The C library's function of this name.
///
/// # Safety
/// As there: `time` can be written.
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> libc::c_int {
    if clock != libc::CLOCK_REALTIME || !SIMULATED.load(Ordering::Relaxed) {
        // SAFETY: the caller's promise is the kernel's condition.
        return unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) as libc::c_int };
    }
    let ms = BEGINS_MS + ELAPSED_MS.load(Ordering::Relaxed) + JUMPED_MS.load(Ordering::Relaxed);
    let now = libc::timespec { tv_sec: ms.div_euclid(1000), tv_nsec: ms.rem_euclid(1000) * 1_000_000 };
    // SAFETY: the caller promises that it can be written.
    unsafe { time.write(now) };
    0
}
