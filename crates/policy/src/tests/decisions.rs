//! The three columns, what stands in for what is not known, and how ties are broken.

use super::{WORTH, demo, facts, large, rules, small};
use crate::{Candidate, Facts, Kind, LocalAnswer, Note, Price, decide};

fn near(is: f64, wanted: f64) {
    assert!((is - wanted).abs() <= wanted.abs() * 1e-12, "{is} is not {wanted}");
}

#[test]
fn the_columns_are_price_waiting_and_being_wrong() {
    let decision = decide(&rules(WORTH), &facts(), &[large()], 1);
    let weighed = decision.winner().expect("a winner");
    near(weighed.inputs.expected_ttft_seconds, 0.02 + 100.0 * 1e-4);
    near(weighed.inputs.expected_seconds, 0.02 + 100.0 * 1e-4 + 50.0 * 4e-3);
    near(weighed.inputs.probability_right, 0.880_797_077_977_882_3);
    near(weighed.columns.price_usd, (100.0 * 10.0 + 50.0 * 30.0) / 1e6);
    near(weighed.columns.waiting_usd, 0.23 * 0.001);
    near(weighed.columns.wrong_usd, 0.119_202_922_022_117_7 * 0.01);
    let columns = weighed.columns;
    assert_eq!(columns.total_usd, columns.price_usd + columns.waiting_usd + columns.wrong_usd);
    assert!(weighed.inputs.notes.iter().next().is_none());
}

#[test]
fn cached_tokens_cost_their_own_price_and_no_prefill() {
    let cached = Candidate { cached_prompt_tokens: 60, ..large() };
    let decision = decide(&rules(WORTH), &facts(), &[cached], 1);
    let weighed = decision.winner().expect("a winner");
    near(weighed.columns.price_usd, (40.0 * 10.0 + 60.0 * 1.0 + 50.0 * 30.0) / 1e6);
    near(weighed.inputs.expected_ttft_seconds, 0.02 + 40.0 * 1e-4);
    // A place cannot hold more of the prompt than there is.
    let boasting = Candidate { cached_prompt_tokens: u32::MAX, ..large() };
    let decision = decide(&rules(WORTH), &facts(), &[boasting], 1);
    near(decision.winner().expect("a winner").columns.price_usd, (100.0 * 1.0 + 50.0 * 30.0) / 1e6);
}

#[test]
fn a_long_tail_makes_the_expected_answer_longer_and_the_requests_own_bound_shorter() {
    let tokens = |p50: f32, p90: f32, max: Option<u32>| {
        let facts =
            Facts { output_tokens_p50: p50, output_tokens_p90: p90, output_tokens_max: max, ..facts() };
        decide(&rules(WORTH), &facts, &[large()], 1).trail.candidates[0].inputs.output_tokens
    };
    near(tokens(50.0, 50.0, None), 50.0);
    assert!(tokens(50.0, 200.0, None) > 80.0);
    near(tokens(50.0, 20.0, None), 50.0);
    near(tokens(50.0, 200.0, Some(16)), 16.0);
    // Nothing is known: the default, and still no more than was asked for.
    near(tokens(0.0, 0.0, None), 512.0);
    near(tokens(f32::NAN, 10.0, None), 512.0);
    near(tokens(f32::INFINITY, f32::INFINITY, None), 512.0);
    near(tokens(0.0, 0.0, Some(16)), 16.0);
}

#[test]
fn what_is_not_known_is_noted_and_costed_by_the_defaults() {
    let check = |candidate: Candidate, facts: Facts, notes: &[Note]| {
        let decision = decide(&rules(WORTH), &facts, &[candidate], 1);
        let is: Vec<Note> = decision.trail.candidates[0].inputs.notes.iter().collect();
        assert_eq!(is, notes);
        decision.trail.candidates[0].inputs
    };
    let stranger = Candidate::new("x", "elsewhere", Kind::Cloud);
    let unknown = [
        Note::TierUnknown,
        Note::LatencyUnknown,
        Note::ProbabilityUnknown,
        Note::OutputTokensUnknown,
        Note::ContextUnknown,
        Note::PriceUnknown,
    ];
    let inputs = check(stranger, Facts::default(), &unknown);
    assert_eq!((inputs.expected_seconds, inputs.probability_right), (10.0, 0.5));
    let inputs = check(Candidate { load: None, ..large() }, facts(), &[Note::LoadUnknown]);
    near(inputs.expected_ttft_seconds, 2.0 + 0.02 + 0.01);
    let other_space = Facts { requirement: [1.0, 2.0, 3.0].into(), ..facts() };
    check(large(), other_space, &[Note::ProbabilityUnknown]);
    check(large(), Facts { difficulty: f32::NAN, ..facts() }, &[Note::ProbabilityUnknown]);
    check(Candidate { ability_offset: f32::INFINITY, ..large() }, facts(), &[Note::ProbabilityUnknown]);
    check(Candidate { certain: Some(1.5), ..large() }, facts(), &[Note::ProbabilityUnknown]);
    let free = Price { output_usd_per_million_tokens: -1.0, ..Price::default() };
    check(Candidate { price: Some(free), ..large() }, facts(), &[Note::PriceUnknown]);
    let mut liar = large();
    if let Some(latency) = &mut liar.latency {
        latency.seconds_per_output_token = f64::NAN;
    }
    check(liar, facts(), &[Note::LatencyUnknown]);
    // A grammar has no load, no answer of a length, and no context.
    let command =
        Candidate { certain: Some(1.0), load: None, ..super::place("command", "command", Kind::Command) };
    check(command, Facts { output_tokens_p50: 0.0, ..facts() }, &[]);
}

#[test]
fn an_answer_that_exists_costs_nothing_more_and_is_as_good_as_its_confidence() {
    let answered = |confidence: f32| {
        let facts = Facts { local_answer: Some(LocalAnswer::new("device", confidence)), ..facts() };
        decide(&rules(WORTH), &facts, &[small(), large()], 1)
    };
    let kept = answered(0.9);
    assert_eq!(kept.place.as_ref().map(|place| place.index), Some(0));
    assert_eq!(
        kept.trail.candidates[0].columns.price_usd + kept.trail.candidates[0].columns.waiting_usd,
        0.0
    );
    near(kept.trail.candidates[0].inputs.probability_right, f64::from(0.9_f32));
    assert_eq!(answered(0.2).place.map(|place| place.index), Some(1));
}

#[test]
fn ties_go_by_the_seed_and_not_by_the_order() {
    let twins = |first: &str, second: &str, seed: u64| {
        let twin = |name: &str| Candidate { place: name.into(), ..large() };
        let decision = decide(&rules(WORTH), &facts(), &[twin(first), twin(second)], seed);
        assert_eq!(decision.trail.margin_usd, Some(0.0));
        decision.place.map(|place| place.place.to_string())
    };
    let mut wins_of_a = 0;
    for seed in 0..400 {
        assert_eq!(twins("a", "b", seed), twins("b", "a", seed));
        wins_of_a += u32::from(twins("a", "b", seed).as_deref() == Some("a"));
    }
    assert!((140..260).contains(&wins_of_a), "{wins_of_a} of 400");
}

#[test]
fn the_winner_changes_with_what_time_and_truth_are_worth() {
    let place =
        |class: &str| decide(&rules(class), &facts(), &[small(), large()], 1).place.map(|place| place.tier);
    // The small one is right half of the time, costs a thirteenth and takes as long.
    assert_eq!(place("second_usd = 0.001\nwrong_answer_usd = 0.001").as_deref(), Some("small"));
    assert_eq!(place("second_usd = 0.001\nwrong_answer_usd = 0.1").as_deref(), Some("large"));
}

#[test]
fn the_demo_policy_sends_each_class_where_it_should_go() {
    let at = |name: &str, tier: &str, kind: Kind, seconds_per_output_token: f64| {
        let mut place = super::place(name, tier, kind);
        if let Some(latency) = &mut place.latency {
            latency.seconds_per_output_token = seconds_per_output_token;
        }
        place
    };
    let candidates = [
        at("device", "device", Kind::Device, 1e-3),
        at("cloud-fast/worker-1", "cloud-fast", Kind::Cloud, 2e-3),
        at("cloud-economy/worker-2", "cloud-economy", Kind::Cloud, 8e-3),
    ];
    let check = |facts: Facts, place: Option<&str>| {
        let decision = decide(&demo(), &facts, &candidates, 1);
        assert_eq!(decision.place.as_ref().map(|place| place.place.as_str()), place, "{decision}");
    };
    let (easy, hard) = ([3.5, 3.0], [-1.0, 3.0]);
    let asking = |requirement: [f32; 2]| Facts { requirement: requirement.into(), ..facts() };
    check(asking(easy), Some("device"));
    check(asking(hard), Some("cloud-fast/worker-1"));
    let background = crate::Priority::Background;
    check(Facts { priority: background, ..asking(hard) }, Some("cloud-economy/worker-2"));
    check(Facts { topic: crate::Topic::Medical, ..asking(easy) }, Some("cloud-fast/worker-1"));
    check(Facts { privacy: crate::Privacy::LocalOnly, ..asking(hard) }, Some("device"));
    let private_medical =
        Facts { privacy: crate::Privacy::LocalOnly, topic: crate::Topic::Medical, ..asking(easy) };
    check(private_medical, None);
}

#[test]
fn a_price_that_a_request_names_bounds_what_the_answer_may_cost() {
    let tokens = |usd: f64, more: fn(&mut Facts), candidate: &Candidate| {
        let mut facts = Facts { price_max_usd: Some(usd), output_tokens_default: Some(512), ..facts() };
        more(&mut facts);
        let decision = decide(&rules(WORTH), &facts, std::slice::from_ref(candidate), 1);
        decision.winner().map(|weighed| weighed.inputs.output_tokens_max)
    };
    let as_is = |_: &mut Facts| {};
    // 100 tokens of prompt cost $0.001, and each of the answer $0.00003.
    assert_eq!(tokens(0.004, as_is, &large()), Some(Some(100)));
    assert_eq!(tokens(0.004, |facts| facts.output_tokens_max = Some(60), &large()), Some(Some(60)));
    assert_eq!(tokens(1.0, as_is, &large()), Some(Some(512)));
    assert_eq!(tokens(0.002, as_is, &large()), None, "it is expected to cost more");
    // A cached prompt makes it look cheap, and the bound holds where the cache turns out to be gone.
    let cached = Candidate { cached_prompt_tokens: 100, ..large() };
    let short = |facts: &mut Facts| (facts.output_tokens_p50, facts.output_tokens_p90) = (2.0, 2.0);
    assert_eq!(tokens(0.001, short, &cached), None);
    assert_eq!(tokens(0.001_031, short, &cached), Some(Some(1)));
    let unbounded = decide(&rules(WORTH), &facts(), &[large()], 1);
    assert_eq!(unbounded.trail.candidates[0].inputs.output_tokens_max, None);
    // What is reserved is no more than what may be spent.
    let facts = Facts { price_max_usd: Some(0.004), ..facts() };
    near(crate::price_bound_usd(&rules(WORTH), &facts, &large()), 0.004);
}

#[test]
fn a_place_that_cuts_finer_has_more_tokens_to_be_paid_for_and_read() {
    let finer = |ratio: f64| Candidate { prompt_tokens_ratio: Some(ratio), ..large() };
    let inputs =
        |candidate: Candidate| decide(&rules(WORTH), &facts(), &[candidate], 1).trail.candidates[0].inputs;
    let is = inputs(finer(1.86));
    assert_eq!(is.prompt_tokens, 186);
    near(is.price_usd, (186.0 * 10.0 + 50.0 * 30.0) / 1e6);
    near(is.expected_ttft_seconds, 0.02 + 186.0 * 1e-4);
    let tokens = |ratio: f64| inputs(finer(ratio)).prompt_tokens;
    assert_eq!([tokens(100.0), tokens(0.0), tokens(-3.0)], [400, 25, 25]);
    assert_eq!([tokens(f64::NAN), tokens(f64::INFINITY), inputs(large()).prompt_tokens], [100; 3]);
}

#[test]
fn a_tier_may_state_how_fine_it_cuts_and_what_was_counted_is_believed_before() {
    let text = "schema = \"causeway.policy/v1\"\n[[tier]]\nname = \"t\"\nkind = \"cloud\"\nprompt_tokens_ratio = 1.5\n\
                input_usd_per_million_tokens = 1\noutput_usd_per_million_tokens = 1\n\
                [[class]]\nname = \"c\"\nsecond_usd = 0.001\nwrong_answer_usd = 0.01\n";
    let rules = crate::Rules::parse("p.toml", text).unwrap_or_else(|error| panic!("{error}"));
    let tokens = |prompt_tokens_ratio| {
        let place = Candidate { prompt_tokens_ratio, ..Candidate::new("t/1", "t", Kind::Cloud) };
        decide(&rules, &facts(), &[place], 1).trail.candidates[0].inputs.prompt_tokens
    };
    assert_eq!([tokens(None), tokens(Some(2.0))], [150, 200]);
    let refused = crate::Rules::parse("p.toml", &text.replace("= 1.5", "= 9"));
    assert!(refused.is_err_and(|error| error.to_string().contains("prompt_tokens_ratio")));
}

#[test]
fn an_answer_is_expected_to_be_no_longer_than_it_can_be() {
    let tokens = |change: fn(&mut Facts)| {
        let mut facts = Facts { output_tokens_p50: 5000.0, output_tokens_p90: 9000.0, ..facts() };
        change(&mut facts);
        decide(&rules(WORTH), &facts, &[large()], 1).trail.candidates[0].inputs.output_tokens
    };
    near(tokens(|_| {}), 900.0);
    near(tokens(|facts| facts.output_tokens_default = Some(256)), 256.0);
    near(
        tokens(|facts| (facts.output_tokens_max, facts.output_tokens_default) = (Some(600), Some(256))),
        600.0,
    );
}
