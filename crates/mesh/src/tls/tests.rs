use std::os::unix::fs::PermissionsExt as _;

use super::*;

#[test]
fn issued_certificates_name_their_peer() {
    let authority = Authority::ephemeral().unwrap();
    let identity = authority.issue("worker/2").unwrap().identity().unwrap();
    assert_eq!(identity.spiffe().as_deref(), Some("spiffe://causeway.local/worker/2"));
    let peer = Peer { spiffe: identity.spiffe(), token: None };
    assert_eq!(peer.path(), Some("worker/2"));
    assert_eq!(Peer { spiffe: Some("spiffe://elsewhere/worker/2".to_owned()), token: None }.path(), None);
    assert_eq!(
        Peer { spiffe: Some("spiffe://causeway.local.evil/worker".to_owned()), token: None }.path(),
        None
    );

    for path in ["", "/", "a//b", "Worker", "a b", "..", "a/../b", "é", &"x".repeat(64)] {
        let refused = authority.issue(path).unwrap_err();
        assert!(matches!(refused, Error::Name { .. }), "{path:?}: {refused}");
    }
}

#[test]
fn pem_that_is_wrong_is_named() {
    let authority = Authority::ephemeral().unwrap();
    let (one, two) = (authority.issue("one").unwrap(), authority.issue("two").unwrap());
    let check = |certificate: &str, key: &str, authority: &str, expect: &str| {
        let error = Identity::from_pem(certificate, key, authority).unwrap_err().to_string();
        assert!(error.starts_with(expect), "{error}");
    };
    check("", &one.key, &one.authority, "certificate: holds no CERTIFICATE block");
    check(&one.key, &one.key, &one.authority, "certificate: holds no CERTIFICATE block");
    check(&one.certificate, "", &one.authority, "key: holds no PRIVATE KEY block");
    check(&one.certificate, &one.key, "", "authority: holds no CERTIFICATE block");
    check(&one.certificate, &two.key, &one.authority, "key: ");
    let cut = &one.certificate[..one.certificate.len() / 2];
    check(cut, &one.key, &one.authority, "certificate: not valid PEM");
    let garbled = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    check(garbled, &one.key, &one.authority, "certificate: ");
    check(&one.certificate, &one.key, garbled, "authority: ");
    let garbled = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    check(&one.certificate, garbled, &one.authority, "key: ");
}

#[test]
fn files_are_loaded_together_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let files = Authority::ephemeral().unwrap().issue("one").unwrap().write(folder.path()).unwrap();
    assert!(files.load().unwrap().is_some());
    let key = files.key.clone().unwrap();
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(IdentityFiles::default().load().unwrap().is_none());
    assert!(IdentityFiles::default().invalid("tls").is_empty());

    let partial = IdentityFiles { key: None, ..files.clone() };
    assert!(partial.load().unwrap_err().to_string().starts_with("`key` is missing"));
    assert_eq!(partial.invalid("tls").iter().map(|invalid| &*invalid.key).collect::<Vec<_>>(), ["tls.key"]);

    std::fs::write(&key, "nothing").unwrap();
    let error = files.load().unwrap_err().to_string();
    assert_eq!(error, format!("{}: holds no PRIVATE KEY block", key.display()));
    std::fs::remove_file(&key).unwrap();
    assert!(files.load().unwrap_err().to_string().starts_with(&format!("{}: cannot be read", key.display())));
}
