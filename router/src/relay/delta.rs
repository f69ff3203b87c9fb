//! A delta: the bytes that it came as beside what it says, or several that were joined for a caller that reads slowly.

use bytes::{BufMut, Bytes};
use mesh::connect::Joining;
use prost::Message as _;
use proto::v1;
use proto::v1::generate_event;

use super::Event;
use super::plain::{Numbers, Plain};

/// Text and tokens of an answer.
#[derive(Clone, Debug)]
pub struct Delta(Form);

#[derive(Clone, Debug)]
enum Form {
    /// Read in place.
    Plain(Bytes, Plain),
    /// In a form of its own, and what was understood by it.
    Read(Bytes, Box<v1::Delta>),
    /// Made of several.
    Joined(Box<v1::Delta>),
}

/// How the events of an answer are joined, as [`hop::EVENTS`] are.
pub(crate) const EVENTS: Joining<Event> = Joining { bytes, join };

fn bytes(event: &Event) -> usize {
    match event {
        Event::Delta(Delta(Form::Plain(bytes, said))) => {
            hop::event_bytes(said.text.of(bytes).len(), said.ids_len as usize)
        }
        Event::Delta(Delta(Form::Read(_, delta) | Form::Joined(delta))) => hop::delta_bytes(delta),
        _ => hop::event_bytes(0, 0),
    }
}

fn join(earlier: &mut Event, later: Event) -> Option<Event> {
    let (Event::Delta(before), Event::Delta(after)) = (earlier, &later) else { return Some(later) };
    let Some(after) = after.clone().into_read() else { return Some(later) };
    if let Form::Joined(joined) = &mut before.0 {
        return hop::join_deltas(joined, *after).map(|_| later);
    }
    let Some(mut joined) = before.clone().into_read() else { return Some(later) };
    if hop::join_deltas(&mut joined, *after).is_some() {
        return Some(later);
    }
    before.0 = Form::Joined(joined);
    None
}

// === impl Delta ===

impl Delta {
    pub(super) fn plain(bytes: Bytes, said: Plain) -> Self {
        Self(Form::Plain(bytes, said))
    }

    pub(super) fn read(bytes: Bytes, delta: v1::Delta) -> Self {
        Self(Form::Read(bytes, Box::new(delta)))
    }

    /// Its text, UTF-8.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        match &self.0 {
            Form::Plain(bytes, said) => said.text.of(bytes),
            Form::Read(_, delta) | Form::Joined(delta) => delta.text.as_bytes(),
        }
    }

    /// Takes note of its tokens; how many it shows.
    pub(crate) fn shown_in(&self, shown: &mut hop::Shown) -> u32 {
        match &self.0 {
            Form::Plain(bytes, said) => {
                let ids = Numbers::of(said.ids.of(bytes));
                shown.take_tokens(said.first_token_index, ids, said.text.is_empty())
            }
            Form::Read(_, delta) | Form::Joined(delta) => {
                let ids = delta.token_ids.iter().copied();
                shown.take_tokens(delta.first_token_index, ids, delta.text.is_empty())
            }
        }
    }

    pub(super) fn write(self, to: &mut impl BufMut) {
        match self.0 {
            Form::Plain(bytes, _) | Form::Read(bytes, _) => to.put_slice(&bytes),
            Form::Joined(delta) => {
                let event = Some(generate_event::Event::Delta(*delta));
                to.put_slice(&v1::GenerateEvent { event }.encode_to_vec());
            }
        }
    }

    fn into_read(self) -> Option<Box<v1::Delta>> {
        match self.0 {
            Form::Plain(bytes, _) => match v1::GenerateEvent::decode(bytes.as_ref()).ok()?.event? {
                generate_event::Event::Delta(delta) => Some(Box::new(delta)),
                _ => None,
            },
            Form::Read(_, delta) | Form::Joined(delta) => Some(delta),
        }
    }
}
