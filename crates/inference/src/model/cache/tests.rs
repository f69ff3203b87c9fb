//! What a sequence takes over has the bits that it would compute, and blocks are neither lost nor held twice.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use proptest::prelude::*;

use super::{Cache, Fill, Link, Pool};
use crate::{
    BlockChange, Error, KvType,
    formats::ModelFile,
    kernels::{KeyShape, Layout},
    model::{Config, Decoder, Segment},
};

const KINDS: [KvType; 3] = [KvType::F32, KvType::F16, KvType::Q8];

fn ids(count: usize, seed: u32) -> Vec<u32> {
    (0..count as u32).map(|n| (n * 37 + seed * 101) % 97).collect()
}

fn root() -> Link {
    Link::root(&[7; 32], "")
}

/// Computes `tokens` after what the cache holds, in pieces of `chunk`.
fn scores(decoder: &Decoder, cache: &mut Cache, tokens: &[u32], chunk: usize) -> Vec<f32> {
    let mut last = Vec::new();
    for tokens in tokens.chunks(chunk) {
        last = decoder.forward(&mut [Segment { tokens, cache: &mut *cache, scores: true }]).unwrap();
    }
    last.remove(0)
}

/// The first model of every fixture that holds one.
fn every_architecture(check: impl Fn(&Decoder)) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/models");
    let mut names = BTreeSet::new();
    for fixture in std::fs::read_dir(folder).unwrap() {
        let path = fixture.unwrap().path();
        let Ok(file) = ModelFile::open(&path) else { continue };
        let config = Config::read(&file).unwrap().for_context(200);
        names.insert(config.architecture.name());
        check(&Decoder::load(&file, &config).unwrap());
    }
    assert_eq!(names.len(), 11, "{names:?}");
}

fn one_model() -> Decoder {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/models/gemma3");
    let file = ModelFile::open(&folder).unwrap();
    let config = Config::read(&file).unwrap().for_context(300);
    Decoder::load(&file, &config).unwrap()
}

fn pool(decoder: &Decoder, kind: KvType, block: usize, blocks_max: usize) -> Arc<Pool> {
    Arc::new(Pool::new(decoder.layout(block), kind, blocks_max))
}

#[test]
fn a_beginning_taken_over_has_the_bits_of_one_computed_whatever_the_architecture() {
    every_architecture(|decoder| {
        for (kind, block) in KINDS.into_iter().zip([16, 64, 32]) {
            let pool = pool(decoder, kind, block, 40);
            let first = ids(90, 1);
            let alone = |tokens: &[u32]| scores(decoder, &mut decoder.cache_in(kind), tokens, tokens.len());
            let mut cache = pool.cache(Some(root()));
            assert_eq!(cache.adopt(&first[..89]), 0);
            assert_eq!(scores(decoder, &mut cache, &first, 23), alone(&first));
            // Beside the sequence that computed it, and after it.
            for at in 5..7 {
                let second = [&first[..70], &ids(20, at)].concat();
                let mut other = pool.cache(Some(root()));
                let whole = 70 / block * block;
                let adopted = other.adopt(&second[..89]);
                assert!((whole..=70).contains(&adopted), "{adopted} in blocks of {block}");
                assert_eq!(scores(decoder, &mut other, &second[adopted..], 7), alone(&second));
                cache = pool.cache(Some(root()));
            }
            assert_eq!(cache.adopt(&first[..89]), 89, "the last token is left to compute");
            assert_eq!(scores(decoder, &mut cache, &first[89..], 1), alone(&first));
            drop(cache);
            let fill = pool.fill();
            assert_eq!((fill.held, fill.given_up), (0, 0));
        }
    });
}

/// The greatest difference of scores from those with F32 numbers, as a part of the greatest score.
fn error(decoder: &Decoder, kind: KvType) -> f32 {
    let of = |kind| scores(decoder, &mut decoder.cache_in(kind), &ids(150, 4), 150);
    let (exact, found) = (of(KvType::F32), of(kind));
    let greatest = exact.iter().fold(0f32, |most, score| most.max(score.abs()));
    let differences = exact.iter().zip(&found).map(|(exact, found)| (exact - found).abs() / greatest);
    differences.fold(0f32, f32::max)
}

#[test]
fn fewer_bits_err_by_little() {
    every_architecture(|decoder| {
        // With experts, a choice that was nearly a tie may fall the other way, whatever the error.
        if decoder.expert_load().rows().is_empty() {
            let (half, eight) = (error(decoder, KvType::F16), error(decoder, KvType::Q8));
            assert!(half < 1e-2 && eight < 1e-1, "F16 {half}, Q8 {eight}");
        }
    });
}

#[test]
fn a_truncated_cache_is_one_that_never_held_more() {
    every_architecture(|decoder| {
        for (kind, block) in KINDS.into_iter().zip([32, 16, 64]) {
            let pool = pool(decoder, kind, block, 20);
            let (right, wrong) = (ids(120, 2), ids(120, 3));
            let expected = scores(decoder, &mut decoder.cache_in(kind), &right, 120);
            let mut cache = pool.cache(Some(root()));
            let mut at = 0;
            for kept in [1, 15, 16, 17, 63, 64, 65, 100, 128] {
                scores(decoder, &mut cache, &right[at..kept.min(119)], 50);
                at = kept.min(119);
                scores(decoder, &mut cache, &wrong[..30], 30);
                cache.truncate(at);
                assert_eq!(cache.tokens(), at);
            }
            assert_eq!(scores(decoder, &mut cache, &right[at..], 1), expected);
            cache.truncate(0);
            assert_eq!(pool.fill().held, 0);
            assert_eq!(scores(decoder, &mut cache, &right, 120), expected);
        }
    });
}

#[test]
fn who_writes_to_a_shared_block_writes_to_a_copy() {
    let decoder = one_model();
    let pool = pool(&decoder, KvType::F16, 64, 20);
    let tokens = ids(100, 1);
    let mut first = pool.cache(Some(root()));
    scores(&decoder, &mut first, &tokens[..64], 64);
    // The block is full and shared; one goes back into it while the other reads it.
    let mut second = pool.cache(Some(root()));
    assert_eq!(second.adopt(&tokens[..40]), 40);
    assert_eq!((second.need(1), second.need(24), second.need(25)), (1, 1, 2));
    first.truncate(50);
    assert_eq!(first.need(1), 1);
    scores(&decoder, &mut second, &ids(30, 9), 30);
    let expected = scores(&decoder, &mut decoder.cache_in(KvType::F16), &tokens, 100);
    assert_eq!(scores(&decoder, &mut first, &tokens[50..], 9), expected);
    let other = [&tokens[..40], &ids(31, 9)].concat();
    let expected = scores(&decoder, &mut decoder.cache_in(KvType::F16), &other, 71);
    assert_eq!(scores(&decoder, &mut second, &other[70..], 1), expected);
}

#[test]
fn who_goes_back_into_a_block_that_only_it_uses_needs_no_other() {
    let pool = small(16, 2);
    let (mut cache, _) = fill(&pool, root(), &ids(32, 1)).unwrap();
    cache.truncate(20);
    assert_eq!(cache.need(12), 0);
    cache.make_room(12).unwrap();
    cache.advance(&ids(12, 5));
    drop(cache);
    assert_eq!(pool.cache(Some(root())).adopt(&ids(32, 1)), 20);
}

/// A pool whose blocks hold next to nothing.
fn small(block: usize, blocks_max: usize) -> Arc<Pool> {
    let shape = KeyShape { heads: 1, key_width: 1, value_width: 1 };
    Arc::new(Pool::new(Layout::new([shape], block), KvType::F16, blocks_max))
}

/// Takes over what is known, and makes as if it computed the rest.
fn fill(pool: &Arc<Pool>, root: Link, tokens: &[u32]) -> Result<(Cache, usize), Error> {
    let mut cache = pool.cache(Some(root));
    let adopted = cache.adopt(&tokens[..tokens.len() - 1]);
    cache.make_room(tokens.len() - adopted)?;
    cache.advance(&tokens[adopted..]);
    Ok((cache, adopted))
}

#[test]
fn the_bound_is_kept_exactly() {
    let pool = small(16, 4);
    let (first, _) = fill(&pool, root(), &ids(33, 1)).unwrap();
    assert_eq!((pool.free(), pool.fill().held), (1, 3));
    let (second, _) = fill(&pool, root(), &ids(16, 2)).unwrap();
    assert_eq!(pool.free(), 0);
    assert_eq!(fill(&pool, root(), &ids(1, 3)).unwrap_err(), Error::CacheFull { tokens_max: 64 });
    assert_eq!(pool.fill(), Fill { held: 4, kept: 0, max: 4, given_up: 0 });
    drop(second);
    assert_eq!(pool.fill(), Fill { held: 3, kept: 1, max: 4, given_up: 0 });
    assert_eq!(fill(&pool, root(), &ids(17, 3)).unwrap_err(), Error::CacheFull { tokens_max: 64 });
    drop(first);
    let (third, _) = fill(&pool, root(), &ids(64, 3)).unwrap();
    assert_eq!((pool.free(), pool.fill().given_up), (0, 4));
    drop(third);
    assert_eq!(pool.fill(), Fill { held: 0, kept: 4, max: 4, given_up: 4 });
    let private = pool.cache(None);
    drop(private);
    assert_eq!(pool.fill().kept, 4);
}

#[test]
fn the_longest_unused_is_given_up_first_and_what_follows_before_what_it_follows() {
    let pool = small(16, 6);
    drop(fill(&pool, root(), &ids(48, 1)).unwrap());
    drop(fill(&pool, root(), &ids(48, 2)).unwrap());
    let found = |seed| pool.cache(Some(root())).adopt(&ids(48, seed));
    // The first is used again, so the second is the older.
    assert_eq!(found(1), 48);
    let others = fill(&pool, root(), &ids(32, 3)).unwrap();
    assert_eq!((found(2), found(1)), (16, 48), "of the second only its beginning is left");
    drop(others);
    let others = fill(&pool, root(), &ids(64, 4)).unwrap();
    assert_eq!((found(3), found(2), found(1)), (32, 0, 0));
    drop(others);
}

#[test]
fn nothing_is_found_with_another_salt_model_or_beginning() {
    let pool = small(16, 100);
    drop(fill(&pool, root(), &ids(40, 1)).unwrap());
    assert_eq!(fill(&pool, root(), &ids(40, 1)).unwrap().1, 39);
    for other in [Link::root(&[7; 32], "someone"), Link::root(&[8; 32], "")] {
        assert_eq!(fill(&pool, other, &ids(40, 1)).unwrap().1, 0);
    }
    let later = [&ids(16, 4), &ids(40, 1)[..]].concat();
    assert_eq!(fill(&pool, root(), &later).unwrap().1, 0, "the same tokens elsewhere are others");
}

#[test]
fn an_unfinished_block_is_found_by_its_tokens_and_gives_way_to_one_that_goes_on() {
    let pool = small(64, 100);
    drop(fill(&pool, root(), &ids(30, 1)).unwrap());
    assert_eq!(pool.fill().kept, 1);
    assert_eq!(fill(&pool, root(), &ids(40, 1)).unwrap().1, 30);
    assert_eq!(pool.fill().kept, 1, "forty tokens hold the thirty");
    drop(fill(&pool, root(), &ids(20, 1)).unwrap());
    assert_eq!(pool.fill().kept, 1, "and the twenty");
    let mut other = ids(40, 1);
    other[25] += 1;
    assert_eq!(fill(&pool, root(), &other).unwrap().1, 25);
    assert_eq!(pool.fill().kept, 2);
}

#[test]
fn what_is_disowned_is_found_by_nobody() {
    let pool = small(16, 100);
    let (mut cache, _) = fill(&pool, root(), &ids(40, 1)).unwrap();
    let (other, adopted) = fill(&pool, root(), &ids(33, 1)).unwrap();
    assert_eq!(adopted, 32);
    cache.disown();
    drop((cache, other));
    assert_eq!(fill(&pool, root(), &ids(40, 1)).unwrap().1, 0);
    assert_eq!(pool.fill().held, 0);
}

#[test]
fn two_that_compute_the_same_end_with_one_block() {
    let pool = small(16, 100);
    let mut caches = [pool.cache(Some(root())), pool.cache(Some(root()))];
    for cache in &mut caches {
        cache.make_room(32).unwrap();
    }
    assert_eq!(pool.fill().held, 4);
    for cache in &mut caches {
        cache.advance(&ids(32, 1));
    }
    assert_eq!(pool.fill().held, 2);
}

#[test]
fn changes_of_full_blocks_are_told_in_order_and_a_gap_is_seen() {
    let pool = small(16, 3);
    drop(fill(&pool, root(), &ids(40, 1)).unwrap());
    let told = pool.events().read(0, 100);
    let (first, second) = (root().then(&ids(16, 1)), root().then(&ids(16, 1)).then(&ids(32, 1)[16..]));
    let stored = |after: Link, block: Link| BlockChange::Stored {
        block: block.short(),
        after: after.short(),
        tokens: 16,
    };
    assert_eq!(told.changes, [stored(root(), first), stored(first, second)]);
    assert_eq!((told.missed, told.next), (false, 2));
    drop(fill(&pool, root(), &ids(17, 2)).unwrap());
    let told = pool.events().read(2, 100);
    let other = root().then(&ids(16, 2));
    assert_eq!(told.changes, [BlockChange::Removed { block: second.short() }, stored(root(), other)]);
    assert!(pool.events().read(99, 1).missed, "numbers of an engine that is gone");
    for at in 0..3_000 {
        drop(fill(&pool, root(), &ids(48, at + 10)).unwrap());
    }
    let told = pool.events().read(4, 10);
    assert!(told.missed && told.changes.len() == 10);
    assert!(!pool.events().read(told.next, 10).missed);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_block_is_lost_or_held_twice(
        acts in prop::collection::vec((0usize..8, 0u32..4, 0usize..80), 1..200), blocks_max in 1usize..12,
    ) {
        let pool = small(16, blocks_max);
        let mut caches: Vec<Option<Cache>> = (0..4).map(|_| None).collect();
        for (act, who, size) in acts {
            let slot = &mut caches[who as usize];
            match (act, slot.as_mut()) {
                (0..4, Some(cache)) => {
                    let (need, free) = (cache.need(size), pool.free());
                    match cache.make_room(size) {
                        // A copy may set the block free that it was made of, which no need counts on.
                        Ok(()) => {
                            let from = cache.tokens();
                            // Some go on alike, some do not.
                            cache.advance(&ids(from + size, who % 2)[from..]);
                        }
                        Err(_) => prop_assert!(need > free),
                    }
                }
                (4, Some(cache)) => cache.truncate(size),
                (5, Some(cache)) => cache.disown(),
                (6, _) => *slot = None,
                _ => {
                    *slot = None;
                    let mut cache = pool.cache(Some(root()));
                    let adopted = cache.adopt(&ids(size, who % 2));
                    prop_assert!(adopted <= size && adopted == cache.tokens());
                    *slot = Some(cache);
                }
            }
            let Fill { held, kept, max, .. } = pool.fill();
            prop_assert!(held + kept <= max);
            prop_assert_eq!(pool.free(), max - held);
        }
        drop(caches);
        prop_assert_eq!(pool.free(), blocks_max);
        let all = fill(&pool, Link::root(&[1; 32], ""), &ids(16 * blocks_max, 9));
        prop_assert!(all.is_ok(), "every block can be had again");
    }
}
