//! How many tokens to guess ahead, and what the text so far makes one guess.

/// Tokens guessed at first, and more whenever all were right.
const LENGTH_AT_FIRST: usize = 4;
const LENGTHENED_BY: usize = 2;
/// Steps without a guess after guesses that were all wrong, at most.
const PAUSE_MAX: usize = 15;
/// Tokens at the end of the text that must have come before, and those that are looked at.
const SAME_MIN: usize = 2;
const SAME_MAX: usize = 5;
/// Tokens that are looked back over.
const LOOK_BACK_MAX: usize = 8_192;

/// How far ahead it is worth guessing in one answer, by how its guesses went.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    length: usize,
    length_max: usize,
    pause: usize,
    left: usize,
}

impl Pace {
    /// `length_max` bounds every guess; 0: never any.
    pub(super) fn new(length_max: usize) -> Self {
        Self { length: LENGTH_AT_FIRST.min(length_max), length_max, pause: 0, left: 0 }
    }

    /// Tokens to guess in this step.
    pub(super) fn next(&mut self) -> usize {
        if self.left > 0 {
            self.left -= 1;
            return 0;
        }
        self.length
    }

    /// Takes into account that the first `right` of `guessed` were chosen.
    pub(super) fn went(&mut self, guessed: usize, right: usize) {
        match (guessed, right) {
            (0, _) => {}
            (_, 0) => {
                self.length = (self.length / 2).max(1).min(self.length_max);
                self.pause = (2 * self.pause + 1).min(PAUSE_MAX);
                self.left = self.pause;
            }
            _ => {
                self.pause = 0;
                let length = if right == guessed { self.length + LENGTHENED_BY } else { right + 1 };
                self.length = length.min(self.length_max);
            }
        }
    }
}

/// What followed the last earlier place at which most of the text's end stood already (Saxena 2023, prompt lookup); at
/// most `count` tokens. Text that goes round goes round on.
pub(super) fn look_up(tokens: &[u32], count: usize) -> Vec<u32> {
    let end = tokens.len();
    let same = |at: usize| (1..=SAME_MAX.min(at)).take_while(|n| tokens[at - n] == tokens[end - n]).count();
    let places = (end.saturating_sub(LOOK_BACK_MAX).max(1)..end).rev();
    let (mut best, mut from) = (SAME_MIN - 1, end);
    for at in places {
        let same = same(at);
        if same > best {
            (best, from) = (same, at);
            if same == SAME_MAX {
                break;
            }
        }
    }
    (0..if from < end { count } else { 0 }).map(|n| tokens[from + n % (end - from)]).collect()
}

#[cfg(test)]
mod tests {
    use super::{Pace, look_up};

    #[test]
    fn what_came_before_is_guessed_again() {
        let check = |tokens: &[u32], count, expect: &[u32]| assert_eq!(look_up(tokens, count), expect);
        check(&[], 4, &[]);
        check(&[1], 4, &[]);
        check(&[1, 2, 3, 1], 4, &[]);
        check(&[1, 2, 3, 4, 1, 2], 2, &[3, 4]);
        check(&[1, 2, 3, 9, 1, 2, 4, 9, 1, 2], 1, &[4]);
        check(&[7, 1, 2, 3, 9, 8, 1, 2, 4, 7, 1, 2], 1, &[3]);
        check(&[1, 2, 3, 4, 1, 2], 7, &[3, 4, 1, 2, 3, 4, 1]);
        check(&[5, 5, 5], 4, &[5, 5, 5, 5]);
        check(&[1, 2, 3, 4, 1, 2], 0, &[]);
    }

    #[test]
    fn a_pace_follows_what_was_right_within_its_bound() {
        assert_eq!(Pace::new(0).next(), 0);
        let mut pace = Pace::new(7);
        assert_eq!(pace.next(), 4);
        pace.went(4, 4);
        pace.went(6, 6);
        assert_eq!(pace.next(), 7);
        pace.went(7, 2);
        assert_eq!(pace.next(), 3);
        pace.went(3, 0);
        assert_eq!([pace.next(), pace.next()], [0, 1]);
        pace.went(1, 0);
        assert_eq!([pace.next(), pace.next(), pace.next(), pace.next()], [0, 0, 0, 1]);
        pace.went(1, 1);
        assert_eq!(pace.next(), 3);
    }
}
