//! Experts that come and go: the same bits, never more memory than the bound, and the ones used most stay.

use std::{path::Path, sync::Arc};

use candle_core::quantized::GgmlDType;

use super::{Part, Residency};
use crate::{
    Error, Options,
    kernels::Team,
    model::{Config, Decoder, Segment},
    tiny::Tiny,
};

/// Experts of about 220 kB, so that they are many pages.
fn tiny() -> Tiny {
    Tiny { hidden: 256, feed_forward: 512, experts: 8, layers: 4, ..Tiny::moe() }
}

fn load(options: &Options) -> Result<Decoder, Error> {
    let file = options.open_model()?;
    let config = Config::read(&file)?;
    Team::new(2).unwrap().install(|| options.load(&file, &config)).map(|(decoder, _)| decoder)
}

/// A prompt in pieces, then tokens one at a time beside another sequence; `look` is called after each step.
fn scores(decoder: &Decoder, mut look: impl FnMut()) -> Vec<Vec<f32>> {
    let tokens: Vec<u32> = (0..90).map(|n| n * 37 % 250).collect();
    let (mut one, mut two) = (decoder.cache(), decoder.cache());
    let mut all = Vec::new();
    for chunk in tokens[..40].chunks(16) {
        let mut segments = [Segment { tokens: chunk, cache: &mut one, scores: true }];
        all.extend(decoder.forward(&mut segments).unwrap());
        look();
    }
    for at in 40..90 {
        let mut segments = [
            Segment { tokens: &tokens[at..=at], cache: &mut one, scores: true },
            Segment { tokens: &tokens[90 - at..=90 - at], cache: &mut two, scores: true },
        ];
        all.extend(decoder.forward(&mut segments).unwrap());
        look();
    }
    all
}

/// Bytes of a folder's files with this ending that the process has in memory, as the system counts them.
fn resident(folder: &str, ending: &str) -> u64 {
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mut wanted = false;
    let mut kilobytes = 0;
    for line in maps.lines() {
        let first = line.split_whitespace().next().unwrap_or_default();
        if !first.ends_with(':') {
            wanted = line.contains(folder) && line.ends_with(ending);
        } else if wanted && first == "Rss:" {
            kilobytes += line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap();
        }
    }
    kilobytes * 1024
}

#[cfg(target_os = "linux")]
#[test]
fn a_bound_on_experts_holds_and_changes_no_bit() {
    // A type that is packed, and one that is read as it lies in the model's file.
    for kind in [GgmlDType::Q4_0, GgmlDType::BF16] {
        let folder = tempfile::tempdir().unwrap();
        let model = tiny().gguf(folder.path(), kind);
        let all = Options { model, packed_cache: Some(folder.path().join("p")), ..Options::default() };
        let free = load(&all).unwrap();
        let own = folder.path().to_string_lossy().into_owned();
        let file = if kind == GgmlDType::Q4_0 { ".tiles" } else { ".gguf" };
        let mapped = || resident(&own, file);
        let mut most = 0;
        let expected = scores(&free, || most = mapped().max(most));
        drop(free);
        // Twice: with a file that is written now, and with one that is there.
        for packed in [folder.path().join("q"), folder.path().join("p")] {
            let weights = 4 * 8 * 3 * 256 * 512;
            let experts = if kind == GgmlDType::Q4_0 { weights / 32 * 18 } else { weights * 2 };
            let bytes_max = experts / 2;
            let options = Options {
                packed_cache: Some(packed),
                experts_resident_bytes_max: Some(bytes_max),
                ..all.clone()
            };
            let decoder = load(&options).unwrap();
            let others = most.saturating_sub(experts);
            let mut at_most = 0;
            assert_eq!(scores(&decoder, || at_most = mapped().max(at_most)), expected, "{kind:?}");
            assert!(at_most <= bytes_max + others, "{at_most} of {bytes_max} + {others}");
            assert!(most > bytes_max + others, "the bound binds: {most}");
            let seen = decoder.expert_load().residency();
            assert!(seen.hits > 0 && seen.misses > 0 && seen.given_back > 0, "{seen:?}");
            assert!(seen.guessed_right > 0 && seen.fetched_used > 0, "{seen:?}");
            assert!(seen.resident_bytes <= bytes_max, "{seen:?}");
        }
    }
}

#[test]
fn a_bound_that_cannot_be_kept_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |model: &Path, packed: Option<&Path>, bytes_max: u64| {
        let options = Options {
            model: model.to_owned(),
            packed_cache: packed.map(Path::to_owned),
            experts_resident_bytes_max: Some(bytes_max),
            ..Options::default()
        };
        match load(&options) {
            Err(Error::BadOption { field: "experts_resident_bytes_max", problem }) => problem,
            other => panic!("{other:?}"),
        }
    };
    let model = tiny().gguf(folder.path(), GgmlDType::Q4_0);
    let packed = folder.path().join("packed");
    if !cfg!(target_os = "linux") {
        assert_eq!(refused(&model, Some(&packed), u64::MAX), "is kept on Linux only");
        return;
    }
    assert!(refused(&model, None, u64::MAX).contains("set `packed_cache`"));
    assert!(refused(&model, Some(&packed), 1_000_000).contains("the experts of one layer take up to"));
    let dense = Tiny::dense().gguf(folder.path(), GgmlDType::Q4_0);
    assert!(refused(&dense, Some(&packed), u64::MAX).contains("no experts"));
}

fn seats(bytes_max: u64) -> Arc<Residency> {
    let part = |_| Part { pieces: Vec::new(), bytes: 1_000 };
    let layers = (0..6).map(|_| (0..32).map(part).collect()).collect();
    Residency::of_parts(layers, bytes_max, Arc::default()).unwrap()
}

/// A trace of top-2 choices whose popularity falls with the expert's place in an order of the layer's own.
fn trace(steps: usize, mut visit: impl FnMut(usize, &[(usize, usize)])) {
    let mut state = 5u64;
    for _ in 0..steps {
        for layer in 0..6 {
            let mut busy = Vec::new();
            while busy.len() < 2 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let uniform = (state >> 11) as f64 / (1u64 << 53) as f64;
                // Squaring twice favours low ranks as trained routers do some experts.
                let rank = (uniform.powi(4) * 32.0) as usize;
                let expert = (rank * 7 + layer * 5) % 32;
                if !busy.contains(&(expert, 1)) {
                    busy.push((expert, 1));
                }
            }
            visit(layer, &busy);
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_experts_used_most_stay() {
    let third = 6 * 32 * 1_000 / 3;
    let residency = seats(third);
    trace(400, |layer, busy| residency.need(layer, busy, 1));
    residency.tally.clear();
    trace(400, |layer, busy| {
        residency.need(layer, busy, 1);
        assert!(residency.tally.read().resident_bytes <= third);
    });
    let seen = residency.tally.read();
    assert_eq!(seen.hits + seen.misses, 400 * 6 * 2);
    let mut uses = [[0u32; 32]; 6];
    trace(400, |layer, busy| busy.iter().for_each(|(expert, _)| uses[layer][*expert] += 1));
    let mut uses: Vec<u32> = uses.as_flattened().to_vec();
    uses.sort_unstable();
    let best = f64::from(uses.iter().rev().take(third as usize / 1_000).sum::<u32>()) / (400.0 * 6.0 * 2.0);
    assert!(
        seen.hit_rate() > 0.95 * best,
        "{} of {best} by keeping the right ones all the time",
        seen.hit_rate()
    );
    let last_used = kept_by_time(third as usize / 1_000);
    assert!(seen.hit_rate() > last_used, "{} and {last_used}", seen.hit_rate());
}

/// The hit rate of keeping the experts that were used last.
fn kept_by_time(places: usize) -> f64 {
    let mut kept: Vec<(usize, usize)> = Vec::new();
    let (mut hits, mut all) = (0u32, 0u32);
    trace(400, |layer, busy| {
        for (expert, _) in busy {
            let at = kept.iter().position(|kept| *kept == (layer, *expert));
            hits += u32::from(at.is_some());
            all += 1;
            at.map(|at| kept.remove(at));
            kept.push((layer, *expert));
            if kept.len() > places {
                kept.remove(0);
            }
        }
    });
    f64::from(hits) / f64::from(all)
}

#[cfg(target_os = "linux")]
#[test]
fn guesses_take_a_quarter_and_never_what_is_pinned_or_in_use() {
    let residency = seats(32_000);
    for step in 0..64 {
        residency.need(0, &[(1, 1), (2, 1)], 1);
        residency.need(1, &[(step % 8, 1)], 1);
    }
    residency.need(2, &(0..28).map(|expert| (expert, 1)).collect::<Vec<_>>(), 28);
    let before = residency.tally.read();
    residency.expect(3, (0..32).map(|expert| (expert, 1)).collect(), &[(0, 1)]);
    let seen = residency.tally.read();
    assert_eq!(seen.fetched - before.fetched, 8);
    assert!(seen.resident_bytes <= 32_000);
    residency.need(0, &[(1, 1), (2, 1)], 1);
    assert_eq!(residency.tally.read().hits, seen.hits + 2, "the pinned ones are there");
    residency.need(3, &[(0, 1), (31, 1)], 2);
    let after = residency.tally.read();
    assert_eq!((after.guessed, after.guessed_right, after.fetched_used), (32, 2, 1));
}
