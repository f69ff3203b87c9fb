use super::*;

fn delta(text: &str, first_token_index: u32, ids: &[u32], logprobs: usize) -> v1::GenerateEvent {
    let logprobs = vec![v1::TokenLogprobs::default(); logprobs];
    let delta = v1::Delta { text: text.into(), token_ids: ids.to_vec(), first_token_index, logprobs };
    v1::GenerateEvent { event: Some(Event::Delta(delta)) }
}

#[test]
fn text_goes_on_where_it_follows_and_all_else_stays_apart() {
    let check =
        |mut earlier: v1::GenerateEvent, later: v1::GenerateEvent, expect: Option<v1::GenerateEvent>| {
            let before = earlier.clone();
            match (join(&mut earlier, later.clone()), expect) {
                (None, Some(expect)) => assert_eq!(earlier, expect),
                (Some(apart), None) => assert_eq!((earlier, apart), (before, later)),
                (found, expect) => panic!("{before:?} and {later:?}: {found:?}, not {expect:?}"),
            }
        };
    check(delta("It ", 0, &[7], 0), delta("is", 1, &[8, 9], 0), Some(delta("It is", 0, &[7, 8, 9], 0)));
    check(delta("It ", 4, &[7], 1), delta("is", 5, &[8], 1), Some(delta("It is", 4, &[7, 8], 2)));
    // A gap, the same again, text that nobody can go on after, likelihoods of some tokens only.
    check(delta("It ", 0, &[7], 0), delta("is", 2, &[8], 0), None);
    check(delta("It ", 0, &[7], 0), delta("It ", 0, &[7], 0), None);
    check(delta("It ", 0, &[], 0), delta("is", 0, &[8], 0), None);
    check(delta("It ", 0, &[7], 0), delta("is", 1, &[], 0), None);
    check(delta("It ", 0, &[7], 1), delta("is", 1, &[8], 0), None);
    check(delta("It ", u32::MAX, &[7], 0), delta("is", 0, &[8], 0), None);
    let done = v1::GenerateEvent { event: Some(Event::Done(v1::Done::default())) };
    check(delta("It ", 0, &[7], 0), done.clone(), None);
    check(done, delta("It ", 0, &[7], 0), None);
    check(v1::GenerateEvent { event: None }, v1::GenerateEvent { event: None }, None);
}

#[test]
fn an_event_costs_at_least_its_text() {
    let text = "x".repeat(100);
    assert!(bytes(&delta(&text, 0, &[1, 2], 0)) >= 108);
    assert!(bytes(&delta(&text, 0, &[1, 2], 2)) > bytes(&delta(&text, 0, &[1, 2], 0)));
    assert!(bytes(&v1::GenerateEvent { event: None }) > 0);
}
