//! How long answers are remembered.

use super::Answered;

#[test]
fn the_oldest_answer_is_forgotten_first() {
    let answered = Answered::new(2);
    for id in ["a", "b", "a", "c"] {
        answered.remember(id);
    }
    assert_eq!(["a", "b", "c"].map(|id| answered.knows(id)), [false, true, true]);
    let nothing = Answered::new(0);
    nothing.remember("a");
    assert!(!nothing.knows("a"));
}
