//! Who shares what is computed with whom.

use std::sync::atomic::AtomicU64;

use mesh::tls::{Peer, TRUST_DOMAIN};
use proto::v1::{CacheUse, GenerateRequest};
use tonic::Request;

use super::tenant;
use crate::config::Sharing;

fn request(caller: &str, conversation_id: &str, request_id: &str) -> Request<GenerateRequest> {
    let (conversation_id, request_id) = (conversation_id.to_owned(), request_id.to_owned());
    let mut request = Request::new(GenerateRequest { conversation_id, request_id, ..Default::default() });
    let spiffe = Some(format!("spiffe://{TRUST_DOMAIN}/{caller}")).filter(|_| !caller.is_empty());
    request.extensions_mut().insert(Peer { spiffe, ..Peer::default() });
    request
}

#[test]
fn only_what_the_setting_names_is_shared() {
    let unnamed = AtomicU64::default();
    let shared = |sharing, [left, right]: [[&str; 3]; 2]| {
        let of = |[caller, talk, id]: [&str; 3]| tenant(sharing, &request(caller, talk, id), &unnamed);
        of(left) == of(right)
    };
    // The caller, the conversation, the request; whether they share by conversation and by caller.
    let cases = [
        ([["router/1", "talk", "a"], ["router/1", "talk", "b"]], true, true),
        ([["router/1", "talk", "a"], ["router/1", "other", "a"]], false, true),
        ([["router/1", "talk", "a"], ["router/2", "talk", "a"]], false, false),
        ([["router/1", "", "a"], ["router/1", "", "a"]], true, true),
        ([["router/1", "", "a"], ["router/1", "", "b"]], false, true),
        ([["router/1", "a", ""], ["router/1", "", "a"]], false, true),
        ([["router/1", "", ""], ["router/1", "", ""]], false, true),
        ([["router/1", "2", ""], ["router/12", "", ""]], false, false),
        ([["", "talk", ""], ["router/1", "talk", ""]], false, false),
    ];
    for (both, by_conversation, by_caller) in cases {
        assert_eq!(shared(Sharing::Conversation, both), by_conversation, "{both:?}");
        assert_eq!(shared(Sharing::Caller, both), by_caller, "{both:?}");
        assert!(shared(Sharing::Everyone, both));
    }
}

#[test]
fn a_salt_parts_those_whom_one_caller_asks_for() {
    let unnamed = AtomicU64::default();
    let of = |sharing, (caller, talk, salt): (&str, &str, &str)| {
        let mut request = request(caller, talk, "");
        request.get_mut().cache = Some(CacheUse { salt: salt.to_owned(), blocks_wanted: false });
        tenant(sharing, &request, &unnamed)
    };
    for sharing in [Sharing::Conversation, Sharing::Caller] {
        let shared = |left, right| of(sharing, left) == of(sharing, right);
        assert!(shared(("router/1", "talk", "a"), ("router/1", "talk", "a")));
        assert!(!shared(("router/1", "talk", "a"), ("router/1", "talk", "b")));
        assert!(!shared(("router/1", "talk", "a"), ("router/1", "talk", "")));
        assert!(!shared(("router/1", "talk", "a"), ("router/2", "talk", "a")));
        // Neither can pass for the other's end.
        assert!(!shared(("router/1", "alk", "t"), ("router/1", "talk", "")));
        assert!(!shared(("router/1", "talk", "2"), ("router/12", "talk", "")));
    }
    assert_eq!(of(Sharing::Everyone, ("router/1", "talk", "a")), "");
}
