//! Every fixture is tried: models against `transformers`, tokenizers against `tokenizers`, templates against Jinja.

use std::path::{Path, PathBuf};

use inference::parity::{self, Kind};

fn fixtures(kind: Kind) -> Result<Vec<PathBuf>, inference::Error> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let all = parity::fixtures(&folder)?;
    Ok(all.into_iter().filter(|(_, its)| *its == kind).map(|(path, _)| path).collect())
}

#[test]
fn models_give_the_scores_tokens_and_experts_of_their_reference() {
    let mut architectures = Vec::new();
    for fixture in fixtures(Kind::Models).unwrap() {
        for report in parity::check(&fixture).unwrap() {
            assert!(report.agrees(), "{report:#?}");
            architectures.push(report.architecture);
        }
    }
    architectures.sort();
    architectures.dedup();
    assert_eq!(architectures.len(), 11, "{architectures:?}");
}

#[test]
fn tokenizers_and_templates_give_the_ids_and_texts_of_their_reference() {
    let fixtures = fixtures(Kind::Texts).unwrap();
    assert!(fixtures.len() >= 14, "{fixtures:?}");
    for fixture in fixtures {
        for report in parity::check_texts(&fixture).unwrap() {
            assert!(report.agrees(), "{report:#?}");
        }
    }
}

#[test]
fn a_fixture_without_a_model_or_with_other_expectations_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(parity::check(folder.path()).unwrap_err().to_string().contains("neither config.json nor"));
    assert!(parity::check_texts(folder.path()).unwrap_err().to_string().contains("holds neither"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/models/llama");
    for name in ["config.json", "model.safetensors"] {
        std::fs::copy(source.join(name), folder.path().join(name)).unwrap();
    }
    let refused = |json: &str, part: &str| {
        std::fs::write(folder.path().join("expected.json"), json).unwrap();
        let error = parity::check(folder.path()).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    refused("{", "cannot be parsed");
    refused("{}", "logits: is missing");
    refused(r#"{"logits": [[1], [1, 2]]}"#, "lists of equal length");
    refused(r#"{"logits": [[1, 2]], "prompt": [1], "greedy": [], "margins": []}"#, "a vocabulary of 100");
}
