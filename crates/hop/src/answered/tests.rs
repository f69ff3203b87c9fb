//! Remembering and forgetting.

use super::Answered;

fn check(ids_max: usize, given: &[&str], known: &[&str], forgotten: &[&str]) {
    let answered = Answered::new(ids_max);
    given.iter().for_each(|id| answered.remember(id));
    for id in known {
        assert!(answered.knows(id), "{id} is known");
    }
    for id in forgotten {
        assert!(!answered.knows(id), "{id} is forgotten");
    }
    let ids = answered.ids.lock();
    assert!(ids.known.len() <= ids_max && ids.order.len() == ids.known.len());
}

#[test]
fn the_oldest_answer_is_forgotten_first() {
    check(2, &[], &[], &["a"]);
    check(2, &["a", "b"], &["a", "b"], &["c"]);
    check(2, &["a", "b", "c"], &["b", "c"], &["a"]);
    check(2, &["a", "a", "b"], &["a", "b"], &[]);
    check(0, &["a"], &[], &["a"]);
}
