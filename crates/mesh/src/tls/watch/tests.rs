//! Certificates that are exchanged while connections are open, by files as somebody else writes them.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use rustls_pki_types::UnixTime;
use score::score;
use tempfile::TempDir;
use tokio::time::sleep;
use tonic::Code;
use tower::Service as _;

use crate::connect::{Channel, ConnectOptions};
use crate::rig::{self, Running};
use crate::tls::{Authority, Identity, IssuedPem, Renewals};
use crate::transport::Memory;

/// In which a change must be in force.
const SOON: Duration = Duration::from_secs(1);

/// A process with its files and whoever watches them.
struct Party {
    folder: TempDir,
    identity: Identity,
    renewals: Renewals,
    watching: tokio::task::JoinHandle<std::convert::Infallible>,
}

impl Party {
    fn new(issued: &IssuedPem) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = issued.write(folder.path()).unwrap();
        let identity = files.load().unwrap().unwrap();
        let renewals = Renewals::default();
        let watching = tokio::spawn(files.watch(identity.clone(), renewals.clone()));
        Self { folder, identity, renewals, watching }
    }

    /// Exchanges its files, and gives them time.
    async fn becomes(&self, issued: &IssuedPem) {
        issued.write(self.folder.path()).unwrap();
        sleep(SOON).await;
    }
}

impl Drop for Party {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

struct Pair {
    network: Memory,
    server: Party,
    client: Party,
    running: Running,
}

impl Pair {
    async fn new(authority: &Authority) -> Self {
        let network = Memory::default();
        let server = Party::new(&authority.issue("worker/old").unwrap());
        let client = Party::new(&authority.issue("router/old").unwrap());
        let running = rig::start(&network, "peer:1", Some(server.identity.clone())).await;
        Self { network, server, client, running }
    }

    /// A channel that has no connection yet.
    fn channel(&self) -> Channel {
        let options = ConnectOptions::default().expecting("worker.causeway");
        let identity = Some(self.client.identity.clone());
        Channel::new(self.running.address.clone(), Arc::new(self.network.clone()), identity, options)
    }

    /// As whom the server knows the client on a new connection.
    async fn known_as(&self) -> Result<String, String> {
        let reply = rig::call(&self.channel(), rig::request("/peer", &[])).await;
        if reply.code == Code::Ok { Ok(reply.text) } else { Err(reply.message) }
    }
}

#[tokio::test(start_paused = true)]
async fn a_hundred_renewals_under_two_hundred_streams_drop_none() {
    let authority = Authority::ephemeral().unwrap();
    let pair = Pair::new(&authority).await;
    let channels: Vec<_> = (0..10).map(|_| pair.channel()).collect();
    let mut streams = Vec::new();
    for index in 0..200 {
        let mut channel = channels[index % channels.len()].clone();
        streams.push(channel.call(rig::request("/drip/100", &[])).await.unwrap());
    }
    let mut dropped = 0;
    for round in 0..100 {
        pair.server.becomes(&authority.issue(&format!("worker/{round}")).unwrap()).await;
        pair.client.becomes(&authority.issue(&format!("router/{round}")).unwrap()).await;
        let expect = format!("spiffe://causeway.local/router/{round}");
        assert_eq!(pair.known_as().await, Ok(expect));
        for stream in &mut streams {
            dropped += usize::from(stream.body_mut().frame().await.is_none_or(|frame| frame.is_err()));
        }
    }
    score!("D6", dropped == 0, "100 rotations in force within {SOON:?} under 200 streams, {dropped} dropped");
    assert_eq!(dropped, 0);
    assert_eq!((pair.server.renewals.taken(), pair.client.renewals.taken()), (100, 100));
    assert_eq!((pair.server.renewals.refused(), pair.client.renewals.refused()), (0, 0));
    assert_eq!(pair.running.counters.read().accepted, 110, "each stream is still on its first connection");
}

#[tokio::test(start_paused = true)]
async fn one_authority_takes_over_from_another_while_both_are_believed() {
    let (old, new) = (Authority::ephemeral().unwrap(), Authority::ephemeral().unwrap());
    let by = |authority: &Authority, who: &str, believed: &[&Authority]| {
        let bundle = |authority: &&Authority| authority.issue("any").unwrap().authority;
        IssuedPem { authority: believed.iter().map(bundle).collect(), ..authority.issue(who).unwrap() }
    };
    let pair = Pair::new(&old).await;
    let mut held = pair.channel().call(rig::request("/drip/100", &[])).await.unwrap();
    let both = [&old, &new];
    for (server, client) in [
        (by(&old, "worker", &both), by(&old, "router", &[&old])),
        (by(&old, "worker", &both), by(&old, "router", &both)),
        (by(&new, "worker", &both), by(&old, "router", &both)),
        (by(&new, "worker", &both), by(&new, "router", &both)),
        (by(&new, "worker", &[&new]), by(&new, "router", &[&new])),
    ] {
        pair.server.becomes(&server).await;
        pair.client.becomes(&client).await;
        pair.known_as().await.unwrap();
        assert!(held.body_mut().frame().await.unwrap().is_ok());
    }
    pair.client.becomes(&by(&old, "router", &both)).await;
    let refused = pair.known_as().await.unwrap_err();
    score!("D6", refused.contains("UnknownCA"), "another authority in 5 steps under a stream");
    assert!(refused.contains("UnknownCA"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_used_leaves_the_last_good_ones_in_force_and_is_told_once() {
    let authority = Authority::ephemeral().unwrap();
    let pair = Pair::new(&authority).await;
    let folder = pair.client.folder.path();
    let good = authority.issue("router/good").unwrap();
    let ended = authority.issue_as("router/ended", |params| {
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    let broken = [
        IssuedPem { key: authority.issue("other").unwrap().key, ..good.clone() },
        IssuedPem { certificate: good.certificate[..200].to_owned(), ..good.clone() },
        IssuedPem { certificate: String::new(), ..good.clone() },
        IssuedPem { authority: "nothing".to_owned(), ..good.clone() },
        ended.unwrap(),
    ];
    for (index, broken) in broken.iter().enumerate() {
        pair.client.becomes(broken).await;
        sleep(10 * SOON).await;
        assert_eq!(pair.client.renewals.refused(), index as u64 + 1, "each is told once");
        assert!(pair.client.renewals.is_stuck());
        assert_eq!(pair.known_as().await.as_deref(), Ok("spiffe://causeway.local/router/old"));
    }
    std::fs::remove_file(folder.join("key.pem")).unwrap();
    sleep(SOON).await;
    assert_eq!(pair.client.renewals.refused(), broken.len() as u64 + 1);
    let (told, all) = (pair.client.renewals.refused(), broken.len() as u64 + 1);
    score!("D6", told == all, "{told} of {all} broken ones ignored and told");
    pair.client.becomes(&good).await;
    assert_eq!((pair.client.renewals.taken(), pair.client.renewals.is_stuck()), (1, false));
    assert_eq!(pair.known_as().await.as_deref(), Ok("spiffe://causeway.local/router/good"));
}

#[tokio::test(start_paused = true)]
async fn a_pair_that_is_exchanged_in_two_steps_is_taken_as_one() {
    let authority = Authority::ephemeral().unwrap();
    let pair = Pair::new(&authority).await;
    let folder = tempfile::tempdir().unwrap();
    authority.issue("router/new").unwrap().write(folder.path()).unwrap();
    for file in ["certificate.pem", "key.pem"] {
        std::fs::copy(folder.path().join(file), pair.client.folder.path().join(file)).unwrap();
        sleep(Duration::from_millis(200)).await;
    }
    sleep(SOON).await;
    assert_eq!((pair.client.renewals.taken(), pair.client.renewals.refused()), (1, 0));
    assert_eq!(pair.known_as().await.as_deref(), Ok("spiffe://causeway.local/router/new"));
}

#[tokio::test(start_paused = true)]
async fn what_is_put_back_as_it_was_ends_the_alarm() {
    let authority = Authority::ephemeral().unwrap();
    let pair = Pair::new(&authority).await;
    let file = pair.client.folder.path().join("key.pem");
    let key = std::fs::read(&file).unwrap();
    std::fs::write(&file, "nothing").unwrap();
    sleep(SOON).await;
    assert!(pair.client.renewals.is_stuck());
    std::fs::write(&file, key).unwrap();
    sleep(SOON).await;
    assert_eq!((pair.client.renewals.taken(), pair.client.renewals.is_stuck()), (0, false));
}

#[tokio::test(start_paused = true)]
async fn clocks_may_differ_by_minutes_and_no_more() {
    let authority = Authority::ephemeral().unwrap();
    let pair = Pair::new(&authority).await;
    // A client whose certificate is good between so many seconds from now.
    let check = async |from: i64, to: i64, expect: Option<&str>| {
        let at = |seconds: i64| {
            let now = i64::try_from(UnixTime::now().as_secs()).unwrap() + seconds;
            rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(now.try_into().unwrap())
        };
        let issued = authority.issue_as("router", |params| {
            (params.not_before, params.not_after) = (at(from), at(to));
        });
        pair.client.identity.renew(&issued.unwrap().identity().unwrap());
        let left = pair.client.identity.expires_in_seconds().unwrap();
        assert!((left - to as f64).abs() < 5.0, "{left} s left of {to}");
        match (pair.known_as().await, expect) {
            (Ok(_), None) => {}
            (Err(said), Some(expect)) => assert!(said.contains(expect), "{said}"),
            (found, _) => panic!("{from} to {to}: {found:?}"),
        }
    };
    check(-60, 60, None).await;
    check(-3600, -240, None).await;
    check(240, 3600, None).await;
    check(-3600, -400, Some("CertificateExpired")).await;
    check(400, 3600, Some("CertificateExpired")).await;
    score!("B11", true, "certificates bear 4 minutes either way, beyond 5 the error names them");
}
