//! The best sequence of marks, found exactly (Viterbi).

use crate::wide::wide;

/// Far below every sum of weights, and far from overflow.
const NEVER: i32 = i32::MIN / 4;

/// Marks that are compared side by side.
const LANES: usize = 8;

/// The sequence of marks with the greatest sum; of equal ones the one with the lower marks. A mark that goes on (they are
/// even, beginning with 2) follows only itself or the one before it, with which its span begins.
pub(crate) fn best_path(scores: &[i32], moves: &[i32], marks: usize) -> Vec<usize> {
    let length = scores.len() / marks;
    let openings = Openings::of(moves, marks);
    let mut from = vec![0_u8; length * marks];
    let mut sums: Vec<i32> = vec![NEVER; marks];
    let mut next = vec![NEVER; marks];
    for at in 0..length {
        let own = &scores[at * marks..(at + 1) * marks];
        let origins = &mut from[at * marks..(at + 1) * marks];
        if at == 0 {
            let start = &moves[marks * marks..];
            for mark in 0..marks {
                let opens = mark == 0 || mark % 2 == 1;
                next[mark] = if opens { start[mark] + own[mark] } else { NEVER };
            }
        } else {
            openings.best(&sums, (&mut next, origins));
            for mark in (2..marks).step_by(2) {
                let began = sums[mark - 1] + moves[(mark - 1) * marks + mark];
                let went_on = sums[mark] + moves[mark * marks + mark];
                let (best, before) = if went_on > began { (went_on, mark) } else { (began, mark - 1) };
                (next[mark], origins[mark]) = (best, before as u8);
            }
            next.iter_mut().zip(own).for_each(|(sum, own)| *sum = (*sum + own).max(NEVER));
        }
        std::mem::swap(&mut sums, &mut next);
    }
    walked(&sums, &from, marks)
}

/// The path that ends at the greatest sum, walked from its end.
fn walked(sums: &[i32], from: &[u8], marks: usize) -> Vec<usize> {
    let length = from.len() / marks;
    let mut path = vec![0; length];
    let mut mark = 0;
    for (candidate, sum) in sums.iter().enumerate() {
        if *sum > sums[mark] {
            mark = candidate;
        }
    }
    for at in (0..length).rev() {
        path[at] = mark;
        mark = usize::from(from[at * marks + mark]).min(marks - 1);
    }
    path
}

/// Weights of the moves to marks that may follow every other: to outside, and to those with which a span begins.
struct Openings {
    /// For each block of such marks, the weights from every mark.
    blocks: Vec<Vec<[i32; LANES]>>,
}

// === impl Openings ===

impl Openings {
    fn of(moves: &[i32], marks: usize) -> Self {
        let opening: Vec<usize> = (0..marks).filter(|mark| *mark == 0 || mark % 2 == 1).collect();
        let block = |to: &[usize]| -> Vec<[i32; LANES]> {
            let weight =
                |before: usize, lane: usize| to.get(lane).map_or(NEVER, |mark| moves[before * marks + mark]);
            (0..marks).map(|before| std::array::from_fn(|lane| weight(before, lane))).collect()
        };
        Self { blocks: opening.chunks(LANES).map(block).collect() }
    }

    /// For each such mark the greatest sum with which it can be reached, and from where.
    fn best(&self, sums: &[i32], (next, origins): (&mut [i32], &mut [u8])) {
        for (block, weights) in self.blocks.iter().enumerate() {
            let (best, origin) = best_offer(sums, weights);
            for lane in 0..LANES {
                let opening = block * LANES + lane;
                let mark = if opening == 0 { 0 } else { 2 * opening - 1 };
                if let (Some(next), Some(told)) = (next.get_mut(mark), origins.get_mut(mark)) {
                    (*next, *told) = (best[lane], origin[lane] as u8);
                }
            }
        }
    }
}

wide! {
    /// For each lane the greatest sum with a weight added, and its index; of equal ones the first.
    fn best_offer(sums: &[i32], weights: &[[i32; LANES]]) -> ([i32; LANES], [i32; LANES]) {
        let (mut best, mut origin) = ([NEVER; LANES], [0_i32; LANES]);
        for (before, (sum, weights)) in (0_i32..).zip(sums.iter().zip(weights)) {
            for lane in 0..LANES {
                let offer = sum + weights[lane];
                let better = offer > best[lane];
                origin[lane] = if better { before } else { origin[lane] };
                best[lane] = if better { offer } else { best[lane] };
            }
        }
        (best, origin)
    }
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

    #[test]
    fn no_token_has_no_path_and_equal_sums_take_the_lower_mark() {
        assert!(best_path(&[], &[0; 12], 3).is_empty());
        assert_eq!(best_path(&[0; 6], &[0; 12], 3), [0, 0]);
    }
}
