//! The expected cost of a place in US dollars: price, waiting and being wrong, in three columns.

use crate::decision::{Columns, Inputs, Weighed};
use crate::estimate::Case;
use crate::filter::Sieved;

/// Turns estimates into dollars by what the class of the request is worth. Removed places get their columns too: they
/// show what a constraint costs.
pub(crate) fn score(case: &Case<'_>, sieved: Vec<Sieved<'_>>) -> Vec<Weighed> {
    let weigh = |one: Sieved<'_>| Weighed {
        candidate: one.candidate.clone(),
        removal: one.removal,
        columns: columns(case, &one.inputs),
        inputs: one.inputs,
    };
    sieved.into_iter().map(weigh).collect()
}

fn columns(case: &Case<'_>, inputs: &Inputs) -> Columns {
    let price_usd = inputs.price_usd;
    let waiting_usd = inputs.expected_seconds * case.class.second_usd;
    let wrong_usd = (1.0 - inputs.probability_right) * case.class.wrong_answer_usd;
    Columns { price_usd, waiting_usd, wrong_usd, total_usd: price_usd + waiting_usd + wrong_usd }
}
