//! Laws of predictions: sound whatever is seen, growing with what is asked, learned from each worker alone.

use proptest::prelude::*;

use super::{BatchLine, Moment, Pool, Predictor, Rates, SECONDS_MAX, Said, Work};

const STATED: Said = Said {
    running: 0,
    waiting: 0,
    running_max: 8,
    queued_tokens: 0,
    cache_tokens_max: 0,
    seconds_per_prompt_token: Some(0.001),
    seconds_per_output_token: Some(0.05),
    by_batch: None,
};

fn work(prompt_tokens: u32, output_tokens: f64) -> Work {
    Work { prompt_tokens, cached_tokens: 0, output_tokens }
}

fn at(now: f64) -> Moment {
    Moment { now, ..Moment::default() }
}

/// A worker that answers one request a second, taking these seconds for each prompt token and output token.
fn taught(said: Said, (prompt_token, output_token): (f64, f64), answers: u32) -> Predictor {
    let mut predictor = Predictor::new();
    for index in 0..answers {
        let (now, work) = (f64::from(index) * 60.0, work(100 + index % 7 * 300, 50.0));
        predictor.heard(said, now);
        let mut ticket = predictor.sent(work, &at(now));
        let first = f64::from(work.prompt_tokens) * prompt_token;
        predictor.began(&mut ticket, 0, now + first);
        predictor.done(ticket, Some((49, 49.0 * output_token)), 50, now + first + 49.0 * output_token);
    }
    predictor
}

#[test]
fn before_anything_was_seen_a_worker_is_what_it_states() {
    let mut predictor = Predictor::new();
    assert_eq!(predictor.predict(&work(100, 10.0), &at(0.0)), None);
    predictor.heard(STATED, 0.0);
    let idle = predictor.predict(&work(100, 10.0), &at(0.1)).unwrap();
    assert!((idle.first_token() - 0.1).abs() < 1e-9 && (idle.output_token - 0.05).abs() < 1e-9, "{idle:?}");
    predictor.heard(Said { running: 3, waiting: 1, queued_tokens: 900, ..STATED }, 0.2);
    let busy = predictor.predict(&work(100, 10.0), &at(0.2)).unwrap();
    assert!(busy.queue > 0.9 && busy.first_token() > idle.first_token() + 0.9, "{busy:?}");
    let later = predictor.predict(&work(100, 10.0), &at(0.7)).unwrap();
    assert!((busy.queue - later.queue - 0.5).abs() < 1e-6, "a queue shrinks between reports: {later:?}");
}

#[test]
fn what_a_worker_says_of_its_batches_is_believed_until_it_was_seen() {
    // A step takes 10 ms, and 1 ms for each sequence in it.
    let truth = |sequences: f64| 0.01 + 0.001 * sequences;
    let line =
        BatchLine::through([1, 2, 4, 8, 16].map(|from| (from, truth(1.5 * f64::from(from) - 0.5)))).unwrap();
    assert!((line.step - 0.01).abs() < 1e-9 && (line.sequence - 0.001).abs() < 1e-9, "{line:?}");
    let alone = Said { seconds_per_output_token: Some(truth(1.0)), running_max: 64, ..STATED };
    let off = |told: Said, running: u32| {
        let mut predictor = Predictor::new();
        predictor.heard(told, 0.0);
        predictor.heard(Said { running, ..told }, 1.0);
        let predicted = predictor.predict(&work(100, 2.0), &at(1.0)).unwrap().output_token_of(1.0);
        let usual = truth(f64::from(running + 1));
        (predicted / usual - 1.0).abs()
    };
    for running in [3, 15, 31] {
        let (without, with) = (off(alone, running), off(Said { by_batch: Some(line), ..alone }, running));
        assert!(with < 0.1 && with < without / 2.0, "{running}: {with} with, {without} without");
    }
    // It need not have a present batch.
    let idle = Said { seconds_per_output_token: None, by_batch: Some(line), ..alone };
    assert!(off(idle, 0) < 0.1 && off(idle, 15) < 0.1);
    // What was seen is not undone by what is said again.
    let lie = BatchLine { step: 1.0, sequence: 1.0 };
    let after = |by_batch| {
        let mut predictor = taught(alone, (0.001, truth(1.0)), 20);
        predictor.heard(Said { by_batch, ..alone }, 1200.0);
        predictor.predict(&work(100, 10.0), &at(1200.0))
    };
    assert_eq!(after(Some(lie)), after(None));
}

#[test]
fn a_line_through_batches_is_never_one_that_no_machine_has() {
    let check = |times: &[(u32, f64)], expect: Option<(f64, f64)>| {
        let found = BatchLine::through(times.iter().copied()).map(|line| (line.step, line.sequence));
        match (found, expect) {
            (Some(found), Some(expect)) => {
                assert!((found.0 - expect.0).abs() < 1e-9 && (found.1 - expect.1).abs() < 1e-9, "{found:?}");
            }
            (found, expect) => assert_eq!(found, expect, "{times:?}"),
        }
    };
    check(&[], None);
    check(&[(1, 0.01)], None);
    check(&[(4, 0.01), (4, 0.02)], None);
    check(&[(1, 0.01), (2, f64::NAN), (4, -1.0), (8, 0.0)], None);
    check(&[(1, 0.02), (4, 0.02)], Some((0.02, 0.0)));
    // Quicker in a larger batch: taken to be alike.
    check(&[(1, 0.02), (4, 0.01)], Some((0.012, 0.0)));
    // Nothing but sequences: what is below nothing is nothing.
    check(&[(2, 0.001), (4, 0.011)], Some((0.0, 3000.0 / 6.5e6)));
}

#[test]
fn who_states_nothing_is_taken_to_be_slower_than_the_pool() {
    let rates = Rates { prompt_token: 0.01, output_token: 0.1 };
    let moment = Moment { pool: Pool { rates: Some(rates), ..Pool::default() }, ..at(1.0) };
    let prediction = Predictor::new().predict(&work(100, 10.0), &moment).unwrap();
    assert!((prediction.first_token() - 2.0).abs() < 1e-9 && (prediction.output_token - 0.2).abs() < 1e-9);
}

#[test]
fn what_is_seen_wins_over_what_is_stated() {
    // It states a thousandth of the time that it takes, or a hundred times as much.
    for lie in [1e-3, 0.3, 3.0, 100.0] {
        let said = Said {
            seconds_per_prompt_token: Some(0.001 * lie),
            seconds_per_output_token: Some(0.05 * lie),
            ..STATED
        };
        let prediction = taught(said, (0.001, 0.05), 120).predict(&work(1000, 50.0), &at(7145.0)).unwrap();
        let (first, token) = (prediction.first_token(), prediction.output_token);
        assert!((0.8..1.3).contains(&first), "lie {lie}: {first}");
        assert!((0.04..0.065).contains(&token), "lie {lie}: {token}");
    }
}

#[test]
fn one_stall_moves_little_and_lasting_change_is_followed() {
    let mut predictor = taught(STATED, (0.001, 0.05), 100);
    let before = predictor.predict(&work(1000, 50.0), &at(6000.0)).unwrap();
    let mut ticket = predictor.sent(work(1000, 50.0), &at(6000.0));
    predictor.began(&mut ticket, 0, 6100.0);
    predictor.done(ticket, Some((49, 1000.0)), 50, 7100.0);
    let after = predictor.predict(&work(1000, 50.0), &at(7100.0)).unwrap();
    assert!(after.total(50.0) < before.total(50.0) * 1.25, "{} {}", before.total(50.0), after.total(50.0));

    for index in 0..60 {
        let now = 8000.0 + f64::from(index) * 60.0;
        predictor.heard(STATED, now);
        let mut ticket = predictor.sent(work(1000, 50.0), &at(now));
        predictor.began(&mut ticket, 0, now + 4.0);
        predictor.done(ticket, Some((49, 49.0 * 0.2)), 50, now + 14.0);
    }
    let changed = predictor.predict(&work(1000, 50.0), &at(11_600.0)).unwrap();
    assert!((3.2..4.8).contains(&changed.first_token()), "{changed:?}");
    assert!((0.16..0.24).contains(&changed.output_token), "{changed:?}");
}

#[test]
fn an_old_report_becomes_the_pools_average() {
    let mut predictor = Predictor::new();
    predictor.heard(Said { running: 7, queued_tokens: 50_000, ..STATED }, 0.0);
    // It does not shrink by itself faster than it is worked off, so that only its age is seen.
    let queue = |late| {
        let pool = Pool { rates: None, others: 1.0, queued_tokens: 400.0 };
        predictor.predict(&work(10, 1.0), &Moment { late, pool, ..at(0.0) }).unwrap().queue
    };
    assert!(queue(0.0) > queue(30.0) && queue(30.0) > queue(300.0));
    assert!((queue(3000.0) - 0.4).abs() < 0.05, "{}", queue(3000.0));
}

#[test]
fn a_cold_worker_is_the_dearer_the_more_was_sent_to_it() {
    let mut predictor = Predictor::new();
    predictor.heard(STATED, 0.0);
    let caution = |predictor: &Predictor| predictor.predict(&work(10, 10.0), &at(0.0)).unwrap().caution;
    assert_eq!(caution(&predictor), 1.0);
    let tickets: Vec<_> = (0..8).map(|_| predictor.sent(work(10, 10.0), &at(0.0))).collect();
    assert!(caution(&predictor) > 3.0);
    for mut ticket in tickets {
        predictor.began(&mut ticket, 0, 0.1);
        predictor.done(ticket, Some((9, 0.5)), 10, 0.6);
    }
    assert_eq!(caution(&predictor), 1.0);
    let mut warm = taught(STATED, (0.001, 0.05), 50);
    for _ in 0..8 {
        warm.sent(work(10, 10.0), &at(3000.0));
    }
    assert!(warm.predict(&work(10, 10.0), &at(3000.0)).unwrap().caution < 1.01);
}

#[test]
fn what_was_sent_is_counted_until_it_ends() {
    let mut predictor = Predictor::new();
    predictor.heard(STATED, 0.0);
    let mut tickets: Vec<_> = (0..3).map(|_| predictor.sent(work(100, 10.0), &at(0.0))).collect();
    assert_eq!((predictor.in_flight(), predictor.known().1), (3, 300.0));
    predictor.began(&mut tickets[0], 0, 0.05);
    assert_eq!(predictor.known().1, 200.0);
    for ticket in &tickets {
        predictor.dropped(ticket, 0.06);
    }
    assert_eq!((predictor.in_flight(), predictor.known().1), (0, 0.0));
}

/// Anything that may happen at a worker.
#[derive(Clone, Debug)]
enum Act {
    Hear(Said),
    Send(u32, u32, f64),
    Begin(usize, u32),
    End(usize, u32, f64),
    Drop(usize),
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(0.0),
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(-1.0),
        Just(f64::MAX),
        Just(f64::MIN_POSITIVE),
        1e-6..10.0
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let rate = || prop_oneof![Just(None), (1e-8..100.0).prop_map(Some)];
    let line =
        (rate(), rate()).prop_map(|(step, sequence)| Some(BatchLine { step: step?, sequence: sequence? }));
    let said = (any::<[u32; 3]>(), any::<[u32; 2]>(), rate(), rate(), line).prop_map(
        |(counts, sizes, prompt, token, by_batch)| Said {
            running: counts[0] % 2000,
            waiting: counts[1] % 2000,
            running_max: counts[2] % 300,
            queued_tokens: u64::from(sizes[0]),
            cache_tokens_max: u64::from(sizes[1]),
            seconds_per_prompt_token: prompt,
            seconds_per_output_token: token,
            by_batch,
        },
    );
    prop_oneof![
        said.prop_map(Act::Hear),
        (any::<u32>(), any::<u32>(), number())
            .prop_map(|(prompt, cached, output)| Act::Send(prompt, cached, output)),
        (any::<usize>(), any::<u32>()).prop_map(|(which, more)| Act::Begin(which, more)),
        (any::<usize>(), any::<u32>(), number())
            .prop_map(|(which, tokens, time)| Act::End(which, tokens, time)),
        any::<usize>().prop_map(Act::Drop),
    ]
}

fn lived(acts: &[(Act, f64)]) -> (Predictor, f64) {
    let (mut predictor, mut open, mut now) = (Predictor::new(), Vec::new(), 0.0);
    for (act, pause) in acts {
        now += pause;
        let pick =
            |which: usize, open: &Vec<_>| if open.is_empty() { None } else { Some(which % open.len()) };
        match act {
            Act::Hear(said) => predictor.heard(*said, now),
            Act::Send(prompt_tokens, cached_tokens, output_tokens) => {
                let (prompt_tokens, cached_tokens) = (*prompt_tokens, *cached_tokens);
                let work = Work { prompt_tokens, cached_tokens, output_tokens: *output_tokens };
                open.push(predictor.sent(work, &at(now)));
            }
            Act::Begin(which, more) => {
                if let Some(index) = pick(*which, &open) {
                    predictor.began(&mut open[index], *more, now);
                }
            }
            Act::End(which, tokens, seconds) => {
                if let Some(index) = pick(*which, &open) {
                    predictor.done(open.remove(index), Some((*tokens, *seconds)), *tokens, now);
                }
            }
            Act::Drop(which) => {
                if let Some(index) = pick(*which, &open) {
                    predictor.dropped(&open.remove(index), now);
                }
            }
        }
    }
    (predictor, now)
}

proptest! {
    #[test]
    fn predictions_are_sound_and_grow_whatever_was_seen(
        acts in prop::collection::vec((act(), 0.0..20.0), 0..60),
        prompt in 0_u32..200_000,
        more in 0_u32..50_000,
        output in 1.0..4000.0,
    ) {
        let (predictor, now) = lived(&acts);
        let pool = Pool { rates: Some(Rates { prompt_token: 1e-4, output_token: 0.02 }), ..Pool::default() };
        let moment = Moment { pool, ..at(now + 0.1) };
        let total = |prompt, output| {
            let prediction = predictor.predict(&work(prompt, output), &moment).unwrap();
            let parts = [prediction.queue, prediction.network, prediction.prefill, prediction.output_token];
            for part in parts {
                assert!((0.0..=SECONDS_MAX).contains(&part), "{prediction:?}");
            }
            assert!(prediction.caution.is_finite() && prediction.caution >= 1.0);
            prediction.total(output)
        };
        let little = total(prompt, output);
        let slack = 1e-9 * little;
        prop_assert!(total(prompt + more, output) >= little - slack);
        prop_assert!(total(prompt, output * 1.5) >= little - slack);
    }
}
