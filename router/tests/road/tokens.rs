//! Callers that are told apart by signed tokens.

use std::time::{Duration, SystemTime};

use mesh::token::{Bearer, Issuer, TENANT, base64url, signed_part};
use proto::v1;
use proto::v1::generation_client::GenerationClient;
use ring::hmac;
use serde_json::{Value, json};
use tonic::Code;
use tonic::metadata::MetadataMap;

use crate::road::{POLICY, Planned, Road, both, memory, policy_file, question, question_at};
use crate::worker::{Step, report};

/// An issuer that a router believes, and the file of its keys.
struct Believed {
    issuer: Issuer,
    keys: tempfile::NamedTempFile,
    /// A token of nobody in particular.
    own: tempfile::NamedTempFile,
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

fn claims(tenant: &str) -> Value {
    json!({"iss": "us", "aud": "causeway", "sub": tenant, "exp": now_s() + 600})
}

fn with(mut value: Value, key: &str, to: Value) -> Value {
    value[key] = to;
    value
}

/// A request with these `authorization` headers.
fn asked(request: v1::GenerateRequest, tokens: &[&str]) -> tonic::Request<v1::GenerateRequest> {
    let mut request = tonic::Request::new(request);
    for token in tokens {
        request.metadata_mut().append("authorization", format!("Bearer {token}").parse().unwrap());
    }
    request
}

fn challenge(metadata: &MetadataMap) -> String {
    metadata.get("www-authenticate").map(|said| said.to_str().unwrap().to_owned()).unwrap_or_default()
}

// === impl Believed ===

impl Believed {
    fn new() -> Self {
        let file = || tempfile::NamedTempFile::new().unwrap();
        let all = Self { issuer: Issuer::ephemeral("one").unwrap(), keys: file(), own: file() };
        all.publish(&[&all.issuer]);
        std::fs::write(all.own.path(), all.token("probe")).unwrap();
        all
    }

    fn publish(&self, issuers: &[&Issuer]) {
        let keys: Vec<_> = issuers.iter().map(|issuer| issuer.jwk()).collect();
        std::fs::write(self.keys.path(), json!({ "keys": keys }).to_string()).unwrap();
    }

    fn token(&self, tenant: &str) -> String {
        self.issuer.token(&claims(tenant))
    }

    /// A road whose router takes nobody without a token; its own caller is `token/probe`.
    async fn road(&self, planned: Vec<Planned<'_>>, change: impl FnOnce(&mut router::Options)) -> Road {
        let bearer = Some(Bearer::load(self.own.path()).unwrap());
        Road::lay_for((memory(), bearer), planned, |options| {
            options.token.jwks = Some(self.keys.path().to_owned());
            options.token.issuer = "us".to_owned();
            options.token.audience = "causeway".to_owned();
            options.token.class_claim = Some("class".to_owned());
            options.token.required = true;
            change(options);
        })
        .await
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_not_good_is_refused_before_anything_is_decided() {
    let believed = Believed::new();
    let mut road = believed.road(both(), |options| options.limits.in_flight_max = 1).await;
    let one = &believed.issuer;
    let by = |claims: Value| one.token(&claims);
    let headed = |header: Value| one.sign(&header, &claims("alice"));
    let unsigned = format!("{}.", signed_part(&json!({"alg": "none", "kid": "one"}), &claims("alice")));
    let signed = signed_part(&json!({"alg": "HS256", "kid": "one"}), &claims("alice"));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, one.public()), signed.as_bytes());
    let by_public_key = format!("{signed}.{}", base64url(tag.as_ref()));
    let good = believed.token("alice");
    let table = [
        ("expired", by(with(claims("alice"), "exp", json!(now_s() - 120))), "the token has expired"),
        (
            "not yet valid",
            by(with(claims("alice"), "nbf", json!(now_s() + 120))),
            "the token is not yet valid",
        ),
        ("of another issuer", by(with(claims("alice"), "iss", json!("them"))), "token.issuer"),
        ("for another", by(with(claims("alice"), "aud", json!("others"))), "token.audience"),
        ("of an unknown key", headed(json!({"alg": "EdDSA", "kid": "two"})), "key"),
        ("of a stranger", Issuer::ephemeral("one").unwrap().token(&claims("alice")), "signature"),
        ("unsigned", unsigned, "none that is understood"),
        ("signed with the public key", by_public_key, "token.algorithms"),
        ("cut off", good[..good.len() - 10].to_owned(), ""),
        ("without its end", good.rsplit_once('.').unwrap().0.to_owned(), "none that is understood"),
        ("too long", format!("{good}{}", "x".repeat(9_000)), "token.bytes_max"),
    ];
    for (name, token, expect) in &table {
        let status = road.refused(asked(question(), &[token])).await;
        assert_eq!(status.code(), Code::Unauthenticated, "{name}: {status}");
        assert!(status.message().contains(expect), "{name}: {status}");
        assert!(challenge(status.metadata()).contains("error=\"invalid_token\""), "{name}: {status:?}");
        let told = format!("{status:?}");
        assert!(!token.split('.').any(|part| !part.is_empty() && told.contains(part)), "{name}: {told}");
    }
    let status = road.refused(asked(question(), &[&good, &good])).await;
    assert_eq!(status.code(), Code::Unauthenticated);
    assert!(challenge(status.metadata()).contains("invalid_request"), "{status:?}");
    // What the connection itself has no room for does not come that far.
    let status = road.refused(asked(question(), &[&"x".repeat(1 << 20)])).await;
    assert_ne!(status.code(), Code::Ok, "{status}");
    // Nothing was decided, and nothing is held of any of them.
    assert!(road.workers.iter().all(|worker| worker.state.seen().is_empty()));
    let answer = road.ask(asked(question(), &[&good])).await.unwrap();
    assert_eq!(answer.text, "It is noon.");
}

#[tokio::test(start_paused = true)]
async fn whoever_brings_no_token_is_asked_for_one_and_probes_need_none() {
    let believed = Believed::new();
    let road = believed.road(both(), |_| {}).await;
    let mut bare = GenerationClient::new(road.channel.clone().bearing(None));
    let status = bare.generate(question()).await.unwrap_err();
    assert_eq!(
        (status.code(), challenge(status.metadata())),
        (Code::Unauthenticated, "Bearer realm=\"causeway\"".into())
    );
    assert_eq!(bare.describe(v1::DescribeRequest {}).await.unwrap_err().code(), Code::Unauthenticated);
    let mut health = tonic_health::pb::health_client::HealthClient::new(road.channel.clone().bearing(None));
    let served = health.check(tonic_health::pb::HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(served.status(), tonic_health::pb::health_check_response::ServingStatus::Serving);
}

#[tokio::test(start_paused = true)]
async fn clocks_may_differ_by_the_allowance() {
    let believed = Believed::new();
    let mut road = believed.road(both(), |options| options.token.leeway_s = 90).await;
    let at = |from: i64, until: i64| {
        let time = |seconds: i64| json!(now_s().checked_add_signed(seconds).unwrap());
        let claims = with(with(claims("alice"), "nbf", time(from)), "exp", time(until));
        believed.issuer.token(&claims)
    };
    for (from, until, expect) in
        [(60, 120, Ok(())), (-120, -60, Ok(())), (100, 200, Err(())), (-200, -91, Err(()))]
    {
        let found = road.ask(asked(question(), &[&at(from, until)])).await;
        assert_eq!(found.map(drop).map_err(drop), expect, "{from} {until}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_tenant_pays_for_itself_and_cannot_say_that_it_is_another() {
    let believed = Believed::new();
    // One answer may cost 210 millionths of a dollar, and does cost 22.
    let budget =
        "\n[[budget]]\nname = \"each\"\nper = \"tenant\"\nusd_max = 0.00023\nwindow_seconds = 31622400\n";
    let policy = policy_file(&format!("{POLICY}{budget}"));
    let script = vec![Step::Started, Step::Delta("It", &[1]), Step::Done(10, 0, 6)];
    let planned = vec![("slow/a", Some(report("small", 1000.0, 0.05)), script)];
    let mut road = believed.road(planned, |options| options.policy.file = policy.path().to_owned()).await;
    let bounded = || {
        let sampling = v1::Sampling { max_tokens: Some(100), ..v1::Sampling::default() };
        v1::GenerateRequest { sampling: Some(sampling), ..question() }
    };
    let (alice, bob) = (believed.token("alice"), believed.token("bob"));
    let as_bob = |token: &str| {
        let mut request = asked(bounded(), &[token]);
        request.metadata_mut().insert(TENANT, "token/bob".parse().unwrap());
        request
    };
    for _ in 0..3 {
        let status = road.refused(as_bob(&alice)).await;
        assert_eq!(status.code(), Code::PermissionDenied, "{status}");
    }
    road.ask(asked(bounded(), &[&alice])).await.unwrap();
    let status = road.refused(asked(bounded(), &[&alice])).await;
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains("budget each"), "{status}");
    // What alice spent, and what alice asked in bob's name, is not bob's.
    road.ask(as_bob(&bob)).await.unwrap();
    assert_eq!(road.refused(as_bob(&bob)).await.code(), Code::FailedPrecondition);
    assert_eq!(road.workers[0].state.seen().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_class_bounds_how_urgent_a_request_is() {
    let believed = Believed::new();
    let mut road = believed.road(both(), |_| {}).await;
    for (class, expect) in [("interactive", "quick/b"), ("background", "slow/a")] {
        let token = believed.issuer.token(&with(claims("alice"), "class", json!(class)));
        let answer = road.ask(asked(question_at(v1::Priority::Interactive), &[&token])).await.unwrap();
        assert_eq!(answer.place(), expect, "{class}");
    }
    let token = believed.issuer.token(&with(claims("alice"), "class", json!("royal")));
    assert_eq!(road.refused(asked(question(), &[&token])).await.code(), Code::Unauthenticated);
}

#[tokio::test(start_paused = true)]
async fn keys_are_exchanged_under_answers_that_go_on() {
    let believed = Believed::new();
    let script = vec![Step::Started, Step::Count(60, 50)];
    let planned = vec![("slow/a", Some(report("small", 1000.0, 0.05)), script)];
    let mut road = believed.road(planned, |_| {}).await;
    let (old, next) = (believed.token("alice"), Issuer::ephemeral("two").unwrap());
    let mut streams = Vec::new();
    for number in 0..4 {
        let request = v1::GenerateRequest { request_id: format!("question-{number}"), ..question() };
        streams.push(road.client.generate(asked(request, &[&old])).await.unwrap().into_inner());
    }
    road.workers[0].state.set_script(vec![Step::Started, Step::Delta("It", &[1]), Step::Done(10, 0, 1)]);
    let new = next.token(&claims("alice"));
    assert_eq!(road.refused(asked(question(), &[&new])).await.code(), Code::Unauthenticated);
    // Both for a while, then the new one alone: nobody is ever without.
    for issuers in [&[&believed.issuer, &next][..], &[&next]] {
        believed.publish(issuers);
        tokio::time::sleep(Duration::from_secs(1)).await;
        road.ask(asked(question(), &[&new])).await.unwrap();
    }
    assert_eq!(road.refused(asked(question(), &[&old])).await.code(), Code::Unauthenticated);
    for mut stream in streams {
        let mut answer = crate::road::Answer::default();
        while let Some(event) = stream.message().await.unwrap() {
            answer.take(event.event.unwrap());
        }
        assert_eq!((answer.token_ids.len(), answer.place()), (60, "slow/a"));
    }
}
