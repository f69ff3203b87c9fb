//! What a machine could do at most: reading memory, and multiplying 8-bit numbers.

use std::time::{Duration, Instant};

use crate::{
    Error,
    kernels::{Form, Team, share},
};

/// Bytes that are read: far more than any cache holds.
const BYTES: usize = 512 << 20;
/// Words of one piece.
const PIECE: usize = 1 << 17;
/// Products of one piece of arithmetic, in turns of the loop.
const TURNS: usize = 1 << 18;
const PIECES: usize = 64;
/// The best of so many counts.
const TRIALS: usize = 5;

/// The most that this machine gave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Bytes read from memory per second.
    pub bytes_per_second: f64,
    /// Multiplications and additions of 8-bit numbers per second, by the form in use; none for the plain form.
    pub operations_per_second: Option<f64>,
}

impl Limits {
    /// Measures on so many threads; 0 means one per core. Takes about a second and half a gibibyte.
    ///
    /// # Errors
    ///
    /// The system's refusal of threads.
    pub fn measure(threads: usize) -> Result<Self, Error> {
        let team = Team::new(threads).map_err(|error| Error::Compute { problem: error.to_string() })?;
        team.install(|| {
            let words = vec![1u64; BYTES / size_of::<u64>()];
            let read = best(|| {
                share(words.len() / PIECE, |at| {
                    std::hint::black_box(sum(&words[at * PIECE..(at + 1) * PIECE]));
                });
            });
            drop(words);
            let operations = operations(Form::best()).map(|each| {
                let took = best(|| share(PIECES, |_| multiply(Form::best())));
                (PIECES * TURNS) as f64 * each / took.as_secs_f64()
            });
            let bytes_per_second = BYTES as f64 / read.as_secs_f64();
            Ok(Self { bytes_per_second, operations_per_second: operations })
        })
    }
}

fn best(work: impl Fn()) -> Duration {
    let one = || {
        let started = Instant::now();
        work();
        started.elapsed()
    };
    (0..TRIALS).map(|_| one()).min().unwrap_or_default()
}

/// Sixteen sums side by side, so that memory alone limits it.
fn sum(words: &[u64]) -> u64 {
    let mut sums = [0u64; 16];
    for run in words.as_chunks::<16>().0 {
        for (sum, word) in sums.iter_mut().zip(run) {
            *sum = sum.wrapping_add(*word);
        }
    }
    sums.iter().fold(0, |all, sum| all.wrapping_add(*sum))
}

/// Operations of one turn of the loop in [`multiply`].
fn operations(form: Form) -> Option<f64> {
    match form {
        #[cfg(target_arch = "x86_64")]
        Form::Avx512 => Some((CHAINS * 64 * 2) as f64),
        #[cfg(target_arch = "x86_64")]
        Form::Avx2 => Some((CHAINS * 32 * 2) as f64),
        _ => None,
    }
}

/// Sums that do not wait for each other: more than the instructions in flight.
#[cfg(target_arch = "x86_64")]
const CHAINS: usize = 12;

fn multiply(form: Form) {
    #[cfg(target_arch = "x86_64")]
    match form {
        // SAFETY: a form is the best only where the processor has its features.
        Form::Avx512 => unsafe { multiply_avx512() },
        // SAFETY: as above.
        Form::Avx2 => unsafe { multiply_avx2() },
        Form::Plain => {}
    }
    let _only_plain = form;
}

/// # Safety
///
/// The processor has AVX-512F and AVX-512 VNNI.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn multiply_avx512() {
    use std::arch::x86_64::{_mm512_dpbusd_epi32, _mm512_set1_epi8, _mm512_setzero_si512};
    let mut sums = [_mm512_setzero_si512(); CHAINS];
    let [left, right] = std::hint::black_box([_mm512_set1_epi8(3), _mm512_set1_epi8(5)]);
    for _ in 0..TURNS {
        for sum in &mut sums {
            *sum = _mm512_dpbusd_epi32(*sum, left, right);
        }
    }
    std::hint::black_box(sums);
}

/// # Safety
///
/// The processor has AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn multiply_avx2() {
    use std::arch::x86_64::{_mm256_add_epi16, _mm256_maddubs_epi16, _mm256_set1_epi8, _mm256_setzero_si256};
    let mut sums = [_mm256_setzero_si256(); CHAINS];
    let [left, right] = std::hint::black_box([_mm256_set1_epi8(3), _mm256_set1_epi8(5)]);
    for _ in 0..TURNS {
        for sum in &mut sums {
            // The factors change, or the product would be made once.
            *sum = _mm256_add_epi16(*sum, _mm256_maddubs_epi16(_mm256_add_epi16(left, *sum), right));
        }
    }
    std::hint::black_box(sums);
}
