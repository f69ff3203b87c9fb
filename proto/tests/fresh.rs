//! The committed Rust is what the `.proto` files say; `CAUSEWAY_REGENERATE=1 cargo test -p causeway-proto` writes it anew.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has nothing better to do than to fail"
)]

use std::fs;
use std::path::{Path, PathBuf};

use prost::Message as _;

const FILES: [&str; 6] = [
    "causeway/v1/signals.proto",
    "causeway/v1/decision.proto",
    "causeway/v1/generate.proto",
    "causeway/v1/fleet.proto",
    "xds/data/orca/v3/orca_load_report.proto",
    "xds/service/orca/v3/orca.proto",
];
const GENERATED: [&str; 4] =
    ["causeway.v1.rs", "xds.data.orca.v3.rs", "xds.service.orca.v3.rs", "descriptors.bin"];

fn generate(into: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let descriptors = protox::compile(FILES.map(|f| root.join(f)), [root]).expect("the .proto files compile");
    fs::write(into.join("descriptors.bin"), descriptors.encode_to_vec()).expect("descriptors are written");
    tonic_prost_build::configure()
        .build_transport(false)
        // Sorted, so that equal reports have equal bytes.
        .btree_map(".xds")
        .out_dir(into)
        .compile_fds(descriptors)
        .expect("Rust is generated");
}

fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/gen")
}

#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "a switch for the person who changes the contract, not configuration"
)]
fn committed_code_is_what_the_contract_says() {
    let fresh = tempfile::tempdir().expect("a folder");
    generate(fresh.path());
    let rewrite = std::env::var("CAUSEWAY_REGENERATE").is_ok();
    for name in GENERATED {
        let new = fs::read(fresh.path().join(name)).expect("just written");
        if rewrite {
            fs::write(committed().join(name), &new).expect("src/gen can be written");
        }
        let old = fs::read(committed().join(name)).unwrap_or_default();
        assert!(old == new, "{name} is stale: run CAUSEWAY_REGENERATE=1 cargo test -p causeway-proto");
    }
}

#[test]
fn every_message_field_and_value_is_explained() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in FILES {
        let text = fs::read_to_string(root.join(file)).expect("readable");
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (before, line) in lines.iter().zip(&lines[1..]) {
            let declares =
                ["message ", "service ", "enum ", "rpc "].iter().any(|word| line.starts_with(word))
                    || (line.contains(" = ") && line.ends_with(';') && !line.starts_with("syntax"));
            assert!(!declares || before.starts_with("//"), "{file}: no comment above `{line}`");
        }
    }
}
