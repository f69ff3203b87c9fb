//! Checks the figures against tables whose answers are known.

use super::curve::{Curve, Point};
use super::sureness::{debiased_ece, plain_ece};
use super::*;

fn curve(points: &[(f64, f64, f64)]) -> Curve {
    Curve::new(
        points
            .iter()
            .map(|(urge, weak, strong)| Point { urge: *urge, weak: *weak, strong: *strong })
            .collect(),
    )
}

#[test]
fn hindsight_recovers_the_gap_at_once_and_equal_urges_recover_it_evenly() {
    let hindsight =
        curve(&[(1.0, 0.0, 1.0), (0.0, 1.0, 1.0), (0.0, 0.0, 0.0), (0.0, 1.0, 1.0)]).worth().unwrap();
    assert!((hindsight.apgr - 0.875).abs() < 1e-12, "{hindsight:?}");
    assert!((hindsight.cpt50 - 0.125).abs() < 1e-12, "{hindsight:?}");
    let even = curve(&[(0.0, 0.0, 1.0), (0.0, 1.0, 1.0), (0.0, 0.0, 0.0), (0.0, 1.0, 1.0)]).worth().unwrap();
    assert!((even.apgr - 0.5).abs() < 1e-12 && (even.cpt80 - 0.8).abs() < 1e-12, "{even:?}");
}

#[test]
fn models_that_are_equally_good_leave_no_gap() {
    assert_eq!(curve(&[(0.0, 1.0, 0.0), (1.0, 0.0, 1.0)]).worth(), None);
}

#[test]
fn calibration_error_is_nothing_where_chance_explains_it() {
    let honest: Vec<(f64, f64)> = (0..3000).map(|at| (0.3, f64::from(u8::from(at % 10 < 3)))).collect();
    assert!(plain_ece(&honest) < 0.01 && debiased_ece(&honest) < 0.01);
    let boastful: Vec<(f64, f64)> = honest.iter().map(|(_, right)| (0.7, *right)).collect();
    assert!((plain_ece(&boastful) - 0.4).abs() < 0.01 && (debiased_ece(&boastful) - 0.4).abs() < 0.01);
}

/// A file of outcomes in which sums are for the strong model and words for the weak one.
fn file(form: impl Fn(&str, bool) -> String) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    for at in 0..200 {
        let sum = at % 2 == 0;
        let text = if sum { format!("What is {at} plus {}?", at * 7) } else { format!("Greet {at} warmly.") };
        writeln!(file, "{}", form(&text, sum)).unwrap();
    }
    file
}

fn evaluated(file: &tempfile::NamedTempFile, weak: Option<&str>) -> Value {
    let asked = Evaluate {
        files: vec![file.path().to_owned()],
        weak: weak.map(str::to_owned),
        strong: None,
        prices: None,
        only: Vec::new(),
        transfer: Vec::new(),
        html: None,
        resamples: 20,
        seed: 1,
        json: true,
    };
    let mut out = Vec::new();
    evaluate(&asked, &mut out).unwrap();
    serde_json::from_slice(&out).unwrap()
}

#[test]
fn each_form_of_table_is_read_and_routed() {
    let forms: [fn(&str, bool) -> String; 3] = [
        |text, sum| json!({ "prompt": text, "weak": !sum, "strong": true }).to_string(),
        |text, sum| {
            json!({ "prompt": text, "scores": { "small": f64::from(!sum), "large": 1.0 } }).to_string()
        },
        |text, sum| {
            let row = |model: &str, right: bool| {
                json!({ "text": text, "model": model, "correct": right }).to_string()
            };
            format!("{}\n{}", row("small", !sum), row("large", true))
        },
    ];
    for form in forms {
        let report = evaluated(&file(form), None);
        assert!(report["apgr"].as_f64().unwrap() > 0.7, "{report}");
        assert_eq!(report["texts"], 200);
    }
}

#[test]
fn a_broken_row_is_named_by_its_line() {
    let file = file(|text, _| json!({ "prompt": text, "weak": 3, "strong": true }).to_string());
    let error = Outcomes::read(&[file.path().to_owned()], &[], None).unwrap_err().to_string();
    assert!(error.contains(":1: the score of `weak` is 3"), "{error}");
}

#[test]
fn a_model_is_added_without_changing_the_others() {
    let table = file(|text, sum| {
        json!({ "prompt": text, "scores": { "a": f64::from(!sum), "b": f64::from(sum) } }).to_string()
    });
    let out = tempfile::NamedTempFile::new().unwrap();
    let asked = |files: &tempfile::NamedTempFile, add: Option<&str>| Calibrate {
        files: vec![files.path().to_owned()],
        out: out.path().to_owned(),
        add: add.map(str::to_owned),
        only: Vec::new(),
        seed: 1,
        json: true,
    };
    let fitted = || serde_json::from_slice::<Fitted>(&fs::read(out.path()).unwrap()).unwrap();
    calibrate(&asked(&table, None), &mut Vec::new()).unwrap();
    let before = fitted();
    let new = file(|text, sum| json!({ "text": text, "model": "c", "right": sum }).to_string());
    calibrate(&asked(&new, Some("c")), &mut Vec::new()).unwrap();
    let after = fitted();
    assert_eq!(before.abilities[..], after.abilities[..2]);
    let requires = after.requirement.of("What is 51 plus 12?");
    assert!(after.abilities[2].1.right(&requires) > 0.6);
}
