//! What the agent does to the world: the seam behind which the home's entities stand.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};

use futures_util::StreamExt as _;
use proto::v1;
use proto::v1::generate_event::Event;
use tonic::Code;

use crate::answer::{Begun, Setback};
use crate::commands::{Argument, Match, Verb};
use crate::error::Failure;

/// Carries out what was understood.
pub trait Actuator: Debug + Send + Sync {
    /// Does it to every entity that was meant, or to none. It must not wait: the person is listening.
    fn act(&self, command: &Match) -> Result<(), Refusal>;
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{entity_id}: {reason}")]
pub struct Refusal {
    /// The entity that stood against it.
    pub entity_id: String,
    /// Why, for people.
    pub reason: String,
}

/// What is known of an entity after commands; whatever no command has touched is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct State {
    /// Switched on.
    pub on: Option<bool>,
    /// Percent.
    pub brightness_percent: Option<u8>,
    /// Percent, 0 closed, 100 open.
    pub position_percent: Option<u8>,
    /// Locked.
    pub locked: Option<bool>,
    /// Degrees Celsius.
    pub temperature_celsius: Option<f64>,
    /// Playing.
    pub playing: Option<bool>,
    /// Percent.
    pub volume_percent: Option<u8>,
    /// Silenced.
    pub muted: Option<bool>,
    /// Seconds that the timer was set for.
    pub timer_seconds: Option<u32>,
}

/// A home in memory: it remembers what it was told. Firmware acts on the events instead.
#[derive(Debug, Default)]
pub struct Remembered {
    // Bounded by the home: only its entities are ever named.
    states: Mutex<BTreeMap<String, State>>,
}

/// Carries out a command and answers with its actions, one for each entity, and what is said of them.
pub(crate) fn begin(
    actuator: &dyn Actuator,
    command: &Match,
    started: v1::Started,
) -> Result<Begun, Setback> {
    let place = started.place.clone();
    actuator.act(command).map_err(|refusal| {
        let (place, message) = (place.as_str().into(), refusal.to_string());
        Setback::Elsewhere(Failure { place, code: Code::FailedPrecondition, message, pushback: None })
    })?;
    let action = |entity_id: &String| v1::Action {
        name: command.verb.name().to_owned(),
        entity_id: entity_id.clone(),
        arguments_json: command.argument.json(),
    };
    let mut events: Vec<Event> = command.entity_ids.iter().map(action).map(Event::Action).collect();
    events.push(Event::Delta(v1::Delta { text: command.reply.clone(), ..v1::Delta::default() }));
    let finish_reason = v1::FinishReason::Action.into();
    let usage = Some(v1::Usage::default());
    events.push(Event::Done(v1::Done { usage, finish_reason, place, ..v1::Done::default() }));
    let first = events.remove(0);
    Ok(Begun { started, first, rest: futures_util::stream::iter(events.into_iter().map(Ok)).boxed() })
}

// === impl Remembered ===

impl Remembered {
    /// What is known of an entity.
    pub fn state(&self, entity_id: &str) -> State {
        let states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        states.get(entity_id).copied().unwrap_or_default()
    }
}

impl Actuator for Remembered {
    fn act(&self, command: &Match) -> Result<(), Refusal> {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        for entity_id in &command.entity_ids {
            states.entry(entity_id.clone()).or_default().change(command.verb, command.argument);
        }
        Ok(())
    }
}

// === impl State ===

impl State {
    fn change(&mut self, verb: Verb, argument: Argument) {
        match verb {
            Verb::TurnOn => self.on = Some(true),
            Verb::TurnOff => self.on = Some(false),
            Verb::Open => self.position_percent = Some(100),
            Verb::Close => self.position_percent = Some(0),
            Verb::Lock => self.locked = Some(true),
            Verb::Unlock => self.locked = Some(false),
            Verb::Play | Verb::Next | Verb::Previous => self.playing = Some(true),
            Verb::Pause => self.playing = Some(false),
            Verb::Mute => self.muted = Some(true),
            Verb::Unmute => self.muted = Some(false),
            Verb::CancelTimer => self.timer_seconds = None,
            Verb::SetBrightness
            | Verb::ChangeBrightness
            | Verb::SetPosition
            | Verb::SetTemperature
            | Verb::ChangeTemperature
            | Verb::SetVolume
            | Verb::ChangeVolume
            | Verb::SetTimer => self.set(argument),
        }
    }

    /// A step from an unknown value leaves it unknown.
    fn set(&mut self, argument: Argument) {
        match argument {
            Argument::None => {}
            Argument::BrightnessPercent(percent) => {
                self.brightness_percent = Some(percent);
                self.on = Some(percent > 0);
            }
            Argument::BrightnessStepPercent(points) => {
                self.brightness_percent = self.brightness_percent.map(|percent| stepped(percent, points));
            }
            Argument::PositionPercent(percent) => self.position_percent = Some(percent),
            Argument::VolumePercent(percent) => self.volume_percent = Some(percent),
            Argument::VolumeStepPercent(points) => {
                self.volume_percent = self.volume_percent.map(|percent| stepped(percent, points));
            }
            Argument::TemperatureCelsius(celsius) => self.temperature_celsius = Some(celsius),
            Argument::TemperatureStepCelsius(celsius) => {
                self.temperature_celsius = self.temperature_celsius.map(|now| now + celsius);
            }
            Argument::DurationSeconds(seconds) => self.timer_seconds = Some(seconds),
        }
    }
}

fn stepped(percent: u8, points: i8) -> u8 {
    percent.saturating_add_signed(points).min(100)
}

#[cfg(test)]
mod tests;
