//! What is known of caches: found where it was sent, for as long as it must be there, for those who share.

use std::sync::Arc;

use proptest::prelude::*;
use proto::v1;
use proto::v1::content_part::Part;

use super::chain::{Chain, Cut, Secret};
use super::index::{Bounds, Found, Index, Told};
use super::{Cache, Number, Prefixes};
use crate::config::PrefixOptions;

const BOUNDS: Bounds = Bounds { holds_max: 1000, worker_holds_max: 1000, holders_max: 8 };

fn chain(root: &str, turns: &[&str]) -> Chain {
    let mut chain = Chain::new(Secret::new(7), &[root.as_bytes()], 16);
    for (role, turn) in (0..).zip(turns) {
        chain.say(role % 2, turn.as_bytes());
        chain.end_turn();
    }
    chain.end_prompt();
    chain
}

/// An index of workers with much room that were sent these.
fn index(sent: &[(u32, &Chain)]) -> Index {
    let mut index = Index::new(BOUNDS);
    for (worker, chain) in sent {
        index.room(*worker, 1 << 20);
        index.store(*worker, chain.prompt_cuts(), 1.0);
    }
    index
}

fn ends(index: &Index, chain: &Chain) -> Vec<(u32, u32)> {
    index.found(chain.prompt_cuts()).into_iter().map(|found| (found.worker, found.end)).collect()
}

#[test]
fn a_beginning_has_one_name_whoever_says_it_and_however_it_is_cut() {
    let talk = chain("a", &["What time is it in Lima, and in Rome?", "Noon."]);
    let longer = chain("a", &["What time is it in Lima, and in Rome?", "Noon.", "And in Oslo?"]);
    assert_eq!(longer.cuts()[..talk.cuts().len()], *talk.cuts());
    assert_eq!(talk.cuts().iter().map(|cut| cut.end).collect::<Vec<_>>(), [16, 32, 37, 42]);

    let mut answered = chain("a", &["What time is it in Lima, and in Rome?"]);
    for piece in ["No", "", "on."] {
        answered.say(1, piece.as_bytes());
    }
    answered.end_turn();
    assert_eq!(answered.cuts(), talk.cuts());
    assert_eq!((answered.prompt_cuts().len(), answered.prompt_end()), (3, 37));

    let shared = |left: &Chain, right: &Chain| {
        left.cuts().iter().zip(right.cuts()).take_while(|(left, right)| left == right).count()
    };
    assert_eq!(shared(&talk, &chain("b", &["What time is it in Lima, and in Rome?", "Noon."])), 0);
    assert_eq!(shared(&talk, &chain("a", &["What time is it in Lima, and in Oslo?", "Noon."])), 2);
    // A turn that goes on is not one that has ended.
    assert_eq!(shared(&chain("a", &["Lima"]), &chain("a", &["Lim", "a"])), 0);
    let mut other = Chain::new(Secret::new(8), &[b"a"], 16);
    other.say(0, b"What time is it in Lima, and in Rome?");
    assert_eq!(shared(&talk, &other), 0, "names are of one process");
}

#[test]
fn what_was_sent_is_found_as_far_as_it_is_the_same() {
    let (talk, more) = (chain("a", &["one", "two"]), chain("a", &["one", "two", "three"]));
    let (other, stranger) = (chain("a", &["one", "four"]), chain("b", &["one", "two"]));
    let mut index = index(&[(3, &talk), (1, &other)]);
    assert_eq!(ends(&index, &more), [(1, 3), (3, 6)]);
    assert_eq!(ends(&index, &stranger), []);
    assert_eq!(index.store(3, more.prompt_cuts(), 1.0), 2);
    assert_eq!(index.store(3, more.prompt_cuts(), 1.0), 3);
    assert_eq!(ends(&index, &more), [(1, 3), (3, 11)]);
    index.forget(3, &more.prompt_cuts()[2..]);
    assert_eq!(ends(&index, &more), [(1, 3), (3, 6)]);
    index.forget_all(3);
    assert_eq!(ends(&index, &more), [(1, 3)]);
    assert_eq!(index.len(), 2);
}

#[test]
fn a_cache_that_is_full_has_given_up_the_ends_of_what_was_used_least_lately() {
    let (first, second) = (chain("a", &["0123456789", "abcde"]), chain("a", &["0123456789", "vwxyz"]));
    let third = chain("a", &["ABCDEFGHIJ"]);
    let mut index = index(&[(0, &first), (0, &second)]);
    index.room(0, 20);
    assert_eq!((ends(&index, &first), ends(&index, &second)), (vec![(0, 15)], vec![(0, 15)]));
    index.store(0, third.prompt_cuts(), 1.0);
    // Ten more tokens: both ends go, and what they share stays.
    assert_eq!((ends(&index, &first), ends(&index, &second)), (vec![(0, 10)], vec![(0, 10)]));
    index.room(0, 10);
    assert_eq!((ends(&index, &first), ends(&index, &third)), (vec![], vec![(0, 10)]));
    index.room(0, 0);
    assert!(index.is_empty());
}

#[test]
fn blocks_that_a_worker_gave_up_are_no_longer_found_there() {
    let talk = chain("a", &["0123456789", "abcdefghij", "ABCDEFGHIJ"]);
    let told = |blocks| Told { blocks, block_tokens: 4, prompt_tokens: 30, output_tokens: 0 };
    // Beginnings of 10, 20 and 30 tokens need 3, 5 and 8 blocks of 4, of which the last is not full.
    for (gone, end) in [(11, 0), (13, 0), (14, 10), (15, 10), (16, 20), (17, 20), (99, 30)] {
        let mut index = index(&[(0, &talk), (1, &talk)]);
        index.join(0, &talk, &told(&[11, 12, 13, 14, 15, 16, 17]));
        assert_eq!(ends(&index, &talk), [(0, 30), (1, 30)]);
        index.removed(0, gone);
        let expect: Vec<_> = [(0, end), (1, 30)].into_iter().filter(|(_, end)| *end > 0).collect();
        assert_eq!(ends(&index, &talk), expect, "block {gone}");
    }
    // What it does not name it does not hold.
    let mut index = index(&[(0, &talk)]);
    index.join(0, &talk, &told(&[11, 12, 13]));
    assert_eq!(ends(&index, &talk), [(0, 10)]);
}

#[test]
fn an_answers_blocks_are_known_as_its_prompts_are() {
    let mut talk = chain("a", &["0123456789"]);
    talk.say(1, b"abcdefghij");
    talk.end_turn();
    let asked_again = chain("a", &["0123456789", "abcdefghij", "more"]);
    let mut index = Index::new(BOUNDS);
    index.room(0, 100);
    index.store(0, talk.cuts(), 1.0);
    // The answer is one of 40 tokens, whatever its bytes.
    let blocks: Vec<u64> = (1..=12).collect();
    index.join(0, &talk, &Told { blocks: &blocks, block_tokens: 4, prompt_tokens: 10, output_tokens: 40 });
    assert_eq!(ends(&index, &asked_again), [(0, 20)]);
    index.removed(0, 12);
    assert_eq!(ends(&index, &asked_again), [(0, 10)]);
    index.removed(0, 2);
    assert_eq!(ends(&index, &asked_again), []);
}

#[test]
fn a_beginning_that_everyone_holds_names_the_last_who_used_it() {
    let talk = chain("a", &["one"]);
    let mut index = Index::new(BOUNDS);
    for worker in 0..20 {
        index.room(worker, 100);
        index.store(worker, talk.prompt_cuts(), 1.0);
        index.store(0, talk.prompt_cuts(), 1.0);
    }
    let holders: Vec<u32> = ends(&index, &talk).into_iter().map(|(worker, _)| worker).collect();
    assert_eq!(holders, [0, 13, 14, 15, 16, 17, 18, 19]);
}

fn request(text: &str) -> v1::GenerateRequest {
    let parts = vec![v1::ContentPart { part: Some(Part::Text(text.into())) }];
    let turns = vec![v1::Turn { role: v1::Role::User.into(), parts }];
    v1::GenerateRequest { turns, conversation_id: "talk".into(), ..Default::default() }
}

#[test]
fn a_prompt_is_kept_once_its_answer_has_begun() {
    let prefixes = Arc::new(Prefixes::new(&PrefixOptions::default(), 7));
    let mut cache = Cache::new(prefixes.clone(), Number::alone(0));
    let request = request(&"What time is it? ".repeat(100));
    let cached =
        |cache: &Cache, tenant| cache.cached_tokens(&prefixes.find(&prefixes.prompt(&request, tenant)), 400);
    let sent = |cache: &Cache| cache.sent(prefixes.prompt(&request, "one"), 400, false).unwrap();
    let held = sent(&cache);
    assert_eq!((cached(&cache, "one"), cached(&cache, "two")), (399, 0), "another may follow it at once");
    drop(held);
    assert_eq!(cached(&cache, "one"), 0, "it failed before its first token");
    let mut held = sent(&cache);
    held.begun();
    drop(held);
    assert_eq!(cached(&cache, "one"), 399);
    // Who shares otherwise is asked by other names, and what was known is not.
    let told = |sharing: v1::CacheSharing| v1::CacheReport { sharing: sharing.into(), ..Default::default() };
    for (sharing, tenants) in [
        (v1::CacheSharing::Conversation, [399, 0]),
        (v1::CacheSharing::Everyone, [399, 399]),
        (v1::CacheSharing::None, [0, 0]),
        (v1::CacheSharing::Salt, [399, 0]),
    ] {
        cache.heard(Some(&told(sharing)), 1 << 20);
        assert_eq!(cached(&cache, "one"), 0);
        if let Some(mut held) = cache.sent(prefixes.prompt(&request, "one"), 400, false) {
            held.begun();
        }
        assert_eq!([cached(&cache, "one"), cached(&cache, "two")], tenants, "{sharing:?}");
    }
    drop(cache);
    assert!(prefixes.index.read().is_empty(), "it goes with its worker");
}

/// Something that may happen to an index: at a worker, with the branch of a prompt.
#[derive(Clone, Debug)]
enum Act {
    Store(u32, Vec<u8>),
    Room(u32, u64),
    Join(u32, Vec<u8>, usize),
    Removed(u32, u64),
    Forget(u32),
}

fn act() -> impl Strategy<Value = Act> {
    let worker = || 0_u32..4;
    let branch = || prop::collection::vec(0_u8..3, 1..6);
    prop_oneof![
        4 => (worker(), branch()).prop_map(|(worker, branch)| Act::Store(worker, branch)),
        1 => (worker(), 0_u64..60).prop_map(|(worker, room)| Act::Room(worker, room)),
        2 => (worker(), branch(), 0_usize..9).prop_map(|(worker, branch, blocks)| Act::Join(worker, branch, blocks)),
        2 => (worker(), 0_u64..40).prop_map(|(worker, block)| Act::Removed(worker, block)),
        1 => worker().prop_map(Act::Forget),
    ]
}

fn branch(turns: &[u8]) -> Chain {
    let mut chain = Chain::new(Secret::new(7), &[], 16);
    for turn in turns {
        chain.block(u64::from(*turn), 5);
    }
    chain.end_prompt();
    chain
}

proptest! {
    #[test]
    fn bounds_hold_and_nothing_is_found_that_was_not_sent(acts in prop::collection::vec(act(), 0..80)) {
        let bounds = Bounds { holds_max: 12, worker_holds_max: 6, holders_max: 3 };
        let mut index = Index::new(bounds);
        let mut room = [0_u64; 4];
        let mut sent: [std::collections::HashSet<Vec<u8>>; 4] = Default::default();
        for act in acts {
            match act {
                Act::Store(worker, turns) => {
                    index.store(worker, branch(&turns).prompt_cuts(), 1.0);
                    for end in 1..=turns.len() {
                        sent[worker as usize].insert(turns[..end].to_vec());
                    }
                }
                Act::Room(worker, tokens) => {
                    room[worker as usize] = tokens;
                    index.room(worker, tokens);
                }
                Act::Join(worker, turns, blocks) => {
                    let blocks: Vec<u64> = (0..blocks as u64).map(|block| block + u64::from(turns[0]) * 9).collect();
                    let prompt_tokens = turns.len() as u32 * 5;
                    let told = Told { blocks: &blocks, block_tokens: 4, prompt_tokens, output_tokens: 0 };
                    index.join(worker, &branch(&turns), &told);
                }
                Act::Removed(worker, block) => index.removed(worker, block),
                Act::Forget(worker) => {
                    index.forget_all(worker);
                    sent[worker as usize].clear();
                }
            }
            prop_assert!(index.len() <= bounds.holds_max);
            for worker in 0..4 {
                let held = sent[worker].iter().filter(|turns| {
                    let chain = branch(turns);
                    let last: Cut = chain.cuts()[turns.len() - 1];
                    let found = index.found(chain.prompt_cuts());
                    found.contains(&Found { worker: worker as u32, cuts: turns.len(), end: last.end })
                });
                let held = held.count();
                prop_assert!(held <= bounds.worker_holds_max && held as u64 * 5 <= room[worker]);
            }
        }
        for turns in [vec![0], vec![1], vec![2], vec![0, 0], vec![2, 2, 2]] {
            for found in index.found(branch(&turns).prompt_cuts()) {
                prop_assert!(sent[found.worker as usize].contains(&turns[..found.cuts]));
            }
        }
    }
}
