//! The binaries' configuration as a person meets it: help, errors with their place, and what a cluster injects.

use std::fs;
use std::process::{Command, Output};

use causeway_tests::{binary, root};

fn run(name: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(binary(name)).args(arguments).envs(variables.iter().copied()).output().expect("it runs")
}

#[test]
fn a_misspelt_key_is_refused_with_its_place_and_the_nearest_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("config.toml");
    for name in ["causeway-edge-agent", "causeway-router", "causeway-worker"] {
        fs::write(&file, "[limits]\nrequest_bytes_mx = 5\n").expect("written");
        let output = run(name, &["--config", &file.display().to_string()], &[]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(said.contains("config.toml:2:1"), "{name}: {said}");
        assert!(said.contains("request_bytes_max"), "{name}: {said}");
    }
}

#[test]
fn help_and_the_effective_configuration_are_printed() {
    for name in ["causeway-edge-agent", "causeway-router", "causeway-worker"] {
        let help = run(name, &["--help"], &[]);
        assert!(String::from_utf8_lossy(&help.stdout).contains("--config"), "{name}");
        let example = |file: &str| root().join("deploy/examples").join(file).display().to_string();
        let required = match name {
            "causeway-worker" => ["--set".to_owned(), "engine.model=m.gguf".to_owned()],
            "causeway-router" => ["--config".to_owned(), example("router.toml")],
            _ => ["--config".to_owned(), example("edge-agent.toml")],
        };
        let [first, second] = &required;
        let injected = [
            ("CAUSEWAY_ROUTER_SERVICE_HOST", "10.0.0.1"),
            ("CAUSEWAY_ROUTER_PORT", "tcp://10.0.0.1:50051"),
            ("CAUSEWAY_ROUTER_PORT_50051_TCP_ADDR", "10.0.0.1"),
            ("CAUSEWAY_LIMITS__IN_FLIGHT_MAX", "7"),
        ];
        let output = run(name, &["--print-config", first, second], &injected);
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let line = shown.lines().find(|line| line.contains("in_flight_max") && line.contains('7'));
        let line = line.unwrap_or_else(|| panic!("{name}: {shown}"));
        assert!(line.contains("CAUSEWAY_LIMITS__IN_FLIGHT_MAX"), "{name} says where it is from: {line}");
    }
}

#[test]
fn a_broken_model_file_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = folder.path().join("broken.gguf");
    fs::write(&model, b"not a model").expect("written");
    let setting = format!("engine.model={}", model.display());
    let output = run("causeway-worker", &["--set", &setting], &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("broken.gguf"), "{said}");
}
