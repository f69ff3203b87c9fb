use std::sync::Arc;
use std::time::Duration;

use http::Request;
use http::header::WWW_AUTHENTICATE;
use ring::hmac;
use serde_json::{Value, json};
use tonic::Code;
use tonic::body::Body;
use tower::{Layer as _, Service as _};

use super::cache::{Cache, Mark, Verified};
use super::check::Check;
use super::keys::Keys;
use super::*;
use crate::authorize::{Allow, AuthorizeLayer, AuthorizeOptions};
use crate::connect::{Channel, ConnectOptions};
use crate::rig;
use crate::tls::{Authority, IdentityFiles, Trust};
use crate::transport::{Memory, Transport as _};

/// A moment, in seconds since 1970.
const NOW: f64 = 1_800_000_000.0;

fn issuer(id: &str) -> Issuer {
    Issuer::ephemeral(id).unwrap()
}

fn claims() -> Value {
    json!({"iss": "us", "aud": "causeway", "sub": "alice", "exp": NOW as u64 + 600})
}

/// Of what is good for as long as any test runs.
fn lasting() -> Value {
    with(claims(), "exp", json!(4_102_444_800_u64))
}

fn with(mut value: Value, key: &str, to: Value) -> Value {
    value[key] = to;
    value
}

fn without(mut value: Value, key: &str) -> Value {
    value.as_object_mut().unwrap().remove(key);
    value
}

fn options(file: &tempfile::NamedTempFile) -> TokenOptions {
    TokenOptions {
        jwks: Some(file.path().to_owned()),
        issuer: "us".to_owned(),
        audience: "causeway".to_owned(),
        ..TokenOptions::default()
    }
}

fn write(file: &tempfile::NamedTempFile, keys: &[Value]) {
    std::fs::write(file.path(), json!({ "keys": keys }).to_string()).unwrap();
}

fn keys(file: &tempfile::NamedTempFile) -> Keys {
    Keys::load(file.path(), 16, Arc::default()).unwrap()
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

#[test]
fn only_a_token_that_is_signed_in_force_and_meant_for_us_names_a_tenant() {
    let (one, other, stranger) = (issuer("one"), issuer("other"), issuer("one"));
    let file = tempfile::NamedTempFile::new().unwrap();
    let secret = json!({"kty": "oct", "kid": "secret", "k": base64url(b"a secret that everybody knows")});
    let encrypts = with(with(other.jwk(), "kid", json!("encrypts")), "use", json!("enc"));
    let exchanges = with(with(other.jwk(), "kid", json!("exchanges")), "crv", json!("X25519"));
    write(&file, &[one.jwk(), other.jwk(), secret, encrypts, exchanges]);
    let (keys, options) = (keys(&file), options(&file));
    let check = |token: &str, expect: Result<&str, Refusal>| {
        let found = Check::new(&options).judge(token, &keys.now(), NOW);
        assert_eq!(found.as_ref().map(|token| token.tenant.as_str()).map_err(|refusal| *refusal), expect);
    };
    let by = |header: Value| one.sign(&header, &claims());
    check(&one.token(&claims()), Ok("token/alice"));
    check(&other.token(&claims()), Ok("token/alice"));
    let long = "home-7/alice@example.org";
    check(&one.token(&with(claims(), "sub", json!(long))), Ok("token/home-7/alice@example.org"));
    // Whose and for whom.
    check(&one.token(&with(claims(), "iss", json!("them"))), Err(Refusal::Issuer));
    check(&one.token(&without(claims(), "iss")), Err(Refusal::Issuer));
    check(&one.token(&with(claims(), "aud", json!("others"))), Err(Refusal::Audience));
    check(&one.token(&with(claims(), "aud", json!(["others", "causeway"]))), Ok("token/alice"));
    check(&one.token(&without(claims(), "aud")), Err(Refusal::Audience));
    // Who signed.
    check(&stranger.token(&claims()), Err(Refusal::Signature));
    check(&by(json!({"alg": "EdDSA", "kid": "other"})), Err(Refusal::Signature));
    for kid in ["third", "secret", "encrypts", "exchanges"] {
        check(&by(json!({"alg": "EdDSA", "kid": kid})), Err(Refusal::UnknownKey));
    }
    check(&by(json!({"alg": "EdDSA"})), Err(Refusal::UnknownKey));
    check(&by(json!({"alg": "ES256", "kid": "one"})), Err(Refusal::UnknownKey));
    // How: not at all, with a secret that everybody can read, in ways that are not believed.
    for none in ["none", "None", "NONE"] {
        let unsigned = signed_part(&json!({"alg": none, "kid": "one"}), &claims());
        check(&format!("{unsigned}."), Err(Refusal::Malformed));
    }
    let public = json!({ "keys": [one.jwk()] }).to_string();
    for secret in [one.public(), public.as_bytes(), base64url(one.public()).as_bytes()] {
        let signed = signed_part(&json!({"alg": "HS256", "kid": "one"}), &claims());
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
        check(&format!("{signed}.{}", base64url(tag.as_ref())), Err(Refusal::Algorithm));
    }
    for alg in ["RS256", "PS256", "ES384"] {
        check(&by(json!({"alg": alg, "kid": "one"})), Err(Refusal::Algorithm));
    }
    check(&by(json!({"alg": "EdDSA", "kid": "one", "crit": ["b64"], "b64": false})), Err(Refusal::Malformed));
    // A key that the token brings itself is nobody's.
    let own = json!({"alg": "EdDSA", "kid": "one", "jwk": stranger.jwk()});
    check(&stranger.sign(&own, &claims()), Err(Refusal::Signature));
    // Names that are none.
    for sub in ["", "..", "a/../b", "/a", "a/", "a b", "a\r\nx: y", "é", &"x".repeat(200)] {
        check(&one.token(&with(claims(), "sub", json!(sub))), Err(Refusal::Claim));
    }
    check(&one.token(&with(claims(), "sub", json!(7))), Err(Refusal::Claim));
    check(&one.token(&without(claims(), "sub")), Err(Refusal::Claim));
    // What is no token.
    let good = one.token(&claims());
    for broken in ["", ".", "..", "a.b.c", "....", "Bearer a.b.c", &format!("{good}.x"), &good[3..]] {
        check(broken, Err(Refusal::Malformed));
    }
    check(&good[..good.len() - 6], Err(Refusal::Signature));
    check(&format!("{good}{}", "x".repeat(8192)), Err(Refusal::TooLong));
}

#[test]
fn times_hold_give_or_take_the_allowance_for_clocks() {
    let one = issuer("one");
    let file = tempfile::NamedTempFile::new().unwrap();
    write(&file, &[one.jwk()]);
    let token = with(claims(), "nbf", json!(NOW as u64));
    let token = one.token(&with(token, "exp", json!(NOW + 100.5)));
    // As long as it is remembered, and without being.
    for cache_max in [0, 16] {
        let options = TokenOptions { cache_max, leeway_s: 30, ..options(&file) };
        let keys = Keys::load(file.path(), cache_max, Arc::default()).unwrap();
        let at = |seconds: f64| Check::new(&options).judge(&token, &keys.now(), NOW + seconds).map(drop);
        assert_eq!(at(-31.0), Err(Refusal::NotYetValid));
        assert_eq!((at(-29.0), at(0.0), at(130.0)), (Ok(()), Ok(()), Ok(())));
        assert_eq!(at(131.0), Err(Refusal::Expired));
        assert_eq!(at(-31.0), Err(Refusal::NotYetValid));
        assert_eq!((at(1e12), at(-1e12)), (Err(Refusal::Expired), Err(Refusal::NotYetValid)));
    }
    let (keys, options) = (keys(&file), options(&file));
    for (name, value) in
        [("exp", json!("soon")), ("exp", json!(null)), ("nbf", json!([1])), ("exp", json!(-5))]
    {
        let found = Check::new(&options).judge(&one.token(&with(claims(), name, value)), &keys.now(), NOW);
        assert!(found.is_err(), "{name}");
    }
    let found = Check::new(&options).judge(&one.token(&without(claims(), "exp")), &keys.now(), NOW);
    assert_eq!(found.map(drop), Err(Refusal::Claim));
}

#[test]
fn tokens_that_others_signed_are_believed_by_their_algorithm_only() {
    // Made by another implementation.
    let foreign: Value = serde_json::from_str(include_str!("foreign.json")).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    write(&file, foreign["keys"].as_array().unwrap());
    // Nothing is remembered: each is judged anew, by other options.
    let keys = Keys::load(file.path(), 0, Arc::default()).unwrap();
    for (algorithm, token) in foreign["tokens"].as_object().unwrap() {
        let token = token.as_str().unwrap();
        let judged = |algorithms: &[&str]| {
            let algorithms = algorithms.iter().map(|&name| name.to_owned()).collect();
            let options = TokenOptions { algorithms, ..options(&file) };
            Check::new(&options).judge(token, &keys.now(), NOW).map(|token| token.tenant.clone())
        };
        let all = ALGORITHMS.map(|(name, _)| name);
        assert_eq!(judged(&all), Ok("token/alice".to_owned()), "{algorithm}");
        let others: Vec<_> = all.into_iter().filter(|name| name != algorithm).collect();
        assert_eq!(judged(&others), Err(Refusal::Algorithm), "{algorithm}");
        // A bit of the claims, and a bit of the signature.
        for at in [token.find('.').unwrap() + 20, token.len() - 20] {
            let mut changed = token.as_bytes().to_vec();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let options = TokenOptions { algorithms: all.map(str::to_owned).to_vec(), ..options(&file) };
            let found = Check::new(&options).judge(str::from_utf8(&changed).unwrap(), &keys.now(), NOW);
            assert_eq!(found.map(drop), Err(Refusal::Signature), "{algorithm}");
        }
    }
}

#[test]
fn class_and_roles_are_read_where_the_configuration_says() {
    let one = issuer("one");
    let file = tempfile::NamedTempFile::new().unwrap();
    write(&file, &[one.jwk()]);
    let (keys, options) = (
        keys(&file),
        TokenOptions {
            tenant_claim: "/home/name".to_owned(),
            tenant_prefix: String::new(),
            class_claim: Some("https://example.org/class".to_owned()),
            roles_claim: Some("/access/roles".to_owned()),
            ..options(&file)
        },
    );
    let check = |class: Value, roles: Value, expect: Result<(Option<Class>, &[&str]), Refusal>| {
        let all = with(claims(), "home", json!({"name": "home-7"}));
        let all = with(with(all, "https://example.org/class", class), "access", json!({ "roles": roles }));
        let found = Check::new(&options).judge(&one.token(&all), &keys.now(), NOW);
        let found = found.map(|token| (token.tenant.clone(), token.class, token.roles.clone()));
        let named = |roles: &[&str]| roles.iter().map(|&role| role.to_owned()).collect::<Vec<_>>();
        assert_eq!(found, expect.map(|(class, roles)| ("home-7".to_owned(), class, named(roles))));
    };
    check(
        json!("normal"),
        json!(["admin", "two words", 7, "user"]),
        Ok((Some(Class::Normal), &["admin", "user"])),
    );
    check(json!("background"), json!("ask feedback"), Ok((Some(Class::Background), &["ask", "feedback"])));
    check(json!("urgent"), json!([]), Err(Refusal::Claim));
    check(json!(null), json!([]), Err(Refusal::Claim));
    check(json!("interactive"), json!({"admin": true}), Err(Refusal::Claim));
    check(json!("interactive"), json!(vec!["a"; 65]), Err(Refusal::Claim));
}

#[test]
fn what_is_remembered_has_a_bound_and_what_is_used_stays() {
    let (cache, mark) = (Cache::new(8), |number: u32| Mark::of(&number.to_string()));
    let token = Arc::new(Token { tenant: "a".to_owned(), class: None, roles: Vec::new() });
    let verified = Verified { token, from_s: 0.0, until_s: 1.0 };
    for number in 0..1000 {
        cache.put(mark(number), verified.clone());
        assert!(cache.len() <= 8);
        assert!(cache.get(&mark(number)).is_some() && cache.get(&mark(0)).is_some(), "{number}");
    }
    assert!(cache.get(&mark(500)).is_none());
    cache.forget(&mark(0));
    assert!(cache.get(&mark(0)).is_none());
    let none = Cache::new(0);
    none.put(mark(0), verified);
    assert_eq!(none.len(), 0);
}

/// A call with these headers, of which there may be several alike, and what was said of it beside its status.
async fn ask(channel: &Channel, headers: &[(&'static str, &str)]) -> (rig::Reply, String) {
    let mut request = Request::post("/tenant").body(Body::empty()).unwrap();
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    let response = channel.clone().call(request).await.unwrap();
    let challenge = response.headers().get(WWW_AUTHENTICATE).map(|said| said.to_str().unwrap().to_owned());
    (rig::read(response).await, challenge.unwrap_or_default())
}

#[tokio::test(start_paused = true)]
async fn a_call_has_the_tenant_of_its_token_and_keys_are_exchanged_while_it_runs() {
    let (old, new) = (issuer("old"), issuer("new"));
    let file = tempfile::NamedTempFile::new().unwrap();
    write(&file, &[old.jwk()]);
    let layer = TokenLayer::load(&TokenOptions { required: true, ..options(&file) }).unwrap();
    let (_running, channel) = rig::memory_server(layer.clone().layer(rig::service())).await;
    let (by_old, by_new) = (bearer(&old.token(&lasting())), bearer(&new.token(&lasting())));
    let tenant = async |said: &str| {
        let (reply, _) = ask(&channel, &[("authorization", said)]).await;
        (reply.code, reply.text)
    };
    let alice = (Code::Ok, "token/alice".to_owned());
    let nobody = (Code::Unauthenticated, String::new());
    assert_eq!((tenant(&by_old).await, tenant(&by_new).await), (alice.clone(), nobody.clone()));
    assert_eq!(tenant(&by_old.replace("Bearer ", "bearer  ")).await, alice);

    let soon = || tokio::time::sleep(Duration::from_secs(1));
    write(&file, &[old.jwk(), new.jwk()]);
    soon().await;
    assert_eq!((tenant(&by_old).await, tenant(&by_new).await), (alice.clone(), alice.clone()));
    write(&file, &[]);
    soon().await;
    assert_eq!(tenant(&by_old).await, alice);
    write(&file, &[new.jwk()]);
    soon().await;
    assert_eq!((tenant(&by_old).await, tenant(&by_new).await), (nobody, alice));
    assert_eq!((layer.refused(Refusal::UnknownKey), layer.refused(Refusal::Expired)), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_what_to_do_and_nothing_of_the_token() {
    let one = issuer("one");
    let file = tempfile::NamedTempFile::new().unwrap();
    write(&file, &[one.jwk()]);
    let layer = TokenLayer::load(&TokenOptions { required: true, ..options(&file) }).unwrap();
    let (_running, channel) = rig::memory_server(layer.clone().layer(rig::service())).await;
    let check = async |headers: &[(&'static str, &str)], code: Code, refusal: Refusal, challenge: &str| {
        let before = layer.refused(refusal);
        let (reply, challenged) = ask(&channel, headers).await;
        assert_eq!((reply.code, layer.refused(refusal)), (code, before + 1), "{}", reply.message);
        assert_eq!(reply.message, refusal.to_string());
        assert_eq!(challenged, challenge);
        for (_, value) in headers.iter().filter(|(_, value)| value.len() > 20) {
            let token = value.rsplit(' ').next().unwrap();
            let told = |part: &str| !part.is_empty() && format!("{reply:?}{challenged}").contains(part);
            assert!(!token.split('.').any(told), "{reply:?}");
        }
    };
    let (good, wrong) = (bearer(&one.token(&lasting())), bearer(&issuer("one").token(&lasting())));
    let no = Code::Unauthenticated;
    check(&[], no, Refusal::Missing, "Bearer realm=\"causeway\"").await;
    let said = "Bearer realm=\"causeway\", error=\"invalid_token\", error_description=\"the token's signature is wrong\"";
    check(&[("authorization", &wrong)], no, Refusal::Signature, said).await;
    let said = "Bearer realm=\"causeway\", error=\"invalid_request\", error_description=\"there are several authorization headers; bring one\"";
    check(&[("authorization", &good), ("authorization", &good)], no, Refusal::Several, said).await;
    let said = "Bearer realm=\"causeway\", error=\"invalid_request\", error_description=\"authorization is not of the scheme Bearer\"";
    for other in ["Basic YTpi", "Bearer", good.trim_start_matches("Bearer ")] {
        check(&[("authorization", other)], no, Refusal::Scheme, said).await;
    }
    // Whom it says that it is gives it nothing, and is refused where it is somebody else.
    check(&[(TENANT, "token/alice")], no, Refusal::Missing, "Bearer realm=\"causeway\"").await;
    let denied = Code::PermissionDenied;
    check(&[("authorization", &good), (TENANT, "token/bob")], denied, Refusal::OtherTenant, "").await;
    let both = [("authorization", good.as_str()), (TENANT, "token/alice"), (TENANT, "token/bob")];
    check(&both, denied, Refusal::OtherTenant, "").await;
    let (reply, _) = ask(&channel, &both[..2]).await;
    assert_eq!((reply.code, reply.text.as_str()), (Code::Ok, "token/alice"));
    // A probe has no token.
    let reply = rig::call(&channel, rig::request("/grpc.health.v1.Health/Check", &[])).await;
    assert_eq!(reply.code, Code::Unimplemented, "the service behind has none");
}

#[tokio::test(start_paused = true)]
async fn a_token_is_honoured_beside_a_certificate_and_rules_may_name_what_it_says() {
    let (authority, one) = (Authority::ephemeral().unwrap(), issuer("one"));
    let file = tempfile::NamedTempFile::new().unwrap();
    write(&file, &[one.jwk()]);
    let allow = |callers: &[&str]| Allow {
        callers: callers.iter().map(|&caller| caller.to_owned()).collect(),
        methods: vec!["/tenant".to_owned()],
    };
    let check = async |callers: &[&str], who: &str, token: Option<&str>, expect: Result<&str, Code>| {
        let options = TokenOptions { roles_claim: Some("roles".to_owned()), ..options(&file) };
        let rules = AuthorizeOptions { allow: vec![allow(callers)] };
        assert!(rules.invalid("authorize").is_empty());
        let stack =
            TokenLayer::load(&options).unwrap().layer(AuthorizeLayer::new(&rules).layer(rig::service()));
        let network = Arc::new(Memory::default());
        let listener = network.bind(&"peer:1".parse().unwrap()).await.unwrap();
        let identity = |who: &str| Some(authority.issue(who).unwrap().identity().unwrap());
        let running = rig::run(crate::serve::ServeOptions::default(), listener, identity("router"), stack);
        let connect = ConnectOptions::default().expecting("router.causeway");
        let channel = Channel::new(running.address.clone(), network, identity(who), connect);
        let headers: Vec<_> = token.into_iter().map(|token| ("authorization", token)).collect();
        let (reply, _) = ask(&channel, &headers).await;
        let found = if reply.code == Code::Ok { Ok(reply.text.as_str()) } else { Err(reply.code) };
        assert_eq!(found, expect, "{callers:?} {who}: {}", reply.message);
    };
    let admin = bearer(&one.token(&with(lasting(), "roles", json!("admin user"))));
    let wrong = bearer(&issuer("one").token(&lasting()));
    let agents = "spiffe://causeway.local/agent/*";
    check(&[agents], "agent/a", None, Ok("agent/a")).await;
    check(&[agents], "agent/a", Some(&admin), Ok("token/alice")).await;
    check(&[agents], "agent/a", Some(&wrong), Err(Code::Unauthenticated)).await;
    check(&[agents], "other", Some(&admin), Err(Code::PermissionDenied)).await;
    check(&["role:admin"], "other", Some(&admin), Ok("token/alice")).await;
    check(&["role:root", "tenant:token/*"], "other", Some(&admin), Ok("token/alice")).await;
    check(&["role:root", "tenant:token/b*"], "other", Some(&admin), Err(Code::PermissionDenied)).await;
    check(&["role:admin"], "other", None, Err(Code::PermissionDenied)).await;
    check(&["role:admin", "unnamed"], "other", Some(&wrong), Err(Code::Unauthenticated)).await;
}

#[tokio::test(start_paused = true)]
async fn a_token_is_sent_from_its_file_and_never_where_others_could_read_it() {
    let one = issuer("one");
    let (file, secret) = (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
    write(&file, &[one.jwk()]);
    let layer = TokenLayer::load(&TokenOptions { required: true, ..options(&file) }).unwrap();
    let token = |tenant: &str| one.token(&with(lasting(), "sub", json!(tenant)));
    std::fs::write(secret.path(), format!("{}\n", token("alice"))).unwrap();
    let bearer = Bearer::load(secret.path()).unwrap();
    assert!(!format!("{bearer:?}").contains(&token("alice")[..10]), "{bearer:?}");

    let network = Arc::new(Memory::default());
    let to = async |address: &str| {
        let listener = network.bind(&address.parse().unwrap()).await.unwrap();
        let options = crate::serve::ServeOptions::default();
        let running = rig::run(options, listener, None, layer.clone().layer(rig::service()));
        let channel = rig::channel(&running.address, network.clone()).bearing(Some(bearer.clone()));
        (running, channel)
    };
    let (_here, here) = to("localhost:1").await;
    let tenant = async || ask(&here, &[]).await.0.text;
    assert_eq!(tenant().await, "token/alice");
    let soon = || tokio::time::sleep(Duration::from_secs(1));
    for kept in ["", "two words", "\u{e9}"] {
        std::fs::write(secret.path(), kept).unwrap();
        soon().await;
        assert_eq!(tenant().await, "token/alice");
    }
    std::fs::write(secret.path(), token("bob")).unwrap();
    soon().await;
    assert_eq!(tenant().await, "token/bob");
    let own = format!("Bearer {}", token("carol"));
    assert_eq!(ask(&here, &[("authorization", &own)]).await.0.text, "token/carol");

    let (_there, there) = to("router.example:1").await;
    let reply = rig::call(&there, rig::request("/tenant", &[])).await;
    assert_eq!(reply.code, Code::FailedPrecondition, "{}", reply.message);
    assert_eq!(layer.refused(Refusal::Missing), 0, "nothing was sent");
    let missing = Bearer::load("/nowhere/token".as_ref()).unwrap_err().to_string();
    assert!(missing.starts_with("/nowhere/token: ") && missing.contains("upstream.token_file"), "{missing}");
}

#[test]
fn what_would_believe_too_much_is_refused_by_key() {
    let check = |change: fn(&mut TokenOptions), expect: &[&str]| {
        let mut options = TokenOptions {
            jwks: Some("keys.json".into()),
            issuer: "us".to_owned(),
            audience: "causeway".to_owned(),
            ..TokenOptions::default()
        };
        change(&mut options);
        let keys: Vec<_> = options.invalid("token").into_iter().map(|invalid| invalid.key).collect();
        assert_eq!(keys, expect.iter().map(|key| format!("token.{key}")).collect::<Vec<_>>());
    };
    check(|_| {}, &[]);
    check(|options| *options = TokenOptions::default(), &[]);
    check(|options| options.issuer.clear(), &["issuer"]);
    check(|options| options.audience.clear(), &["audience"]);
    for algorithm in ["none", "HS256", "eddsa", ""] {
        let options = TokenOptions { algorithms: vec![algorithm.to_owned()], ..TokenOptions::default() };
        assert_eq!(options.invalid("token")[0].key, "token.algorithms");
    }
    check(|options| options.algorithms.clear(), &["algorithms"]);
    check(|options| options.leeway_s = 301, &["leeway_s"]);
    check(|options| options.bytes_max = 1 << 20, &["bytes_max"]);
    check(|options| options.cache_max = usize::MAX, &["cache_max"]);
    check(|options| options.class_claim = Some(String::new()), &["class_claim"]);
    check(|options| options.roles_claim = Some(String::new()), &["roles_claim"]);
    check(|options| options.tenant_claim.clear(), &["tenant_claim"]);
    check(|options| options.tenant_prefix = "../".to_owned(), &["tenant_prefix"]);
    check(|options| (options.jwks, options.required) = (None, true), &["required"]);
    let load = |text: &str| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        TokenLayer::load(&options(&file)).unwrap_err().to_string()
    };
    let secret = "{\"keys\": \"a secret that was put here\"}";
    for text in ["", secret, "{\"keys\": []}", "{\"keys\": [{\"kty\": \"oct\", \"k\": \"c2VjcmV0\"}]}"] {
        let said = load(text);
        assert!(
            said.contains("token.jwks") && !said.contains("a secret") && !said.contains("c2Vj"),
            "{said}"
        );
    }
    let nowhere = TokenOptions { jwks: Some("/nowhere.json".into()), ..TokenOptions::default() };
    assert!(TokenLayer::load(&nowhere).unwrap_err().to_string().starts_with("/nowhere.json: "));
}

#[tokio::test(start_paused = true)]
async fn where_a_certificate_is_optional_a_token_is_enough_and_nothing_less_is() {
    let (authority, one) = (Authority::ephemeral().unwrap(), issuer("one"));
    let (file, folder) = (tempfile::NamedTempFile::new().unwrap(), tempfile::tempdir().unwrap());
    write(&file, &[one.jwk()]);
    let files = authority.issue("router").unwrap().write(folder.path()).unwrap();
    let trust = || Trust::from_file(files.authority.as_deref().unwrap()).unwrap();
    let good = bearer(&one.token(&lasting()));
    let check = async |optional: bool, token: Option<&str>, expect: Result<&str, Code>| {
        let files = IdentityFiles { certificate_optional: optional, ..files.clone() };
        let identity = files.load().unwrap();
        let layer = TokenLayer::load(&TokenOptions { required: true, ..options(&file) }).unwrap();
        let network = Arc::new(Memory::default());
        let listener = network.bind(&"peer:1".parse().unwrap()).await.unwrap();
        let stack = layer.layer(rig::service());
        let running = rig::run(crate::serve::ServeOptions::default(), listener, identity, stack);
        let connect = ConnectOptions::default().expecting("router.causeway");
        let channel = Channel::trusting(running.address.clone(), network, Some(trust()), connect);
        let headers: Vec<_> = token.into_iter().map(|token| ("authorization", token)).collect();
        let reply = rig::call(&channel, rig::request("/tenant", &headers)).await;
        let found = if reply.code == Code::Ok { Ok(reply.text.as_str()) } else { Err(reply.code) };
        assert_eq!(found, expect, "{optional}: {}", reply.message);
    };
    check(true, Some(&good), Ok("token/alice")).await;
    check(true, None, Err(Code::Unauthenticated)).await;
    check(false, Some(&good), Err(Code::Unavailable)).await;
    let open = IdentityFiles { certificate_optional: true, ..files.clone() };
    assert_eq!(open.unguarded("tls", false).unwrap().key, "tls.certificate_optional");
    assert!(open.unguarded("tls", true).is_none() && files.unguarded("tls", false).is_none());
}
