//! `causeway policy sample`: decisions of requests that never were, with outcomes drawn from what was expected.

use std::io::Write;
use std::process::ExitCode;

use ::policy::{
    Candidate, DecisionLine, Facts, Latency, Load, Name, Outcome, Priority, Privacy, Rules, Topic, Vector,
};
use anyhow::{Result, bail};

use super::args::Sample;
use super::draw::Draw;
use super::read;
use crate::deploy::Deploy;

/// When the log begins: 2026-01-01.
const BEGIN_MS: u64 = 1_767_225_600_000;

/// Writes the log.
pub(super) fn run(deploy: &Deploy, asked: &Sample, out: &mut impl Write) -> Result<ExitCode> {
    if !(0.0..=1.0).contains(&asked.explore) {
        bail!("--explore is {}; give a share from 0 to 1", asked.explore);
    }
    let rules = read::sound_rules(&read::named(deploy, asked.file.as_ref()))?;
    for line in lines(&rules, asked.seed, asked.explore).take(asked.lines as usize) {
        writeln!(out, "{}", line.to_json())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Decisions without end. With probability `explore` one of the places that remain is taken by chance, and the line says
/// with which propensity.
pub(super) fn lines(rules: &Rules, seed: u64, explore: f64) -> impl Iterator<Item = DecisionLine> + '_ {
    let mut draw = Draw::new(seed);
    let dimensions = rules.tiers().iter().filter_map(|tier| tier.abilities).map(|one| one.as_slice().len());
    let dimensions = dimensions.max().unwrap_or(1);
    (0_u64..).map(move |number| {
        let facts = rules.offline(facts(&mut draw, dimensions));
        let candidates = candidates(&mut draw, rules);
        let decision = ::policy::decide(rules, &facts, &candidates, draw.next());
        let mut line =
            DecisionLine::new(&decision, BEGIN_MS + number * 1000, format!("{number:032x}"), "sample");
        let weighed = &decision.trail.candidates;
        let remaining: Vec<usize> =
            (0..weighed.len()).filter(|index| weighed[*index].removal.is_none()).collect();
        let Some(best) = decision.place.as_ref().map(|place| place.index) else { return line };
        let by_chance = draw.share() < explore;
        let taken = if by_chance { remaining[draw.below(remaining.len())] } else { best };
        let inputs = &weighed[taken].inputs;
        let even = explore / remaining.len() as f64;
        if explore > 0.0 {
            line.propensity = Some(even + if taken == best { 1.0 - explore } else { 0.0 });
        }
        let pace = (0.3 * draw.normal()).exp();
        line.place = Some(weighed[taken].candidate.place.clone());
        line.outcome = Some(Outcome {
            usd: inputs.price_usd,
            seconds: inputs.expected_seconds * pace,
            ttft_seconds: inputs.expected_ttft_seconds * pace,
            output_tokens: inputs.output_tokens as u32,
            right: Some(draw.share() < inputs.probability_right),
        });
        line
    })
}

fn facts(draw: &mut Draw, dimensions: usize) -> Facts {
    fn one_of<T: Copy>(draw: &mut Draw, all: &[(T, f64)]) -> T {
        let mut left = draw.share();
        for (one, share) in all {
            left -= share;
            if left < 0.0 {
                return *one;
            }
        }
        all[all.len() - 1].0
    }
    let requirement: Vec<f32> = (0..dimensions).map(|_| (1.0 + 1.5 * draw.normal()) as f32).collect();
    let output_tokens = (3.5 + draw.normal()).exp() as f32;
    Facts {
        prompt_tokens: (4.0 + draw.normal()).exp() as u32,
        output_tokens_p50: output_tokens,
        output_tokens_p90: output_tokens * 3.0,
        requirement: Vector::new(&requirement),
        topic: one_of(draw, &[(Topic::None, 0.9), (Topic::Medical, 0.05), (Topic::Legal, 0.05)]),
        language: one_of(draw, &[("en", 0.6), ("de", 0.2), ("hi", 0.2)]).into(),
        privacy: one_of(draw, &[(Privacy::Normal, 0.9), (Privacy::LocalOnly, 0.1)]),
        priority: one_of(
            draw,
            &[(Priority::Interactive, 0.6), (Priority::Normal, 0.2), (Priority::Background, 0.2)],
        ),
        tenant: Name::from(format!("tenant-{}", draw.below(5))),
        turns: 1 + draw.below(6) as u32,
        ..Facts::default()
    }
}

/// The places that the tiers describe, each as busy as chance will have it.
fn candidates(draw: &mut Draw, rules: &Rules) -> Vec<Candidate> {
    let busy = |mut candidate: Candidate| {
        let stated = candidate.latency.unwrap_or(Latency {
            queue_seconds: 0.0,
            network_seconds: 0.02,
            prefill_seconds_per_token: 2e-4,
            seconds_per_output_token: 5e-3,
        });
        let waiting = draw.below(4) as u32;
        candidate.latency = Some(Latency { queue_seconds: 0.05 * f64::from(waiting), ..stated });
        candidate.load = Some(Load { running: 1 + waiting, waiting });
        candidate
    };
    rules.described_candidates().into_iter().map(busy).collect()
}
