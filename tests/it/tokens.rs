//! Signed tokens at a router's real process, brought by a client that knows nothing of this project.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use causeway_tests::{Process, root};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use mesh::token::Issuer;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tonic::codegen::{Bytes, http};

/// `grpc-status` of the calls below.
const OK: &str = "0";
const PERMISSION_DENIED: &str = "7";
const UNAUTHENTICATED: &str = "16";
/// In which a change of a file is taken.
const SOON: Duration = Duration::from_secs(10);

fn claims() -> Value {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("later than 1970").as_secs();
    json!({"iss": "https://id.example", "aud": "causeway", "sub": "alice", "exp": now + 3600})
}

async fn dial(address: &str) -> SendRequest<Full<Bytes>> {
    let io = TokioIo::new(TcpStream::connect(address).await.expect("it listens"));
    let (client, connection) = handshake(TokioExecutor::new(), io).await.expect("it speaks HTTP/2");
    tokio::spawn(connection);
    client
}

/// `grpc-status` and the challenge of a call of `Describe` with these headers; nothing where the connection was lost.
async fn describe(address: &str, headers: &[(&'static str, &str)]) -> Option<(String, String)> {
    let mut request = http::Request::post(format!("http://{address}/causeway.v1.Generation/Describe"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    // A message without fields.
    let request = request.body(Full::new(Bytes::from_static(&[0; 5]))).expect("a request");
    let response = dial(address).await.send_request(request).await.ok()?;
    let (head, body) = response.into_parts();
    let trailers = body.collect().await.ok()?.trailers().cloned().unwrap_or_default();
    let said = |name: &str| {
        let value = head.headers.get(name).or_else(|| trailers.get(name));
        value.map(|value| value.to_str().expect("text").to_owned()).unwrap_or_default()
    };
    Some((said("grpc-status"), said("www-authenticate")))
}

fn publish(file: &Path, issuers: &[&Issuer]) {
    let keys: Vec<_> = issuers.iter().map(|issuer| issuer.jwk()).collect();
    fs::write(file, json!({ "keys": keys }).to_string()).expect("written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stock_client_is_let_in_by_its_token_and_the_log_holds_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let keys = folder.path().join("keys.json");
    let (first, second) = (Issuer::ephemeral("1").expect("a key"), Issuer::ephemeral("2").expect("a key"));
    publish(&keys, &[&first]);
    let policy = root().join("deploy/policies/demo.toml");
    let config = folder.path().join("config.toml");
    let text = format!(
        "[listen]\naddress = \"127.0.0.1:0\"\n[policy]\nfile = \"{}\"\n\
         [[fleet.workers]]\nname = \"none\"\ntier = \"cloud-fast\"\naddress = \"127.0.0.1:1\"\n\
         [telemetry]\nlog_filter = \"trace\"\n\
         [token]\njwks = \"{}\"\nissuer = \"https://id.example\"\naudience = \"causeway\"\nrequired = true\n",
        policy.display(),
        keys.display()
    );
    fs::write(&config, text).expect("written");
    let mut router = Process::start("causeway-router", &config, &[]);
    let line = router.wait_for("listening");
    let address = line.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next());
    let address = address.expect("the log names the address").trim_matches('"').to_owned();

    let (good, other) = (first.token(&claims()), second.token(&claims()));
    let bearer = |token: &str| format!("Bearer {token}");
    let status = async |headers: &[(&'static str, &str)]| {
        describe(&address, headers).await.map(|(status, _)| status).unwrap_or_default()
    };
    let (by_good, by_other) = (bearer(&good), bearer(&other));
    let (said, challenge) = describe(&address, &[]).await.expect("it answers");
    assert_eq!((said.as_str(), challenge.as_str()), (UNAUTHENTICATED, "Bearer realm=\"causeway\""));
    assert_eq!(status(&[("authorization", &by_good)]).await, OK);
    assert_eq!(status(&[("authorization", &by_good), ("authorization", &by_good)]).await, UNAUTHENTICATED);
    assert_eq!(
        status(&[("authorization", &by_good), ("causeway-tenant", "token/bob")]).await,
        PERMISSION_DENIED
    );
    let (said, challenge) = describe(&address, &[("authorization", &by_other)]).await.expect("it answers");
    assert_eq!(said, UNAUTHENTICATED);
    assert!(challenge.contains("invalid_token") && !challenge.contains(&other[..8]), "{challenge}");
    // Far more than a connection takes of headers: whatever becomes of it, it is no answer.
    assert_ne!(status(&[("authorization", &bearer(&"x".repeat(1 << 20)))]).await, OK);
    assert_eq!(status(&[("authorization", &by_good)]).await, OK);

    publish(&keys, &[&second]);
    let taken = async {
        while status(&[("authorization", &by_other)]).await != OK {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(SOON, taken).await.expect("the new key is taken");
    assert_eq!(status(&[("authorization", &by_good)]).await, UNAUTHENTICATED);

    assert!(router.terminate().success());
    let log = router.rest();
    assert!(log.iter().any(|line| line.contains("a call is refused for its token")), "{} lines", log.len());
    for token in [&good, &other] {
        let parts: Vec<_> = token.split('.').collect();
        // What a header says is the same in many tokens, and no secret.
        let held = log.iter().find(|line| parts[1..].iter().any(|part| line.contains(part)));
        assert!(held.is_none(), "{held:?}");
    }
}
