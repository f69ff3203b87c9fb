//! What a home in memory remembers.

use super::{Actuator, Remembered, State};
use crate::commands::{Argument, Match, Verb};

#[test]
fn commands_change_what_is_remembered() {
    let home = Remembered::default();
    assert_eq!(home.state("lamp"), State::default());
    for (verb, argument, expect) in [
        (Verb::ChangeBrightness, Argument::BrightnessStepPercent(20), State::default()),
        (Verb::TurnOn, Argument::None, State { on: Some(true), ..State::default() }),
        (
            Verb::SetBrightness,
            Argument::BrightnessPercent(90),
            State { on: Some(true), brightness_percent: Some(90), ..State::default() },
        ),
        (
            Verb::ChangeBrightness,
            Argument::BrightnessStepPercent(20),
            State { on: Some(true), brightness_percent: Some(100), ..State::default() },
        ),
        (
            Verb::ChangeBrightness,
            Argument::BrightnessStepPercent(-30),
            State { on: Some(true), brightness_percent: Some(70), ..State::default() },
        ),
        (
            Verb::TurnOff,
            Argument::None,
            State { on: Some(false), brightness_percent: Some(70), ..State::default() },
        ),
    ] {
        let command = Match { verb, entity_ids: vec!["lamp".to_owned()], argument, reply: String::new() };
        home.act(&command).unwrap();
        assert_eq!(home.state("lamp"), expect, "{verb:?}");
    }
    assert_eq!(home.state("other"), State::default());
}
