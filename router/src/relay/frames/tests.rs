//! An answer is read alike, however it is cut into frames and whatever is wrong with it: as tonic reads it.

use futures_util::{FutureExt as _, StreamExt as _};
use http_body::Frame;
use http_body_util::StreamBody;
use proptest::prelude::*;
use prost::Message as _;
use proto::v1;
use tonic::Streaming;
use tonic::codec::{DecodeBuf, Decoder};

use super::*;

/// Messages as the bytes that they are.
struct Raw;

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining()).to_vec()))
    }
}

/// How an answer ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Status(i32),
    /// Trailers that say nothing of it.
    Trailers,
    Nothing,
    Broken,
}

fn event(text: String) -> Vec<u8> {
    let delta = v1::Delta { text, token_ids: vec![7], ..v1::Delta::default() };
    let event = Some(v1::generate_event::Event::Delta(delta));
    let message = v1::GenerateEvent { event }.encode_to_vec();
    let length = u32::try_from(message.len()).expect("it is short").to_be_bytes();
    [&[0][..], &length, &message].concat()
}

fn response(bytes: &[u8], cuts: &[usize], end: End, http: u16) -> Response<Body> {
    let mut frames = Vec::new();
    let mut rest = bytes;
    for cut in cuts {
        let (now, later) = rest.split_at((*cut).min(rest.len()));
        frames.push(Ok(Frame::data(Bytes::copy_from_slice(now))));
        rest = later;
    }
    frames.push(Ok(Frame::data(Bytes::copy_from_slice(rest))));
    let mut trailers = HeaderMap::new();
    match end {
        End::Status(code) => {
            trailers.insert(Status::GRPC_STATUS, code.into());
            frames.push(Ok(Frame::trailers(trailers)));
        }
        End::Trailers => frames.push(Ok(Frame::trailers(trailers))),
        End::Nothing => {}
        End::Broken => frames.push(Err(Status::unavailable("it was cut off"))),
    }
    let mut response = Response::new(Body::new(StreamBody::new(futures_util::stream::iter(frames))));
    *response.status_mut() = StatusCode::from_u16(http).expect("it is a status");
    response
}

/// Every message, and what it ends with; `None`: that all is well.
fn read<T>(stream: &mut (impl Stream<Item = Result<T, Status>> + Unpin)) -> (Vec<T>, Option<Code>) {
    let mut all = Vec::new();
    loop {
        match stream.next().now_or_never().expect("all of it is there") {
            Some(Ok(one)) => all.push(one),
            Some(Err(status)) => return (all, Some(status.code())),
            None => return (all, None),
        }
    }
}

proptest! {
    #[test]
    fn an_answer_is_read_as_tonic_reads_it(
        texts in prop::collection::vec("[a-z]{0,40}", 0..5),
        cuts in prop::collection::vec(0_usize..60, 0..9),
        end in prop_oneof![
            4 => (0..17).prop_map(End::Status),
            1 => Just(End::Trailers),
            1 => Just(End::Nothing),
            1 => Just(End::Broken),
        ],
        http in prop_oneof![Just(200_u16), Just(400), Just(401), Just(403), Just(404), Just(429), Just(503), Just(500)],
        wrong in prop::option::of((any::<prop::sample::Index>(), prop_oneof![Just(1_u8), Just(2), any::<u8>()])),
        lost in prop::option::of(1_usize..20),
    ) {
        let events: Vec<Vec<u8>> = texts.into_iter().map(event).collect();
        let mut bytes = events.concat();
        if let (Some((at, flag)), false) = (wrong, events.is_empty()) {
            // The flag of one of them, and the highest byte of its length with it.
            let start = events[..at.index(events.len())].concat().len();
            bytes[start + usize::from(flag.is_multiple_of(2))] = flag;
        }
        bytes.truncate(bytes.len() - lost.unwrap_or(0).min(bytes.len()));
        // tonic takes an answer that is cut right behind an event's length for whole, and then asks for its status.
        let mut starts = events.iter().scan(0, |next, event| {
            let start = *next;
            *next += event.len();
            Some(start)
        });
        prop_assume!(!starts.any(|start| bytes.len() == start + PREFIX_BYTES));
        let theirs = response(&bytes, &cuts, end, http).into_body();
        let status = StatusCode::from_u16(http).expect("it is a status");
        let theirs = read(&mut Streaming::new_response(Raw, theirs, status, None, Some(EVENT_BYTES_MAX)));
        let mut frames = Frames::new(response(&bytes, &cuts, end, http)).expect("nothing refuses it");
        let ours = read(&mut frames);
        prop_assert!(frames.next().now_or_never().expect("it has ended").is_none());
        let written = |event: Event| {
            let mut bytes = Vec::new();
            event.write(&mut bytes);
            bytes
        };
        let ours = (ours.0.into_iter().map(written).collect::<Vec<_>>(), ours.1);
        prop_assert_eq!(ours, theirs);
    }
}

#[test]
fn an_answer_that_is_over_with_its_headers_is_refused_or_empty() {
    let said = |code: i32| {
        let mut response = response(&[], &[], End::Nothing, 200);
        response.headers_mut().insert(Status::GRPC_STATUS, code.into());
        Frames::new(response)
    };
    assert_eq!(said(14).err().map(|status| status.code()), Some(Code::Unavailable));
    assert_eq!(read(&mut said(0).expect("it is none")).1, None);
}

#[test]
fn what_stands_behind_the_last_event_is_there_once_it_came() {
    let bytes = [event("one".to_owned()), event("two".to_owned())].concat();
    let trailers = |end: End| {
        let mut frames = Frames::new(response(&bytes, &[3, 30], end, 200)).expect("nothing refuses it");
        frames
            .trailers()
            .now_or_never()
            .expect("all of it is there")
            .map(|trailers| trailers.map(|all| all.len()))
    };
    assert_eq!(trailers(End::Status(0)).ok(), Some(Some(1)));
    assert!(trailers(End::Status(2)).is_err() && trailers(End::Broken).is_err());
}
