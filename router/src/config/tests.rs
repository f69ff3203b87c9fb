//! Configurations that cannot work, by the key that is wrong.

use mesh::config::{Sources, load};

use super::Options;

const WORKER: &str = "[[fleet.workers]]\nname = \"a\"\ntier = \"cloud\"\naddress = \"127.0.0.1:50061\"\n";

fn check(text: &str, expect: Result<(), &str>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("router.toml");
    std::fs::write(&path, text).unwrap();
    let loaded = load::<Options>(Sources { file: Some(&path), ..Sources::default() });
    match (loaded, expect) {
        (Ok(_), Ok(())) => {}
        (Ok(_), Err(expect)) => panic!("accepted, though {expect}"),
        (Err(error), Ok(())) => panic!("{error}"),
        (Err(error), Err(expect)) => assert!(error.to_string().contains(expect), "{error}"),
    }
}

#[test]
fn what_is_needed_is_a_policy_and_a_worker() {
    let policy = "[policy]\nfile = \"policy.toml\"\n";
    check(&format!("{policy}{WORKER}"), Ok(()));
    check(policy, Err("`fleet.workers` is empty"));
    check(WORKER, Err("`policy.file` is not set"));
}

#[test]
fn workers_can_be_looked_for() {
    let with = |more: &str| format!("[policy]\nfile = \"policy.toml\"\n[[fleet.{more}");
    let dns = "dns]]\ntier = \"cloud\"\nname = \"workers.example:50061\"\n";
    check(&with(dns), Ok(()));
    check(&with(&format!("{dns}load = \"orca\"\nregion = \"DE\"")), Ok(()));
    check(&with(&format!("{dns}load = \"xds\"")), Err("load"));
    check(&with(&format!("{dns}refresh_min_ms = 1")), Err("`fleet.dns.0.refresh_min_ms` is a flood"));
    check(&with(&format!("{dns}refresh_ms = 1000")), Err("`fleet.dns.0.refresh_ms` is less"));
    check(
        &with(&dns.replace("workers.example:50061", "unix:/run/w")),
        Err("`fleet.dns.0.name` is no DNS name"),
    );
    let kubernetes = "kubernetes]]\ntier = \"cloud\"\nservice = \"workers\"\n";
    check(&with(kubernetes), Ok(()));
    check(&with(&kubernetes.replace("workers", "a/b")), Err("`fleet.kubernetes.0.service` is no name"));
    check(&with(&format!("{kubernetes}plaintext = true")), Err("`fleet.kubernetes.0.plaintext`"));
    let local = "plaintext = true\napi = \"127.0.0.1:8001\"";
    check(&with(&format!("{kubernetes}{local}")), Ok(()));
    let crowd = "[fleet]\nworkers_max = 0\n[policy]\nfile = \"policy.toml\"\n";
    check(&format!("{crowd}{WORKER}"), Err("`fleet.workers_max`"));
}

#[test]
fn what_cannot_work_is_refused_by_its_key() {
    let with = |more: &str| format!("{more}\n[policy]\nfile = \"policy.toml\"\n{WORKER}");
    check(&with("[retry]\nattempts_max = 0"), Err("`retry.attempts_max` is zero"));
    let token = "[token]\njwks = \"keys.json\"\nissuer = \"us\"\naudience = \"causeway\"\n";
    check(&with(token), Ok(()));
    check(&with("[token]\nrequired = true"), Err("`token.required` is set, and there are no keys"));
    check(&with("[token]\njwks = \"keys.json\""), Err("`token.issuer` is empty"));
    check(&with(&format!("{token}algorithms = [\"none\"]")), Err("`token.algorithms`"));
    check(&with(&format!("{token}secret = \"x\"")), Err("secret"));
    let optional = "[tls]\ncertificate_optional = true";
    check(&with(&format!("{token}{optional}")), Err("`tls.certificate_optional` lets in callers"));
    check(&with(&format!("{token}required = true\n{optional}")), Ok(()));
    check(&with("[retry]\nbudget_percent = -1.0"), Err("`retry.budget_percent` is not from 0 to 1000"));
    check(&with("[retry]\nbudget_percent = nan"), Err("`retry.budget_percent`"));
    check(&with("[retry]\nbudget_per_second = 2000000"), Err("`retry.budget_per_second`"));
    check(&with("[retry]\nbudget_percent = 0\nbudget_per_second = 0"), Ok(()));
    check(&with("[breaker]\nfailures_max = 0"), Err("`breaker.failures_max` is zero"));
    check(&with("[breaker]\nsuccess_rate_min = 1.5"), Err("`breaker.success_rate_min`"));
    check(&with("[breaker]\nrequests_min = 0"), Err("`breaker.requests_min`"));
    check(&with("[breaker]\nwindow_ms = 0"), Err("`breaker.window_ms`"));
    check(&with("[breaker]\neject_min_ms = 0"), Err("`breaker.eject_min_ms`"));
    check(&with("[breaker]\neject_max_ms = 10"), Err("`breaker.eject_max_ms`"));
    check(&with("[breaker]\nfailures_max = 3\npenalty_ms = 0"), Ok(()));
    check(&with("[hedge]\nbudget_percent = 200"), Err("`hedge.budget_percent` is not from 0 to 100"));
    check(&with("[hedge]\ndelay_min_ms = 0"), Err("`hedge.delay_min_ms` is zero"));
    check(&with("[decisions]\nformat = \"csv\""), Err("`parquet`"));
    check(&with("[decisions]\nformat = \"both\"\nfiles_max = 1"), Err("`decisions.files_max` is 1"));
    check(&with("[decisions]\nformat = \"parquet\""), Ok(()));
    check(&with("[budgets]\nwrite_interval_ms = 0"), Err("`budgets.write_interval_ms`"));
    check(&with("[flow]\nqueue_len_max = 0"), Err("`flow.queue_len_max` is zero"));
    check(&with("[flow]\nqueue_tokens_max = 0"), Err("`flow.queue_tokens_max` is zero"));
    check(&with("[flow]\nqueue_ms_max = 0"), Err("`flow.queue_ms_max` is zero"));
    check(&with("[flow]\nquantum_tokens = 0"), Err("`flow.quantum_tokens` is zero"));
    check(&with("[flow]\nclass_share_min = 0.6"), Err("`flow.class_share_min` is not"));
    check(&with("[flow.weights]\n\"home/1\" = 0.0"), Err("`flow.weights.home/1` is not"));
    check(&with("[flow.weights]\n\"home/1\" = 2.5"), Ok(()));
    check(&with("[flow.limit]\nmin = 0"), Err("`flow.limit.min` is zero"));
    check(&with("[flow.limit]\nmax = 8"), Err("`flow.limit.initial` is not"));
    check(&with("[flow.limit]\ntolerance = 0.5"), Err("`flow.limit.tolerance` is not"));
    check(&with("[outlook]\ninterval_ms = 0"), Err("`outlook.interval_ms` is zero"));
    check(&with("[outlook]\nwatchers_max = 0"), Err("`outlook.watchers_max` is zero"));
    check(&with("[listen]\naddress = \"0.0.0.0:1\""), Err("`listen.address`"));
    check(&with("[listen]\naddress = \"0.0.0.0:1\"\ninsecure = true"), Ok(()));
    check(&with("[listen]\naddress = \"unix:/run/router.sock\""), Ok(()));
    check(&with("[connect]\nserver_name = \"a.b\""), Err("`connect.server_name`"));
    check(&with("[fleet]\nstale_after_ms = 10"), Err("`fleet.stale_after_ms`"));
    check(&with("[fleet]\nstale_afer_ms = 10"), Err("stale_after_ms"));
    check(&with(WORKER), Err("is taken by another worker of its tier"));
    check(&with(&WORKER.replace("\"a\"", "\"a/b\"")), Err("`fleet.workers.0.name` is no name"));
    check(&with(&WORKER.replace("name", "nam")), Err("nam"));
}
