//! Properties of every plan, whatever comes in whatever order.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use proptest::prelude::*;

use super::{Limits, PREEMPTIONS_MAX, Room, Scheduler, Ticket, Work};

const LIMITS: Limits = Limits { sequences_max: 3, step_tokens_max: 8 };
/// Tokens of a block.
const BLOCK: usize = 4;
/// Tokens of the longest sequence.
const TOKENS_MAX: usize = 52;

fn ticket(id: u64, prefill_tokens: usize) -> Ticket {
    Ticket { id, prefill_tokens, priority: 100, deadline: None }
}

/// Blocks as the engine has them; it panics where more are taken than there are.
struct Blocks {
    max: usize,
    sequences: BTreeMap<u64, Held>,
}

#[derive(Default)]
struct Held {
    known: usize,
    tokens_max: usize,
    computed: usize,
    blocks: usize,
    /// Tokens that are found when it enters, where there is room for them.
    found: usize,
    left: u32,
}

impl Blocks {
    fn new(max: usize) -> Self {
        Self { max, sequences: BTreeMap::new() }
    }

    /// More than any test takes, with sequences of so many tokens.
    fn ample(tokens: impl IntoIterator<Item = (u64, usize)>) -> Self {
        let mut blocks = Self::new(usize::MAX);
        for (id, known) in tokens {
            blocks.add(id, known, known + 4);
        }
        blocks
    }

    fn add(&mut self, id: u64, known: usize, tokens_max: usize) {
        let found = if id.is_multiple_of(3) { known / 2 } else { 0 };
        self.sequences.insert(id, Held { known, tokens_max, found, ..Held::default() });
    }
}

impl Room for Blocks {
    fn free(&self) -> usize {
        self.max - self.sequences.values().map(|held| held.blocks).sum::<usize>()
    }

    fn need(&self, id: u64, tokens: usize) -> usize {
        let held = &self.sequences[&id];
        (held.computed + tokens).div_ceil(BLOCK).saturating_sub(held.blocks)
    }

    fn need_to_end(&self, id: u64) -> usize {
        let held = &self.sequences[&id];
        self.need(id, held.tokens_max - held.computed)
    }

    fn enter(&mut self, id: u64) -> usize {
        let free = self.free();
        let held = self.sequences.get_mut(&id).unwrap();
        assert_eq!((held.computed, held.blocks), (0, 0), "it enters with nothing");
        held.computed = held.found.min(free.saturating_mul(BLOCK));
        held.blocks = held.computed.div_ceil(BLOCK);
        held.known - held.computed
    }

    fn take(&mut self, id: u64, tokens: usize) {
        let need = self.need(id, tokens);
        assert!(need <= self.free(), "{need} blocks of {}", self.free());
        self.sequences.get_mut(&id).unwrap().blocks += need;
    }

    fn leave(&mut self, id: u64) -> usize {
        let held = self.sequences.get_mut(&id).unwrap();
        held.left += 1;
        (held.computed, held.blocks) = (0, 0);
        held.known
    }
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

/// The sequences that run.
fn running(scheduler: &Scheduler) -> BTreeSet<u64> {
    scheduler.running.iter().map(|running| running.ticket.id).collect()
}

/// What the scheduler was told and has answered, kept apart from it.
struct Ledger {
    blocks: Blocks,
    /// Every live sequence's answer tokens left.
    live: BTreeMap<u64, usize>,
    /// How often each lost its blocks.
    lost: BTreeMap<u64, u32>,
    rows: usize,
    next: u64,
}

impl Ledger {
    fn act(&mut self, scheduler: &mut Scheduler, act: &Act) -> Result<(), TestCaseError> {
        match *act {
            Act::Submit { prefill_tokens, answer_tokens, priority, deadline } => {
                scheduler.submit(Ticket { id: self.next, prefill_tokens, priority, deadline });
                self.blocks.add(self.next, prefill_tokens, prefill_tokens + answer_tokens);
                self.live.insert(self.next, answer_tokens);
                self.rows += prefill_tokens + answer_tokens;
                self.next += 1;
            }
            Act::Cancel(pick) => {
                if let Some(&id) = self.live.keys().nth(pick % self.live.len().max(1)) {
                    prop_assert!(scheduler.remove(id));
                    prop_assert!(!scheduler.remove(id), "a place is freed once");
                    self.live.remove(&id);
                    self.blocks.sequences.remove(&id);
                }
            }
            Act::Step => {
                let before = running(scheduler);
                let plan = scheduler.plan(&mut self.blocks);
                for id in before.difference(&running(scheduler)) {
                    let lost = self.lost.entry(*id).or_default();
                    *lost += 1;
                    prop_assert!(*lost <= PREEMPTIONS_MAX, "{id} lost its blocks once more");
                }
                self.check(scheduler, &plan)?;
                self.apply(scheduler, &plan);
            }
        }
        prop_assert_eq!(scheduler.waiting() + scheduler.running(), self.live.len());
        let left: usize = self.blocks.sequences.values().map(|held| held.known - held.computed).sum();
        let decoding = scheduler.running.iter().filter(|r| r.prefill_left == 0).count();
        prop_assert_eq!(
            scheduler.queued_tokens(),
            left - decoding,
            "one known token of each is its next row"
        );
        Ok(())
    }

    fn check(&self, scheduler: &Scheduler, plan: &[Work]) -> Result<(), TestCaseError> {
        let ids: HashSet<u64> = plan.iter().map(|work| work.id).collect();
        prop_assert_eq!(ids.len(), plan.len(), "a sequence is planned once");
        prop_assert!(plan.iter().map(|work| work.tokens).sum::<usize>() <= LIMITS.step_tokens_max);
        prop_assert!(scheduler.running() <= LIMITS.sequences_max);
        prop_assert_eq!(plan.is_empty(), self.live.is_empty(), "work is done while there is any");
        let settled = scheduler.running.iter().filter(|r| r.settled() && r.prefill_left == 0);
        prop_assert!(
            settled.map(|r| r.ticket.id).all(|id| ids.contains(&id)),
            "who keeps its blocks goes on"
        );
        for work in plan {
            let held = &self.blocks.sequences[&work.id];
            let left = held.known - held.computed;
            prop_assert!(0 < work.tokens && work.tokens <= left);
            prop_assert_eq!(work.samples, work.tokens == left);
            prop_assert!(held.blocks * BLOCK >= held.computed + work.tokens, "it has the blocks of its rows");
        }
        Ok(())
    }

    fn apply(&mut self, scheduler: &mut Scheduler, plan: &[Work]) {
        for work in plan {
            scheduler.advance(work);
            let held = self.blocks.sequences.get_mut(&work.id).unwrap();
            held.computed += work.tokens;
            held.known += usize::from(work.samples);
            let answer = self.live.get_mut(&work.id).unwrap();
            *answer -= usize::from(work.samples);
            if *answer == 0 {
                scheduler.remove(work.id);
                self.live.remove(&work.id);
                self.blocks.sequences.remove(&work.id);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn plans_keep_every_bound_and_all_work_ends(acts in acts(), more in 0usize..20) {
        let mut scheduler = Scheduler::new(LIMITS);
        let blocks = Blocks::new(TOKENS_MAX.div_ceil(BLOCK) + more);
        let (live, lost) = (BTreeMap::new(), BTreeMap::new());
        let mut ledger = Ledger { blocks, live, lost, rows: 0, next: 0 };
        for act in &acts {
            ledger.act(&mut scheduler, act)?;
        }
        // Each step computes at least one row, and no row more often than its sequence may lose it.
        for _ in 0..ledger.rows * (PREEMPTIONS_MAX as usize + 1) {
            if ledger.live.is_empty() {
                break;
            }
            ledger.act(&mut scheduler, &Act::Step)?;
        }
        prop_assert!(ledger.live.is_empty());
        prop_assert_eq!(ledger.blocks.free(), ledger.blocks.max);
        prop_assert!(scheduler.preemptions() <= ledger.next * u64::from(PREEMPTIONS_MAX));
    }
}

#[test]
fn urgent_arrivals_for_ever_do_not_starve_the_least_urgent() {
    let mut scheduler = Scheduler::new(Limits { sequences_max: 1, ..LIMITS });
    let mut blocks = Blocks::ample((0..1_000).map(|id| (id, 1)));
    scheduler.submit(Ticket { priority: 3, ..ticket(0, 1) });
    for id in 1..1_000 {
        scheduler.submit(Ticket { priority: 0, deadline: Some(0), ..ticket(id, 1) });
        let plan = scheduler.plan(&mut blocks);
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
    let mut blocks = Blocks::ample((0..=20).map(|id| (id, if id == 0 { 20 } else { 30 })));
    blocks.sequences.get_mut(&0).unwrap().found = 0;
    scheduler.submit(ticket(0, 20));
    assert_eq!(scheduler.plan(&mut blocks).len(), 1, "it is admitted");
    let mut left = 20;
    for id in 1..=20 {
        scheduler.submit(Ticket { priority: 0, ..ticket(id, 30) });
        let plan = scheduler.plan(&mut blocks);
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
    let mut blocks = Blocks::ample((0..5).map(|id| (id, 1)));
    let submitted = [(0, 1, None), (1, 1, Some(9)), (2, 0, None), (3, 0, Some(5)), (4, 0, Some(5))];
    for (id, priority, deadline) in submitted {
        scheduler.submit(Ticket { priority, deadline, ..ticket(id, 1) });
    }
    let served: Vec<u64> = std::iter::from_fn(|| {
        let id = scheduler.plan(&mut blocks).first()?.id;
        scheduler.remove(id);
        Some(id)
    })
    .collect();
    assert_eq!(served, [3, 4, 2, 1, 0]);
}

#[test]
fn one_that_does_not_fit_the_cache_waits_for_room_and_keeps_its_turn() {
    let mut scheduler = Scheduler::new(LIMITS);
    let mut blocks = Blocks::new(20);
    for (id, known) in [(1, 40), (2, 44), (4, 4)] {
        blocks.add(id, known, known + 4);
        scheduler.submit(ticket(id, known));
    }
    let ids = |plan: Vec<Work>| plan.iter().map(|work| work.id).collect::<Vec<_>>();
    assert_eq!(ids(scheduler.plan(&mut blocks)), [1]);
    scheduler.remove(1);
    blocks.sequences.remove(&1);
    assert_eq!(ids(scheduler.plan(&mut blocks)), [2], "the step has no rows left for the third");
    assert_eq!(scheduler.running(), 2);
}

/// Steps until every sequence has computed what it knows.
fn prefilled(scheduler: &mut Scheduler, blocks: &mut Blocks) {
    while scheduler.queued_tokens() > 0 {
        step(scheduler, blocks);
    }
}

/// One step, and the sequences in it.
fn step(scheduler: &mut Scheduler, blocks: &mut Blocks) -> Vec<u64> {
    let plan = scheduler.plan(blocks);
    for work in &plan {
        scheduler.advance(work);
        let held = blocks.sequences.get_mut(&work.id).unwrap();
        held.computed += work.tokens;
        held.known += usize::from(work.samples);
    }
    plan.iter().map(|work| work.id).collect()
}

#[test]
fn the_least_urgent_then_the_latest_deadline_then_the_newest_gives_its_blocks_up() {
    let check = |[first, second]: [(u8, Option<u64>); 2], loses: u64| {
        let mut scheduler = Scheduler::new(LIMITS);
        let mut blocks = Blocks::new(8);
        for (id, (priority, deadline)) in [(1, first), (2, second)] {
            blocks.add(id, 8, 32);
            scheduler.submit(Ticket { priority, deadline, ..ticket(id, 8) });
        }
        prefilled(&mut scheduler, &mut blocks);
        while scheduler.preemptions() == 0 {
            assert_eq!(
                step(&mut scheduler, &mut blocks).len(),
                if scheduler.preemptions() == 0 { 2 } else { 1 }
            );
        }
        assert_eq!(blocks.sequences[&loses].left, 1, "{first:?} {second:?}");
        assert_eq!(scheduler.queued_tokens(), blocks.sequences[&loses].known, "all of it is computed again");
    };
    check([(1, None), (1, None)], 2);
    check([(2, None), (1, None)], 1);
    check([(1, None), (1, Some(9))], 1);
    check([(1, Some(8)), (1, Some(9))], 2);
    check([(0, None), (1, Some(1))], 2);
}

/// How often the least urgent sequence, of so many tokens, loses its blocks while urgent ones come one after another.
fn losses(room: usize, tokens_max: usize, [known, urgent_max]: [usize; 2], company: usize) -> u32 {
    let mut scheduler = Scheduler::new(LIMITS);
    let mut blocks = Blocks::new(room);
    blocks.add(1, 4, tokens_max);
    scheduler.submit(Ticket { priority: 200, ..ticket(1, 4) });
    let (mut next, mut lost) = (2, 0);
    while blocks.sequences[&1].known < tokens_max {
        if scheduler.running() + scheduler.waiting() < company {
            blocks.add(next, known, urgent_max);
            scheduler.submit(ticket(next, known));
            next += 1;
        }
        let before = running(&scheduler).contains(&1);
        step(&mut scheduler, &mut blocks);
        lost += u32::from(before && !running(&scheduler).contains(&1));
        let ended = |(id, held): (&u64, &Held)| (*id > 1 && held.known >= held.tokens_max).then_some(*id);
        let ended: Vec<u64> = blocks.sequences.iter().filter_map(ended).collect();
        for id in ended {
            scheduler.remove(id);
            blocks.sequences.remove(&id);
        }
        assert!(next < 1_000, "it never ends");
    }
    lost
}

#[test]
fn who_lost_its_blocks_often_enough_keeps_them_to_its_end() {
    // Where nobody ever kept its blocks, all but the first of these would go on losing them without end.
    for (room, tokens_max, urgent, company) in
        [(13, 48, [8, 40], 3), (16, 44, [4, 24], 3), (16, 48, [4, 32], 3), (16, 48, [8, 24], 3)]
    {
        assert_eq!(
            losses(room, tokens_max, urgent, company),
            PREEMPTIONS_MAX,
            "{room} {tokens_max} {urgent:?}"
        );
    }
}
