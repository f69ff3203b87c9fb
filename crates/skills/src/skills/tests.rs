//! Reads working and numbers back from the text, for the tests of the skills that compute.

/// Fails unless the line is a true `a op b = c`.
pub(super) fn holds(line: &str) {
    let words: Vec<&str> = line.split(' ').collect();
    let [a, op, b, "=", c] = words[..] else { panic!("`{line}` is no line of working") };
    let [a, b, c]: [i64; 3] = [a, b, c].map(|n| n.parse().unwrap());
    let right = match op {
        "+" => a + b == c,
        "-" => a - b == c,
        "*" => a * b == c,
        "/" => c * b == a,
        _ => false,
    };
    assert!(right && c >= 0, "{line}");
}

/// The numbers in a text, in order.
pub(super) fn numbers(text: &str) -> Vec<i64> {
    text.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}
