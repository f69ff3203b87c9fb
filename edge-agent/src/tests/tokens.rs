//! The token that an agent sends, and those that its callers bring.

use std::time::Duration;

use mesh::token::Issuer;
use serde_json::json;
use tonic::Code;

use super::scene::{Around, Scene, Script, Upstream, question};

#[tokio::test(start_paused = true)]
async fn the_upstream_is_sent_the_token_of_the_file_as_it_is_now() {
    let upstream = Upstream::new(Script::Answer);
    let around = Around { upstream: Some(upstream.clone()), within: true, ..Around::default() };
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "first.of.all\n").unwrap();
    let scene =
        Scene::with(around, |options, _| options.upstream.token_file = Some(file.path().to_owned())).await;
    scene.ask(question("why is the sky blue?")).await.unwrap();
    std::fs::write(file.path(), "second.of.all\n").unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    scene.ask(question("why is the sky blue?")).await.unwrap();
    let sent = upstream.tokens.lock().unwrap().clone();
    assert_eq!(sent, ["Bearer first.of.all", "Bearer second.of.all"]);
}

#[tokio::test(start_paused = true)]
async fn a_callers_token_is_its_own_and_goes_no_further() {
    let upstream = Upstream::new(Script::Answer);
    let around = Around { upstream: Some(upstream.clone()), within: true, ..Around::default() };
    let issuer = Issuer::ephemeral("one").unwrap();
    let keys = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(keys.path(), json!({ "keys": [issuer.jwk()] }).to_string()).unwrap();
    let scene = Scene::with(around, |options, _| {
        options.token.jwks = Some(keys.path().to_owned());
        options.token.issuer = "us".to_owned();
        options.token.audience = "home".to_owned();
    })
    .await;
    let claims = json!({"iss": "us", "aud": "home", "sub": "alice", "exp": 4_102_444_800_u64});
    let ask = async |token: &str| {
        let mut request = tonic::Request::new(question("why is the sky blue?"));
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        scene.client.clone().generate(request).await.map(drop)
    };
    ask(&issuer.token(&claims)).await.unwrap();
    let wrong = Issuer::ephemeral("one").unwrap().token(&claims);
    assert_eq!(ask(&wrong).await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(upstream.tokens.lock().unwrap().clone(), [""]);
}
