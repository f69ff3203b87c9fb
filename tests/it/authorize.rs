//! `[authorize]` holds at every hop: whoever no rule lets may not ask.

use causeway_tests::{House, HouseOptions, text_request};
use proto::v1::DescribeRequest;
use proto::v1::generation_client::GenerationClient;
use tonic::Code;

/// Hops may ask each other; the test, and whoever comes over the agent's socket, may only look.
const RULES: &str = r#"[
    { callers = ["spiffe://causeway.local/agent/*", "spiffe://causeway.local/router"], methods = ["/**"] },
    { callers = ["spiffe://causeway.local/test", "unnamed"], methods = ["/causeway.v1.Generation/Describe"] },
]"#;

#[tokio::test(flavor = "multi_thread")]
async fn whoever_no_rule_lets_may_not_ask_at_any_hop() {
    let variables = vec![("CAUSEWAY_AUTHORIZE__ALLOW", RULES)];
    let house = House::start(HouseOptions { variables, ..HouseOptions::default() }).await;
    for (hop, channel) in house.hops() {
        let mut client = GenerationClient::new(channel.clone());
        let described = client.describe(DescribeRequest {}).await.expect("it may look").into_inner();
        assert_eq!(described.hop, hop);
        let asked = client.generate(text_request("Are you there?", "", 1)).await;
        let status = asked.err().unwrap_or_else(|| panic!("{hop} answers"));
        assert_eq!(status.code(), Code::PermissionDenied, "{hop}: {status}");
        assert!(status.message().contains("authorize.allow"), "{hop}: {status}");
    }
}
