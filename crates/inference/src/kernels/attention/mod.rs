//! Causal attention in spans of 64 positions, for prefill and decode alike.
//!
//! Spans begin at fixed positions and are taken in order, and within them every number is made by the same operations
//! in the same order, whichever rows are computed together: a row has the same bits alone, in a batch and in any chunk.

mod past;
mod panel;
#[cfg(test)]
mod tests;

pub(crate) use past::{Block, KeyShape, Layout, Past, SPAN, WHOLE};

use std::{cell::Cell, ops::Range};

use half::f16;

use super::{Buffer, Form, Rows, exponent, team};
use panel::{Element, Matrix, ROWS_MAX, add_products};
use past::{Numbers, Strip};

/// Panels of queries that pass over a span of keys together.
const PANELS_OF_A_PIECE: usize = 8;
/// Lanes of partial sums.
const LANES: usize = 16;

thread_local! {
    /// Room for the panels of the piece that the thread computes.
    static PANELS: Cell<Vec<Panel>> = const { Cell::new(Vec::new()) };
}

/// What a layer's queries ask.
#[derive(Debug, Clone)]
pub(crate) struct Attend {
    /// Query heads; the heads of keys share them evenly.
    pub(crate) heads: usize,
    pub(crate) shape: KeyShape,
    /// What scores are multiplied with.
    pub(crate) scale: f32,
    /// Positions that a row sees, its own among them.
    pub(crate) window: Option<usize>,
    /// One score per head that takes a share and gives nothing.
    pub(crate) sinks: Option<Vec<f32>>,
}

/// One sequence's rows in a step. Its keys and values are in `past` already.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asking<'a> {
    pub(crate) past: Past<'a>,
    /// Its first row among all rows of the step.
    pub(crate) first: usize,
    pub(crate) rows: usize,
}

/// Panels of one sequence that ask one head of keys.
#[derive(Debug, Clone, Copy)]
struct Piece<'a> {
    asking: Asking<'a>,
    group: usize,
    /// Queries of the group, row after row, from and to.
    queries: (usize, usize),
}

impl Attend {
    /// What every head of every row takes from the positions that it sees. `query` and the result hold the rows of all
    /// sequences, with all heads of a row side by side.
    pub(crate) fn attend(&self, all: &[Asking<'_>], query: &[f32]) -> Rows {
        let rows = query.len() / (self.heads * self.shape.key_width).max(1);
        let mut out = Rows::zeroed(rows, self.heads * self.shape.value_width);
        let shared = self.heads / self.shape.heads;
        let mut pieces = Vec::new();
        for asking in all {
            for group in 0..self.shape.heads {
                let count = asking.rows * shared;
                for from in (0..count).step_by(PANELS_OF_A_PIECE * ROWS_MAX) {
                    let queries = (from, count.min(from + PANELS_OF_A_PIECE * ROWS_MAX));
                    pieces.push(Piece { asking: *asking, group, queries });
                }
            }
        }
        let form = Form::best();
        let to = team::Pieces::new(out.values_mut());
        team::share(pieces.len(), |at| match pieces[at].asking.past.numbers() {
            Some(Numbers::F32(_)) => self.compute::<f32>(form, &pieces[at..], query, &to),
            Some(Numbers::F16(_)) => self.compute::<f16>(form, &pieces[at..], query, &to),
            Some(Numbers::Q8(..)) => self.compute::<i8>(form, &pieces[at..], query, &to),
            None => {}
        });
        out
    }

    /// Where the first span begins that a piece sees.
    fn start(&self, asking: &Asking<'_>) -> usize {
        let first = asking.past.positions - asking.rows + 1;
        self.window.map_or(0, |window| first.saturating_sub(window)) / SPAN * SPAN
    }

    /// Computes the first of `pieces`; the second is likely the next.
    fn compute<E: Element>(
        &self,
        form: Form,
        pieces: &[Piece<'_>],
        query: &[f32],
        out: &team::Pieces<'_, f32>,
    ) {
        let (piece, after) = (pieces[0], pieces.get(1).filter(|after| after.asking.past.positions > 0));
        let mut panels = PANELS.take();
        self.set_panels(piece, query, &mut panels);
        let last = panels.iter().map(|panel| panel.end).max().unwrap_or(0);
        let first = panels.iter().map(|panel| panel.start).min().unwrap_or(0);
        let strip = piece.asking.past.layout.strip();
        let mut strips = [(Strip::default(), 0); SPAN / WHOLE];
        for span in first / SPAN..last.div_ceil(SPAN) {
            let positions = (span * SPAN..last.min((span + 1) * SPAN)).step_by(strip);
            let strips = &mut strips[..positions.len()];
            for (to, at) in strips.iter_mut().zip(positions) {
                let own = piece.asking.past.strip::<E>(piece.group, at);
                // The next span of this piece, or the first of the next.
                let (of, at) = match after {
                    Some(after) if at + SPAN >= last => (after, self.start(&after.asking) + at % SPAN),
                    _ => (&piece, at + SPAN),
                };
                let next = (at < of.asking.past.positions).then(|| of.asking.past.strip::<E>(of.group, at));
                let address = |strip: Strip<'_, E>| strip.keys.as_ptr().addr();
                *to = (own, next.map_or(0, |next| address(next).wrapping_sub(address(own))));
            }
            for panel in &mut panels {
                panel.take(form, span * SPAN, strips, (strip, self.shape.value_stride()));
                // The next span is on its way.
                strips.iter_mut().for_each(|(_, ahead)| *ahead = 0);
            }
        }
        for panel in &panels {
            for (at, query) in panel.queries[..panel.count].iter().enumerate() {
                let width = self.shape.value_width;
                // SAFETY: a head of a row is in one panel of one piece, which is asked for once.
                let out = unsafe { out.part((query.row * self.heads + query.head) * width, width) };
                panel.finish(at, out);
            }
        }
        panels.clear();
        PANELS.set(panels);
    }

    fn set_panels(&self, piece: Piece<'_>, query: &[f32], panels: &mut Vec<Panel>) {
        let shared = self.heads / self.shape.heads;
        let before = piece.asking.past.positions - piece.asking.rows;
        let mut at = piece.queries.0;
        while at < piece.queries.1 {
            let left = piece.queries.1 - at;
            let count = if left == 5 { 4 } else { left.min(ROWS_MAX) };
            let one = |at: usize| {
                let (row, head) = (at / shared, piece.group * shared + at % shared);
                let end = before + row + 1;
                let start = self.window.map_or(0, |window| end.saturating_sub(window));
                Query { row: piece.asking.first + row, head, start, end }
            };
            let queries = std::array::from_fn(|n| if n < count { one(at + n) } else { Query::default() });
            panels.push(Panel::new(self, (queries, count), query));
            at += count;
        }
    }
}

/// One head of one row, and the positions from and to which it sees.
#[derive(Debug, Clone, Copy, Default)]
struct Query {
    row: usize,
    head: usize,
    start: usize,
    end: usize,
}

/// A few queries of one head of keys, on their way over the spans.
#[derive(Debug)]
struct Panel {
    /// The first `count` are in use.
    queries: [Query; ROWS_MAX],
    count: usize,
    /// The positions that any of them sees.
    start: usize,
    end: usize,
    /// Scaled queries, `[number][query]`.
    asked: Buffer<f32>,
    /// The greatest score of each so far.
    greatest: [f32; ROWS_MAX],
    /// The sum of the shares so far, lane by lane.
    shares: [[f32; LANES]; ROWS_MAX],
    /// The weighted sums so far, 64 columns of all queries after another.
    taken: Buffer<f32>,
    /// Shares of a span, `[position][query]`.
    factors: [f32; SPAN * ROWS_MAX],
}

impl Panel {
    fn new(attend: &Attend, (queries, count): ([Query; ROWS_MAX], usize), query: &[f32]) -> Self {
        let width = attend.shape.key_width;
        let mut asked = Buffer::stale(width * count);
        let mut greatest = [f32::NEG_INFINITY; ROWS_MAX];
        let mut shares = [[0f32; LANES]; ROWS_MAX];
        for (at, one) in queries[..count].iter().enumerate() {
            let from = &query[(one.row * attend.heads + one.head) * width..][..width];
            for (to, number) in asked.chunks_exact_mut(count).zip(from) {
                to[at] = number * attend.scale;
            }
            if let Some(sink) = attend.sinks.as_ref().and_then(|sinks| sinks.get(one.head)) {
                // A sink is a score that was seen before all others.
                greatest[at] = *sink;
                shares[at][0] = 1.0;
            }
        }
        let chunks = attend.shape.value_stride().div_ceil(SPAN);
        Self {
            start: queries[..count].iter().map(|query| query.start).min().unwrap_or(0),
            end: queries[..count].iter().map(|query| query.end).max().unwrap_or(0),
            queries,
            count,
            asked,
            greatest,
            shares,
            taken: Buffer::zeroed(chunks * count * SPAN),
            factors: [0.0; SPAN * ROWS_MAX],
        }
    }

    /// Takes what the queries see of the span that begins at position `first`; its strips, each with how many bytes
    /// later that of the next span lies, have so many positions, and so many numbers from one position's values to the
    /// next.
    fn take<E: Element>(
        &mut self,
        form: Form,
        first: usize,
        strips: &[(Strip<'_, E>, usize)],
        (positions, stride): (usize, usize),
    ) {
        let seen = self.end.min(first + SPAN).saturating_sub(first);
        if seen == 0 || self.start >= first + SPAN {
            return;
        }
        let count = self.count;
        let mut scores = [[0f32; SPAN]; ROWS_MAX];
        let scores = &mut scores[..count];
        for (at, strip) in (0..seen).step_by(positions).zip(strips) {
            let columns = positions.min(seen - at).next_multiple_of(LANES);
            self.score(form, (strip, positions), at..at + columns, scores);
        }
        let mut fades = [1f32; ROWS_MAX];
        for (at, (query, scores)) in self.queries.iter().zip(scores).enumerate() {
            let from = query.start.saturating_sub(first).min(SPAN);
            let to = query.end.saturating_sub(first).min(SPAN);
            scores[..from.min(to)].fill(f32::NEG_INFINITY);
            scores[to..].fill(f32::NEG_INFINITY);
            if from < to {
                fades[at] = exponent::share(scores, &mut self.greatest[at], &mut self.shares[at]);
            } else {
                scores.fill(0.0);
            }
            for (to, score) in self.factors[at..].iter_mut().step_by(count).zip(scores.iter()) {
                *to = *score;
            }
        }
        for taken in self.taken.chunks_exact_mut(count * SPAN) {
            for (taken, fade) in taken.chunks_exact_mut(SPAN).zip(fades) {
                taken.iter_mut().for_each(|value| *value *= fade);
            }
        }
        for (at, strip) in (0..seen).step_by(positions).zip(strips) {
            self.weigh(form, strip, at..seen.min(at + positions), stride);
        }
    }

    /// The scores of one strip, whose positions are these of the span.
    fn score<E: Element>(
        &self,
        form: Form,
        ((strip, ahead), positions): (&(Strip<'_, E>, usize), usize),
        at: Range<usize>,
        scores: &mut [[f32; SPAN]],
    ) {
        let keys = Matrix { numbers: strip.keys, stride: positions, columns: at.len(), ahead: *ahead };
        if at.start == 0 {
            add_products(form, &self.asked, keys, scores);
        } else {
            let mut part = [[0f32; SPAN]; ROWS_MAX];
            let part = &mut part[..scores.len()];
            add_products(form, &self.asked, keys, part);
            for (scores, part) in scores.iter_mut().zip(part) {
                scores[at.clone()].copy_from_slice(&part[..at.len()]);
            }
        }
        for scores in scores {
            for (score, scale) in scores[at.clone()].iter_mut().zip(strip.scales[0]) {
                *score *= scale;
            }
        }
    }

    /// Adds the values of one strip, whose positions are these of the span, by their shares.
    fn weigh<E: Element>(
        &mut self,
        form: Form,
        (strip, ahead): &(Strip<'_, E>, usize),
        at: Range<usize>,
        stride: usize,
    ) {
        let count = self.count;
        let factors = &mut self.factors[at.start * count..at.end * count];
        for (factors, scale) in factors.chunks_exact_mut(count).zip(strip.scales[1]) {
            factors.iter_mut().for_each(|factor| *factor *= scale);
        }
        let taken = self.taken.as_chunks_mut::<SPAN>().0;
        for (chunk, taken) in taken.chunks_exact_mut(count).enumerate() {
            let columns = (stride - chunk * SPAN).min(SPAN);
            let numbers = &strip.values[chunk * SPAN..];
            add_products(form, factors, Matrix { numbers, stride, columns, ahead: *ahead }, taken);
        }
    }

    /// Writes what query `at` has taken.
    fn finish(&self, at: usize, out: &mut [f32]) {
        let mut shares = self.shares[at];
        let mut width = LANES;
        while width > 1 {
            width /= 2;
            for lane in 0..width {
                shares[lane] += shares[lane + width];
            }
        }
        let chunks = self.taken.chunks_exact(self.count * SPAN);
        for (out, taken) in out.chunks_mut(SPAN).zip(chunks) {
            for (out, value) in out.iter_mut().zip(&taken[at * SPAN..]) {
                *out = value / shares[0];
            }
        }
    }
}
