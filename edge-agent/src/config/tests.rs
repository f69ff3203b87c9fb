//! What makes a configuration unusable.

use mesh::config::Configure as _;
use mesh::journal::JournalFormat;

use super::Options;

fn check(change: impl FnOnce(&mut Options), expect: &str) {
    let mut options = Options::default();
    options.policy.file = "policy.toml".into();
    change(&mut options);
    let found = options.validate().err().unwrap_or_default();
    let keys: Vec<_> = found.iter().map(|invalid| invalid.key.as_str()).collect();
    assert_eq!(keys.join(" "), expect);
}

#[test]
fn what_cannot_work_is_refused_by_its_key() {
    check(|_| {}, "");
    check(|options| options.policy.file = "".into(), "policy.file");
    check(|options| options.listen.address = "0.0.0.0:50050".parse().unwrap(), "listen.address");
    check(|options| options.retry.attempts_max = 0, "retry.attempts_max");
    check(|options| options.budgets.accounts_max = 0, "budgets.accounts_max");
    check(|options| options.decisions.format = JournalFormat::Both, "decisions.format");
    check(|options| options.model.tier.clear(), "model.tier");
    check(|options| options.model.path = Some("".into()), "model.path");
    check(|options| options.home.file = Some("".into()), "home.file");
    check(|options| options.upstream.outlook_interval_ms = 0, "upstream.outlook_interval_ms");
    check(|options| options.upstream.stale_after_ms = 999, "upstream.stale_after_ms");
    check(|options| options.upstream.server_name.clear(), "upstream.server_name");
    let other = || "127.0.0.1:1".parse().unwrap();
    check(|options| options.upstream.alternatives = vec![other()], "upstream.alternatives");
    check(
        |options| {
            options.upstream.address = Some(other());
            options.upstream.alternatives = vec![other()];
        },
        "upstream.alternatives",
    );
    let token = || Some("token".into());
    check(|options| options.upstream.token_file = token(), "upstream.token_file");
    let to = |address: &str, options: &mut Options| {
        options.upstream.address = Some(address.parse().unwrap());
        options.upstream.token_file = token();
    };
    check(|options| to("127.0.0.1:1", options), "");
    check(|options| to("router.example:1", options), "upstream.token_file");
    check(|options| options.token.required = true, "token.required");
    check(|options| options.upstream.throttle.factor = 0.9, "upstream.throttle.factor");
    check(|options| options.upstream.throttle.window_ms = 0, "upstream.throttle.window_ms");
    check(|options| options.connect.server_name = Some("other".to_owned()), "connect.server_name");
}
