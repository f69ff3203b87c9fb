//! Which experts of a model larger than memory are in it: those in use, the ones used most, and the ones expected next.
//!
//! Experts lie in mapped files, so that one that is not in memory is read when it is touched, with the same bits. What is
//! decided here is only which of them the process keeps, whose memory it gives back, and what the disk is asked for
//! early. The next layer's experts are guessed by giving its router this layer's rows (Eliseev and Mazur 2023, "Fast
//! Inference of Mixture-of-Experts Language Models with Offloading", section 3.2).

#[cfg(test)]
mod tests;

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use super::{
    experts::{Experts, Router},
    project::Gated,
};
use crate::{ExpertCounters, formats::Bytes, kernels::Rows};

/// A use counts half after so many steps.
const HALF_LIFE_STEPS: f32 = 64.0;
/// After so many steps the experts used most are chosen anew.
const PINNING_STEPS: u64 = 16;
/// The part of the bound that the experts used most may take for good.
const PINNED: u64 = 2;
/// The part of the bound that guesses may take in one step of a layer.
const GUESSED: u64 = 4;
/// Below this share of fetched experts that are used, guesses are tried in one step of so many only.
const WORTH_MIN: f32 = 0.25;
const TRIAL_STEPS: u64 = 16;
/// The weight of the newest fetched expert in that share.
const NEWEST: f32 = 0.02;
/// What memory is counted and given back in.
const PAGE_BYTES: usize = 4096;

/// Counts of what was needed and what was there.
#[derive(Debug, Default)]
pub(super) struct Tally {
    hits: AtomicU64,
    misses: AtomicU64,
    fetched: AtomicU64,
    fetched_used: AtomicU64,
    guessed: AtomicU64,
    guessed_right: AtomicU64,
    given_back: AtomicU64,
    resident_bytes: AtomicU64,
}

/// A layer's place among those that share the memory.
#[derive(Debug)]
pub(super) struct Seat {
    residency: Arc<Residency>,
    layer: usize,
    next: Option<Next>,
}

/// What guesses the next layer's experts.
#[derive(Debug)]
pub(super) struct Next {
    pub(super) router: Arc<Router>,
    /// Turns this layer's normed rows into ones normed as the next layer norms them.
    pub(super) scale: Vec<f32>,
}

/// The experts of all layers and the memory that they share.
#[derive(Debug)]
pub(super) struct Residency {
    layers: Vec<Vec<Part>>,
    bytes_max: u64,
    state: Mutex<State>,
    tally: Arc<Tally>,
}

/// What one expert takes of mapped files.
#[derive(Debug)]
struct Part {
    pieces: Vec<Bytes>,
    bytes: u64,
}

#[derive(Debug)]
struct State {
    places: Vec<Vec<Place>>,
    used: u64,
    /// Times that the first layer was computed.
    steps: u64,
    /// The share of fetched experts that was used, lately.
    worth: f32,
}

/// How an expert stands.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    resident: bool,
    pinned: bool,
    /// Fetched on a guess, and not used since.
    fetched: bool,
    guessed: bool,
    /// Uses, older ones counting less, as of step `seen`.
    heat: f32,
    seen: u64,
}

impl Place {
    fn heat_at(&self, step: u64) -> f32 {
        self.heat * (-((step - self.seen) as f32) / HALF_LIFE_STEPS).exp2()
    }
}

impl Tally {
    pub(super) fn clear(&self) {
        let counts = [&self.hits, &self.misses, &self.fetched, &self.fetched_used];
        let more = [&self.guessed, &self.guessed_right, &self.given_back];
        counts.into_iter().chain(more).for_each(|count| count.store(0, Ordering::Relaxed));
    }

    pub(super) fn read(&self) -> ExpertCounters {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        ExpertCounters {
            hits: read(&self.hits),
            misses: read(&self.misses),
            fetched: read(&self.fetched),
            fetched_used: read(&self.fetched_used),
            guessed: read(&self.guessed),
            guessed_right: read(&self.guessed_right),
            given_back: read(&self.given_back),
            resident_bytes: read(&self.resident_bytes),
        }
    }
}

fn add(count: &AtomicU64, more: usize) {
    count.fetch_add(more as u64, Ordering::Relaxed);
}

impl Part {
    /// The files' parts that an expert's matrices lie in; nothing where one of them is in memory of its own.
    fn of(expert: &Gated) -> Option<Self> {
        let mut pieces: Vec<Bytes> = Vec::new();
        for matrix in [&expert.gate, &expert.up, &expert.down] {
            let piece = matrix.weight.file_part()?.clone();
            match pieces.last().and_then(|last| last.joined(&piece, PAGE_BYTES)) {
                Some(both) => *pieces.last_mut()? = both,
                None => pieces.push(piece),
            }
        }
        let bytes = pieces.iter().map(|piece| piece.pages(PAGE_BYTES) * PAGE_BYTES as u64).sum();
        Some(Self { pieces, bytes })
    }
}

#[cfg(target_os = "linux")]
impl Part {
    /// Makes each piece an area of its own, of which nothing is in memory.
    fn settle(&self, odd: bool) -> std::io::Result<()> {
        for piece in &self.pieces {
            piece.set_apart(PAGE_BYTES, odd)?;
            piece.release();
        }
        Ok(())
    }
}

#[cfg(not(target_os = "linux"))]
impl Part {
    fn settle(&self, _: bool) -> std::io::Result<()> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
}

impl Residency {
    /// For the mixtures of a model, in the order of its layers.
    ///
    /// # Errors
    ///
    /// Says why the bound cannot be kept.
    pub(super) fn new<'a>(
        mixtures: impl Iterator<Item = &'a Experts>,
        bytes_max: u64,
    ) -> Result<Arc<Self>, String> {
        if !cfg!(target_os = "linux") {
            return Err("is kept on Linux only".into());
        }
        let mut layers = Vec::new();
        let mut tally = Arc::default();
        for mixture in mixtures {
            let parts: Option<Vec<Part>> = mixture.experts.iter().map(Part::of).collect();
            layers.push(
                parts.ok_or("needs experts that lie in a file: set `packed_cache` to a folder with room")?,
            );
            tally = Arc::clone(&mixture.load.tally);
        }
        Self::of_parts(layers, bytes_max, tally)
    }

    fn of_parts(layers: Vec<Vec<Part>>, bytes_max: u64, tally: Arc<Tally>) -> Result<Arc<Self>, String> {
        let needs = |layer: &Vec<Part>| layer.iter().map(|part| part.bytes).sum();
        let most: u64 = layers.iter().map(needs).max().ok_or("is set, and the model has no experts")?;
        if bytes_max < most {
            return Err(format!(
                "is {bytes_max}; the experts of one layer take up to {most}, the least allowed"
            ));
        }
        for (at, part) in layers.iter().flat_map(|layer| layer.iter().enumerate()) {
            part.settle(at % 2 == 1).map_err(|error| {
                format!("needs an area of memory for each expert; the system says: {error}")
            })?;
        }
        let places = layers.iter().map(|layer| vec![Place::default(); layer.len()]).collect();
        let state = Mutex::new(State { places, used: 0, steps: 0, worth: 1.0 });
        Ok(Arc::new(Self { layers, bytes_max, state, tally }))
    }

    pub(super) fn seat(self: &Arc<Self>, layer: usize, next: Option<Next>) -> Seat {
        Seat { residency: Arc::clone(self), layer, next }
    }

    /// Takes in the experts that a layer needs now, each with its rows.
    fn need(&self, layer: usize, busy: &[(usize, usize)], rows: usize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *state;
        if layer == 0 {
            state.steps += 1;
            if state.steps.is_multiple_of(PINNING_STEPS) {
                self.pin(state);
            }
        }
        let step = state.steps;
        let mut missing = Vec::new();
        let (mut right, mut used) = (0, 0);
        let guessed = state.places[layer].iter().filter(|place| place.guessed).count();
        for &(expert, share) in busy {
            let place = &mut state.places[layer][expert];
            place.heat = place.heat_at(step) + share as f32 / rows.max(1) as f32;
            place.seen = step;
            right += usize::from(place.guessed);
            used += usize::from(place.fetched);
            if !place.resident {
                missing.push(expert);
            }
        }
        let fetched = state.places[layer].iter().filter(|place| place.fetched).count();
        for at in 0..fetched {
            state.worth += NEWEST * (f32::from(u8::from(at < used)) - state.worth);
        }
        add(&self.tally.fetched_used, used);
        for place in &mut state.places[layer] {
            (place.guessed, place.fetched) = (false, false);
        }
        add(&self.tally.guessed, guessed);
        add(&self.tally.guessed_right, right);
        add(&self.tally.hits, busy.len() - missing.len());
        add(&self.tally.misses, missing.len());
        let needed = missing.iter().map(|expert| self.layers[layer][*expert].bytes).sum();
        let in_use = |at: (usize, usize)| at.0 == layer && busy.iter().any(|(expert, _)| *expert == at.1);
        self.make_room(state, needed, &in_use, true);
        for expert in missing {
            self.take_in(state, (layer, expert));
        }
    }

    /// Asks for the experts that a layer is expected to need next, each with its rows, while `layer` before it uses
    /// those in `busy`.
    fn expect(&self, layer: usize, mut expected: Vec<(usize, usize)>, busy: &[(usize, usize)]) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *state;
        let Some(places) = state.places.get_mut(layer) else { return };
        expected.iter().for_each(|(expert, _)| places[*expert].guessed = true);
        if state.worth < WORTH_MIN && !state.steps.is_multiple_of(TRIAL_STEPS) {
            return;
        }
        let wanted: Vec<usize> = expected.iter().map(|(expert, _)| *expert).collect();
        expected.retain(|(expert, _)| !places[*expert].resident);
        expected.sort_by_key(|(expert, rows)| (std::cmp::Reverse(*rows), *expert));
        let in_use = |at: (usize, usize)| {
            at.0 == layer && wanted.contains(&at.1)
                || at.0 + 1 == layer && busy.iter().any(|(expert, _)| *expert == at.1)
        };
        let mut left = self.bytes_max / GUESSED;
        for (expert, _) in expected {
            let bytes = self.layers[layer][expert].bytes;
            if bytes > left || !self.make_room(state, bytes, &in_use, false) {
                return;
            }
            left -= bytes;
            self.take_in(state, (layer, expert));
            state.places[layer][expert].fetched = true;
            add(&self.tally.fetched, 1);
        }
    }

    fn take_in(&self, state: &mut State, (layer, expert): (usize, usize)) {
        let part = &self.layers[layer][expert];
        part.pieces.iter().for_each(Bytes::fetch);
        state.places[layer][expert].resident = true;
        state.used += part.bytes;
        self.tally.resident_bytes.store(state.used, Ordering::Relaxed);
    }

    /// Gives back the memory of the experts used least until `needed` bytes are free; of pinned ones only where `all`
    /// may go. False where there are not enough.
    fn make_room(
        &self,
        state: &mut State,
        needed: u64,
        in_use: &dyn Fn((usize, usize)) -> bool,
        all: bool,
    ) -> bool {
        let over = |state: &State| state.used.saturating_add(needed) > self.bytes_max;
        if !over(state) {
            return true;
        }
        let step = state.steps;
        let mut leaving: Vec<(bool, f32, (usize, usize))> = state
            .places
            .iter()
            .enumerate()
            .flat_map(|(layer, places)| places.iter().enumerate().map(move |(e, place)| ((layer, e), place)))
            .filter(|(at, place)| place.resident && (all || !place.pinned) && !in_use(*at))
            .map(|(at, place)| (place.pinned || place.fetched, place.heat_at(step), at))
            .collect();
        leaving.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2)));
        for (_, _, (layer, expert)) in leaving {
            if !over(state) {
                break;
            }
            let part = &self.layers[layer][expert];
            part.pieces.iter().for_each(Bytes::release);
            state.places[layer][expert].resident = false;
            state.used -= part.bytes;
            add(&self.tally.given_back, 1);
        }
        !over(state)
    }

    /// Chooses the experts that stay whatever one step needs: those used most, in half of the memory.
    fn pin(&self, state: &mut State) {
        let step = state.steps;
        let mut left = self.bytes_max / PINNED;
        let all = state
            .places
            .iter_mut()
            .zip(&self.layers)
            .flat_map(|(places, parts)| places.iter_mut().zip(parts));
        let mut all: Vec<(&mut Place, &Part)> = all.collect();
        all.sort_by(|(a, _), (b, _)| b.heat_at(step).total_cmp(&a.heat_at(step)));
        for (place, part) in all {
            place.pinned = place.resident && place.heat > 0.0 && part.bytes <= left;
            left -= if place.pinned { part.bytes } else { 0 };
        }
    }
}

impl Seat {
    /// Takes in the experts that are needed now, each with its number of rows, and asks for those that the next layer
    /// is expected to need for the rows in `input`.
    pub(super) fn take(&self, busy: &[(usize, usize)], input: &Rows) {
        self.residency.need(self.layer, busy, input.count());
        let Some(Next { router, scale }) = &self.next else { return };
        let mut scaled = Rows::stale(input.count(), input.width());
        let rows = scaled.values_mut().chunks_exact_mut(input.width()).zip(input.each());
        rows.for_each(|(to, row)| to.iter_mut().zip(row).zip(scale).for_each(|((to, v), s)| *to = v * s));
        let mut expected = vec![0; router.config.count];
        for choice in router.choices(&scaled) {
            choice.iter().for_each(|(expert, _)| expected[*expert] += 1);
        }
        let expected = expected.into_iter().enumerate().filter(|(_, rows)| *rows > 0).collect();
        self.residency.expect(self.layer + 1, expected, busy);
    }
}
