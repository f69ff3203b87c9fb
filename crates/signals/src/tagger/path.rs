//! The best sequence of marks, found exactly (Viterbi).

use crate::wide::wide;

/// Far below every sum of weights, and far from overflow.
const NEVER: i32 = i32::MIN / 4;

/// The weight of a move that may not be: with any sum it stays below [`NEVER`], and far from overflow.
const NO_MOVE: i32 = i32::MIN / 2;

/// Marks that are weighed side by side.
pub(super) const LANES: usize = 8;

type Lanes = [i32; LANES];

/// The sequence of marks with the greatest sum; of equal ones the one with the lower marks. A mark that goes on (they are
/// even, beginning with 2) follows only itself or the one before it, with which its span begins.
pub(crate) fn best_path(scores: &[i32], moves: &[i32], marks: usize) -> Vec<usize> {
    let moves = Moves::of(moves.to_vec(), marks);
    let mut padded = vec![[0; LANES]; scores.len() / marks * moves.blocks()];
    for (row, own) in padded.chunks_exact_mut(moves.blocks()).zip(scores.chunks_exact(marks)) {
        row.as_flattened_mut()[..marks].copy_from_slice(own);
    }
    moves.best_path(padded.as_flattened())
}

/// Weights of the moves from mark to mark.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Moves {
    marks: usize,
    /// Weight of each mark (column) after each mark (row); the last row is the beginning.
    pub(super) all: Vec<i32>,
    /// The weights from every mark, and from the beginning, to the marks that may follow any: outside, and those with
    /// which a span begins.
    openings: Vec<Vec<Lanes>>,
    /// The weights to the marks that go on: from the one before each, and from itself.
    goings_on: [Vec<Lanes>; 2],
    /// The least and the greatest of the first kind from every mark.
    ends: [Vec<Lanes>; 2],
}

/// The sums of the best paths to every mark so far, and where they came from last.
struct Front {
    /// One more before the first mark, so that each finds the one before it.
    sums: Vec<i32>,
    next: Vec<Lanes>,
    origins: Vec<Lanes>,
}

// === impl Moves ===

impl Moves {
    /// `all`: the weights of each mark after each, and after these those at the beginning.
    pub(super) fn of(all: Vec<i32>, marks: usize) -> Self {
        let opens = |mark: usize| mark == 0 || mark % 2 == 1;
        let weight = |before: usize, mark: usize| all[before * marks + mark];
        let opening = |before: usize| -> Vec<i32> {
            (0..marks).map(|mark| if opens(mark) { weight(before, mark) } else { NO_MOVE }).collect()
        };
        let going_on = |back: usize| -> Vec<i32> {
            (0..marks).map(|mark| if opens(mark) { NO_MOVE } else { weight(mark - back, mark) }).collect()
        };
        let end = |pick: fn(i32, i32) -> i32| -> Vec<i32> {
            let openings = (0..marks).filter(|mark| opens(*mark));
            let of = |before| openings.clone().map(|mark| weight(before, mark)).reduce(pick);
            (0..marks).map(|before| of(before).unwrap_or(NO_MOVE)).collect()
        };
        Self {
            openings: (0..=marks).map(|before| padded(&opening(before))).collect(),
            goings_on: [padded(&going_on(1)), padded(&going_on(0))],
            ends: [padded(&end(i32::min)), padded(&end(i32::max))],
            marks,
            all,
        }
    }

    /// Blocks that the marks take.
    pub(super) fn blocks(&self) -> usize {
        self.marks.div_ceil(LANES)
    }

    /// The best path through the scores of all marks, token by token in whole blocks.
    pub(super) fn best_path(&self, scores: &[i32]) -> Vec<usize> {
        let blocks = self.blocks();
        let (scores, _) = scores.as_chunks::<LANES>();
        let mut from = vec![0_u8; scores.len() * LANES];
        let mut front = Front {
            sums: vec![NEVER; blocks * LANES + 1],
            next: vec![[NEVER; LANES]; blocks],
            origins: vec![[0; LANES]; blocks],
        };
        let rows = from.chunks_exact_mut(blocks * LANES).zip(scores.chunks_exact(blocks));
        let mut near = Vec::with_capacity(self.marks);
        for (at, (from, own)) in rows.enumerate() {
            if at == 0 {
                for ((next, first), own) in front.next.iter_mut().zip(&self.openings[self.marks]).zip(own) {
                    *next = std::array::from_fn(|lane| (first[lane] + own[lane]).max(NEVER));
                }
            } else {
                self.near(&front.sums[1..], &mut near);
                step(self, &near, own, &mut front);
            }
            front.sums[1..].copy_from_slice(front.next.as_flattened());
            from.iter_mut()
                .zip(front.origins.as_flattened())
                .for_each(|(from, origin)| *from = *origin as u8);
        }
        walked(&front.sums[1..=self.marks], &from, blocks * LANES)
    }

    /// The marks from which another may be reached best: from those left out, no move comes up to the least that the best
    /// of the others has to offer.
    fn near(&self, sums: &[i32], near: &mut Vec<usize>) {
        let (sums, _) = sums.as_chunks::<LANES>();
        let bound = bound(sums, &self.ends[0]);
        near.clear();
        for (block, (sums, most)) in sums.iter().zip(&self.ends[1]).enumerate() {
            let offers: Lanes = std::array::from_fn(|lane| sums[lane] + most[lane]);
            if offers.iter().fold(false, |any, offer| any | (*offer >= bound)) {
                let all = offers.iter().enumerate().filter(|(_, offer)| **offer >= bound);
                near.extend(all.map(|(lane, _)| block * LANES + lane));
            }
        }
    }
}

wide! {
    /// The greatest of the least that each mark has to offer.
    fn bound(sums: &[Lanes], least: &[Lanes]) -> i32 {
        let mut bounds = [NO_MOVE; LANES];
        for (sums, least) in sums.iter().zip(least) {
            for lane in 0..LANES {
                bounds[lane] = bounds[lane].max(sums[lane] + least[lane]);
            }
        }
        bounds.into_iter().fold(NO_MOVE, i32::max)
    }
}

wide! {
    /// One token further: for every mark the greatest sum with which it can be reached, and from where; of equal ones
    /// the first.
    fn step(moves: &Moves, near: &[usize], own: &[Lanes], front: &mut Front) -> () {
        let sums = front.sums.as_slice();
        let blocks = front.next.iter_mut().zip(&mut front.origins).zip(own).enumerate();
        for (block, ((next, origins), own)) in blocks {
            let (mut best, mut origin) = ([NEVER; LANES], [0_i32; LANES]);
            for before in near {
                let (sum, weights) = (sums[before + 1], &moves.openings[*before][block]);
                for lane in 0..LANES {
                    let better = sum + weights[lane] > best[lane];
                    origin[lane] = if better { *before as i32 } else { origin[lane] };
                    best[lane] = if better { sum + weights[lane] } else { best[lane] };
                }
            }
            for (back, weights) in (0..2).rev().zip(&moves.goings_on) {
                let first = block * LANES;
                let sums = &sums[first + 1 - back..][..LANES];
                for lane in 0..LANES {
                    let better = sums[lane] + weights[block][lane] > best[lane];
                    origin[lane] = if better { (first + lane) as i32 - back as i32 } else { origin[lane] };
                    best[lane] = if better { sums[lane] + weights[block][lane] } else { best[lane] };
                }
            }
            for lane in 0..LANES {
                next[lane] = (best[lane] + own[lane]).max(NEVER);
            }
            *origins = origin;
        }
    }
}

/// Whole blocks of weights; what is beyond them is no mark.
fn padded(weights: &[i32]) -> Vec<Lanes> {
    let block = |some: &[i32]| std::array::from_fn(|lane| some.get(lane).copied().unwrap_or(NO_MOVE));
    weights.chunks(LANES).map(block).collect()
}

/// The path that ends at the greatest sum, walked from its end.
fn walked(sums: &[i32], from: &[u8], stride: usize) -> Vec<usize> {
    let length = from.len() / stride;
    let mut path = vec![0; length];
    let mut mark = 0;
    for (candidate, sum) in sums.iter().enumerate() {
        if *sum > sums[mark] {
            mark = candidate;
        }
    }
    for at in (0..length).rev() {
        path[at] = mark;
        mark = usize::from(from[at * stride + mark]).min(sums.len() - 1);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every sequence that may be, tried.
    fn exhaustive(scores: &[i32], moves: &[i32], marks: usize) -> i64 {
        let length = scores.len() / marks;
        let mut best = i64::MIN;
        for mut code in 0..marks.pow(length as u32) {
            let (mut before, mut sum, mut sound) = (marks, 0_i64, true);
            for at in 0..length {
                let mark = code % marks;
                code /= marks;
                let goes_on = mark != 0 && mark.is_multiple_of(2);
                sound &= !goes_on || before == mark || before + 1 == mark;
                sum += i64::from(moves[before * marks + mark]) + i64::from(scores[at * marks + mark]);
                before = mark;
            }
            best = if sound { best.max(sum) } else { best };
        }
        best
    }

    #[test]
    fn the_path_is_the_best_of_all_that_may_be() {
        for (marks, seed) in (0..24).flat_map(|seed| [(3_usize, seed), (5, seed), (7, seed)]) {
            let value = |at: usize| ((at + 1) * (2 * seed + 12_345) * 7919 % 41) as i32 - 20;
            let moves: Vec<i32> = (0..(marks + 1) * marks).map(value).collect();
            let scores: Vec<i32> = (0..5 * marks).map(|at| value(at + 1000)).collect();
            let path = best_path(&scores, &moves, marks);
            let (mut before, mut sum) = (marks, 0_i64);
            for (at, mark) in path.iter().enumerate() {
                assert!(*mark == 0 || mark % 2 == 1 || before == *mark || before + 1 == *mark, "{path:?}");
                sum += i64::from(moves[before * marks + mark]) + i64::from(scores[at * marks + mark]);
                before = *mark;
            }
            assert_eq!(sum, exhaustive(&scores, &moves, marks));
        }
    }

    /// The definition: from every mark to every mark that may follow it; of equal sums the lower mark.
    fn defined(scores: &[i32], moves: &[i32], marks: usize) -> Vec<usize> {
        let may =
            |before: usize, mark: usize| mark == 0 || mark % 2 == 1 || before == mark || before + 1 == mark;
        let mut paths: Vec<Option<(i32, Vec<usize>)>> = Vec::new();
        for own in scores.chunks_exact(marks) {
            let reached = |mark: usize| {
                let offers: Vec<(i32, Vec<usize>)> = if paths.is_empty() {
                    let opens = mark == 0 || mark % 2 == 1;
                    opens.then(|| (moves[marks * marks + mark], Vec::new())).into_iter().collect()
                } else {
                    let from = paths.iter().enumerate().filter(|(before, _)| may(*before, mark));
                    from.filter_map(|(before, path)| {
                        let (sum, path) = path.as_ref()?;
                        Some((sum + moves[before * marks + mark], [path.as_slice(), &[before]].concat()))
                    })
                    .collect()
                };
                let first = offers.into_iter().rev().max_by_key(|(sum, _)| *sum);
                first.map(|(sum, path)| (sum + own[mark], path))
            };
            paths = (0..marks).map(reached).collect();
        }
        let last = paths.into_iter().enumerate().rev().filter_map(|(mark, path)| Some((mark, path?)));
        let best = last.max_by_key(|(_, (sum, _))| *sum);
        best.map_or(Vec::new(), |(mark, (_, path))| [path.as_slice(), &[mark]].concat())
    }

    #[test]
    fn the_path_is_the_one_of_the_definition_however_many_marks_and_however_far_apart() {
        let mut state = 7_u32;
        let mut next = |range: i32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as i32 % (2 * range + 1) - range
        };
        for (marks, range) in [(3, 1), (9, 2), (15, 200), (17, 3), (35, 2), (35, 120), (63, 40)] {
            for spread in [1, 10, 100] {
                let moves: Vec<i32> = (0..(marks + 1) * marks).map(|_| next(range)).collect();
                let scores: Vec<i32> = (0..12 * marks).map(|_| next(range * spread)).collect();
                assert_eq!(
                    best_path(&scores, &moves, marks),
                    defined(&scores, &moves, marks),
                    "{marks} {range}"
                );
            }
        }
    }

    #[test]
    fn no_token_has_no_path_and_equal_sums_take_the_lower_mark() {
        assert!(best_path(&[], &[0; 12], 3).is_empty());
        assert_eq!(best_path(&[0; 6], &[0; 12], 3), [0, 0]);
    }
}
