//! The gated blocks of several experts over the rows that go to them, as two shared-out products instead of three each.

use super::{
    Linear, Rows, add_scaled, team,
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
pub(crate) fn mixture(experts: &[Expert<'_>], input: &[f32], count: usize) -> Option<Rows> {
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
    let order: Vec<usize> = experts.iter().flat_map(|e| e.rows.iter().map(|(row, _)| *row)).collect();
    let groups = || experts.iter().map(|expert| expert.rows.len());
    let spans = || {
        groups().scan(0, |end, length| {
            *end += length;
            Some((*end - length, *end))
        })
    };
    let gathered = Input::gather(first.format(), first.inputs(), input, |at| order[at], groups());
    let mut hidden = Rows::stale(order.len(), first.outputs());
    let out = team::Pieces::new(hidden.values_mut());
    products(
        packed.iter().zip(spans()).map(|([gate, up, _], rows)| {
            (Job { input: &gathered, weights: gate, second: Some(up), rows }, out)
        }),
    );
    let gathered = Input::gather(down.format(), down.inputs(), hidden.values(), |at| at, groups());
    let mut parts = Rows::stale(order.len(), down.outputs());
    let out = team::Pieces::new(parts.values_mut());
    products(
        packed
            .iter()
            .zip(spans())
            .map(|([.., down], rows)| (Job { input: &gathered, weights: down, second: None, rows }, out)),
    );
    Some(combined(experts, &parts, count))
}

/// Adds up each row's parts, which stand in the order of the experts.
fn combined(experts: &[Expert<'_>], parts: &Rows, count: usize) -> Rows {
    let (width, parts) = (parts.width(), parts.values());
    let mut places: Vec<(usize, usize, f32)> = experts
        .iter()
        .flat_map(|expert| expert.rows)
        .enumerate()
        .map(|(at, (row, weight))| (*row, at, *weight))
        .collect();
    places.sort_unstable_by_key(|(row, at, _)| (*row, *at));
    let mut out = Rows::zeroed(count, width);
    team::share_runs(out.values_mut(), ROWS_OF_A_PIECE * width, |piece, out| {
        let first = piece * ROWS_OF_A_PIECE;
        let own = places.partition_point(|(row, ..)| *row < first);
        let own = places[own..].iter().take_while(|(row, ..)| *row < first + ROWS_OF_A_PIECE);
        for (row, at, weight) in own {
            let out = &mut out[(row - first) * width..][..width];
            add_scaled(out, *weight, &parts[at * width..(at + 1) * width]);
        }
    });
    out
}
