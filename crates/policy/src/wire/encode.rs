//! Writes a decision as the message that it travels as, without building that message first: a hop writes one for every
//! request, and reads none of its own.

use std::fmt::{self, Write as _};

use crate::decision::{Decision, Weighed};

/// Kinds of fields: a number of variable length, eight bytes, a length and as many bytes.
const VARINT: u64 = 0;
const EIGHT_BYTES: u64 = 1;
const LENGTH: u64 = 2;

/// A message that is being written.
#[derive(Debug, Default)]
struct Message(Vec<u8>);

// === impl Decision ===

impl Decision {
    /// [`Decision::to_wire`], encoded.
    #[must_use]
    pub fn encode(&self, hop: &str, decide_us: u32) -> Vec<u8> {
        let mut all = Message(Vec::with_capacity(256 + 160 * self.trail.candidates.len()));
        all.text(1, hop);
        all.text(2, self.place.as_ref().map_or("", |place| place.place.as_str()));
        all.text(3, self.class.as_str());
        for weighed in &self.trail.candidates {
            all.message(4, |one| candidate(one, weighed));
        }
        all.text(5, self.trail.policy_hash.as_str());
        all.number(6, self.trail.seed);
        for learned in &self.trail.facts.versions {
            all.message(7, |one| {
                one.text(1, learned.name.as_str());
                one.text(2, learned.version.as_str());
            });
        }
        if let Some(margin_usd) = self.trail.margin_usd {
            all.bits(8, margin_usd);
        }
        all.number(9, decide_us.into());
        all.number(10, self.trail.facts.places_known.unwrap_or_default().into());
        all.0
    }
}

fn candidate(one: &mut Message, weighed: &Weighed) {
    let load = weighed.candidate.load.unwrap_or_default();
    one.text(1, weighed.candidate.place.as_str());
    one.text(2, weighed.candidate.tier.as_str());
    one.double(3, weighed.columns.price_usd);
    one.double(4, weighed.columns.waiting_usd);
    one.double(5, weighed.columns.wrong_usd);
    one.double(6, weighed.columns.total_usd);
    one.double(7, weighed.inputs.expected_seconds);
    one.double(8, weighed.inputs.probability_right);
    if let Some(reason) = &weighed.removal {
        one.message(9, |removal| {
            removal.text(1, reason.code());
            // A reason always says something.
            removal.message(2, |text| {
                // What writes to memory does not fail.
                let _written = write!(text, "{reason}");
            });
        });
    }
    for note in weighed.inputs.notes.iter() {
        one.message(10, |text| text.0.extend_from_slice(note.code().as_bytes()));
    }
    one.number(11, load.running.into());
    one.number(12, load.waiting.into());
}

// === impl Message ===

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// Nothing where it is the default, as in all of these.
    fn number(&mut self, field: u64, value: u64) {
        if value != 0 {
            self.varint(field << 3 | VARINT);
            self.varint(value);
        }
    }

    fn double(&mut self, field: u64, value: f64) {
        if value != 0.0 {
            self.bits(field, value);
        }
    }

    /// A number also where it is zero.
    fn bits(&mut self, field: u64, value: f64) {
        self.varint(field << 3 | EIGHT_BYTES);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn text(&mut self, field: u64, text: &str) {
        if !text.is_empty() {
            self.varint(field << 3 | LENGTH);
            self.varint(text.len() as u64);
            self.0.extend_from_slice(text.as_bytes());
        }
    }

    /// Whatever has a length, also where nothing is in it.
    fn message(&mut self, field: u64, write: impl FnOnce(&mut Self)) {
        self.varint(field << 3 | LENGTH);
        // Its length is known behind it, and stands before it: in the one byte that most need, or in more.
        let at = self.0.len();
        self.0.push(0);
        write(self);
        let mut length = self.0.len() - at - 1;
        let mut place = at;
        while length >= 0x80 {
            self.0.insert(place, length as u8 | 0x80);
            length >>= 7;
            place += 1;
        }
        self.0[place] = length as u8;
    }
}

impl fmt::Write for Message {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}
