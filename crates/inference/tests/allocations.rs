//! How often a step of decoding asks the allocator for memory, once the steps before have filled the arena.

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use inference::{Options, speed::Model};

/// The system's allocator, and how often and for how much it was asked.
struct Counting;

static ASKED: AtomicUsize = AtomicUsize::new(0);
/// Requests as large as a row of activations, or larger.
static LARGE: AtomicUsize = AtomicUsize::new(0);
const LARGE_MIN: usize = 1 << 10;

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ASKED.fetch_add(1, Ordering::Relaxed);
        if layout.size() >= LARGE_MIN {
            LARGE.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn counts(model: &Model, steps: usize) -> Result<[usize; 2], inference::Error> {
    let before = [&ASKED, &LARGE].map(|count| count.load(Ordering::Relaxed));
    model.decode(1, 4, steps)?;
    let after = [&ASKED, &LARGE].map(|count| count.load(Ordering::Relaxed));
    Ok([after[0] - before[0], after[1] - before[1]])
}

#[test]
fn a_step_makes_short_lists_only() {
    let path = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../deploy/models/device/causeway-device-q4_0.gguf"
    ));
    let model = Model::load(&Options { model: path, threads: 1, ..Options::default() }).unwrap();
    counts(&model, 8).unwrap();
    // The prompt's part cancels out. Positions 4 to 44 are in one block of the cache.
    let (few, many) = (counts(&model, 20).unwrap(), counts(&model, 40).unwrap());
    let per_step = [0, 1].map(|at| (many[at] - few[at]) as f64 / 20.0);
    assert!(per_step[0] <= ASKED_MAX, "{} requests of a step", per_step[0]);
    assert!(per_step[1] <= LARGE_OF_A_STEP_MAX, "{} large requests of a step", per_step[1]);
}

/// Lists of jobs and pieces, and the cache's blocks as a layer sees them: some 14 for each of the model's four layers.
const ASKED_MAX: f64 = 60.0;
/// The scores, which leave the step.
const LARGE_OF_A_STEP_MAX: f64 = 1.0;
