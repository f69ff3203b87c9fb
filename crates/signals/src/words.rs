//! The words of a text's beginning and end, in lower case, for the parts that look words up.

/// Most bytes that are read at the beginning of a text, and at its end.
pub(crate) const HEAD_BYTES_MAX: usize = 2048;
pub(crate) const TAIL_BYTES_MAX: usize = 512;

/// Lower-case words in order. A word is a run of letters, digits, marks and inner apostrophes.
pub(crate) struct Words {
    text: String,
    ends: Vec<(u32, u32)>,
}

// === impl Words ===

impl Words {
    /// The words of `text`; of a long text those of its beginning and its end.
    pub(crate) fn of(text: &str) -> Self {
        let (head, tail) = ends_of(text, HEAD_BYTES_MAX, TAIL_BYTES_MAX);
        let mut words =
            Self { text: String::with_capacity(head.len() + tail.len()), ends: Vec::with_capacity(32) };
        words.take(head);
        words.take(tail);
        words
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The word at `index`; empty beyond the end.
    pub(crate) fn get(&self, index: usize) -> &str {
        match self.ends.get(index) {
            Some((start, end)) => &self.text[*start as usize..*end as usize],
            None => "",
        }
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|index| self.get(index))
    }

    fn take(&mut self, text: &str) {
        let mut start = self.text.len();
        for one in text.chars() {
            match one {
                'a'..='z' | '0'..='9' => self.text.push(one),
                'A'..='Z' => self.text.push(one.to_ascii_lowercase()),
                // The typographic apostrophe is the same letter to a reader.
                '\'' | '\u{2019}' if self.text.len() > start => self.text.push('\''),
                _ if is_word(one) => self.text.extend(one.to_lowercase()),
                _ => start = self.close(start),
            }
        }
        self.close(start);
    }

    fn close(&mut self, start: usize) -> usize {
        let word = self.text[start..].trim_end_matches('\'');
        if !word.is_empty() {
            // A text's ends are a few kilobytes, far below the range of 32 bits.
            self.ends.push((start as u32, (start + word.len()) as u32));
        }
        self.text.len()
    }
}

/// The beginning and the end of a text, cut between characters, without overlap.
pub(crate) fn ends_of(text: &str, head_max: usize, tail_max: usize) -> (&str, &str) {
    if text.len() <= head_max + tail_max {
        return (text, "");
    }
    let mut head = head_max;
    while !text.is_char_boundary(head) {
        head -= 1;
    }
    let mut tail = text.len() - tail_max;
    while !text.is_char_boundary(tail) {
        tail += 1;
    }
    (&text[..head], &text[tail..])
}

/// Letters, digits and the combining marks that Indic vowels are written with.
pub(crate) fn is_word(one: char) -> bool {
    one.is_alphanumeric()
        || matches!(one, '\u{0300}'..='\u{036f}' | '\u{0900}'..='\u{0963}' | '\u{200c}' | '\u{200d}')
}
