use super::*;

#[test]
fn trailers_carry_code_and_message() {
    let trailers = trailers(&Status::internal("ärger"));
    assert_eq!(trailers["grpc-status"], "13");
    assert_eq!(trailers["grpc-message"], "%C3%A4rger");
    let read = Status::from_header_map(&trailers).unwrap();
    assert_eq!((read.code(), read.message()), (Code::Internal, "ärger"));
}

#[test]
fn chains_tell_each_cause_once() {
    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Link {
        text: &'static str,
        source: Option<Box<Link>>,
    }
    let link = |text, source: Option<Link>| Link { text, source: source.map(Box::new) };
    let check = |error: Link, expect: &str| assert_eq!(chain(&error), expect);
    check(link("a", None), "a");
    check(link("a", Some(link("b", Some(link("c", None))))), "a: b: c");
    check(link("a: b", Some(link("b", None))), "a: b");
    check(link("a: b; do c", Some(link("b", None))), "a: b; do c");
}
