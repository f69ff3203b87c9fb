use std::os::unix::fs::PermissionsExt as _;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

#[test]
fn addresses_are_read_and_written() {
    let check = |text: &str, expect: Result<Address, &str>| match (text.parse::<Address>(), expect) {
        (Ok(address), Ok(expect)) => {
            assert_eq!(address, expect);
            assert_eq!(address.to_string(), text);
            assert_eq!(serde_json::to_value(&address).unwrap(), text);
        }
        (Err(error), Err(problem)) => {
            let whole = format!("`{text}` is not an address ({problem}); write host:port or unix:/path");
            assert_eq!(error.to_string(), whole);
        }
        (found, _) => panic!("{text}: {found:?}"),
    };
    let tcp = |text: &str| Ok(Address::Tcp(text.to_owned()));
    check("127.0.0.1:50051", tcp("127.0.0.1:50051"));
    check("router.local:0", tcp("router.local:0"));
    check("[::1]:1", tcp("[::1]:1"));
    check("unix:/run/x.sock", Ok(Address::Unix("/run/x.sock".into())));
    check("unix:", Err("the path is empty"));
    check("unix:a\0b", Err("the path has a zero byte"));
    check("", Err("the port is missing"));
    check("host", Err("the port is missing"));
    check("host:", Err("the port is not a number from 0 to 65535"));
    check("host:65536", Err("the port is not a number from 0 to 65535"));
    check(":1", Err("the host is empty"));
    check("::1:1", Err("an IPv6 host needs brackets"));
    check("http://host:1", Err("an IPv6 host needs brackets"));
    check("a b:1", Err("the host has a character that no host has"));
}

#[test]
fn an_address_says_whether_others_can_call_there() {
    let check = |text: &str, local| assert_eq!(text.parse::<Address>().unwrap().is_local(), local, "{text}");
    check("127.0.0.1:1", true);
    check("127.9.9.9:1", true);
    check("[::1]:1", true);
    check("localhost:1", true);
    check("unix:a.sock", true);
    check("0.0.0.0:1", false);
    check("[::]:1", false);
    check("192.0.2.1:1", false);
    check("router.local:1", false);
    check("localhost.example:1", false);
}

async fn echo_once(transport: &dyn Transport, address: &Address) {
    let mut listener = transport.bind(address).await.unwrap();
    let bound = listener.local_address();
    let (accepted, connected) = tokio::join!(listener.accept(), transport.connect(&bound));
    let (mut there, mut here) = (accepted.unwrap(), connected.unwrap());
    here.write_all(b"ping").await.unwrap();
    let mut seen = [0; 4];
    there.read_exact(&mut seen).await.unwrap();
    assert_eq!(&seen, b"ping", "{bound}");
}

#[tokio::test]
async fn every_transport_carries_bytes() {
    let folder = tempfile::tempdir().unwrap();
    echo_once(&Os, &"127.0.0.1:0".parse().unwrap()).await;
    echo_once(&Os, &Address::Unix(folder.path().join("s"))).await;
    echo_once(&Memory::default(), &"anywhere:1".parse().unwrap()).await;
}

#[tokio::test]
async fn unix_sockets_are_private_and_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let listener = Os.bind(&Address::Unix(path.clone())).await.unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    drop(listener);
    assert!(!path.exists());
}

#[tokio::test]
async fn only_sockets_that_nobody_answers_on_are_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let address = Address::Unix(folder.path().join("s"));
    let path = folder.path().join("s");

    // What a killed process leaves: a socket's file without a listener.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let listener = Os.bind(&address).await.unwrap();

    let refused = Os.bind(&address).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);

    // A successor's file is not this listener's to remove.
    std::fs::remove_file(&path).unwrap();
    let successor = Os.bind(&address).await.unwrap();
    drop(listener);
    assert!(path.exists());
    drop(successor);

    std::fs::write(&path, "precious").unwrap();
    let refused = Os.bind(&address).await.unwrap_err();
    assert!(refused.to_string().ends_with("exists and is not a socket"), "{refused}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test]
async fn memory_refuses_what_a_network_would() {
    let network = Memory::default();
    let address: Address = "peer:1".parse().unwrap();
    let refused = network.connect(&address).await.err().map(|error| error.kind());
    assert_eq!(refused, Some(io::ErrorKind::ConnectionRefused));
    let listener = network.bind(&address).await.unwrap();
    assert_eq!(network.bind(&address).await.err().map(|error| error.kind()), Some(io::ErrorKind::AddrInUse));
    drop(listener);
    assert!(network.connect(&address).await.is_err());
    assert!(network.bind(&address).await.is_ok());
}
