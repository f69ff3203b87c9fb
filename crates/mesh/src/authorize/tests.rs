use std::sync::Arc;

use tonic::Code;
use tower::Layer as _;

use super::*;
use crate::connect::{Channel, ConnectOptions};
use crate::rig;
use crate::serve::ServeOptions;
use crate::tls::Authority;
use crate::transport::{Memory, Transport as _};

fn allow(callers: &[&str], methods: &[&str]) -> Allow {
    let owned = |patterns: &[&str]| patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
    Allow { callers: owned(callers), methods: owned(methods) }
}

#[test]
fn patterns_match_segments() {
    let check = |pattern: &str, text: &str, expect: bool| {
        assert_eq!(Glob::new(pattern).matches(text), expect, "{pattern} and {text}");
    };
    let agents = "spiffe://causeway.local/agent/*";
    check(agents, "spiffe://causeway.local/agent/kitchen", true);
    check(agents, "spiffe://causeway.local/agent", false);
    check(agents, "spiffe://causeway.local/agent/kitchen/evil", false);
    check(agents, "spiffe://causeway.local.evil/agent/kitchen", false);
    check(agents, "spiffe://causeway.local/router", false);
    check(agents, "", false);
    check("spiffe://causeway.local/**", "spiffe://causeway.local/agent/a/b", true);
    check("spiffe://causeway.local/**", "spiffe://causeway.local", false);
    check("spiffe://causeway.local/**/b", "spiffe://causeway.local/agent/a/b", true);
    check("spiffe://causeway.local/**/b", "spiffe://causeway.local/b", false);
    check("spiffe://**/b", "spiffe://a/b/c/b", true);
    check("spiffe://*.local/a-*-z", "spiffe://causeway.local/a-m-z", true);
    check("spiffe://*.local/a-*-z", "spiffe://causeway.local/a-z", false);
    check("/causeway.v1.Generation/*", "/causeway.v1.Generation/Generate", true);
    check("/causeway.v1.Generation/*", "/causeway.v1.Fleet/Generate", false);
    check("/*/*", "/a/b/c", false);
    check("unnamed", "unnamed", true);
    check("*", "unnamed", true);
    // What would take longer than anybody's time where stars are tried one by one.
    check(&"*a".repeat(60), &"a".repeat(200), true);
    check(&format!("{}b", "*a".repeat(60)), &"a".repeat(200), false);
    check(&format!("{}a", "**/a/".repeat(50)), &format!("{}a", "a/".repeat(120)), true);
    check(&format!("{}b", "**/a/".repeat(50)), &format!("{}a", "a/".repeat(120)), false);
}

#[test]
fn rules_that_match_nothing_are_refused_by_key() {
    let check = |rule: Allow, expect: &[&str]| {
        let options = AuthorizeOptions { allow: vec![rule] };
        let keys: Vec<_> = options.invalid("authorize").into_iter().map(|invalid| invalid.key).collect();
        assert_eq!(keys, expect);
    };
    let anyone = "spiffe://causeway.local/**";
    check(allow(&[anyone, UNNAMED], &["/a.B/*"]), &[]);
    check(allow(&[], &["/a.B/*"]), &["authorize.allow.0.callers"]);
    check(allow(&["agent"], &["a.B/C"]), &["authorize.allow.0.callers", "authorize.allow.0.methods"]);
    check(allow(&[anyone], &[&"/x".repeat(200)]), &["authorize.allow.0.methods"]);
    let many = AuthorizeOptions { allow: vec![allow(&[anyone], &["/**"]); 65] };
    assert_eq!(many.invalid("authorize").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_is_denied_by_name_and_method_unless_a_rule_allows_it() {
    let authority = Authority::ephemeral().unwrap();
    let identity = |who: &str| authority.issue(who).unwrap().identity().unwrap();
    let check = async |options: AuthorizeOptions, who: Option<&str>, path: &str, expect: Result<(), &str>| {
        let network = Memory::default();
        let listener = network.bind(&"peer:1".parse().unwrap()).await.unwrap();
        let stack = AuthorizeLayer::new(&options).layer(rig::service());
        let server = who.map(|_| identity("worker"));
        let running = rig::run(ServeOptions::default(), listener, server, stack);
        let connect = ConnectOptions::default().expecting("worker.causeway");
        let network = Arc::new(network);
        let channel = Channel::new(running.address.clone(), network, who.map(identity), connect);
        let reply = rig::call(&channel, rig::request(path, &[])).await;
        match expect {
            Ok(()) => assert_eq!(reply.code, Code::Ok, "{}", reply.message),
            Err(said) => {
                assert_eq!(reply.code, Code::PermissionDenied, "{}", reply.message);
                assert!(reply.message.starts_with(said), "{}", reply.message);
            }
        }
    };
    let some = || AuthorizeOptions {
        allow: vec![
            allow(&["spiffe://causeway.local/agent/*"], &["/echo"]),
            allow(&["spiffe://causeway.local/router"], &["/echo", "/tiny/*"]),
        ],
    };
    check(some(), Some("agent/kitchen"), "/echo", Ok(())).await;
    check(some(), Some("router"), "/tiny/1", Ok(())).await;
    let said = "`spiffe://causeway.local/agent/kitchen` may not call `/tiny/1`";
    check(some(), Some("agent/kitchen"), "/tiny/1", Err(said)).await;
    check(some(), Some("worker/1"), "/echo", Err("`spiffe://causeway.local/worker/1` may not call")).await;
    check(some(), None, "/echo", Err("`unnamed` may not call `/echo`")).await;
    let unnamed = AuthorizeOptions { allow: vec![allow(&[UNNAMED], &["/echo"])] };
    check(unnamed.clone(), None, "/echo", Ok(())).await;
    check(unnamed, Some("router"), "/echo", Err("`spiffe://causeway.local/router` may not call")).await;
    check(AuthorizeOptions::default(), Some("worker/1"), "/tiny/1", Ok(())).await;
    check(AuthorizeOptions::default(), None, "/echo", Ok(())).await;
}
