//! The curve from all weak to all strong: APGR and CPT as RouteLLM (arXiv 2406.18665) defines them, ties counted evenly.

/// One text: the order in which it goes to the strong model, what each model scored, and how often it was drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub(super) urge: f64,
    pub(super) weak: f64,
    pub(super) strong: f64,
}

/// Points in the order in which they go up, equal urges together.
#[derive(Clone, Debug)]
pub(super) struct Curve {
    points: Vec<Point>,
    /// Where each run of equal urges ends.
    ends: Vec<usize>,
}

/// What a curve is worth. `None`: the two models are equally good, and there is no gap to recover.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Worth {
    /// Mean share of the gap that is recovered, over all shares sent up.
    pub(super) apgr: f64,
    /// Shares sent up at which half and four fifths of the gap are recovered.
    pub(super) cpt50: f64,
    pub(super) cpt80: f64,
}

impl Curve {
    pub(super) fn new(mut points: Vec<Point>) -> Self {
        points.sort_by(|a, b| b.urge.total_cmp(&a.urge));
        let mut ends = Vec::new();
        for at in 1..=points.len() {
            if at == points.len() || points[at].urge != points[at - 1].urge {
                ends.push(at);
            }
        }
        Self { points, ends }
    }

    /// Shares sent up with the mean score there, from 0 to 1, when point `i` counts `times[i]`.
    fn corners(&self, times: impl Fn(usize) -> f64) -> Vec<(f64, f64)> {
        let total: f64 = (0..self.points.len()).map(&times).sum();
        let total = total.max(f64::MIN_POSITIVE);
        let mut score: f64 =
            self.points.iter().enumerate().map(|(at, point)| times(at) * point.weak).sum::<f64>() / total;
        let (mut share, mut from) = (0.0, 0);
        let mut corners = vec![(0.0, score)];
        for end in &self.ends {
            for at in from..*end {
                share += times(at) / total;
                score += times(at) * (self.points[at].strong - self.points[at].weak) / total;
            }
            corners.push((share, score));
            from = *end;
        }
        corners
    }

    /// What it is worth when every point counts once.
    pub(super) fn worth(&self) -> Option<Worth> {
        worth(&self.corners(|_| 1.0))
    }

    /// What it is worth when points count as often as they were drawn, by their index before sorting.
    pub(super) fn worth_of(&self, times: &[u32]) -> Option<Worth> {
        worth(&self.corners(|at| f64::from(times[at])))
    }

    /// Mean score when this share is sent up.
    pub(super) fn score_at(&self, share: f64) -> f64 {
        let corners = self.corners(|_| 1.0);
        let after = corners.iter().position(|corner| corner.0 >= share).unwrap_or(corners.len() - 1);
        let (Some(b), Some(a)) = (corners.get(after), corners.get(after.saturating_sub(1))) else {
            return 0.0;
        };
        if b.0 > a.0 { a.1 + (b.1 - a.1) * (share - a.0) / (b.0 - a.0) } else { b.1 }
    }

    /// Points of a picture.
    pub(super) fn drawn(&self, steps: usize) -> Vec<(f64, f64)> {
        (0..=steps)
            .map(|step| step as f64 / steps as f64)
            .map(|share| (share, self.score_at(share)))
            .collect()
    }
}

fn worth(corners: &[(f64, f64)]) -> Option<Worth> {
    let (first, last) = (corners.first()?.1, corners.last()?.1);
    let gap = last - first;
    if gap.abs() < 1e-12 {
        return None;
    }
    let recovered = |score: f64| (score - first) / gap;
    let area =
        |pair: &[(f64, f64)]| (pair[1].0 - pair[0].0) * (recovered(pair[0].1) + recovered(pair[1].1)) / 2.0;
    let reach = |wanted: f64| {
        corners.windows(2).find(|pair| recovered(pair[1].1) >= wanted).map_or(1.0, |pair| {
            let (a, b) = (recovered(pair[0].1), recovered(pair[1].1));
            pair[0].0 + (pair[1].0 - pair[0].0) * ((wanted - a) / (b - a)).clamp(0.0, 1.0)
        })
    };
    Some(Worth { apgr: corners.windows(2).map(area).sum(), cpt50: reach(0.5), cpt80: reach(0.8) })
}
