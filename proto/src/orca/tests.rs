//! The table of names, and bytes that every other reader of ORCA agrees on.

use std::collections::BTreeSet;

use prost::Message as _;

use super::{METRICS, OrcaLoadReport, OrcaLoadReportRequest};

#[test]
fn every_name_stands_under_the_one_prefix_and_once() {
    let names: BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
    assert_eq!(names.len(), METRICS.len());
    for metric in METRICS {
        assert!(metric.name.starts_with("causeway."), "{}", metric.name);
        assert!(!metric.unit.is_empty() && metric.description.ends_with('.'), "{}", metric.name);
    }
}

/// Bytes written by hand from the numbers and types of the public messages.
#[test]
fn reports_have_the_public_messages_bytes() {
    let double = |tag: u8, value: f64| [&[tag][..], &value.to_le_bytes()].concat();
    let entry = |tag: u8, key: &str, value: f64| {
        let pair = [&[0x0a, key.len() as u8][..], key.as_bytes(), &double(0x11, value)].concat();
        [&[tag, pair.len() as u8][..], &pair].concat()
    };
    let bytes = [
        double(0x09, 0.25),
        double(0x11, 0.5),
        entry(0x22, "tokens", 7.0),
        entry(0x2a, "disk", 0.75),
        double(0x31, 12.5),
        double(0x39, 0.125),
        entry(0x42, "causeway.running", 3.0),
        double(0x49, 1.5),
    ]
    .concat();
    let report = OrcaLoadReport {
        cpu_utilization: 0.25,
        mem_utilization: 0.5,
        request_cost: [("tokens".to_owned(), 7.0)].into(),
        utilization: [("disk".to_owned(), 0.75)].into(),
        rps_fractional: 12.5,
        eps: 0.125,
        named_metrics: [("causeway.running".to_owned(), 3.0)].into(),
        application_utilization: 1.5,
        ..Default::default()
    };
    assert_eq!(report.encode_to_vec(), bytes);
    assert_eq!(OrcaLoadReport::decode(bytes.as_slice()), Ok(report));
}

#[test]
fn requests_have_the_public_messages_bytes() {
    let bytes = [0x0a, 0x05, 0x10, 0x80, 0xe5, 0x9a, 0x77, 0x12, 0x01, b'x'];
    let asked = OrcaLoadReportRequest {
        report_interval: Some(prost_types::Duration { seconds: 0, nanos: 250_000_000 }),
        request_cost_names: vec!["x".to_owned()],
    };
    assert_eq!(asked.encode_to_vec(), bytes);
    assert_eq!(OrcaLoadReportRequest::decode(&bytes[..]), Ok(asked));
}
