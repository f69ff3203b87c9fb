use super::*;

#[test]
fn equal_outcomes_differ_by_nothing() {
    let right = [true, false, true, true];
    assert_eq!(paired(&right, &right, 1), Difference { mean: 0.0, low: 0.0, high: 0.0 });
    assert_eq!(paired(&[], &[], 1).mean, 0.0);
}

#[test]
fn a_real_difference_leaves_zero_outside_its_interval() {
    let left = vec![true; 400];
    let right: Vec<bool> = (0..400).map(|at| at % 4 != 0).collect();
    let found = paired(&left, &right, 1);
    assert!((found.mean - 0.25).abs() < 1e-12);
    assert!(found.low > 0.19 && found.high < 0.31, "{found:?}");
    assert_eq!(found, paired(&left, &right, 1), "the same seed draws the same");
}
