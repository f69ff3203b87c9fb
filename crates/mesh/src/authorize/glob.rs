//! Patterns for names that are segments between slashes.

/// A pattern: `*` stands for any part of a segment, a segment `**` for any number of segments, at least one.
#[derive(Debug, Clone)]
pub(super) struct Glob(Vec<String>);

impl Glob {
    pub(super) fn new(pattern: &str) -> Self {
        Self(pattern.split('/').map(str::to_owned).collect())
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        let segments: Vec<&str> = text.split('/').collect();
        wild(
            &self.0,
            &segments,
            |pattern| pattern == "**",
            |pattern, segment| {
                let pattern: Vec<char> = pattern.chars().collect();
                let segment: Vec<char> = segment.chars().collect();
                // Any part may be no part at all, a segment is one segment at least: hence the two ways to say "any".
                fits(&pattern, &segment)
            },
        )
    }
}

/// Whether the letters fit, `*` standing for any number of them.
fn fits(pattern: &[char], text: &[char]) -> bool {
    let (mut at, mut from) = (0, 0);
    // Where to go on when what follows the last star does not fit: behind the star, one letter later.
    let mut star: Option<(usize, usize)> = None;
    while from < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at + 1, from));
                at += 1;
            }
            Some(letter) if *letter == text[from] => (at, from) = (at + 1, from + 1),
            _ => match &mut star {
                Some((behind, begun)) => {
                    *begun += 1;
                    (at, from) = (*behind, *begun);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|letter| *letter == '*')
}

/// The same for segments, of which `any` stands for one or more.
fn wild(pattern: &[String], text: &[&str], any: fn(&str) -> bool, fits: fn(&str, &str) -> bool) -> bool {
    let (mut at, mut from) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while from < text.len() {
        match pattern.get(at) {
            Some(segment) if any(segment) => {
                star = Some((at + 1, from + 1));
                (at, from) = (at + 1, from + 1);
            }
            Some(segment) if fits(segment, text[from]) => (at, from) = (at + 1, from + 1),
            _ => match &mut star {
                Some((behind, begun)) => {
                    *begun += 1;
                    (at, from) = (*behind, *begun);
                }
                None => return false,
            },
        }
    }
    at == pattern.len()
}
