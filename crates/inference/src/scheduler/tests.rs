//! Properties of every plan, whatever comes in whatever order.

use std::collections::{BTreeMap, HashMap, HashSet};

use proptest::prelude::*;

use super::{Limits, Scheduler, Ticket, Work};

const LIMITS: Limits = Limits { sequences_max: 3, step_tokens_max: 8, kv_tokens_max: 120 };

fn ticket(id: u64, prefill_tokens: usize) -> Ticket {
    Ticket { id, prefill_tokens, tokens_max: prefill_tokens + 4, priority: 100, deadline: None }
}

#[derive(Debug, Clone)]
enum Act {
    Submit { prefill_tokens: usize, answer_tokens: usize, priority: u8, deadline: Option<u64> },
    Cancel(usize),
    Step,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let submit = (1usize..40, 1usize..12, 0u8..3, proptest::option::of(0u64..50)).prop_map(
        |(prefill_tokens, answer_tokens, priority, deadline)| Act::Submit {
            prefill_tokens,
            answer_tokens,
            priority,
            deadline,
        },
    );
    prop::collection::vec(
        prop_oneof![2 => submit, 1 => any::<usize>().prop_map(Act::Cancel), 4 => Just(Act::Step)],
        1..120,
    )
}

/// What the scheduler was told and has answered, kept apart from it.
#[derive(Default)]
struct Ledger {
    /// Known tokens left and answer tokens left of every live sequence.
    live: BTreeMap<u64, (usize, usize)>,
    started: HashMap<u64, usize>,
    next: u64,
}

impl Ledger {
    fn act(&mut self, scheduler: &mut Scheduler, act: &Act) -> Result<(), TestCaseError> {
        match *act {
            Act::Submit { prefill_tokens, answer_tokens, priority, deadline } => {
                let tokens_max = prefill_tokens + answer_tokens;
                scheduler.submit(Ticket { id: self.next, prefill_tokens, tokens_max, priority, deadline });
                self.live.insert(self.next, (prefill_tokens, answer_tokens));
                self.started.insert(self.next, tokens_max);
                self.next += 1;
            }
            Act::Cancel(pick) => {
                if let Some(&id) = self.live.keys().nth(pick % self.live.len().max(1)) {
                    prop_assert!(scheduler.remove(id));
                    prop_assert!(!scheduler.remove(id), "a place is freed once");
                    self.live.remove(&id);
                }
            }
            Act::Step => {
                let plan = scheduler.plan();
                self.check(scheduler, &plan)?;
                self.apply(scheduler, &plan);
            }
        }
        prop_assert_eq!(scheduler.waiting() + scheduler.running(), self.live.len());
        prop_assert_eq!(scheduler.queued_tokens(), self.live.values().map(|(left, _)| left).sum::<usize>());
        Ok(())
    }

    fn check(&self, scheduler: &Scheduler, plan: &[Work]) -> Result<(), TestCaseError> {
        let ids: HashSet<u64> = plan.iter().map(|work| work.id).collect();
        prop_assert_eq!(ids.len(), plan.len(), "a sequence is planned once");
        prop_assert!(plan.iter().map(|work| work.tokens).sum::<usize>() <= LIMITS.step_tokens_max);
        prop_assert!(scheduler.running() <= LIMITS.sequences_max);
        prop_assert_eq!(plan.is_empty(), self.live.is_empty(), "work is done while there is any");
        for work in plan {
            let (left, _) = self.live[&work.id];
            prop_assert!(work.tokens > 0);
            prop_assert_eq!(work.prefill, left > 0);
            prop_assert!(!work.prefill || work.tokens <= left);
            prop_assert_eq!(work.samples, !work.prefill || work.tokens == left);
        }
        Ok(())
    }

    fn apply(&mut self, scheduler: &mut Scheduler, plan: &[Work]) {
        for work in plan {
            scheduler.advance(work);
            let (left, answer) = self.live.get_mut(&work.id).unwrap();
            *left -= if work.prefill { work.tokens } else { 0 };
            *answer -= usize::from(work.samples);
            if *answer == 0 {
                scheduler.remove(work.id);
                self.live.remove(&work.id);
            }
        }
    }
}

proptest! {
    #[test]
    fn plans_keep_every_bound_and_all_work_ends(acts in acts()) {
        let mut scheduler = Scheduler::new(LIMITS);
        let mut ledger = Ledger::default();
        for act in &acts {
            ledger.act(&mut scheduler, act)?;
        }
        // Each step computes at least one row, so this many end everything.
        let rows: usize = ledger.started.values().sum();
        for _ in 0..rows {
            ledger.act(&mut scheduler, &Act::Step)?;
        }
        prop_assert!(ledger.live.is_empty());
        prop_assert_eq!(scheduler.kv_tokens_reserved, 0);
    }
}

#[test]
fn urgent_arrivals_for_ever_do_not_starve_the_least_urgent() {
    let mut scheduler = Scheduler::new(Limits { sequences_max: 1, ..LIMITS });
    scheduler.submit(Ticket { priority: 3, ..ticket(0, 1) });
    for id in 1..1_000 {
        scheduler.submit(Ticket { priority: 0, deadline: Some(0), ..ticket(id, 1) });
        let plan = scheduler.plan();
        if plan[0].id == 0 {
            // Three classes to rise through and one to leave behind, each worth eight passes.
            assert!(id <= 33, "admitted after {id}");
            return;
        }
        scheduler.remove(plan[0].id);
    }
    panic!("never admitted");
}

#[test]
fn a_long_prompt_goes_on_while_urgent_ones_come() {
    let mut scheduler = Scheduler::new(LIMITS);
    scheduler.submit(ticket(0, 20));
    assert_eq!(scheduler.plan().len(), 1, "it is admitted");
    let mut left = 20;
    for id in 1..=20 {
        scheduler.submit(Ticket { priority: 0, ..ticket(id, 30) });
        let plan = scheduler.plan();
        let own = plan.iter().find(|work| work.id == 0).expect("the oldest gets its part");
        left -= own.tokens;
        for work in &plan {
            scheduler.advance(work);
            if work.id != 0 {
                scheduler.remove(work.id);
            }
        }
        if left == 0 {
            return;
        }
    }
    panic!("{left} tokens left");
}

#[test]
fn order_is_priority_then_deadline_then_arrival() {
    let mut scheduler = Scheduler::new(Limits { sequences_max: 1, ..LIMITS });
    let submitted = [(0, 1, None), (1, 1, Some(9)), (2, 0, None), (3, 0, Some(5)), (4, 0, Some(5))];
    for (id, priority, deadline) in submitted {
        scheduler.submit(Ticket { priority, deadline, ..ticket(id, 1) });
    }
    let served: Vec<u64> = std::iter::from_fn(|| {
        let id = scheduler.plan().first()?.id;
        scheduler.remove(id);
        Some(id)
    })
    .collect();
    assert_eq!(served, [3, 4, 2, 1, 0]);
}

#[test]
fn one_that_does_not_fit_the_cache_waits_for_room_and_keeps_its_turn() {
    let mut scheduler = Scheduler::new(LIMITS);
    for (id, tokens_max) in [(0, 100), (1, 90), (2, 10)] {
        scheduler.submit(Ticket { tokens_max, ..ticket(id, 1) });
    }
    assert_eq!(scheduler.plan().iter().map(|w| w.id).collect::<Vec<_>>(), [0]);
    scheduler.remove(0);
    assert_eq!(scheduler.plan().iter().map(|w| w.id).collect::<Vec<_>>(), [1, 2]);
}
