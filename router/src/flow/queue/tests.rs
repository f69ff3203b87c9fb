//! What holds of the queue whatever comes and goes: bounds, order, shares, and that nobody is lost or served twice.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{Asker, Bounds, CLASSES, Queue, Sharing, Spot};

const SHARING: Sharing = Sharing { quantum: 100.0, class_share_min: 0.1 };
const WIDE: Bounds = Bounds { len: 100_000, tokens: u64::MAX };

/// What one that waits is remembered by.
type Kept = (usize, String, u64, u64);

fn asker(class: usize, tenant: &str, weight: f64, (tokens, deadline_us): (u64, u64)) -> Asker {
    Asker { class, tenant: tenant.into(), weight, tokens, deadline_us }
}

fn join(queue: &mut Queue<Kept>, asker: &Asker, bounds: Bounds) -> Result<(Spot, Vec<Kept>), Kept> {
    let kept = (asker.class, asker.tenant.to_string(), asker.tokens, asker.deadline_us);
    let joined = queue.join(asker, bounds, (0, kept));
    joined.map(|(spot, left)| (spot, left.into_iter().map(|one| one.kept).collect()))
}

fn drained(queue: &mut Queue<Kept>) -> Vec<Kept> {
    std::iter::from_fn(|| queue.next().map(|one| one.kept)).collect()
}

#[derive(Clone, Debug)]
enum Act {
    Join(Asker),
    Next,
    /// The next, or the last, does not take its turn.
    Decline(bool),
    Leave(usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let join =
        (0..CLASSES, 0_u8..4, 1_u64..500, 0_u64..1000).prop_map(|(class, tenant, tokens, deadline)| {
            let name = format!("tenant-{tenant}");
            Act::Join(asker(class, &name, f64::from(tenant + 1), (tokens, deadline)))
        });
    let decline = any::<bool>().prop_map(Act::Decline);
    let act =
        prop_oneof![4 => join, 2 => Just(Act::Next), 2 => decline, 1 => any::<usize>().prop_map(Act::Leave)];
    proptest::collection::vec(act, 1..200)
}

proptest! {
    /// Whoever came in leaves once: as the next, for another, or by itself. The bounds hold throughout.
    #[test]
    fn nobody_is_lost_or_served_twice_and_the_bounds_hold(acts in acts()) {
        let bounds = Bounds { len: 12, tokens: 2000 };
        let mut queue = Queue::new(SHARING);
        let (mut number, mut inside, mut spots, mut all) = (0_u64, BTreeMap::new(), Vec::new(), BTreeMap::new());
        for act in acts {
            match act {
                Act::Join(asker) => {
                    number += 1;
                    match queue.join(&asker, bounds, (number, number)) {
                        Ok((spot, left)) => {
                            for one in left {
                                let (class, _): (usize, u64) = inside.remove(&one.kept).unwrap();
                                prop_assert!(class >= asker.class, "one of a class above left");
                            }
                            inside.insert(number, (asker.class, asker.tokens));
                            all.insert(number, (asker, spot.clone()));
                            spots.push((number, spot));
                        }
                        Err(kept) => prop_assert_eq!(kept, number),
                    }
                }
                Act::Next => {
                    let next = queue.next();
                    prop_assert_eq!(next.is_some(), !inside.is_empty());
                    if let Some(one) = next {
                        prop_assert!(inside.remove(&one.kept).is_some());
                    }
                }
                Act::Decline(last) => {
                    let next = if last { queue.next_last() } else { queue.next() };
                    prop_assert_eq!(next.is_some(), !inside.is_empty());
                    if let Some(one) = next {
                        prop_assert_eq!(queue.len(), inside.len() - 1);
                        let (asker, spot) = &all[&one.kept];
                        queue.again(asker, spot, (one.came_us, one.kept));
                    }
                }
                Act::Leave(index) if !spots.is_empty() => {
                    let (number, spot) = spots.swap_remove(index % spots.len());
                    prop_assert_eq!(queue.leave(&spot).is_some(), inside.remove(&number).is_some());
                }
                Act::Leave(_) => {}
            }
            prop_assert_eq!(queue.len(), inside.len());
            prop_assert_eq!(queue.tokens(), inside.values().map(|(_, tokens)| tokens).sum::<u64>());
            prop_assert!(queue.len() <= bounds.len);
            prop_assert!(queue.tokens() <= bounds.tokens || queue.len() == 1);
        }
        let left: BTreeSet<u64> = std::iter::from_fn(|| queue.next().map(|one| one.kept)).collect();
        prop_assert_eq!(left, inside.into_keys().collect::<BTreeSet<_>>());
    }

    /// Within one tenant of one class the earliest deadline is first.
    #[test]
    fn deadlines_are_in_order(deadlines in proptest::collection::vec(0_u64..50, 1..60)) {
        let mut queue = Queue::new(SHARING);
        for deadline in &deadlines {
            join(&mut queue, &asker(1, "a", 1.0, (70, *deadline)), WIDE).unwrap();
        }
        let order: Vec<u64> = drained(&mut queue).into_iter().map(|one| one.3).collect();
        prop_assert!(order.is_sorted(), "{:?}", order);
    }

    /// Tenants that all have something waiting differ, for their weights, by no more than the bound of deficit round robin:
    /// a quantum and twice the largest request (Shreedhar and Varghese, theorem 3).
    #[test]
    fn tenants_get_their_shares_within_a_quantum(
        tokens in proptest::collection::vec(1_u64..250, 40..120),
        weights in proptest::collection::vec(1_u8..5, 2..4),
        served in 1_usize..80,
    ) {
        let mut queue = Queue::new(SHARING);
        let name = |index: usize| format!("tenant-{index}");
        for (index, weight) in weights.iter().enumerate() {
            for tokens in &tokens {
                join(&mut queue, &asker(0, &name(index), f64::from(*weight), (*tokens, 0)), WIDE).unwrap();
            }
        }
        let mut got = vec![0.0; weights.len()];
        let mut left = vec![tokens.len(); weights.len()];
        for _ in 0..served {
            let (_, tenant, tokens, _) = queue.next().unwrap().kept;
            let index = (0..weights.len()).find(|index| name(*index) == tenant).unwrap();
            got[index] += tokens as f64 / f64::from(weights[index]);
            left[index] -= 1;
            if left[index] == 0 {
                break;
            }
            let (most, least) = got.iter().fold((f64::MIN, f64::MAX), |(most, least), one| (most.max(*one), least.min(*one)));
            prop_assert!(most - least <= SHARING.quantum + 2.0 * 250.0, "{:?}", got);
        }
    }

    /// However much of a higher class comes, a lower one gets its share of what that gets.
    #[test]
    fn no_class_starves(above in 1_u64..300, below in 1_u64..300) {
        let mut queue = Queue::new(SHARING);
        for _ in 0..40 {
            join(&mut queue, &asker(2, "b", 1.0, (below, 0)), WIDE).unwrap();
        }
        let (mut high, mut low) = (0, 0);
        while low < 10 * below {
            join(&mut queue, &asker(0, "a", 1.0, (above, 0)), WIDE).unwrap();
            let one = queue.next().unwrap().kept;
            if one.0 == 0 { high += one.2 } else { low += one.2 }
            let due = high as f64 * SHARING.class_share_min;
            prop_assert!(low as f64 + SHARING.quantum + (above + below) as f64 >= due, "{} of {}", low, due);
            prop_assert!(low as f64 <= due + below as f64, "{} of {}", low, due);
        }
    }
}

#[test]
fn classes_go_before_each_other() {
    let mut queue = Queue::new(Sharing { class_share_min: 0.0, ..SHARING });
    for class in [2, 1, 0, 1, 2, 0] {
        join(&mut queue, &asker(class, "a", 1.0, (500, 0)), WIDE).unwrap();
    }
    let order: Vec<usize> = drained(&mut queue).into_iter().map(|one| one.0).collect();
    assert_eq!(order, [0, 0, 1, 1, 2, 2]);
}

#[test]
fn the_lowest_class_leaves_first_and_its_own_stay() {
    let bounds = Bounds { len: 100, tokens: 1000 };
    let mut queue = Queue::new(SHARING);
    for deadline in 0..10 {
        join(&mut queue, &asker(2, "a", 1.0, (100, deadline)), bounds).unwrap();
    }
    assert!(join(&mut queue, &asker(2, "a", 1.0, (100, 0)), bounds).is_err(), "one of the same must go away");
    let (_, left) = join(&mut queue, &asker(0, "a", 1.0, (150, 5)), bounds).unwrap();
    let deadlines: Vec<u64> = left.iter().map(|one| one.3).collect();
    assert_eq!(deadlines, [9, 8], "those that are due last leave first");
    assert!(join(&mut queue, &asker(0, "a", 1.0, (1000, 0)), bounds).is_err(), "nobody leaves in vain");
    assert_eq!(queue.tokens(), 950);
}

#[test]
fn a_tenant_that_fills_the_queue_makes_room_for_another() {
    let bounds = Bounds { len: 100, tokens: 1000 };
    let mut queue = Queue::new(SHARING);
    for _ in 0..10 {
        join(&mut queue, &asker(1, "greedy", 1.0, (100, 0)), bounds).unwrap();
    }
    for _ in 0..5 {
        let (_, left) = join(&mut queue, &asker(1, "modest", 1.0, (100, 0)), bounds).unwrap();
        assert!(left.iter().all(|one| one.1 == "greedy") && left.len() == 1);
    }
    assert!(join(&mut queue, &asker(1, "modest", 1.0, (100, 0)), bounds).is_err(), "half is its share");
    assert!(join(&mut queue, &asker(1, "greedy", 1.0, (100, 0)), bounds).is_err());
    assert!(join(&mut queue, &asker(1, "heavy", 3.0, (100, 0)), bounds).is_ok());
}

#[test]
fn what_is_ahead_is_what_is_served_before() {
    let mut queue = Queue::new(SHARING);
    for _ in 0..20 {
        join(&mut queue, &asker(1, "greedy", 1.0, (100, 0)), WIDE).unwrap();
    }
    join(&mut queue, &asker(0, "other", 1.0, (40, 0)), WIDE).unwrap();
    join(&mut queue, &asker(2, "other", 1.0, (70, 0)), WIDE).unwrap();
    // All above; of the greedy no more than its turns until then.
    assert_eq!(queue.ahead(&asker(1, "modest", 1.0, (100, 0))), 40 + 200);
    assert_eq!(queue.ahead(&asker(1, "greedy", 1.0, (100, 9))), 40 + 2000);
    assert_eq!(queue.ahead(&asker(0, "other", 1.0, (100, 9))), 40);
    assert_eq!(queue.ahead(&asker(0, "modest", 1.0, (100, 9))), 40);
}

#[test]
fn one_that_is_larger_than_all_that_may_wait_waits_alone() {
    let bounds = Bounds { len: 100, tokens: 1000 };
    let mut queue = Queue::new(SHARING);
    join(&mut queue, &asker(1, "a", 1.0, (5000, 0)), bounds).unwrap();
    assert!(join(&mut queue, &asker(1, "a", 1.0, (1, 0)), bounds).is_err());
    assert_eq!(queue.next().unwrap().tokens, 5000, "a turn of many rounds comes at once");
    assert!(queue.next().is_none());
}

#[test]
fn whoever_declines_is_next_again_and_its_turn_is_not_lost() {
    let mut queue = Queue::new(SHARING);
    let spots = ["a", "b", "a", "b"].map(|tenant| {
        let asker = asker(1, tenant, 1.0, (80, 0));
        let (spot, _) = join(&mut queue, &asker, WIDE).unwrap();
        (asker, spot)
    });
    let first = queue.next().unwrap();
    queue.again(&spots[0].0, &spots[0].1, (first.came_us, first.kept));
    let order: Vec<String> = drained(&mut queue).into_iter().map(|one| one.1).collect();
    assert_eq!(order, ["a", "b", "a", "b"]);
}

#[test]
fn the_last_is_who_would_have_to_leave_first() {
    let mut queue = Queue::new(SHARING);
    for (class, deadline) in [(0, 9), (1, 5), (1, 7), (1, 6)] {
        join(&mut queue, &asker(class, "a", 1.0, (50, deadline)), WIDE).unwrap();
    }
    let order: Vec<u64> = std::iter::from_fn(|| queue.next_last().map(|one| one.kept.3)).collect();
    assert_eq!(order, [7, 6, 5, 9]);
}
