//! What can be done to an entity, which ability it takes, and how it is said on the wire.

use super::home::Ability;

/// Something to do. Its name is that of `Action.name`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Switch on.
    TurnOn,
    /// Switch off.
    TurnOff,
    /// Shine at a percentage.
    SetBrightness,
    /// Shine more or less.
    ChangeBrightness,
    /// Open.
    Open,
    /// Close.
    Close,
    /// Stand open by a percentage.
    SetPosition,
    /// Lock.
    Lock,
    /// Unlock.
    Unlock,
    /// Hold a temperature.
    SetTemperature,
    /// Hold a higher or lower temperature.
    ChangeTemperature,
    /// Play, or go on playing.
    Play,
    /// Stop playing for now.
    Pause,
    /// Play the next piece.
    Next,
    /// Play the piece before.
    Previous,
    /// Sound at a percentage.
    SetVolume,
    /// Sound louder or softer.
    ChangeVolume,
    /// Make no sound.
    Mute,
    /// Sound again.
    Unmute,
    /// Count down.
    SetTimer,
    /// Stop counting.
    CancelTimer,
}

/// The one argument that an action has, with its unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Argument {
    /// The verb says it all.
    None,
    /// Percent, in 0..=100.
    BrightnessPercent(u8),
    /// Percentage points, in -100..=100.
    BrightnessStepPercent(i8),
    /// Percent, 0 closed, 100 open.
    PositionPercent(u8),
    /// Percent, in 0..=100.
    VolumePercent(u8),
    /// Percentage points, in -100..=100.
    VolumeStepPercent(i8),
    /// Degrees Celsius.
    TemperatureCelsius(f64),
    /// Difference in degrees Celsius.
    TemperatureStepCelsius(f64),
    /// Seconds.
    DurationSeconds(u32),
}

// === impl Verb ===

impl Verb {
    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::TurnOn => "turn_on",
            Self::TurnOff => "turn_off",
            Self::SetBrightness => "set_brightness",
            Self::ChangeBrightness => "change_brightness",
            Self::Open => "open",
            Self::Close => "close",
            Self::SetPosition => "set_position",
            Self::Lock => "lock",
            Self::Unlock => "unlock",
            Self::SetTemperature => "set_temperature",
            Self::ChangeTemperature => "change_temperature",
            Self::Play => "play",
            Self::Pause => "pause",
            Self::Next => "next",
            Self::Previous => "previous",
            Self::SetVolume => "set_volume",
            Self::ChangeVolume => "change_volume",
            Self::Mute => "mute",
            Self::Unmute => "unmute",
            Self::SetTimer => "set_timer",
            Self::CancelTimer => "cancel_timer",
        }
    }

    /// The ability without which it cannot be done.
    pub fn needs(self) -> Ability {
        match self {
            Self::TurnOn | Self::TurnOff => Ability::OnOff,
            Self::SetBrightness | Self::ChangeBrightness => Ability::Brightness,
            Self::Open | Self::Close => Ability::OpenClose,
            Self::SetPosition => Ability::Position,
            Self::Lock | Self::Unlock => Ability::Lock,
            Self::SetTemperature | Self::ChangeTemperature => Ability::Temperature,
            Self::Play | Self::Pause | Self::Next | Self::Previous => Ability::Playback,
            Self::SetVolume | Self::ChangeVolume | Self::Mute | Self::Unmute => Ability::Volume,
            Self::SetTimer | Self::CancelTimer => Ability::Timer,
        }
    }

    /// Whether it may be done to several entities at once. What opens a home is named one by one.
    pub(crate) fn takes_many(self) -> bool {
        self != Self::Unlock
    }
}

// === impl Argument ===

impl Argument {
    /// Itself as the JSON object of `Action.arguments_json`.
    pub fn json(self) -> String {
        let value = match self {
            Self::None => return "{}".to_owned(),
            Self::BrightnessPercent(percent)
            | Self::PositionPercent(percent)
            | Self::VolumePercent(percent) => serde_json::Value::from(percent),
            Self::BrightnessStepPercent(points) | Self::VolumeStepPercent(points) => points.into(),
            Self::TemperatureCelsius(degrees) | Self::TemperatureStepCelsius(degrees) => degrees.into(),
            Self::DurationSeconds(seconds) => seconds.into(),
        };
        serde_json::Value::Object([(self.name().to_owned(), value)].into_iter().collect()).to_string()
    }

    fn name(self) -> &'static str {
        match self {
            Self::None => "",
            Self::BrightnessPercent(_) => "brightness_percent",
            Self::BrightnessStepPercent(_) => "brightness_step_percent",
            Self::PositionPercent(_) => "position_percent",
            Self::VolumePercent(_) => "volume_percent",
            Self::VolumeStepPercent(_) => "volume_step_percent",
            Self::TemperatureCelsius(_) => "temperature_celsius",
            Self::TemperatureStepCelsius(_) => "temperature_step_celsius",
            Self::DurationSeconds(_) => "duration_seconds",
        }
    }
}
