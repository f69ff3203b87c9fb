//! The breaker on a paused clock, apart from any worker.

use super::*;
use tokio::time::advance;

const FIRST: Duration = Duration::from_secs(1);

fn breaker() -> Breaker {
    Breaker::new(BreakerOptions::default(), 7, Instant::now())
}

/// One request with this end, if it may go; whether it did, and what changed.
fn ask(breaker: &mut Breaker, outcome: Outcome) -> (bool, Option<Change>) {
    let now = Instant::now();
    if breaker.verdict(now).ejected.is_some() {
        return (false, None);
    }
    let pass = breaker.enter(now);
    (true, breaker.ended(&pass, outcome, now))
}

fn is_ejected(breaker: &Breaker) -> bool {
    breaker.verdict(Instant::now()).ejected.is_some()
}

/// Fails until it is ejected; for how long.
fn eject(breaker: &mut Breaker) -> Duration {
    for _ in 0..100 {
        if let (_, Some(Change::Ejected(_, time))) = ask(breaker, Outcome::Failed) {
            return time;
        }
    }
    panic!("it never was ejected");
}

fn around(time: Duration, expect: Duration) -> bool {
    (expect.mul_f64(0.8)..=expect.mul_f64(1.2)).contains(&time)
}

#[tokio::test(start_paused = true)]
async fn failures_in_a_row_eject_and_an_answer_between_begins_anew() {
    let mut breaker = Breaker::new(
        BreakerOptions { success_rate_min: 0.0, ..BreakerOptions::default() },
        7,
        Instant::now(),
    );
    for _ in 0..5 {
        for _ in 0..6 {
            assert_eq!(ask(&mut breaker, Outcome::Failed), (true, None));
        }
        assert_eq!(ask(&mut breaker, Outcome::Answered), (true, None));
    }
    for _ in 0..6 {
        ask(&mut breaker, Outcome::Failed);
    }
    let (_, change) = ask(&mut breaker, Outcome::Failed);
    assert!(
        matches!(change, Some(Change::Ejected(Cause::InARow(7), time)) if around(time, FIRST)),
        "{change:?}"
    );
    assert!(is_ejected(&breaker));
}

#[tokio::test(start_paused = true)]
async fn a_share_of_failures_ejects_in_a_small_fleet() {
    let check = async |answered: u32, of: u32, ejected: bool| {
        let mut breaker = breaker();
        // Never seven in a row, at one request in a second and a half.
        for turn in 0..of {
            let outcome = if turn % 10 < answered { Outcome::Answered } else { Outcome::Failed };
            ask(&mut breaker, outcome);
            advance(Duration::from_millis(1_500)).await;
        }
        assert_eq!(breaker.ejections > 0, ejected, "{answered} of 10");
    };
    check(4, 40, true).await;
    check(6, 40, false).await;
    // Too few to say.
    check(0, 4, false).await;
}

#[tokio::test(start_paused = true)]
async fn it_is_asked_again_with_one_request_at_a_time_and_taken_back_by_its_first_token() {
    let mut breaker = breaker();
    let time = eject(&mut breaker);
    advance(time - Duration::from_millis(1)).await;
    assert!(is_ejected(&breaker));
    advance(Duration::from_millis(1)).await;
    assert!(!is_ejected(&breaker));
    let probe = breaker.enter(Instant::now());
    assert_eq!(breaker.verdict(Instant::now()).ejected.map(|(_, time)| time), Some(Duration::ZERO));
    // One that was given up says nothing, and leaves room for the next.
    assert_eq!(breaker.ended(&probe, Outcome::Unknown, Instant::now()), None);
    assert!(!is_ejected(&breaker));
    let probe = breaker.enter(Instant::now());
    assert_eq!(breaker.began(&probe, Instant::now()), Some(Change::Back));
    assert!(!is_ejected(&breaker));
    assert_eq!(breaker.ended(&probe, Outcome::Answered, Instant::now()), None);
}

#[tokio::test(start_paused = true)]
async fn ejections_double_up_to_the_longest_and_are_told_once() {
    let mut breaker = breaker();
    let mut time = eject(&mut breaker);
    for doublings in 1..10 {
        advance(time).await;
        let (asked, change) = ask(&mut breaker, Outcome::Failed);
        assert_eq!((asked, change), (true, None), "the same ejection");
        time = breaker.verdict(Instant::now()).ejected.unwrap().1;
        let expect = Duration::from_secs((1 << doublings).min(100));
        assert!(around(time, expect), "{doublings}: {time:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_comes_and_goes_is_ejected_for_longer_and_one_that_served_is_forgiven() {
    let check = async |served: Duration, expect: Duration| {
        let mut breaker = breaker();
        let mut time = eject(&mut breaker);
        for _ in 0..2 {
            // Not so soon that it would not be taken back.
            advance(time.max(RETURN_MIN)).await;
            assert_eq!(ask(&mut breaker, Outcome::Answered).1, Some(Change::Back));
            time = eject(&mut breaker);
        }
        advance(time.max(RETURN_MIN)).await;
        ask(&mut breaker, Outcome::Answered);
        advance(served).await;
        let time = eject(&mut breaker);
        assert!(around(time, expect), "{time:?}, not {expect:?}");
    };
    check(Duration::from_secs(10), Duration::from_secs(8)).await;
    check(Duration::from_secs(61), FIRST).await;
}

#[tokio::test(start_paused = true)]
async fn one_that_came_back_lately_is_sent_one_request_after_the_other() {
    let mut breaker = breaker();
    let time = eject(&mut breaker);
    advance(time).await;
    assert_eq!(ask(&mut breaker, Outcome::Answered), (true, Some(Change::Back)));
    let time = eject(&mut breaker);
    assert!(around(time, FIRST * 2));
    advance(time).await;
    for _ in 0..10 {
        let pass = breaker.enter(Instant::now());
        assert!(is_ejected(&breaker), "one is under way");
        assert_eq!(breaker.began(&pass, Instant::now()), None);
        assert!(!is_ejected(&breaker), "its first token makes room for the next");
        assert_eq!(breaker.ended(&pass, Outcome::Answered, Instant::now()), None);
    }
    // Any that fails ejects it again.
    let pass = breaker.enter(Instant::now());
    breaker.began(&pass, Instant::now());
    assert_eq!(breaker.ended(&pass, Outcome::Failed, Instant::now()), None, "the same ejection");
    let (_, time) = breaker.verdict(Instant::now()).ejected.unwrap();
    assert!(around(time, FIRST * 4), "{time:?}");
    advance(RETURN_MIN).await;
    assert_eq!(ask(&mut breaker, Outcome::Answered), (true, Some(Change::Back)));
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_before_the_ejection_does_not_end_it() {
    let mut breaker = breaker();
    let early = breaker.enter(Instant::now());
    eject(&mut breaker);
    assert_eq!(breaker.ended(&early, Outcome::Answered, Instant::now()), None);
    assert!(is_ejected(&breaker));
    // Where it is the one that stays it is sent work all the same, and an answer to that counts.
    let kept = breaker.enter(Instant::now());
    assert_eq!(breaker.began(&kept, Instant::now()), Some(Change::Back));
}

#[tokio::test(start_paused = true)]
async fn one_that_was_started_again_is_asked_at_once() {
    let mut breaker = breaker();
    eject(&mut breaker);
    breaker.returned(Instant::now());
    assert!(!is_ejected(&breaker));
    assert_eq!(ask(&mut breaker, Outcome::Answered), (true, Some(Change::Back)));
}

#[tokio::test(start_paused = true)]
async fn a_failure_weighs_as_time_and_less_and_less() {
    let mut breaker = breaker();
    let penalty = |breaker: &Breaker| breaker.verdict(Instant::now()).penalty.as_secs_f64();
    ask(&mut breaker, Outcome::Failed);
    assert!((penalty(&breaker) - 1.0).abs() < 1e-6);
    ask(&mut breaker, Outcome::Failed);
    assert!((penalty(&breaker) - 2.0).abs() < 1e-6);
    advance(PENALTY_HALF_LIFE).await;
    assert!((penalty(&breaker) - 1.0).abs() < 1e-3, "{}", penalty(&breaker));
    ask(&mut breaker, Outcome::Answered);
    assert!(penalty(&breaker).abs() < 1e-9);
    // A worker that is full says itself for how long, and is not ejected for it.
    for _ in 0..20 {
        assert_eq!(ask(&mut breaker, Outcome::Busy(Some(Duration::from_millis(300)))), (true, None));
    }
    assert!((penalty(&breaker) - 0.3).abs() < 1e-6);
}

#[tokio::test(start_paused = true)]
async fn equal_seeds_eject_alike_and_others_not() {
    let time = |seed| {
        let mut breaker = Breaker::new(BreakerOptions::default(), seed, Instant::now());
        eject(&mut breaker)
    };
    assert_eq!(time(1), time(1));
    assert_ne!(time(1), time(2));
}

#[tokio::test(start_paused = true)]
async fn what_is_older_than_the_window_counts_for_nothing() {
    let check = async |pause: Duration, ejected: bool| {
        let mut breaker = breaker();
        for outcome in [Outcome::Failed, Outcome::Failed, Outcome::Answered, Outcome::Failed] {
            assert_eq!(ask(&mut breaker, outcome), (true, None));
        }
        advance(pause).await;
        ask(&mut breaker, Outcome::Failed);
        assert_eq!(is_ejected(&breaker), ejected, "{pause:?}");
    };
    check(Duration::from_secs(20), true).await;
    check(Duration::from_secs(31), false).await;
}
