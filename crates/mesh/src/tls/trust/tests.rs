//! A server that asks for no certificate, seen by clients that trust its authority, or another.

use std::convert::Infallible;
use std::sync::Arc;

use http::{Request, Response};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tonic::body::Body;
use tower::Service as _;

use super::Trust;
use crate::connect::{Channel, ConnectOptions};
use crate::tls::{Authority, IssuedPem};
use crate::transport::{Address, Memory, Transport};

async fn serve(network: &Memory, address: &Address, issued: &IssuedPem) {
    let chain = vec![CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = config.unwrap().with_no_client_auth().with_single_cert(chain, key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let mut listener = network.bind(address).await.unwrap();
    tokio::spawn(async move {
        while let Ok(io) = listener.accept().await {
            let Ok(io) = acceptor.accept(io).await else { continue };
            let answer = service_fn(|_| async { Ok::<_, Infallible>(Response::new(Body::empty())) });
            let server = http2::Builder::new(TokioExecutor::new());
            tokio::spawn(server.serve_connection(TokioIo::new(io), answer));
        }
    });
}

#[tokio::test]
async fn a_server_is_believed_if_its_authority_is() {
    let network = Arc::new(Memory::default());
    let address: Address = "127.0.0.1:8001".parse().unwrap();
    let issued = Authority::ephemeral().unwrap().issue("worker/1").unwrap();
    serve(&network, &address, &issued).await;
    let other = Authority::ephemeral().unwrap().issue("worker/1").unwrap();
    for (authority, believed) in [(&issued.authority, true), (&other.authority, false)] {
        let trust = Trust::from_pem("ca.crt", authority.as_bytes()).unwrap();
        let options = ConnectOptions::default().expecting("localhost");
        let mut channel = Channel::trusting(address.clone(), network.clone(), Some(trust), options);
        let answer = channel.call(Request::get("/apis").body(Body::empty()).unwrap()).await;
        assert_eq!(answer.as_ref().is_ok_and(|answer| answer.status() == 200), believed, "{answer:?}");
    }
}

#[test]
fn what_is_no_authority_is_said_to_be_none() {
    for (pem, problem) in [("", "CERTIFICATE"), ("-----BEGIN CERTIFICATE-----\n!\n", "ca.crt")] {
        let error = Trust::from_pem("ca.crt", pem.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(problem) && error.contains("ca.crt"), "{error}");
    }
}
