//! Budgets are never overspent and caps never passed, whatever comes in whatever order.

use proptest::prelude::*;

use super::{Ledger, Tallies, usd_micros};
use crate::{Candidate, Facts, Kind, Rules, decide};

fn rules(limits: &str) -> Rules {
    let text = format!(
        r#"
        schema = "causeway.policy/v1"
        [[tier]]
        name = "device"
        kind = "device"
        input_usd_per_million_tokens = 0
        output_usd_per_million_tokens = 0
        abilities = [-4]
        [[tier]]
        name = "cloud"
        kind = "cloud"
        input_usd_per_million_tokens = 10
        output_usd_per_million_tokens = 10
        abilities = [4]
        [[class]]
        name = "urgent"
        when = 'priority == "interactive"'
        second_usd = 0.001
        wrong_answer_usd = 1
        [[class]]
        name = "default"
        second_usd = 0.001
        wrong_answer_usd = 1
        {limits}
        "#
    );
    Rules::parse("limits.toml", &text).unwrap_or_else(|error| panic!("{error}"))
}

const DAY: &str = "[[budget]]\nname = \"day\"\nper = \"tenant\"\nusd_max = 0.01\nwindow_seconds = 86400";
const CAP: &str =
    "[[escalation_cap]]\nname = \"up\"\nshare_max = 0.25\nfree_requests = 3\nwindow_seconds = 60";

fn of(tenant: &str) -> Facts {
    Facts { tenant: tenant.into(), requirement: [1.0].into(), ..Facts::default() }
}

#[test]
fn dollars_are_rounded_up_to_whole_millionths() {
    let check = |usd: f64, micros: u64| assert_eq!(usd_micros(usd), micros, "{usd}");
    check(0.0, 0);
    check(0.000_000_001, 1);
    check(0.25, 250_000);
    // None of these is exact as a float, and some come out a little above themselves.
    (0..5_000).for_each(|micros: u32| check(f64::from(micros) / 1e6, u64::from(micros)));
    check(123.000_001 / 1e6, 124);
    check(-1.0, 0);
    check(f64::INFINITY, u64::MAX);
    check(f64::NAN, u64::MAX);
}

#[test]
fn each_tenant_has_a_budget_of_its_own_that_returns_with_the_next_window() {
    let rules = rules(DAY);
    let mut ledger = Ledger::new(16);
    let class = &rules.classes()[1];
    let (one, other) = (of("one"), of("other"));
    let held = ledger.reserve(&rules, (&one, class), 9000, 0).expect("there is enough");
    assert_eq!(ledger.spent(&rules, (&one, class), 0)[0].usd, 0.009);
    let short = ledger.reserve(&rules, (&one, class), 1001, 0).expect_err("too little is left");
    assert_eq!((short.left_usd_micros, short.budget.as_str()), (1000, "day"));
    let its_own = ledger.reserve(&rules, (&other, class), 10_000, 0).expect("its own");
    ledger.settle(its_own, 0);
    ledger.settle(held, 500);
    assert_eq!(ledger.spent(&rules, (&one, class), 0)[0].usd, 0.0005);
    // The next day begins empty, and what is settled late belongs to the day on which it was reserved.
    let late = ledger.reserve(&rules, (&one, class), 9500, 1000).expect("the rest");
    let tomorrow = 86_400_000;
    assert_eq!(ledger.spent(&rules, (&one, class), tomorrow)[0].usd, 0.0);
    let _kept = ledger.reserve(&rules, (&one, class), 10_000, tomorrow).expect("a new day");
    ledger.settle(late, 9500);
    assert_eq!(ledger.spent(&rules, (&one, class), tomorrow)[0].usd, 0.01);
    // A clock that goes back does not bring yesterday's money again.
    assert!(ledger.reserve(&rules, (&one, class), 1, 0).is_err());
    ledger.sweep(&rules, 3 * tomorrow);
    assert!(ledger.accounts.is_empty());
}

#[test]
fn a_budget_that_is_spent_removes_what_costs() {
    let rules = rules(DAY);
    let candidates =
        [Candidate::new("device", "device", Kind::Device), Candidate::new("cloud", "cloud", Kind::Cloud)];
    let mut facts = Facts { prompt_tokens: 100, ..of("one") };
    let place =
        |facts: &Facts| decide(&rules, facts, &candidates, 1).place.map(|place| place.place.to_string());
    assert_eq!(place(&facts).as_deref(), Some("cloud"));
    let unknown = decide(&rules, &facts, &candidates, 1);
    let noted =
        |index: usize| unknown.trail.candidates[index].inputs.notes.contains(crate::Note::BudgetUnknown);
    assert_eq!((noted(0), noted(1)), (false, true), "only what costs needs to know what is left");
    facts.spent = vec![crate::Spent { budget: "day".into(), usd: 0.0099 }];
    assert_eq!(place(&facts).as_deref(), Some("device"));
    let removal = decide(&rules, &facts, &candidates, 1).trail.candidates[1].removal.clone();
    assert_eq!(removal.as_ref().map(crate::Reason::code), Some("budget_spent"));
    facts.spent[0].usd = f64::NAN;
    assert_eq!(place(&facts).as_deref(), Some("device"));
}

#[test]
fn who_comes_when_all_accounts_are_taken_shares_one() {
    let rules = rules(&format!("{DAY}\n{CAP}\nper = \"tenant\""));
    let class = &rules.classes()[1];
    let mut ledger = Ledger::new(2);
    let mut tallies = Tallies::new(2);
    for tenant in ["a", "b", "c", "d", "e"] {
        let facts = of(tenant);
        let _held = ledger.reserve(&rules, (&facts, class), 4000, 0);
        tallies.count(&rules, (&facts, class), None, 0);
    }
    assert_eq!((ledger.accounts.len(), tallies.tallies.len()), (3, 3));
    // Of the three that share, the third found too little.
    assert_eq!(ledger.spent(&rules, (&of("z"), class), 0)[0].usd, 0.008);
    assert_eq!(tallies.shares(&rules, (&of("z"), class), 0)[0].all, 3);
    tallies.sweep(&rules, 120_000);
    assert!(tallies.tallies.is_empty());
}

#[test]
fn a_reached_cap_keeps_requests_down_unless_a_rule_forbids_staying() {
    let rules = rules(CAP);
    let candidates =
        [Candidate::new("device", "device", Kind::Device), Candidate::new("cloud", "cloud", Kind::Cloud)];
    let reached = Facts { shares: vec![crate::Share { cap: "up".into(), up: 25, all: 100 }], ..of("one") };
    let unknown = decide(&rules, &of("one"), &candidates, 1);
    assert!(unknown.trail.candidates[1].inputs.notes.contains(crate::Note::ShareUnknown));
    let decision = decide(&rules, &reached, &candidates, 1);
    assert_eq!(decision.place.as_ref().map(|place| place.place.as_str()), Some("device"), "{decision}");
    assert!(decision.to_string().contains("25 of 100 went up, and the cap up lets a share of 0.25 up"));
    // An estimate that speaks against staying does not lift the cap: that is what an attacker would sway.
    let late = Facts { deadline_seconds: Some(0.5), ..reached.clone() };
    let slow = Candidate {
        latency: Some(crate::Latency { queue_seconds: 5.0, ..crate::Latency::default() }),
        ..candidates[0].clone()
    };
    let decision = decide(&rules, &late, &[slow, candidates[1].clone()], 1);
    assert!(decision.place.is_none(), "{decision}");
    // A rule does.
    let asking = Facts { only_place: Some("cloud".into()), ..reached };
    let decision = decide(&rules, &asking, &candidates, 1);
    assert_eq!(decision.place.as_ref().map(|place| place.place.as_str()), Some("cloud"));
    assert!(decision.trail.candidates[1].inputs.notes.contains(crate::Note::CapLifted));
}

/// What happens to a ledger.
#[derive(Clone, Debug)]
enum Event {
    Reserve(u64),
    /// Settles one of those in flight at a share of what was reserved for it.
    Settle(usize, f64),
    Wait(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        5 => (0..6000_u64).prop_map(Event::Reserve),
        4 => (any::<prop::sample::Index>(), 0.0..=1.0_f64)
            .prop_map(|(index, share)| Event::Settle(index.index(64), share)),
        1 => (0..100_000_000_u64).prop_map(Event::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_window_is_ever_overspent(events in prop::collection::vec(event(), 1..200)) {
        let rules = rules(DAY);
        let class = &rules.classes()[1];
        let facts = of("one");
        let mut ledger = Ledger::new(8);
        let mut in_flight: Vec<(u64, super::Reserved)> = Vec::new();
        let (mut now_ms, mut paid) = (0, std::collections::BTreeMap::<u64, u64>::new());
        for event in events {
            match event {
                Event::Reserve(micros) => {
                    if let Ok(reserved) = ledger.reserve(&rules, (&facts, class), micros, now_ms) {
                        in_flight.push((now_ms / 86_400_000, reserved));
                    }
                }
                Event::Settle(index, share) if !in_flight.is_empty() => {
                    let (day, reserved) = in_flight.swap_remove(index % in_flight.len());
                    let cost = (reserved.usd_micros() as f64 * share) as u64;
                    *paid.entry(day).or_default() += cost;
                    ledger.settle(reserved, cost);
                }
                Event::Settle(..) => {}
                Event::Wait(ms) => now_ms += ms,
            }
            let today = now_ms / 86_400_000;
            let held: u64 =
                in_flight.iter().filter(|(day, _)| *day == today).map(|(_, held)| held.usd_micros()).sum();
            let spent = usd_micros(ledger.spent(&rules, (&facts, class), now_ms)[0].usd);
            prop_assert!(paid.get(&today).copied().unwrap_or(0) + held <= 10_000);
            prop_assert!(spent.abs_diff(paid.get(&today).copied().unwrap_or(0) + held) <= 1);
        }
        prop_assert!(paid.values().all(|paid| *paid <= 10_000), "{paid:?}");
    }

    #[test]
    fn however_requests_come_no_more_go_up_than_the_cap_lets(
        gaps in prop::collection::vec(0..20_000_u64, 1..300),
        hard in prop::collection::vec(any::<bool>(), 300),
    ) {
        let rules = rules(CAP);
        let candidates =
            [Candidate::new("device", "device", Kind::Device), Candidate::new("cloud", "cloud", Kind::Cloud)];
        let mut tallies = Tallies::new(8);
        let mut now_ms = 0;
        for (gap, hard) in gaps.iter().zip(hard) {
            now_ms += gap;
            // An attacker's text looks hard to the device and easy to the cloud.
            let requirement = if hard { [3.0] } else { [-3.0] };
            let mut facts = Facts { requirement: requirement.into(), ..Facts::default() };
            let class = rules.class_of(&facts);
            facts.shares = tallies.shares(&rules, (&facts, class), now_ms);
            let decision = decide(&rules, &facts, &candidates, 7);
            let chosen = decision.winner().map(|winner| &winner.candidate);
            if chosen.is_some_and(|chosen| chosen.kind == Kind::Cloud) {
                let share = &facts.shares[0];
                let most = (0.25 * (share.all as f64 + 1.0)).floor().max(3.0);
                prop_assert!(share.up as f64 + 1.0 <= most, "{share:?}");
            }
            tallies.count(&rules, (&facts, class), chosen, now_ms);
        }
    }
}

#[test]
fn what_is_kept_is_taken_up_again_with_what_was_reserved_as_spent() {
    let rules = rules(DAY);
    let (facts, class) = (of("one"), &rules.classes()[1]);
    let mut ledger = Ledger::new(8);
    let settled = ledger.reserve(&rules, (&facts, class), 3_000, 0).unwrap();
    ledger.settle(settled, 2_000);
    let _in_flight = ledger.reserve(&rules, (&facts, class), 5_000, 0).unwrap();
    let mut again = Ledger::new(8);
    again.restore(ledger.kept());
    assert_eq!(again.spent(&rules, (&facts, class), 0)[0].usd, 0.007);
    assert_eq!(again.totals(&rules, 0), [(rules.budgets()[0].name.clone(), 0.007)]);
    assert_eq!(again.totals(&rules, 86_400_000)[0].1, 0.0, "another day");
    let text = serde_json::to_string(&again.kept()).unwrap();
    let read: Vec<super::Kept> = serde_json::from_str(&text).unwrap();
    assert_eq!(read, ledger.kept());
    let mut none = Ledger::new(0);
    none.restore(read);
    assert!(none.kept().is_empty(), "no more than there is room for");
}

#[test]
fn a_tally_that_is_kept_goes_on_counting() {
    let rules = rules(CAP);
    let (facts, class) = (Facts::default(), &rules.classes()[0]);
    let cloud = Candidate::new("cloud", "cloud", Kind::Cloud);
    let mut tallies = Tallies::new(8);
    tallies.count(&rules, (&facts, class), Some(&cloud), 0);
    let mut again = Tallies::new(8);
    again.restore(tallies.kept());
    assert_eq!(again.shares(&rules, (&facts, class), 0), tallies.shares(&rules, (&facts, class), 0));
    assert_eq!(again.shares(&rules, (&facts, class), 0)[0].up, 1);
}
