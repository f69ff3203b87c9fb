//! What goes wrong, and when: drawn from the seed before anything begins.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::given::mixed;
use crate::hop::DRAIN_MAX;
use crate::network::Host;

/// Between these milliseconds after the beginning things go wrong; after the last of them all is well again.
pub(crate) const WINDOW_MS: (u64, u64) = (400, 3_500);

/// One thing that goes wrong.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) at_ms: u64,
    pub(crate) until_ms: u64,
    pub(crate) what: What,
}

/// What it is. Workers and hops are named by their index.
#[derive(Clone, Debug)]
pub(crate) enum What {
    /// Nothing gets through from the one to the other, or in neither direction.
    Part {
        link: (Host, Host),
        both: bool,
    },
    /// Bytes take so many milliseconds more.
    Slow {
        link: (Host, Host),
        by_ms: u64,
    },
    /// A connection is lost after so many bytes of the one.
    Cut {
        link: (Host, Host),
        after_bytes: usize,
    },
    WorkerCrashes {
        worker: usize,
        dark: bool,
    },
    WorkerDrains {
        worker: usize,
    },
    /// It makes no token, or nobody reaches it either, as when its process is stopped.
    WorkerStalls {
        worker: usize,
        frozen: bool,
    },
    WorkerBreaks {
        worker: usize,
        permille: u32,
    },
    WorkerRefuses {
        worker: usize,
        permille: u32,
    },
    HopCrashes {
        hop: usize,
        dark: bool,
    },
    HopDrains {
        hop: usize,
    },
    /// Somebody sets the wall clock.
    ClockJumps {
        by_ms: i64,
    },
}

/// The world, as far as faults need to know it.
pub(crate) struct Scene {
    /// Links that are used, in the direction of the calls.
    pub(crate) links: Vec<(Host, Host)>,
    pub(crate) workers: usize,
    pub(crate) hops: usize,
}

/// The faults of a seed, in order. None for one world in eight, so that it can be seen what calm looks like.
pub(crate) fn faults(seed: u64, scene: &Scene) -> Vec<Fault> {
    let random = &mut StdRng::seed_from_u64(mixed(seed ^ 2));
    let count = if random.random_range(0..8) == 0 { 0 } else { random.random_range(1..=8) };
    let mut faults: Vec<Fault> = (0..count).map(|_| fault(random, scene)).collect();
    faults.sort_by_key(|fault| fault.at_ms);
    faults
}

fn fault(random: &mut StdRng, scene: &Scene) -> Fault {
    let at_ms = random.random_range(WINDOW_MS.0..WINDOW_MS.1);
    let length_ms = random.random_range(20..1_200);
    let (worker, hop) = (random.random_range(0..scene.workers), random.random_range(0..scene.hops));
    let (one, other) = scene.links[random.random_range(0..scene.links.len())];
    let link = if random.random() { (one, other) } else { (other, one) };
    let dark = random.random_range(0..3) == 0;
    let permille = random.random_range(100..=1000);
    let what = match random.random_range(0..13) {
        0 => What::Part { link, both: true },
        1 => What::Part { link, both: false },
        2 => What::Slow { link, by_ms: random.random_range(5..300) },
        3 | 4 => What::Cut { link, after_bytes: random.random_range(1..4_000) },
        5 | 6 => What::WorkerCrashes { worker, dark },
        7 => What::WorkerDrains { worker },
        8 => What::WorkerStalls { worker, frozen: dark },
        9 => What::WorkerBreaks { worker, permille },
        10 => What::WorkerRefuses { worker, permille },
        11 => match random.random_range(0..3) {
            0 => What::HopCrashes { hop, dark },
            _ => What::HopDrains { hop },
        },
        _ => What::ClockJumps { by_ms: random.random_range(-3_600_000..3_600_000) },
    };
    // What drains is started again when its time is over.
    let drains = matches!(what, What::WorkerDrains { .. } | What::HopDrains { .. });
    let until_ms = at_ms + if drains { DRAIN_MAX.as_millis() as u64 + 50 } else { length_ms };
    Fault { at_ms, until_ms, what }
}
