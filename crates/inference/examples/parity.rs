//! Tries every parity fixture in a folder and prints a table: what each model gave against what its reference gave.
//!
//! `cargo run -p causeway-inference --example parity -- FOLDER [--device cuda:0]`

use std::{
    error::Error,
    io::Write,
    path::{Path, PathBuf},
};

use inference::{Device, parity};

const HEAD: &str =
    "| fixture | architecture | types | score error | in the file's types | greedy | experts | agrees |";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let (folder, device) = match arguments.as_slice() {
        [folder] => (PathBuf::from(folder), Device::Cpu),
        [folder, flag, device] if flag == "--device" => {
            (PathBuf::from(folder), device.to_string_lossy().parse()?)
        }
        _ => return Err("usage: parity FOLDER [--device DEVICE]".into()),
    };
    let fixtures = parity::fixtures(&folder)?;
    if fixtures.is_empty() {
        return Err(format!("{} holds no fixture", folder.display()).into());
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "{HEAD}\n|---|---|---|---|---|---|---|---|")?;
    let mut failed = 0;
    for (fixture, kind) in fixtures {
        let lines = match kind {
            parity::Kind::Models => parity::check_on(&fixture, device)
                .map(|reports| reports.iter().map(|r| (model(&folder, r), r.agrees())).collect()),
            _ => parity::check_texts(&fixture)
                .map(|reports| reports.iter().map(|r| (text(&folder, r), r.agrees())).collect()),
        };
        let lines: Vec<(String, bool)> = lines
            .unwrap_or_else(|error| vec![(format!("{} | {error} | | | | | ", fixture.display()), false)]);
        for (line, agrees) in lines {
            failed += usize::from(!agrees);
            writeln!(out, "| {line} | {} |", if agrees { "yes" } else { "no" })?;
        }
    }
    if failed > 0 {
        return Err(format!("{failed} do not agree with their reference").into());
    }
    Ok(())
}

fn model(folder: &Path, report: &parity::Report) -> String {
    format!(
        "{} | {} | {} | {:.1e} | {:.1e} | {} of {} | {} of {}",
        report.path.strip_prefix(folder).unwrap_or(&report.path).display(),
        report.architecture,
        report.types.join(" "),
        report.score_error,
        report.file_score_error,
        report.greedy.0,
        report.greedy.1,
        report.experts.0,
        report.experts.1,
    )
}

fn text(folder: &Path, report: &parity::TextReport) -> String {
    let name = report.path.strip_prefix(folder).unwrap_or(&report.path).display();
    let difference = match &report.first_difference {
        Some([given, expected, found]) => format!("{given:?}: {found:?}, not {expected:?}"),
        None => String::new(),
    };
    format!("{name} | {} of {} cases | {difference} | | | | ", report.cases.0, report.cases.1)
}
