//! What lists and watches come to.

use serde_json::{Value, json};

use super::{Heard, Slices};
use crate::config::KubernetesOptions;

fn options(port: Option<&str>) -> KubernetesOptions {
    let text = json!({ "service": "workers", "tier": "cloud", "port": port });
    serde_json::from_value(text).unwrap()
}

fn slice(name: &str, version: &str, endpoints: &Value) -> Value {
    json!({
        "metadata": { "name": name, "resourceVersion": version },
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": [{ "name": "metrics", "port": 9000 }, { "name": "grpc", "port": 50061 }],
    })
}

fn listed(items: &[Value]) -> Slices {
    let list = json!({ "metadata": { "resourceVersion": "10" }, "items": items });
    let mut slices = Slices::default();
    slices.add(serde_json::from_value(list).unwrap()).unwrap();
    slices
}

fn told(slices: &mut Slices, kind: &str, object: &Value) -> Heard {
    slices.hear(json!({ "type": kind, "object": object }).to_string().as_bytes())
}

fn members(slices: &Slices) -> Vec<String> {
    let members = slices.members(&options(Some("grpc"))).into_iter();
    let shown = members.map(|member| {
        format!("{} {}{}", member.name, member.address, if member.leaving { " leaving" } else { "" })
    });
    shown.collect()
}

#[test]
fn conditions_say_who_takes_new_work() {
    let ready =
        json!([{ "addresses": ["10.0.0.1"], "conditions": { "ready": true }, "targetRef": { "name": "a" } }]);
    let endpoints = json!([
        { "addresses": ["10.0.0.2"], "conditions": { "ready": false, "serving": true, "terminating": true }, "targetRef": { "name": "b" } },
        { "addresses": ["10.0.0.3"], "conditions": { "ready": false }, "targetRef": { "name": "c" } },
        { "addresses": ["10.0.0.4"] },
        { "addresses": [], "targetRef": { "name": "nowhere" } },
        // The same pod once more, by its other address.
        { "addresses": ["fd00::1"], "targetRef": { "name": "a" } },
        { "addresses": ["fd00::5"], "targetRef": { "name": "x".repeat(65) } },
    ]);
    let slices = listed(&[slice("s-1", "8", &ready), slice("s-2", "9", &endpoints)]);
    let expect = [
        "a 10.0.0.1:50061",
        "b 10.0.0.2:50061 leaving",
        "c 10.0.0.3:50061 leaving",
        "10.0.0.4-50061 10.0.0.4:50061",
        "fd00--5-50061 [fd00::5]:50061",
    ];
    assert_eq!(members(&slices), expect);
    assert_eq!(slices.members(&options(Some("http"))), [], "no such port");
    assert_eq!(slices.members(&options(None))[0].address.to_string(), "10.0.0.1:9000");
}

#[test]
fn a_watch_is_followed_from_version_to_version() {
    let of = |address: &str| json!([{ "addresses": [address] }]);
    let mut slices = listed(&[slice("s-1", "8", &of("10.0.0.1"))]);
    assert_eq!(slices.version, "10");
    assert_eq!(told(&mut slices, "ADDED", &slice("s-2", "11", &of("10.0.0.2"))), Heard::Changed);
    assert_eq!(told(&mut slices, "MODIFIED", &slice("s-1", "12", &of("10.0.0.3"))), Heard::Changed);
    assert_eq!(members(&slices), ["10.0.0.3-50061 10.0.0.3:50061", "10.0.0.2-50061 10.0.0.2:50061"]);
    assert_eq!(told(&mut slices, "DELETED", &slice("s-2", "13", &Value::Null)), Heard::Changed);
    let bookmark = json!({ "metadata": { "resourceVersion": "20" } });
    assert_eq!(told(&mut slices, "BOOKMARK", &bookmark), Heard::Same);
    assert_eq!(slices.version, "20");
    assert_eq!(members(&slices), ["10.0.0.3-50061 10.0.0.3:50061"]);
    let gone = json!({ "kind": "Status", "code": 410, "message": "too old resource version" });
    assert_eq!(told(&mut slices, "ERROR", &gone), Heard::Forgotten);
    let failed = json!({ "code": 500, "message": "etcd is away" });
    assert_eq!(told(&mut slices, "ERROR", &failed), Heard::Failed("etcd is away".to_owned()));
    assert!(matches!(slices.hear(b"{\"type\":"), Heard::Failed(_)));
    assert!(matches!(told(&mut slices, "ADDED", &json!({ "metadata": 7 })), Heard::Failed(_)));
    assert_eq!(slices.version, "20", "what cannot be read changes nothing");
}

#[test]
fn slices_are_bounded() {
    let mut slices = Slices::default();
    for index in 0..super::SLICES_MAX {
        assert_eq!(
            told(&mut slices, "ADDED", &slice(&format!("s-{index}"), "1", &json!([]))),
            Heard::Changed
        );
    }
    assert!(matches!(told(&mut slices, "ADDED", &slice("more", "2", &json!([]))), Heard::Failed(_)));
    assert_eq!(told(&mut slices, "MODIFIED", &slice("s-0", "3", &json!([]))), Heard::Changed);
}
