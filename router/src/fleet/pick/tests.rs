//! Who is drawn: alike for the same seed, of everyone who fits, with the best and with those that hold the prompt.

use policy::Name;
use proto::v1;

use super::{Kin, Model, Strata, Wanted};
use crate::config::PickOptions;

const OPTIONS: PickOptions = PickOptions { full_max: 8, drawn: 12, leaders: 4, named: 2 };

fn model(name: &str) -> Option<Model> {
    let numeric_class = if name == "odd" { "other" } else { "usual" };
    let (name, hash, numeric_class) = (name.to_owned(), format!("{name}-hash"), numeric_class.to_owned());
    Some(Model::of(&v1::ModelDescription { name, hash, numeric_class, ..Default::default() }))
}

fn kin(tier: &str, region: &str, model: Option<Model>) -> Kin {
    Kin { tier: tier.into(), region: Some(region.into()), model }
}

/// A thousand workers: 990 of one kind, 8 that stand in another region, 2 of another tier.
fn strata() -> Strata {
    let strata = Strata::new(&OPTIONS);
    for worker in 0..1000 {
        let kin = match worker {
            0..990 => kin("fast", "eu", model("small")),
            990..998 => kin("fast", "us", model("small")),
            _ => kin("large", "eu", model("odd")),
        };
        strata.join(worker, kin);
    }
    strata
}

#[test]
fn the_same_seed_draws_the_same_of_every_kin() {
    let strata = strata();
    let draw = |seed| strata.draw(&Wanted::default(), &[5, 500], seed);
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..2000 {
        let drawn = draw(seed);
        assert!(drawn.len() <= 12 + 2 * 3 + 2 && drawn.is_sorted(), "{drawn:?}");
        assert!(drawn.contains(&5) && drawn.contains(&500));
        assert!(drawn.iter().any(|worker| (990..998).contains(worker)), "{drawn:?}");
        assert!(drawn.iter().any(|worker| *worker >= 998), "{drawn:?}");
        seen.extend(drawn);
    }
    assert_eq!(seen.len(), 1000, "everyone has a chance");
}

#[test]
fn only_those_who_fit_are_drawn_and_few_are_all_taken() {
    let strata = strata();
    let (fast, large, nobody) = (Name::from("fast"), Name::from("large"), Name::from("nobody"));
    let any = Wanted::default();
    let check = |wanted: Wanted<'_>, expect: Option<std::ops::Range<u32>>| {
        let drawn = strata.draw(&wanted, &[], 3);
        match expect {
            None => {
                assert!(
                    !drawn.is_empty() && drawn.iter().all(|worker| *worker < 998),
                    "{wanted:?} {drawn:?}"
                );
            }
            Some(all) => assert_eq!(drawn, all.collect::<Vec<_>>(), "{wanted:?}"),
        }
    };
    check(Wanted { only: Some(&fast), ..any }, None);
    check(Wanted { only: Some(&large), ..any }, Some(998..1000));
    check(Wanted { only: Some(&nobody), ..any }, Some(0..0));
    check(Wanted { model: "small", ..any }, None);
    check(Wanted { model: "odd", ..any }, Some(998..1000));
    check(Wanted { resume: Some(("small-hash", "usual")), ..any }, None);
    check(Wanted { resume: Some(("small-hash", "other")), ..any }, Some(0..0));
    check(Wanted { resume: Some(("odd-hash", "other")), ..any }, Some(998..1000));
}

#[test]
fn those_that_were_best_are_drawn_again() {
    let strata = strata();
    let seconds = |worker: u32| (worker, Some(f64::from(worker % 100) + f64::from(worker) / 1e4));
    strata.weighed((0..1000).map(seconds));
    for seed in 0..100 {
        let drawn = strata.draw(&Wanted::default(), &[], seed);
        assert!([0, 100, 200, 300].iter().all(|worker| drawn.contains(worker)), "{drawn:?}");
    }
    // Those that are no longer good, or no longer there, are not remembered.
    strata.weighed([(0, Some(1e6)), (100, None), (200, Some(f64::NAN)), (400, Some(0.001))].into_iter());
    let kept = (0..100).filter(|seed| {
        let drawn = strata.draw(&Wanted::default(), &[], *seed);
        assert!(drawn.contains(&300) && drawn.contains(&400), "{drawn:?}");
        [100, 200].iter().any(|worker| drawn.contains(worker))
    });
    assert!(kept.count() < 20);
}

#[test]
fn a_worker_is_where_its_last_report_puts_it() {
    let strata = Strata::new(&OPTIONS);
    for worker in 0..3 {
        strata.join(worker, kin("fast", "eu", None));
    }
    assert_eq!(strata.models(), (vec![], 3));
    let of = |name: &str| strata.draw(&Wanted { model: name, ..Wanted::default() }, &[], 0);
    strata.join(1, kin("fast", "eu", model("small")));
    assert_eq!((of("small"), of("odd")), (vec![1], vec![]));
    strata.join(0, kin("fast", "eu", model("small")));
    strata.join(2, kin("fast", "eu", model("odd")));
    assert_eq!((of("small"), of("odd")), (vec![0, 1], vec![2]));
    strata.join(1, kin("fast", "eu", model("odd")));
    assert_eq!((of("small"), of("odd")), (vec![0], vec![1, 2]));
    strata.join(0, kin("fast", "eu", None));
    assert_eq!((of("small"), of("odd")), (vec![], vec![1, 2]));
    assert_eq!(strata.models(), (vec!["odd".into()], 1));
}

#[test]
fn so_many_kinds_that_not_each_can_be_drawn_of_are_drawn_themselves() {
    let strata = Strata::new(&OPTIONS);
    for worker in 0..500 {
        strata.join(worker, kin("fast", "eu", model(&format!("model-{worker}"))));
    }
    let draw = |seed| strata.draw(&Wanted::default(), &[], seed);
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..500 {
        assert_eq!(draw(seed).len(), 6);
        seen.extend(draw(seed));
    }
    assert!(seen.len() > 450, "{}", seen.len());
}
