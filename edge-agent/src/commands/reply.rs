//! What the assistant says when a command was carried out.

use super::{
    home::TemperatureUnit,
    verb::{Argument, Verb},
};

/// What was done.
#[derive(Debug)]
pub(crate) struct Said<'a> {
    pub(crate) verb: Verb,
    pub(crate) argument: Argument,
    pub(crate) subject: Subject<'a>,
    /// The scale that the home speaks in.
    pub(crate) unit: TemperatureUnit,
}

/// What it was done to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Subject<'a> {
    /// An entity, by its name.
    One(&'a str),
    /// All of this plural noun, in this room or everywhere.
    All(&'a str, Option<&'a str>),
}

/// What is said in English.
pub(crate) fn english(said: &Said<'_>) -> String {
    let (subject, plural) = match said.subject {
        // A capital marks a name of its own, which takes no article.
        Subject::One(name) if name.starts_with(char::is_uppercase) => (name.to_owned(), false),
        Subject::One(name) => (format!("the {name}"), name.ends_with('s') && !name.ends_with("ss")),
        Subject::All(nouns, Some(room)) => (format!("the {room} {nouns}"), true),
        Subject::All(nouns, None) => (format!("all the {nouns}"), true),
    };
    let is = if plural { "are" } else { "is" };
    let text = match said.verb {
        Verb::SetVolume | Verb::ChangeVolume => format!("the volume of {subject} is {}", state(said)),
        Verb::Next | Verb::Previous => format!("{subject} {is} playing the {}", state(said)),
        _ => format!("{subject} {is} {}", state(said)),
    };
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

fn state(said: &Said<'_>) -> String {
    let fixed = match (said.verb, said.argument) {
        (_, Argument::BrightnessPercent(percent) | Argument::VolumePercent(percent)) => {
            return format!("at {percent} percent");
        }
        (_, Argument::PositionPercent(percent)) => return format!("{percent} percent open"),
        (_, Argument::TemperatureCelsius(celsius)) => {
            let degrees = match said.unit {
                TemperatureUnit::Celsius => celsius,
                TemperatureUnit::Fahrenheit => celsius * 1.8 + 32.0,
            };
            return format!("set to {} degrees", tenths(degrees));
        }
        (_, Argument::TemperatureStepCelsius(celsius)) => {
            let degrees = match said.unit {
                TemperatureUnit::Celsius => celsius,
                TemperatureUnit::Fahrenheit => celsius * 1.8,
            };
            let way = if celsius > 0.0 { "higher" } else { "lower" };
            return format!("set {} {way}", count(tenths(degrees.abs()), "degree"));
        }
        (_, Argument::DurationSeconds(seconds)) => return format!("set for {}", duration(seconds)),
        (Verb::ChangeBrightness, Argument::BrightnessStepPercent(points)) if points > 0 => "brighter now",
        (Verb::ChangeBrightness, _) => "dimmer now",
        (Verb::ChangeVolume, Argument::VolumeStepPercent(points)) if points > 0 => "higher now",
        (Verb::ChangeVolume, _) => "lower now",
        (Verb::TurnOn, _) => "on",
        (Verb::TurnOff, _) => "off",
        (Verb::Open, _) => "open",
        (Verb::Close, _) => "closed",
        (Verb::Lock, _) => "locked",
        (Verb::Unlock, _) => "unlocked",
        (Verb::Play, _) => "playing",
        (Verb::Pause, _) => "paused",
        (Verb::Next, _) => "next track",
        (Verb::Previous, _) => "previous track",
        (Verb::Mute, _) => "muted",
        (Verb::Unmute, _) => "no longer muted",
        (Verb::CancelTimer, _) => "cancelled",
        (
            Verb::SetBrightness
            | Verb::SetPosition
            | Verb::SetTemperature
            | Verb::ChangeTemperature
            | Verb::SetVolume
            | Verb::SetTimer,
            _,
        ) => "set",
    };
    fixed.to_owned()
}

/// A length of time, such as `1 hour and 30 minutes`.
fn duration(seconds: u32) -> String {
    let parts = [(seconds / 3600, "hour"), (seconds / 60 % 60, "minute"), (seconds % 60, "second")];
    let said: Vec<String> = parts
        .iter()
        .filter(|(value, _)| *value > 0)
        .map(|(value, unit)| count(f64::from(*value), unit))
        .collect();
    match said.as_slice() {
        [most @ .., last] if !most.is_empty() => format!("{} and {last}", most.join(", ")),
        _ => said.concat(),
    }
}

fn count(value: f64, unit: &str) -> String {
    let plural = if value == 1.0 { "" } else { "s" };
    format!("{value} {unit}{plural}")
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
