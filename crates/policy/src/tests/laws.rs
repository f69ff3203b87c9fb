//! Laws that every decision keeps, whatever the candidates say of themselves.

use proptest::prelude::*;

use super::rules;
use crate::{
    Candidate, Decision, Excluded, Facts, Kind, Latency, Load, Price, Privacy, Record, decide, replay,
};

/// Numbers as honest places give them.
fn honest() -> BoxedStrategy<f64> {
    (0.0..10.0_f64).boxed()
}

/// Numbers as a broken or lying place gives them.
fn any_number() -> BoxedStrategy<f64> {
    prop_oneof![4 => 0.0..10.0_f64, 1 => any::<f64>(), 1 => Just(f64::NAN), 1 => Just(f64::INFINITY), 1 => Just(f64::MAX)]
        .boxed()
}

fn candidate(number: &BoxedStrategy<f64>) -> impl Strategy<Value = Candidate> {
    let latency = [(); 4].map(|()| number.clone());
    let price = [(); 3].map(|()| number.clone());
    let what = (0..3_usize, 0..4_u8, any::<bool>(), prop::option::of(number.clone()));
    (what, prop::option::of(latency), prop::option::of(price), prop::array::uniform2(-4.0..4.0_f32)).prop_map(
        |((tier, kind, known_load, certain), latency, price, ability)| {
            let (tier, own) =
                [("small", Kind::Device), ("large", Kind::Cloud), ("elsewhere", Kind::Home)][tier];
            // Now and then a place stands elsewhere than its tier.
            let kind = if kind == 0 { Kind::Cloud } else { own };
            Candidate {
                ability: Some(ability.into()),
                certain: certain.filter(|_| kind == Kind::Home),
                latency: latency.map(|[queue, network, prefill, output]| Latency {
                    queue_seconds: queue,
                    network_seconds: network,
                    prefill_seconds_per_token: prefill,
                    seconds_per_output_token: output,
                }),
                price: price.map(|[input, cached, output]| Price {
                    input_usd_per_million_tokens: input,
                    cached_input_usd_per_million_tokens: cached,
                    output_usd_per_million_tokens: output,
                }),
                load: known_load.then(Load::default),
                healthy: true,
                ..Candidate::new("", tier, kind)
            }
        },
    )
}

/// Up to a dozen places with different names.
fn candidates(number: &BoxedStrategy<f64>) -> impl Strategy<Value = Vec<Candidate>> {
    prop::collection::vec(candidate(number), 1..12).prop_map(|mut candidates| {
        for (index, candidate) in candidates.iter_mut().enumerate() {
            candidate.place = format!("p{index}").into();
        }
        candidates
    })
}

fn facts(number: &BoxedStrategy<f64>) -> impl Strategy<Value = Facts> {
    let sizes = (1..2000_u32, 0.0..200.0_f32, prop::array::uniform2(-3.0..3.0_f32));
    let bounds = (prop::option::weighted(0.2, number.clone()), prop::option::weighted(0.2, number.clone()));
    (sizes, bounds, 0..4_u8, prop::collection::vec(0..12_u8, 0..3)).prop_map(
        |((prompt_tokens, p50, requirement), (deadline_seconds, price_max_usd), privacy, failed)| Facts {
            prompt_tokens,
            output_tokens_p50: p50,
            output_tokens_p90: p50 * 3.0,
            requirement: requirement.into(),
            deadline_seconds,
            price_max_usd,
            privacy: if privacy == 0 { Privacy::HomeOnly } else { Privacy::Normal },
            excluded: failed.iter().map(|index| Excluded::new(format!("p{index}"), "it failed")).collect(),
            ..Facts::default()
        },
    )
}

/// What the tier of a policy file says of its model.
#[derive(Clone, Debug)]
struct Stated {
    price: f64,
    joules: f64,
    ability: f64,
    up: bool,
}

fn stated() -> impl Strategy<Value = Stated> {
    (0.0..10.0_f64, 0.0..2.0_f64, -4.0..4.0_f64, any::<bool>())
        .prop_map(|(price, joules, ability, up)| Stated { price, joules, ability, up })
}

/// A policy of these tiers with a budget, a cap and a session, decided over the places that they describe.
fn described(tiers: &[Stated], class: &str) -> crate::Rules {
    let mut text =
        "schema = \"causeway.policy/v1\"\n[session]\ncache_seconds = 60\ncache_kept = 0.5\n".to_owned();
    for (index, Stated { price, joules, ability, up }) in tiers.iter().enumerate() {
        let kind = if *up { "cloud" } else { "device" };
        text += &format!(
            "[[tier]]\nname = \"t{index}\"\nkind = \"{kind}\"\ninput_usd_per_million_tokens = {price:?}\n\
             output_usd_per_million_tokens = {price:?}\njoules_per_output_token = {joules:?}\n\
             usd_per_joule = 0.000001\nabilities = [{ability:?}]\nseconds_per_output_token = 0.001\n"
        );
    }
    text += &format!("[[class]]\nname = \"default\"\nsecond_usd = 0.001\n{class}\n");
    text += "[[budget]]\nname = \"b\"\nusd_max = 1\nwindow_seconds = 60\n";
    text += "[[escalation_cap]]\nname = \"c\"\nshare_max = 0.5\nwindow_seconds = 60\n";
    crate::Rules::parse("laws.toml", &text).unwrap_or_else(|error| panic!("{error}"))
}

fn asking(requirement: f32, left: f64) -> Facts {
    Facts {
        prompt_tokens: 200,
        output_tokens_p50: 50.0,
        output_tokens_p90: 90.0,
        requirement: [requirement].into(),
        spent: vec![crate::Spent { budget: "b".into(), usd: 1.0 - left }],
        session: Some(crate::Session { place: "t1".into(), cached_tokens: 150, idle_seconds: 5.0 }),
        ..Facts::default()
    }
}

fn worth(second_usd: f64, wrong_answer_usd: f64) -> crate::Rules {
    rules(&format!("second_usd = {second_usd:?}\nwrong_answer_usd = {wrong_answer_usd:?}"))
}

/// What a decision says, NaN included.
fn bits(decision: &Decision) -> String {
    serde_json::to_string(decision).expect("a decision can be written")
}

fn chosen(decision: &Decision) -> Option<String> {
    decision.place.as_ref().map(|place| place.place.to_string())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_winner_was_not_removed_and_no_other_that_remained_is_cheaper(
        candidates in candidates(&any_number()), facts in facts(&any_number()), seed: u64,
    ) {
        let decision = decide(&worth(0.01, 0.1), &facts, &candidates, seed);
        let remaining: Vec<_> =
            decision.trail.candidates.iter().filter(|weighed| weighed.removal.is_none()).collect();
        prop_assert_eq!(decision.winner().is_none(), remaining.is_empty());
        if let Some(winner) = decision.winner() {
            prop_assert!(winner.removal.is_none());
            prop_assert!(remaining.iter().all(|other| other.columns.total_usd >= winner.columns.total_usd));
        }
        for weighed in &decision.trail.candidates {
            prop_assert!(weighed.columns.total_usd.is_finite() && weighed.columns.total_usd >= 0.0);
            prop_assert!((0.0..=1.0).contains(&weighed.inputs.probability_right));
        }
    }

    #[test]
    fn a_dominated_candidate_changes_nothing(
        candidates in candidates(&honest()), facts in facts(&honest()), seed: u64, at in 0..12_usize,
    ) {
        let rules = worth(0.01, 0.1);
        let before = decide(&rules, &facts, &candidates, seed);
        let Some(winner) = before.winner() else { return Ok(()) };
        let mut worse = winner.candidate.clone();
        worse.place = "worse".into();
        worse.price = Some(Price {
            input_usd_per_million_tokens: 1e5,
            cached_input_usd_per_million_tokens: 1e5,
            output_usd_per_million_tokens: 1e5,
        });
        let mut with = candidates.clone();
        with.insert(at.min(candidates.len()), worse);
        let after = decide(&rules, &facts, &with, seed);
        prop_assert_eq!(chosen(&before), chosen(&after));
        prop_assert_eq!(before.winner().map(|one| one.columns), after.winner().map(|one| one.columns));
    }

    #[test]
    fn the_order_of_the_candidates_does_not_matter(
        candidates in candidates(&any_number()), facts in facts(&any_number()), seed: u64,
    ) {
        let rules = worth(0.01, 0.1);
        let mut reversed = candidates.clone();
        reversed.reverse();
        let (one, other) = (decide(&rules, &facts, &candidates, seed), decide(&rules, &facts, &reversed, seed));
        prop_assert_eq!(chosen(&one), chosen(&other));
    }

    #[test]
    fn lowering_a_price_never_makes_a_tier_less_chosen(
        candidates in candidates(&honest()), facts in facts(&honest()), seed: u64, factor in 0.0..1.0_f64,
    ) {
        let rules = worth(0.0001, 0.001);
        let before = decide(&rules, &facts, &candidates, seed);
        let Some(winner) = before.winner() else { return Ok(()) };
        let tier = winner.candidate.tier.clone();
        let mut cheaper = candidates.clone();
        for candidate in cheaper.iter_mut().filter(|candidate| candidate.tier == tier) {
            let own = candidate.price.or_else(|| rules.tier(&tier).map(|tier| tier.price));
            candidate.price = own.map(|price| Price {
                input_usd_per_million_tokens: price.input_usd_per_million_tokens * factor,
                cached_input_usd_per_million_tokens: price.cached_input_usd_per_million_tokens * factor,
                output_usd_per_million_tokens: price.output_usd_per_million_tokens * factor,
            });
        }
        let after = decide(&rules, &facts, &cheaper, seed);
        prop_assert_eq!(after.place.map(|place| place.tier), Some(tier));
    }

    #[test]
    fn raising_the_worth_of_truth_never_lowers_the_chosen_probability(
        candidates in candidates(&honest()), facts in facts(&honest()), seed: u64,
        low in 0.0..1.0_f64, more in 0.0..10.0_f64,
    ) {
        let p = |wrong_answer_usd: f64| {
            let decision = decide(&worth(0.01, wrong_answer_usd), &facts, &candidates, seed);
            decision.winner().map(|winner| (winner.inputs.probability_right, decision.trail.margin_usd))
        };
        if let (Some((before, _)), Some((after, margin))) = (p(low), p(low + more)) {
            // Where two places cost the same but for rounding, either may win.
            prop_assert!(after >= before || margin.is_some_and(|margin| margin < 1e-12), "{before} {after}");
        }
    }

    #[test]
    fn with_budgets_sessions_and_energy_the_same_laws_hold(
        tiers in prop::collection::vec(stated(), 2..6), requirement in -3.0..3.0_f32, left in 0.0..0.004_f64,
        factor in 0.0..1.0_f64, seed: u64,
        (low, more) in (0.0..1.0_f64, 0.0..10.0_f64),
    ) {
        let facts = asking(requirement, left);
        let decided = |tiers: &[Stated], wrong_answer_usd: f64| {
            let rules = described(tiers, &format!("wrong_answer_usd = {wrong_answer_usd:?}"));
            decide(&rules, &facts, &rules.described_candidates(), seed)
        };
        let before = decided(&tiers, low);
        for (_, reason) in before.removals() {
            prop_assert_eq!(reason.code(), "budget_spent");
        }
        let winner = before.place.as_ref().map(|place| place.index);
        if let Some(winner) = winner {
            let mut cheaper = tiers.clone();
            cheaper[winner].price *= factor;
            cheaper[winner].joules *= factor;
            prop_assert_eq!(decided(&cheaper, low).place.map(|place| place.index), Some(winner));
            let mut worse = tiers.clone();
            let copy = tiers[winner].clone();
            worse.push(Stated { price: copy.price + 1.0, ability: copy.ability, ..copy });
            // The copy stands elsewhere than the session, so that it is worse in every column.
            prop_assert_eq!(decided(&worse, low).place.map(|place| place.index), Some(winner));
        }
        let after = decided(&tiers, low + more);
        if let (Some(one), Some(other)) = (before.winner(), after.winner()) {
            let close = after.trail.margin_usd.is_some_and(|margin| margin < 1e-12);
            prop_assert!(other.inputs.probability_right >= one.inputs.probability_right || close);
        }
    }

    #[test]
    fn under_a_reached_cap_nothing_goes_up_that_may_stay_and_the_rest_is_decided_alike(
        tiers in prop::collection::vec(stated(), 1..6), requirement in -3.0..3.0_f32, seed: u64, reached: bool,
    ) {
        let rules = described(&tiers, "wrong_answer_usd = 0.1");
        let up = if reached { 5 } else { 4 };
        let share = crate::Share { cap: "c".into(), up, all: 9 };
        let facts = Facts { shares: vec![share], ..asking(requirement, 1.0) };
        let candidates = rules.described_candidates();
        let decision = decide(&rules, &facts, &candidates, seed);
        let stays: Vec<_> = candidates.iter().filter(|one| one.kind == Kind::Device).cloned().collect();
        let Some(place) = &decision.place else { return Err(TestCaseError::fail("somewhere it may go")) };
        if reached && !stays.is_empty() {
            prop_assert_eq!(place.kind, Kind::Device);
            let among = decide(&rules, &facts, &stays, seed).place.map(|place| place.place);
            prop_assert_eq!(Some(&place.place), among.as_ref());
        } else {
            let free = Facts { shares: Vec::new(), ..facts };
            let without = decide(&rules, &free, &candidates, seed).place.map(|place| place.place);
            prop_assert_eq!(Some(&place.place), without.as_ref());
        }
    }

    #[test]
    fn a_record_that_was_written_and_read_decides_again_to_the_same_bits(
        candidates in candidates(&any_number()), facts in facts(&any_number()), seed: u64,
    ) {
        let rules = worth(0.01, 0.1);
        let decision = decide(&rules, &facts, &candidates, seed);
        let written = serde_json::to_string(&decision.record()).expect("a record can be written");
        let record: Record = serde_json::from_str(&written).expect("a record can be read");
        let again = replay(&rules, &record).expect("the same rules");
        prop_assert_eq!(bits(&again), bits(&decision));
        let read: Decision = serde_json::from_str(&bits(&decision)).expect("a decision can be read");
        prop_assert_eq!(bits(&read), bits(&decision));
    }
}

#[test]
fn a_record_is_not_replayed_under_other_rules() {
    let record = decide(&worth(0.01, 0.1), &Facts::default(), &[], 1).record();
    let error = replay(&worth(0.02, 0.1), &record).expect_err("other rules");
    assert!(error.to_string().contains("replay it with the rules that made it"), "{error}");
}
