//! How a step of ragged rows is laid out: where its rows go, and which of them attend together.

use std::{ops::Range, sync::Arc};

use candle_core::{DType, Device, Result, Tensor};

use super::blocks::{Blocks, Places};
use crate::{kernels::SPAN, model::decoder::Segment};

/// Scores of attention that are held at a time, at most, unless one row has more: a quarter of a GiB.
const SCORES_MAX: usize = 1 << 26;

/// A step.
#[derive(Debug)]
pub(super) struct Step {
    /// Rows of all segments.
    pub(super) rows: usize,
    pub(super) ids: Tensor,
    pub(super) positions: Vec<usize>,
    pub(super) blocks: Arc<Blocks>,
    pub(super) places: Places,
    /// One for each window that layers have.
    pub(super) sights: Vec<Sight>,
}

/// What the rows of a step see.
#[derive(Debug)]
pub(super) struct Sight {
    pub(super) groups: Vec<Group>,
    /// Where each row of the step is among the rows of the groups; none where they are in order.
    pub(super) order: Option<Tensor>,
}

/// Sequences with equally many rows that attend together.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) sequences: usize,
    /// Rows of each.
    pub(super) rows: usize,
    /// Positions of each; those that a sequence does not have are masked.
    pub(super) positions: usize,
    /// Which rows of the step; none where they are all, in order.
    pub(super) which: Option<Tensor>,
    /// The slots of the positions, sequence after sequence.
    pub(super) slots: Tensor,
    /// What is added to scores, `[sequence, row, position]`; none where every row sees every position.
    pub(super) mask: Option<Tensor>,
}

/// Neighbouring rows of one sequence.
#[derive(Debug)]
struct Piece {
    segment: usize,
    /// Among the rows of the step.
    first: usize,
    rows: usize,
    /// The position of the first row.
    position: usize,
    /// The positions that its rows see together.
    seen: Range<usize>,
}

impl Step {
    /// Lays out segments whose caches have room; none where they have no rows.
    pub(super) fn new(
        segments: &[Segment<'_>],
        (windows, heads): (&[Option<usize>], usize),
        device: &Device,
    ) -> std::result::Result<Option<Self>, crate::Error> {
        let stores: Vec<&Arc<Blocks>> =
            segments.iter().filter(|s| !s.tokens.is_empty()).filter_map(|s| s.cache.device()).collect();
        let Some((blocks, others)) = stores.split_first() else { return Ok(None) };
        if others.iter().any(|other| !Arc::ptr_eq(blocks, other)) {
            let problem = "the caches of one step are of several pools".to_owned();
            return Err(crate::Error::Compute { problem });
        }
        let ids: Vec<u32> = segments.iter().flat_map(|s| s.tokens).copied().collect();
        let own = |s: &Segment<'_>| s.cache.tokens()..s.cache.tokens() + s.tokens.len();
        let positions: Vec<usize> = segments.iter().flat_map(own).collect();
        let slots = segments.iter().flat_map(|s| s.cache.slots(own(s))).collect();
        let sights = windows.iter().map(|window| Sight::new(segments, (*window, heads), device));
        Ok(Some(Self {
            rows: ids.len(),
            ids: Tensor::from_vec(ids, positions.len(), device)?,
            blocks: Arc::clone(blocks),
            places: blocks.places(slots)?,
            sights: sights.collect::<Result<_>>()?,
            positions,
        }))
    }
}

impl Sight {
    fn new(
        segments: &[Segment<'_>],
        (window, heads): (Option<usize>, usize),
        device: &Device,
    ) -> Result<Self> {
        let mut pieces = pieces(segments, window, heads);
        let rows: usize = pieces.iter().map(|piece| piece.rows).sum();
        // Those that fit each other stand together; pieces of one sequence stay in order.
        pieces.sort_by_key(|piece| (piece.rows, piece.seen.len()));
        let mut groups = Vec::new();
        let mut rest = pieces.as_slice();
        while let Some(first) = rest.first() {
            let together = rest.iter().enumerate().take_while(|(at, piece)| fit(first, piece, at + 1, heads));
            let (group, others) = rest.split_at(together.count().max(1));
            groups.push(Group::new(group, segments, window, device)?);
            rest = others;
        }
        let order: Vec<usize> = pieces.iter().flat_map(|p| p.first..p.first + p.rows).collect();
        if order.is_sorted() {
            groups
                .iter_mut()
                .filter(|group| group.sequences * group.rows == rows)
                .for_each(|all| all.which = None);
            return Ok(Self { groups, order: None });
        }
        let mut places = vec![0u32; rows];
        for (at, row) in order.into_iter().enumerate() {
            places[row] = at as u32;
        }
        Ok(Self { groups, order: Some(Tensor::from_vec(places, rows, device)?) })
    }
}

/// Whether a piece may attend in a group of `count` with one that sees at most as much.
fn fit(first: &Piece, piece: &Piece, count: usize, heads: usize) -> bool {
    let scores = count * piece.rows * heads * piece.seen.len();
    piece.rows == first.rows && piece.seen.len() <= 2 * first.seen.len() + SPAN && scores <= SCORES_MAX
}

/// Each segment's rows, cut where they would have too many scores.
fn pieces(segments: &[Segment<'_>], window: Option<usize>, heads: usize) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut before = 0;
    for (segment, Segment { tokens, cache, .. }) in segments.iter().enumerate() {
        let (known, count) = (cache.tokens(), tokens.len());
        let rows = (SCORES_MAX / (heads * (known + count)).max(1)).max(1);
        for from in (0..count).step_by(rows) {
            let to = count.min(from + rows);
            let start = window.map_or(0, |window| (known + from + 1).saturating_sub(window));
            pieces.push(Piece {
                segment,
                first: before + from,
                rows: to - from,
                position: known + from,
                seen: start..known + to,
            });
        }
        before += count;
    }
    pieces
}

impl Group {
    fn new(
        pieces: &[Piece],
        segments: &[Segment<'_>],
        window: Option<usize>,
        device: &Device,
    ) -> Result<Self> {
        let positions = pieces.iter().map(|piece| piece.seen.len()).max().unwrap_or(0);
        let rows = pieces.first().map_or(0, |piece| piece.rows);
        let which = pieces.iter().flat_map(|p| (p.first..p.first + p.rows).map(|row| row as u32));
        let mut slots = Vec::with_capacity(pieces.len() * positions);
        for (at, piece) in pieces.iter().enumerate() {
            slots.extend(segments[piece.segment].cache.slots(piece.seen.clone()));
            // A masked number has to be one all the same, and of nobody else.
            let own = slots.last().copied().unwrap_or(0);
            slots.resize((at + 1) * positions, own);
        }
        let (length, slot_count) = (pieces.len() * rows, slots.len());
        let mut group = Self {
            sequences: pieces.len(),
            rows,
            positions,
            which: Some(Tensor::from_iter(which, device)?.reshape(length)?),
            slots: Tensor::from_vec(slots, slot_count, device)?,
            mask: None,
        };
        let alike = pieces.iter().all(|piece| piece.seen.len() == positions);
        if rows > 1 || !alike {
            group.mask = Some(group.hidden(pieces, window, device)?);
        }
        Ok(group)
    }

    /// Minus infinity where a row does not see a position.
    fn hidden(&self, pieces: &[Piece], window: Option<usize>, device: &Device) -> Result<Tensor> {
        let shape = (self.sequences, self.rows, self.positions);
        let own = pieces.iter().flat_map(|piece| {
            let first = piece.position - piece.seen.start;
            (first..first + piece.rows).map(|at| at as f32)
        });
        let own = Tensor::from_iter(own, device)?.reshape((self.sequences, self.rows, 1))?;
        let own = own.broadcast_as(shape)?;
        let at = Tensor::arange(0f32, self.positions as f32, device)?.broadcast_as(shape)?;
        let never = Tensor::full(f32::NEG_INFINITY, shape, device)?;
        let seen = Tensor::zeros(shape, DType::F32, device)?;
        let mask = at.le(&own)?.where_cond(&seen, &never)?;
        match window {
            Some(window) => (at + window as f64)?.gt(&own)?.where_cond(&mask, &never),
            None => Ok(mask),
        }
    }
}
