//! What a text looks like to the regression: weighed n-grams of words and letters, and its measures bent into waves.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::train::mix;

const WORD_BUCKETS: usize = 1 << 16;
const CHAR_BUCKETS: usize = 1 << 17;
/// Random cosines whose inner products approximate a Gaussian kernel over the measures (Rahimi and Recht, 2007).
const WAVES: usize = 192;
/// All features together.
pub(super) const BUCKET_COUNT: usize = WORD_BUCKETS + CHAR_BUCKETS + WAVES;
const MEASURES: usize = 20;

/// What each kind of feature counts in an inner product of a text with itself.
const WORD_SHARE: f64 = 0.5;
const CHAR_SHARE: f64 = 0.5;
const WAVE_SHARE: f64 = 0.3;

/// Most characters that are looked at: what follows says little more.
const CHARS_MAX: usize = 4_000;

/// The texts of a table, taken apart once.
pub(super) struct Design {
    texts: Vec<Parts>,
}

/// One text, taken apart.
struct Parts {
    words: Vec<(u32, f32)>,
    chars: Vec<(u32, f32)>,
    measures: [f32; MEASURES],
}

/// How rare each n-gram is, and the mean and spread of each measure, over the texts learned from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Scaling {
    rarity: Vec<f32>,
    means: Vec<f32>,
    spreads: Vec<f32>,
}

impl Design {
    pub(super) fn new(texts: &[String]) -> Self {
        Self { texts: texts.iter().map(|text| Parts::of(text)).collect() }
    }

    /// Rarity and spread over these rows: `1 + ln((1 + texts) / (1 + texts with it))`, and 0 for what only one has.
    pub(super) fn scaling(&self, rows: &[usize]) -> Scaling {
        let mut having = vec![0_u32; WORD_BUCKETS + CHAR_BUCKETS];
        let mut sums = [[0.0_f64; MEASURES]; 2];
        for row in rows {
            let parts = &self.texts[*row];
            for (bucket, _) in parts.words.iter().chain(&parts.chars) {
                having[*bucket as usize] += 1;
            }
            for (at, value) in parts.measures.iter().enumerate() {
                sums[0][at] += f64::from(*value);
                sums[1][at] += f64::from(*value) * f64::from(*value);
            }
        }
        let count = rows.len().max(1) as f64;
        let rarity = |having: u32| match having {
            0 | 1 => 0.0,
            _ => (1.0 + libm::log((1.0 + count) / (1.0 + f64::from(having)))) as f32,
        };
        let mean = |at: usize| sums[0][at] / count;
        let spread = |at: usize| libm::sqrt((sums[1][at] / count - mean(at) * mean(at)).max(0.0)) + 1e-6;
        Scaling {
            rarity: having.into_iter().map(rarity).collect(),
            means: (0..MEASURES).map(|at| mean(at) as f32).collect(),
            spreads: (0..MEASURES).map(|at| spread(at) as f32).collect(),
        }
    }

    pub(super) fn row(&self, text: usize, scaling: &Scaling) -> Vec<(u32, f32)> {
        scaling.weigh(&self.texts[text])
    }
}

impl Scaling {
    /// The features of a text that is not part of a design.
    pub(super) fn row(&self, text: &str) -> Vec<(u32, f32)> {
        self.weigh(&Parts::of(text))
    }

    fn weigh(&self, parts: &Parts) -> Vec<(u32, f32)> {
        let mut row = Vec::with_capacity(parts.words.len() + parts.chars.len() + WAVES);
        self.block(&parts.words, WORD_SHARE, &mut row);
        self.block(&parts.chars, CHAR_SHARE, &mut row);
        let measures: Vec<f64> = (0..MEASURES)
            .map(|at| f64::from((parts.measures[at] - self.means[at]) / self.spreads[at]).clamp(-4.0, 4.0))
            .collect();
        let height = libm::sqrt(2.0 * WAVE_SHARE / WAVES as f64);
        for wave in 0..WAVES {
            let (mut state, mut phase) = (wave as u64 ^ 0x57A7_E0F5, 0.0);
            for measure in &measures {
                state = mix(state);
                phase += measure * normal(state);
            }
            let start = unit(mix(state ^ 1)) * core::f64::consts::TAU;
            let scale = libm::sqrt(MEASURES as f64);
            let bucket = (WORD_BUCKETS + CHAR_BUCKETS + wave) as u32;
            row.push((bucket, (height * libm::cos(phase / scale + start)) as f32));
        }
        row
    }

    /// Weighed so that the block's length is the root of its share.
    fn block(&self, parts: &[(u32, f32)], share: f64, row: &mut Vec<(u32, f32)>) {
        let start = row.len();
        let mut square = 0.0_f64;
        for (bucket, value) in parts {
            let weighed = value * self.rarity.get(*bucket as usize).copied().unwrap_or_default();
            if weighed > 0.0 {
                square += f64::from(weighed) * f64::from(weighed);
                row.push((*bucket, weighed));
            }
        }
        let factor = if square > 0.0 { libm::sqrt(share / square) as f32 } else { 0.0 };
        row[start..].iter_mut().for_each(|(_, value)| *value *= factor);
    }
}

impl Parts {
    fn of(text: &str) -> Self {
        let end = text.char_indices().nth(CHARS_MAX).map_or(text.len(), |(at, _)| at);
        let text = &text[..end];
        let lower = text.to_lowercase();
        let words: Vec<&str> = lower
            .split(|c: char| !(c.is_alphanumeric() || c == '_'))
            .filter(|word| !word.is_empty())
            .collect();
        let mut grams = BTreeMap::new();
        let long: Vec<&str> = words.iter().copied().filter(|word| word.chars().nth(1).is_some()).collect();
        for (at, word) in long.iter().enumerate() {
            count(&mut grams, hash(word.bytes(), 1), WORD_BUCKETS, 0);
            if let Some(next) = long.get(at + 1) {
                let pair = word.bytes().chain([b' ']).chain(next.bytes());
                count(&mut grams, hash(pair, 2), WORD_BUCKETS, 0);
            }
        }
        let mut letters = BTreeMap::new();
        let mut padded = Vec::new();
        for word in lower.split_whitespace() {
            padded.clear();
            padded.push(' ');
            padded.extend(word.chars());
            padded.push(' ');
            for length in 3..=5 {
                for gram in padded.windows(length) {
                    let bytes = gram.iter().flat_map(|one| u32::from(*one).to_le_bytes());
                    count(&mut letters, hash(bytes, 3), CHAR_BUCKETS, WORD_BUCKETS);
                }
            }
        }
        Self { words: damped(grams), chars: damped(letters), measures: measures(text, &words) }
    }
}

fn count(grams: &mut BTreeMap<u32, f32>, hash: u64, buckets: usize, start: usize) {
    *grams.entry((start + hash as usize % buckets) as u32).or_default() += 1.0;
}

/// Saying a word twice counts less than double.
fn damped(grams: BTreeMap<u32, f32>) -> Vec<(u32, f32)> {
    grams.into_iter().map(|(bucket, count)| (bucket, 1.0 + libm::logf(count))).collect()
}

fn hash(bytes: impl Iterator<Item = u8>, seed: u64) -> u64 {
    mix(bytes.fold(seed ^ 0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    }))
}

/// Counts that tell a long question from a short one, a sum from a story, a choice from an essay; as logarithms.
fn measures(text: &str, words: &[&str]) -> [f32; MEASURES] {
    let chars = |of: &dyn Fn(char) -> bool| text.chars().filter(|one| of(*one)).count();
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.first().copied().unwrap_or_default();
    let choices: Vec<usize> = lines.iter().filter(|line| is_choice(line)).map(|line| line.len()).collect();
    let said = |list: &[&str]| words.iter().filter(|word| list.contains(word)).count();
    let different: std::collections::BTreeSet<&&str> = words.iter().collect();
    let letters: usize = words.iter().map(|word| word.len()).sum();
    let longest = choices.iter().copied().max().unwrap_or_default();
    let shortest = choices.iter().copied().min().unwrap_or_default();
    let counts = [
        text.len(),
        first.len(),
        words.len(),
        lines.len(),
        choices.len(),
        choices.iter().sum(),
        longest,
        shortest,
        longest - shortest,
        chars(&|one| one.is_ascii_digit()),
        words.iter().filter(|word| word.bytes().all(|byte| byte.is_ascii_digit())).count(),
        chars(&|one| "+-*/=^<>$\\()[]{}%".contains(one)),
        chars(&|one| one == '?'),
        chars(&|one| one.is_uppercase()),
        chars(&|one| !one.is_ascii()),
        chars(&|one| matches!(one, '"' | '\u{201c}' | ',')),
        said(&["not", "except", "least", "false", "incorrect", "never", "none"]),
        said(&["calculate", "find", "compute", "many", "much", "total", "approximately", "each", "per"]),
        different.len(),
        if words.is_empty() { 0 } else { letters * 10 / words.len() },
    ];
    counts.map(|count| libm::log1p(count as f64) as f32)
}

/// A line such as `A. …`, `b) …` or `- …`.
fn is_choice(line: &str) -> bool {
    let mut letters = line.trim_start().chars();
    match (letters.next(), letters.next()) {
        (Some('-' | '*'), Some(' ')) => true,
        (Some(mark), Some('.' | ')')) => mark.is_ascii_alphanumeric(),
        _ => false,
    }
}

/// A number in [0, 1) from the upper bits.
fn unit(state: u64) -> f64 {
    (state >> 11) as f64 / (1_u64 << 53) as f64
}

/// A standard normal number by Box and Muller's transform.
fn normal(state: u64) -> f64 {
    let (a, b) = (unit(mix(state ^ 2)).max(1e-12), unit(mix(state ^ 3)));
    libm::sqrt(-2.0 * libm::log(a)) * libm::cos(core::f64::consts::TAU * b)
}
