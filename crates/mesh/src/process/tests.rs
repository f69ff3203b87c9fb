use super::*;
use crate::transport::Address;

#[test]
fn plaintext_is_refused_where_others_can_listen() {
    let check = |address: &str, certificate: Option<&str>, refused: bool| {
        let address: Address = address.parse().expect("an address");
        let tls = IdentityFiles { certificate: certificate.map(PathBuf::from), ..IdentityFiles::default() };
        assert_eq!(!Listen::at(address.clone()).invalid("listen", &tls).is_empty(), refused, "{address}");
    };
    check("127.0.0.1:1", None, false);
    check("[::1]:1", None, false);
    check("localhost:1", None, false);
    check("unix:/tmp/a", None, false);
    check("0.0.0.0:1", None, true);
    check("router.local:1", None, true);
    check("0.0.0.0:1", Some("a.pem"), false);
}

#[test]
fn an_assignment_names_its_key() {
    assert_eq!(assignment("a.b=c=d"), Ok(("a.b".to_owned(), "c=d".to_owned())));
    assert!(assignment("a.b").is_err());
}

#[test]
fn limits_that_allow_nothing_are_refused_by_key() {
    let limits =
        Limits { output_tokens_default: 0, deadline_default_ms: 9, deadline_max_ms: 8, ..Limits::default() };
    let keys: Vec<String> = limits.invalid("limits").into_iter().map(|invalid| invalid.key).collect();
    assert_eq!(keys, ["limits.output_tokens_default", "limits.deadline_default_ms"]);
}
