//! What the budget allows, over time.

use tokio::time::{advance, sleep};

use super::*;

/// Calls that all fail, `rate` a second for so many seconds, each made again as often as is allowed; the retries.
async fn retries_of_failing(budget: &Budget, rate: u32, seconds: u32) -> u32 {
    let mut retries = 0;
    for _ in 0..rate * seconds {
        budget.deposit();
        while budget.withdraw() {
            retries += 1;
        }
        advance(Duration::from_secs(1) / rate).await;
    }
    retries
}

#[tokio::test(start_paused = true)]
async fn retries_are_a_share_of_first_calls_and_a_little() {
    for (percent, per_second, rate) in
        [(20.0, 10, 100), (20.0, 10, 2), (20.0, 0, 500), (0.0, 10, 50), (50.0, 1, 40)]
    {
        let budget = Budget::new(percent, per_second);
        let seconds = 30;
        let retries = f64::from(retries_of_failing(&budget, rate, seconds).await);
        let calls = f64::from(rate * seconds);
        // The reserve of one more window is there at the start.
        let most = calls * percent / 100.0 + f64::from(per_second * (seconds + 10));
        let least = calls * percent / 100.0 + f64::from(per_second * (seconds - 10));
        assert!(
            (least..=most).contains(&retries),
            "{percent} % and {per_second}/s: {retries} not in {least}..{most}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_paid_in_is_forgotten_with_its_window() {
    let budget = Budget::new(20.0, 0);
    (0..100).for_each(|_| budget.deposit());
    assert_eq!(budget.left(), 20);
    sleep(Duration::from_secs(5)).await;
    (0..50).for_each(|_| budget.deposit());
    assert_eq!(budget.left(), 30);
    sleep(Duration::from_millis(5_500)).await;
    assert_eq!(budget.left(), 10);
    sleep(Duration::from_secs(3_600)).await;
    assert_eq!(budget.left(), 0);
    assert!(!budget.withdraw());
}

#[tokio::test(start_paused = true)]
async fn an_idle_hop_may_retry_and_what_it_took_comes_back() {
    let budget = Budget::new(20.0, 1);
    let taken = (0..100).filter(|_| budget.withdraw()).count();
    assert_eq!(taken, 10);
    budget.refund();
    assert_eq!(budget.left(), 1);
    sleep(WINDOW).await;
    assert_eq!(budget.left(), 10);
}

#[test]
fn attempts_are_told_and_read() {
    let check = |set: Option<&'static str>, expect: u32| {
        let mut metadata = MetadataMap::new();
        if let Some(value) = set {
            metadata.insert(PREVIOUS_ATTEMPTS, value.parse().unwrap());
        }
        assert_eq!(previous_attempts(&metadata), expect, "{set:?}");
    };
    check(None, 0);
    check(Some("2"), 2);
    check(Some("-2"), 0);
    check(Some("many"), 0);
    let mut request = Request::new(());
    follow(&mut request, 0);
    assert!(request.metadata().is_empty());
    follow(&mut request, 3);
    assert_eq!(previous_attempts(request.metadata()), 3);
    let mut status = Status::unavailable("no");
    assert!(!is_forbidden(&status));
    forbid(&mut status);
    assert!(is_forbidden(&status));
}
