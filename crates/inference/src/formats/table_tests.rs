//! The README's tables of what is supported, held to the code.

use super::Description;
use crate::{
    Options,
    model::{Architecture, refusal},
};

/// The cells of the table under a heading, without its head.
fn table(heading: &str) -> Vec<Vec<String>> {
    let page = include_str!("../../README.md");
    let (_, section) = page.split_once(&format!("## {heading}\n")).unwrap();
    let rows =
        section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    rows.skip(2)
        .map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

/// What stands in back quotes.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_table_of_architectures_is_the_one_in_code() {
    let rows = table("Architectures");
    let names: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(names, Architecture::ALL.map(Architecture::name));
    let folder = tempfile::tempdir().unwrap();
    for row in &rows {
        for kind in quoted(&row[1]) {
            let config = serde_json::json!({ "model_type": kind }).to_string();
            std::fs::write(folder.path().join("config.json"), config).unwrap();
            std::fs::write(folder.path().join("model.safetensors"), b"\x02\0\0\0\0\0\0\0{}").unwrap();
            let options = Options { model: folder.path().to_owned(), ..Options::default() };
            let error = options.build().map(|_| ()).unwrap_err().to_string();
            assert!(error.contains("num_hidden_layers: is missing"), "{kind}: {error}");
        }
    }
}

#[test]
fn the_table_tells_what_a_card_computes() {
    for (row, architecture) in table("Architectures").iter().zip(Architecture::ALL) {
        let expected = if refusal(architecture).is_none() { "yes" } else { "no" };
        assert_eq!(row[3], expected, "{}", row[0]);
    }
}

#[test]
fn the_table_of_types_is_the_one_in_code() {
    let rows = table("Types");
    let supported = super::gguf::supported_types();
    let names: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(names, supported, "the order is that of the code");
    assert!(rows.iter().all(|row| row[1].starts_with("yes")));
    let folders: Vec<&str> = rows.iter().filter(|row| row[2] == "yes").map(|row| row[0].as_str()).collect();
    assert_eq!(folders, ["F32", "F16", "BF16"]);
}

#[test]
fn every_architecture_and_type_has_a_fixture() {
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let quants = super::ModelFile::open(&fixtures.join("quants.gguf")).unwrap();
    assert!(matches!(quants.description, Description::Gguf(_)));
    for name in super::gguf::supported_types() {
        assert!(quants.tensors.contains_key(name), "{name}");
    }
}
