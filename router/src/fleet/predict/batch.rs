//! What a worker says of its time per token by the size of its batch, as a line: what a step takes, and what each sequence
//! adds to it.

/// Seconds of a step by the sequences in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchLine {
    /// Of a step, whatever is in it.
    pub step: f64,
    /// More for each sequence.
    pub sequence: f64,
}

// === impl BatchLine ===

impl BatchLine {
    /// The line through times per token, each at so many requests at a time and fewer than twice as many: by least squares on
    /// what it is off by as a share of each, so that long steps do not outweigh short ones. `None`: there are not two sizes.
    pub fn through(times: impl IntoIterator<Item = (u32, f64)>) -> Option<Self> {
        // Sums of 1, n, n² and of t, n·t, each over t².
        let (mut ones, mut ns, mut squares, mut ts, mut products) = (0.0, 0.0, 0.0, 0.0, 0.0);
        let mut sizes = (u32::MAX, 0);
        let sound = |(requests, seconds): &(u32, f64)| *requests > 0 && *seconds > 0.0 && seconds.is_finite();
        for (requests, seconds) in times.into_iter().filter(sound) {
            sizes = (sizes.0.min(requests), sizes.1.max(requests));
            // The middle of those sizes.
            let (n, weight) = (1.5 * f64::from(requests) - 0.5, (seconds * seconds).recip());
            ones += weight;
            ns += weight * n;
            squares += weight * n * n;
            ts += weight * seconds;
            products += weight * n * seconds;
        }
        if sizes.0 >= sizes.1 {
            return None;
        }
        let slope = (ones * products - ns * ts) / (ones * squares - ns * ns);
        // A batch is no quicker for being larger, and no step takes less than nothing.
        let (step, sequence) = match slope {
            slope if slope <= 0.0 => (ts / ones, 0.0),
            slope if ts < slope * ns => (0.0, products / squares),
            slope => ((ts - slope * ns) / ones, slope),
        };
        (step + sequence).is_finite().then_some(Self { step, sequence })
    }

    /// Seconds of a step of so many sequences.
    #[must_use]
    pub fn at(&self, sequences: f64) -> f64 {
        self.step + self.sequence * sequences
    }
}
