//! Reads what is counted and measured: numbers in digits and words, percentages, temperatures, lengths of time.

/// Longest timer in seconds: a day.
const SECONDS_MAX: f64 = 86_400.0;
/// A bare number up to this may be a step of a scale of ten as well as a percentage.
const SCALE_MAX: u8 = 10;

/// How a language says numbers and units.
#[derive(Debug)]
pub(crate) struct Numerals {
    /// Numbers below a hundred that are one word. A multiple of ten takes a number below ten after it.
    pub(crate) small: &'static [(&'static str, u8)],
    /// `hundred`.
    pub(crate) hundred: &'static str,
    /// What one hundred or one hour begins with instead of a number, such as `a`.
    pub(crate) one: &'static [&'static str],
    /// `and`.
    pub(crate) and: &'static str,
    /// `point`.
    pub(crate) point: &'static str,
    /// `half`.
    pub(crate) half: &'static str,
    /// Ways to say percent.
    pub(crate) percent: &'static [&'static [&'static str]],
    /// Ways to say a percentage without a number.
    pub(crate) levels: &'static [(&'static [&'static str], u8)],
    /// Ways to say degrees.
    pub(crate) degrees: &'static [&'static str],
    /// Units of temperature.
    pub(crate) scales: &'static [(&'static str, Scale)],
    /// Units of time in seconds, long before short.
    pub(crate) units: &'static [(&'static str, u32)],
    /// Ways to say a length of time without a number, in seconds.
    pub(crate) durations: &'static [(&'static [&'static str], u32)],
}

/// A scale of temperature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    Celsius,
    Fahrenheit,
}

/// Something counted or measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Quantity {
    Percent(u8),
    /// `None`: the scale of the home.
    Temperature(f64, Option<Scale>),
    Seconds(u32),
}

type Read<T> = Option<(usize, T)>;

// === impl Numerals ===

impl Numerals {
    /// A percentage at `at`. Without a unit it is read only where it cannot be a step of a scale of ten.
    pub(crate) fn percent(&self, words: &[String], at: usize, unit_needed: bool) -> Read<Quantity> {
        let level =
            |(said, percent): &(&[&str], u8)| Some((starts(words, at, said)?, Quantity::Percent(*percent)));
        if let Some((end, level)) = self.levels.iter().filter_map(level).max_by_key(|(end, _)| *end) {
            return Some((end, level));
        }
        let (end, value) = self.number(words, at)?;
        let percent = whole(value, 100.0)? as u8;
        if let Some(end) = self.percent.iter().find_map(|said| starts(words, end, said)) {
            return Some((end, Quantity::Percent(percent)));
        }
        let plain = percent == 0 || percent > SCALE_MAX;
        (plain && !unit_needed).then_some((end, Quantity::Percent(percent)))
    }

    /// A temperature at `at`.
    pub(crate) fn temperature(&self, words: &[String], at: usize, unit_needed: bool) -> Read<Quantity> {
        let (number_end, value) = self.number(words, at)?;
        let degrees_end = self.word_of(self.degrees, words, number_end).unwrap_or(number_end);
        let scale = words
            .get(degrees_end)
            .and_then(|word| self.scales.iter().find(|(said, _)| said == word))
            .map(|(_, scale)| *scale);
        let end = degrees_end + usize::from(scale.is_some());
        (end > number_end || !unit_needed).then_some((end, Quantity::Temperature(value, scale)))
    }

    /// A length of time at `at`: parts from long to short, such as an hour and twenty minutes.
    pub(crate) fn duration(&self, words: &[String], at: usize) -> Read<Quantity> {
        let (mut end, mut seconds, mut unit) = self.part(words, at)?;
        loop {
            let next = match words.get(end) {
                Some(word) if word == self.and => end + 1,
                _ => end,
            };
            // `an hour and a half`
            if next > end
                && unit > 0
                && let Some(half_end) = self.a_half(words, next)
            {
                seconds += f64::from(unit) / 2.0;
                (end, unit) = (half_end, 0);
                continue;
            }
            match self.part(words, next) {
                Some((part_end, part, part_unit)) if part_unit < unit => {
                    seconds += part;
                    (end, unit) = (part_end, part_unit);
                }
                _ => break,
            }
        }
        let seconds = whole(seconds, SECONDS_MAX).filter(|seconds| *seconds > 0)?;
        Some((end, Quantity::Seconds(seconds)))
    }

    /// One part of a length of time: its end, its seconds, and its unit in seconds (0 when nothing may follow).
    fn part(&self, words: &[String], at: usize) -> Option<(usize, f64, u32)> {
        let whole_phrase = |(said, seconds): &(&[&str], u32)| Some((starts(words, at, said)?, *seconds));
        if let Some((end, seconds)) =
            self.durations.iter().filter_map(whole_phrase).max_by_key(|(end, _)| *end)
        {
            return Some((end, f64::from(seconds), 0));
        }
        let (end, value) =
            self.number(words, at).or_else(|| Some((self.word_of(self.one, words, at)?, 1.0)))?;
        let word = words.get(end)?;
        let (_, unit) = self.units.iter().find(|(said, _)| said == word)?;
        Some((end + 1, value * f64::from(*unit), *unit))
    }

    /// A number at `at`, in digits or in words, and a half if one is said.
    pub(crate) fn number(&self, words: &[String], at: usize) -> Read<f64> {
        let (end, value) =
            digits(words.get(at)?).map(|value| (at + 1, value)).or_else(|| self.said(words, at))?;
        if words.get(end).is_some_and(|word| word == self.and)
            && value.fract() == 0.0
            && let Some(end) = self.a_half(words, end + 1)
        {
            return Some((end, value + 0.5));
        }
        Some((end, value))
    }

    fn said(&self, words: &[String], at: usize) -> Read<f64> {
        let (mut end, mut value) = match self.below_hundred(words, at) {
            Some((end, value)) => (end, f64::from(value)),
            None => (self.word_of(self.one, words, at)?, 1.0),
        };
        if words.get(end).is_some_and(|word| word == self.hundred) && (1.0..10.0).contains(&value) {
            value *= 100.0;
            end += 1;
            let next = end + usize::from(words.get(end).is_some_and(|word| word == self.and));
            if let Some((rest_end, rest)) = self.below_hundred(words, next) {
                (end, value) = (rest_end, value + f64::from(rest));
            }
        } else if self.small.iter().all(|(said, _)| *said != words[at]) {
            // `a` alone is no number.
            return None;
        }
        if words.get(end).is_some_and(|word| word == self.point)
            && let Some((rest_end, tenth)) = self.below_hundred(words, end + 1)
            && tenth < 10
        {
            return Some((rest_end, value + f64::from(tenth) / 10.0));
        }
        Some((end, value))
    }

    fn below_hundred(&self, words: &[String], at: usize) -> Read<u8> {
        let small = |at: usize| {
            let word = words.get(at)?;
            self.small.iter().find(|(said, _)| said == word).map(|(_, value)| *value)
        };
        let first = small(at)?;
        match small(at + 1) {
            Some(second) if first >= 20 && (1..10).contains(&second) => Some((at + 2, first + second)),
            _ => Some((at + 1, first)),
        }
    }

    /// The end of `a half` or `half` at `at`.
    fn a_half(&self, words: &[String], at: usize) -> Option<usize> {
        let at = self.word_of(self.one, words, at).unwrap_or(at);
        self.word_of(&[self.half], words, at)
    }

    fn word_of(&self, any: &[&str], words: &[String], at: usize) -> Option<usize> {
        any.contains(&words.get(at)?.as_str()).then_some(at + 1)
    }
}

/// The end of these words at `at`.
fn starts(words: &[String], at: usize, said: &[&str]) -> Option<usize> {
    let end = at + said.len();
    (words.get(at..end)? == said).then_some(end)
}

/// A number in digits, of at most five before the point and two after it.
fn digits(word: &str) -> Option<f64> {
    let (before, after) = word.split_once('.').unwrap_or((word, "0"));
    let plain = |part: &str, digits_max: usize| {
        (1..=digits_max).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    (plain(before, 5) && plain(after, 2)).then(|| word.parse().ok())?
}

/// The number without its fraction, if it has none and is at most `max`.
fn whole(value: f64, max: f64) -> Option<u32> {
    (value.fract() == 0.0 && (0.0..=max).contains(&value)).then_some(value as u32)
}

#[cfg(test)]
mod tests;
