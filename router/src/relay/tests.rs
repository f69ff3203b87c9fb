//! What is passed on is what came: read in place or in full, the same is understood, kept and refused.

use bytes::Bytes;
use hop::Shown;
use proptest::prelude::*;
use prost::Message as _;
use proto::v1;
use proto::v1::generate_event::Event as Message;

use super::codec::PREFIX_BYTES;
use super::plain;
use super::{EVENTS, Event, Outgoing, Started};

fn encoded(event: Message) -> Vec<u8> {
    v1::GenerateEvent { event: Some(event) }.encode_to_vec()
}

fn read(bytes: &[u8]) -> Event {
    Event::read(Bytes::copy_from_slice(bytes)).expect("it is an event")
}

fn written(event: Event) -> Vec<u8> {
    let mut bytes = Vec::new();
    event.write(&mut bytes);
    bytes
}

/// What an answer of these events has shown.
fn shown(of: &Event) -> (u32, Shown) {
    let mut shown = Shown::of(&v1::GenerateRequest::default());
    let tokens = match of {
        Event::Delta(delta) => delta.shown_in(&mut shown),
        _ => shown.take_action(),
    };
    (tokens, shown)
}

/// Deltas of every form.
fn delta() -> impl Strategy<Value = v1::Delta> {
    let logprobs = prop::collection::vec(-9.0_f32..0.0, 0..3);
    let logprobs = logprobs.prop_map(|all| {
        all.into_iter().map(|logprob| v1::TokenLogprobs { logprob, top: Vec::new() }).collect()
    });
    (".{0,12}", prop::collection::vec(any::<u32>(), 0..5), any::<u32>(), logprobs).prop_map(
        |(text, token_ids, first_token_index, logprobs)| v1::Delta {
            text,
            token_ids,
            first_token_index,
            logprobs,
        },
    )
}

fn event() -> impl Strategy<Value = Message> {
    let started =
        (".{0,9}", prop::collection::vec(".{0,9}", 0..3), any::<u32>()).prop_map(|(place, hops, attempt)| {
            let decisions = hops.into_iter().map(|hop| v1::Decision { hop, ..Default::default() }).collect();
            Message::Started(v1::Started { place, decisions, attempt, ..Default::default() })
        });
    let action = ".{0,9}".prop_map(|name| Message::Action(v1::Action { name, ..Default::default() }));
    let done = (".{0,9}", any::<u64>()).prop_map(|(place, block)| {
        Message::Done(v1::Done { place, cache_blocks: vec![block], ..Default::default() })
    });
    prop_oneof![4 => delta().prop_map(Message::Delta), 1 => started, 1 => action, 1 => done]
}

/// A field that no version knows, behind an event or within its one field.
fn with_unknown(mut bytes: Vec<u8>, within: bool) -> Vec<u8> {
    let unknown = [0xfa, 0x3f, 3, b'n', b'e', b'w'];
    if within && let Some((&kind, rest)) = bytes.split_first() {
        let mut rest = rest;
        let length = prost::decode_length_delimiter(&mut rest).expect("it has a length");
        let mut all = vec![kind];
        prost::encode_length_delimiter(length + unknown.len(), &mut all).expect("there is room");
        all.extend_from_slice(rest);
        bytes = all;
    }
    bytes.extend_from_slice(&unknown);
    bytes
}

proptest! {
    #[test]
    fn an_event_that_is_passed_on_says_the_same(event in event()) {
        let bytes = encoded(event);
        let decoded = v1::GenerateEvent::decode(bytes.as_slice()).expect("it was encoded");
        let event = read(&bytes);
        if let (Event::Delta(delta), Some(Message::Delta(of))) = (&event, &decoded.event) {
            prop_assert_eq!(delta.text(), of.text.as_bytes());
            let mut whole = Shown::of(&v1::GenerateRequest::default());
            let tokens = whole.take(&Message::Delta(of.clone()));
            let (counted, shown) = shown(&event);
            prop_assert_eq!((counted, shown.token_ids()), (tokens, whole.token_ids()));
            prop_assert_eq!(shown.resume("hash"), whole.resume("hash"));
        }
        prop_assert_eq!(written(event.clone()), bytes);
        prop_assert_eq!(event.message().expect("its decisions are sound"), decoded);
    }

    #[test]
    fn what_no_version_knows_is_passed_on(delta in delta(), within: bool) {
        let bytes = with_unknown(encoded(Message::Delta(delta)), within);
        prop_assert!(plain::read(&bytes).is_none());
        prop_assert_eq!(written(read(&bytes)), bytes);
    }

    #[test]
    fn bytes_that_are_no_event_are_refused_and_others_are_understood_alike(
        event in event(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
        whole: bool,
    ) {
        let mut bytes = encoded(event);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if !whole {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        // Not the messages themselves: a number that is none is not itself.
        let decoded = v1::GenerateEvent::decode(bytes.as_slice()).map(|event| event.encode_to_vec());
        let event = Event::read(bytes.into()).and_then(Event::message).map(|event| event.encode_to_vec());
        prop_assert_eq!(event.ok(), decoded.ok());
    }

    #[test]
    fn deltas_are_joined_as_decoded_ones_are(deltas in prop::collection::vec((1_u32..4, ".{0,3}", 0_u32..9), 1..6)) {
        let mut next = 0;
        let mut passed: Option<Event> = None;
        let mut decoded: Option<v1::GenerateEvent> = None;
        for (tokens, text, gap) in deltas {
            // Now and then one does not follow.
            next += u32::from(gap == 0);
            let delta = v1::Delta {
                text,
                token_ids: (next..next + tokens).collect(),
                first_token_index: next,
                ..Default::default()
            };
            next += tokens;
            let message = v1::GenerateEvent { event: Some(Message::Delta(delta)) };
            let event = read(&message.encode_to_vec());
            prop_assert_eq!((EVENTS.bytes)(&event), (hop::EVENTS.bytes)(&message));
            let apart = match (&mut passed, &mut decoded) {
                (Some(passed), Some(decoded)) => {
                    let apart = (EVENTS.join)(passed, event).is_some();
                    prop_assert_eq!(apart, (hop::EVENTS.join)(decoded, message).is_some());
                    apart
                }
                _ => {
                    (passed, decoded) = (Some(event), Some(message));
                    false
                }
            };
            let joined = passed.clone().map(|passed| passed.message().expect("it is sound"));
            prop_assert_eq!(joined, decoded.clone());
            if apart {
                break;
            }
        }
    }
}

#[test]
fn the_form_that_encoders_give_a_delta_is_read_in_place_and_no_other() {
    let check = |bytes: &[u8], in_place: bool| {
        assert_eq!(plain::read(bytes).is_some(), in_place, "{bytes:?}");
    };
    let text =
        v1::Delta { text: " word".into(), token_ids: vec![300], first_token_index: 2, ..Default::default() };
    check(&encoded(Message::Delta(text)), true);
    check(&encoded(Message::Delta(v1::Delta::default())), true);
    // A token id by itself, as old encoders have it; two of them; one out of its order.
    check(&[0x12, 4, 0x10, 7, 0x18, 1], true);
    check(&[0x12, 4, 0x10, 7, 0x10, 8], false);
    check(&[0x12, 4, 0x18, 1, 0x10, 7], false);
    // Text that is none, a length beyond the end, a number that does not end, one that is too large.
    check(&[0x12, 3, 0x0a, 1, 0xff], false);
    check(&[0x12, 3, 0x0a, 2, b'a'], false);
    check(&[0x12, 2, 0x18, 0x80], false);
    check(&[0x12, 7, 0x18, 0xff, 0xff, 0xff, 0xff, 0x7f, 0], false);
    check(&[], false);
    check(&[0x12], false);
}

#[test]
fn what_this_hop_adds_to_a_request_goes_before_what_it_says_itself() {
    let decision = |hop: &str| v1::Decision { hop: hop.into(), ..Default::default() };
    let request = v1::GenerateRequest {
        request_id: "question-1".into(),
        sampling: Some(v1::Sampling { max_tokens: Some(90), temperature: Some(0.5), ..Default::default() }),
        decisions: vec![decision("edge-agent")],
        cache: Some(v1::CacheUse { salt: "own".into(), ..Default::default() }),
        ..Default::default()
    };
    let cache = v1::CacheUse { salt: "joined".into(), blocks_wanted: true };
    let added = v1::GenerateRequest {
        sampling: Some(v1::Sampling { max_tokens: Some(40), ..Default::default() }),
        cache: Some(cache.clone()),
        ..Default::default()
    };
    let sent = Outgoing::new(&request, &added, &decision("router").encode_to_vec().into());
    let expect = v1::GenerateRequest {
        sampling: Some(v1::Sampling { max_tokens: Some(40), temperature: Some(0.5), ..Default::default() }),
        decisions: vec![decision("edge-agent"), decision("router")],
        cache: Some(cache),
        ..request
    };
    let length = u32::try_from(sent.0.len() - PREFIX_BYTES).expect("it is short").to_be_bytes();
    assert_eq!(sent.0[..PREFIX_BYTES], [&[0][..], &length].concat());
    assert_eq!(v1::GenerateRequest::decode(&sent.0[PREFIX_BYTES..]).expect("it is a request"), expect);
}

#[test]
fn decisions_of_a_beginning_are_carried_and_looked_into_where_they_count() {
    let decisions = vec![Bytes::from_static(b"\x0a\xff")];
    let started = Started { decisions, ..Started::default() };
    let event = read(&written(Event::Started(started.clone().into())));
    assert!(matches!(&event, Event::Started(same) if **same == started));
    assert!(started.check().is_err() && event.message().is_err());
}
