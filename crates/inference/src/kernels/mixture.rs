//! The gated blocks of several experts over the rows that go to them, as two shared-out products instead of three each.

use super::{
    Linear, add_scaled, team,
    tiles::{Input, Job, Tiles, products},
};

/// Rows of output that are worth a piece of work.
const ROWS_OF_A_PIECE: usize = 8;

/// One expert's matrices and the rows that go to it, each with its weight.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expert<'a> {
    pub(crate) gate: &'a Linear,
    pub(crate) up: &'a Linear,
    pub(crate) down: &'a Linear,
    pub(crate) rows: &'a [(usize, f32)],
}

/// For each of `count` rows of `input` the weighted sum of `down · (silu(gate · row) × (up · row))` over its experts, in
/// their order, so that a row's sum does not depend on its neighbours. Nothing where the matrices are not packed alike.
pub(crate) fn mixture(experts: &[Expert<'_>], input: &[f32], count: usize) -> Option<Vec<f32>> {
    let packed: Vec<[&Tiles; 3]> = experts
        .iter()
        .map(|e| Some([e.gate.packed()?, e.up.packed()?, e.down.packed()?]))
        .collect::<Option<_>>()?;
    let &[first, _, down] = packed.first()?;
    let alike = |[gate, up, last]: &[&Tiles; 3]| {
        gate.format() == first.format() && up.format() == first.format() && last.format() == down.format()
    };
    if !packed.iter().all(alike) {
        return None;
    }
    let groups: Vec<usize> = experts.iter().map(|expert| expert.rows.len()).collect();
    let order: Vec<usize> = experts.iter().flat_map(|e| e.rows.iter().map(|(row, _)| *row)).collect();
    let spans: Vec<(usize, usize)> = groups
        .iter()
        .scan(0, |end, length| {
            *end += length;
            Some((*end - length, *end))
        })
        .collect();
    let gathered = Input::gather(first.format(), first.inputs(), input, &order, &groups);
    let mut hidden = vec![0f32; order.len() * first.outputs()];
    let jobs: Vec<Job<'_>> = packed
        .iter()
        .zip(&spans)
        .map(|([gate, up, _], rows)| Job {
            input: &gathered,
            weights: gate,
            second: Some(up),
            rows: *rows,
            start: 0,
        })
        .collect();
    products(&jobs, &mut hidden);
    let all: Vec<usize> = (0..order.len()).collect();
    let gathered = Input::gather(down.format(), down.inputs(), &hidden, &all, &groups);
    let mut parts = vec![0f32; order.len() * down.outputs()];
    let jobs: Vec<Job<'_>> = packed
        .iter()
        .zip(&spans)
        .map(|([.., down], rows)| Job {
            input: &gathered,
            weights: down,
            second: None,
            rows: *rows,
            start: 0,
        })
        .collect();
    products(&jobs, &mut parts);
    Some(combined(experts, &parts, count, down.outputs()))
}

/// Adds up each row's parts, which stand in the order of the experts.
fn combined(experts: &[Expert<'_>], parts: &[f32], count: usize, width: usize) -> Vec<f32> {
    let mut places = vec![Vec::new(); count];
    for (at, (row, weight)) in experts.iter().flat_map(|expert| expert.rows).enumerate() {
        places[*row].push((at, *weight));
    }
    let mut out = vec![0f32; count * width];
    team::share_runs(&mut out, ROWS_OF_A_PIECE * width, |piece, out| {
        let rows = &places[piece * ROWS_OF_A_PIECE..];
        for (places, out) in rows.iter().zip(out.chunks_exact_mut(width)) {
            for (at, weight) in places {
                add_scaled(out, *weight, &parts[at * width..(at + 1) * width]);
            }
        }
    });
    out
}
