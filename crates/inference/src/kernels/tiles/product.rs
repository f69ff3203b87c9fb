//! Products of packed matrices with panels of rows, cut into pieces that the team shares out.

use super::{
    super::{Form, team},
    Input, LANES, Panel, Tiles, tile_product,
};

/// Rows of the largest panel.
const ROWS_MAX: usize = 16;
/// Weights of one piece, in bytes: what a core's second cache holds beside activations.
const PIECE_BYTES_MAX: usize = 192 << 10;
/// Pieces per thread, so that a thread that loses its core holds up little.
const PIECES_PER_THREAD: usize = 16;
/// Products of one piece, at least: a piece is not worth taking for less.
const PIECE_WORK_MIN: usize = 1 << 17;

/// One matrix and the rows that it multiplies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job<'a> {
    /// Made for the matrix's format and columns.
    pub(crate) input: &'a Input,
    pub(crate) weights: &'a Tiles,
    /// Where there is one, a second matrix of the same shape: the result is `silu(weights · row) × (second · row)`.
    pub(crate) second: Option<&'a Tiles>,
    /// Whole groups of `input`'s rows, from the first to before the last.
    pub(crate) rows: (usize, usize),
}

/// A job and the pieces that it is cut into.
struct Cut<'a> {
    job: Job<'a>,
    out: team::Pieces<'a, f32>,
    panels: std::ops::Range<usize>,
    /// Tiles of one piece.
    step: usize,
    /// Pieces of this job and of all before it.
    end: usize,
}

/// Writes the products of each job to its output, where row 0 of the job's input has the first `weights.outputs()`
/// numbers. Jobs that write to the same output have rows of their own.
pub(crate) fn products<'a>(jobs: impl IntoIterator<Item = (Job<'a>, team::Pieces<'a, f32>)>) {
    let work = |job: &Job<'_>| {
        let matrices = 1 + usize::from(job.second.is_some());
        (job.rows.1 - job.rows.0) * job.weights.inputs() * job.weights.outputs() * matrices
    };
    let jobs = jobs.into_iter().filter(|(job, _)| job.rows.1 > job.rows.0);
    let mut cuts: Vec<Cut<'_>> = jobs
        .map(|(job, out)| {
            check(&job);
            Cut { job, out, panels: job.input.panels_of(job.rows.0, job.rows.1), step: 1, end: 0 }
        })
        .collect();
    let all: usize = cuts.iter().map(|cut| work(&cut.job)).sum();
    let piece = (all / (team::size() * PIECES_PER_THREAD)).max(PIECE_WORK_MIN);
    let mut end = 0;
    for cut in &mut cuts {
        let tiles = cut.job.weights.tiles();
        let by_work = (tiles * piece).checked_div(work(&cut.job)).unwrap_or(tiles);
        let by_bytes = PIECE_BYTES_MAX / cut.job.weights.tile_bytes();
        cut.step = by_work.min(by_bytes).clamp(1, tiles);
        end += tiles.div_ceil(cut.step);
        cut.end = end;
    }
    let form = Form::best();
    let one = |piece: usize| {
        let at = cuts.partition_point(|cut| cut.end <= piece);
        let first = if at == 0 { 0 } else { cuts[at - 1].end };
        cuts[at].compute(form, piece - first);
    };
    if all < PIECE_WORK_MIN { (0..end).for_each(one) } else { team::share(end, one) }
}

fn check(job: &Job<'_>) {
    let fits = |tiles: &Tiles| {
        tiles.format() == job.input.format
            && tiles.inputs() == job.input.columns
            && tiles.outputs() == job.weights.outputs()
    };
    let fits = fits(job.weights) && job.second.is_none_or(fits) && job.rows.1 <= job.input.rows();
    assert!(fits, "a product's matrices and rows must be of one shape and format");
}

impl Cut<'_> {
    fn compute(&self, form: Form, piece: usize) {
        let Job { input, weights, second, .. } = self.job;
        let outputs = weights.outputs();
        let tiles = piece * self.step..((piece + 1) * self.step).min(weights.tiles());
        let mut sums = [[0f32; LANES]; ROWS_MAX];
        let mut ups = [[0f32; LANES]; ROWS_MAX];
        for panel in self.panels.clone() {
            let panel: Panel<'_> = input.panel(panel);
            let (sums, ups) = (&mut sums[..panel.rows], &mut ups[..panel.rows]);
            for tile in tiles.clone() {
                tile_product(form, weights.format(), weights.tile(tile), panel, sums);
                if let Some(second) = second {
                    tile_product(form, second.format(), second.tile(tile), panel, ups);
                    for (sums, ups) in sums.iter_mut().zip(ups.iter()) {
                        super::super::silu_times(sums, ups);
                    }
                }
                let first = tile * LANES;
                let length = LANES.min(outputs - first);
                for (row, sums) in sums.iter().enumerate() {
                    // SAFETY: rows of jobs do not overlap, and a tile of a job is in one piece, asked for once.
                    let out = unsafe { self.out.part((panel.first + row) * outputs + first, length) };
                    out.copy_from_slice(&sums[..length]);
                }
            }
        }
    }
}
