//! What is a command.

use super::{demo_grammar, heard};

#[test]
fn commands_are_understood() {
    let grammar = demo_grammar();
    for (text, expect) in TABLE {
        assert_eq!(heard(grammar, text), *expect, "{text}");
    }
}

#[test]
fn a_reply_says_what_was_done() {
    let grammar = demo_grammar();
    for (text, expect) in REPLIES {
        assert_eq!(grammar.hear(text).map(|found| found.reply).as_deref(), Some(*expect), "{text}");
    }
}

#[rustfmt::skip]
const REPLIES: &[(&str, &str)] = &[
    ("turn on the kitchen lamp", "The kitchen lamp is on."),
    ("dim the kitchen lamp to 40%", "The kitchen lamp is at 40 percent."),
    ("make the kitchen lamp brighter", "The kitchen lamp is brighter now."),
    ("turn off the lights", "The living room lights are off."),
    ("turn off all the lights", "All the lights are off."),
    ("close the blinds", "The living room blinds are closed."),
    ("open the bedroom blind to 30%", "The bedroom blind is 30 percent open."),
    ("lock the front door", "The front door is locked."),
    ("set the thermostat to 21.5 degrees", "The thermostat is set to 21.5 degrees."),
    ("set the thermostat to 68 fahrenheit", "The thermostat is set to 20 degrees."),
    ("turn the heat up by one degree", "The thermostat is set 1 degree higher."),
    ("play music", "The living room speaker is playing."),
    ("skip this song", "The living room speaker is playing the next track."),
    ("volume 30%", "The volume of the living room speaker is at 30 percent."),
    ("set a timer for 90 minutes", "The timer is set for 1 hour and 30 minutes."),
    ("set a timer for one minute", "The timer is set for 1 minute."),
    ("set a timer for 3723 seconds", "The timer is set for 1 hour, 2 minutes and 3 seconds."),
    ("cancel the timer", "The timer is cancelled."),
];

#[rustfmt::skip]
const TABLE: &[(&str, &str)] = &[
    // On and off.
    ("turn on the kitchen lamp", "turn_on kitchen_lamp {}"),
    ("Turn on the kitchen lamp.", "turn_on kitchen_lamp {}"),
    ("TURN THE KITCHEN LAMP ON!", "turn_on kitchen_lamp {}"),
    ("switch the counter lamp off", "turn_off kitchen_lamp {}"),
    ("turn on the kitchen light", "turn_on kitchen_ceiling {}"),
    ("turn on the lamp in the bedroom", "turn_on bedroom_lamp {}"),
    ("turn on the light in the garage", "turn_on garage_light {}"),
    ("bedroom lamp on", "turn_on bedroom_lamp {}"),
    ("lights off", "turn_off living_room_ceiling reading_lamp {}"),
    ("turn off the lights", "turn_off living_room_ceiling reading_lamp {}"),
    ("turn off the lights in here", "turn_off living_room_ceiling reading_lamp {}"),
    ("turn off the kitchen lights", "turn_off kitchen_lamp kitchen_ceiling {}"),
    ("turn on all of the lights in the kitchen", "turn_on kitchen_lamp kitchen_ceiling {}"),
    ("turn on every light in my study", "turn_on desk_lamp {}"),
    ("turn off all the lights", "turn_off living_room_ceiling reading_lamp kitchen_lamp kitchen_ceiling bedroom_lamp night_light bathroom_light desk_lamp hallway_light garage_light {}"),
    ("turn off the lights everywhere", "turn_off living_room_ceiling reading_lamp kitchen_lamp kitchen_ceiling bedroom_lamp night_light bathroom_light desk_lamp hallway_light garage_light {}"),
    ("shut off the tv", "turn_off television {}"),
    ("put the fan on", "turn_on bedroom_fan {}"),
    ("turn off the heater", "turn_off office_heater {}"),
    ("activate the coffee machine", "turn_on coffee_machine {}"),
    ("I'd like the coffee machine turned on", "turn_on coffee_machine {}"),
    ("I want the lights in the garage to be turned on", "turn_on garage_light {}"),
    ("turn on the light in the kids room", "turn_on night_light {}"),
    ("turn the lights on in the garage", "turn_on garage_light {}"),
    ("turn the light off in my bedroom", "turn_off bedroom_lamp {}"),
    // Said politely.
    ("please turn on the kitchen lamp", "turn_on kitchen_lamp {}"),
    ("could you please turn on the kitchen lamp?", "turn_on kitchen_lamp {}"),
    ("Can you turn the kitchen lamp on for me, please?", "turn_on kitchen_lamp {}"),
    ("hey Causeway, turn on the kitchen lamp", "turn_on kitchen_lamp {}"),
    ("Causeway, would you turn on the kitchen lamp now", "turn_on kitchen_lamp {}"),
    ("hello, could you go ahead and turn on the kitchen lamp right now please, thank you very much", "turn_on kitchen_lamp {}"),
    ("turn on the kitchen lamp, would you?", "turn_on kitchen_lamp {}"),
    ("I need you to turn off the tv", "turn_off television {}"),
    ("ok turn on the kitchen lamp thanks", "turn_on kitchen_lamp {}"),
    // Brightness.
    ("set the kitchen lamp to 40%", r#"set_brightness kitchen_lamp {"brightness_percent":40}"#),
    ("dim the kitchen lamp to forty percent", r#"set_brightness kitchen_lamp {"brightness_percent":40}"#),
    ("dim the reading lamp to twenty-five per cent", r#"set_brightness reading_lamp {"brightness_percent":25}"#),
    ("turn the desk lamp down to 5 percent", r#"set_brightness desk_lamp {"brightness_percent":5}"#),
    ("set the kitchen lamp to 40", r#"set_brightness kitchen_lamp {"brightness_percent":40}"#),
    ("set the brightness of the bedroom lamp to one hundred percent", r#"set_brightness bedroom_lamp {"brightness_percent":100}"#),
    ("set bedroom lamp brightness to half", r#"set_brightness bedroom_lamp {"brightness_percent":50}"#),
    ("set the lights to 50%", r#"set_brightness living_room_ceiling reading_lamp {"brightness_percent":50}"#),
    ("reading lamp 30%", r#"set_brightness reading_lamp {"brightness_percent":30}"#),
    ("dim the bedroom lamp", r#"change_brightness bedroom_lamp {"brightness_step_percent":-20}"#),
    ("make the desk lamp brighter please", r#"change_brightness desk_lamp {"brightness_step_percent":20}"#),
    ("turn up the lights by 15 percent", r#"change_brightness living_room_ceiling reading_lamp {"brightness_step_percent":15}"#),
    ("turn down the lights a little please", r#"change_brightness living_room_ceiling reading_lamp {"brightness_step_percent":-20}"#),
    // Blinds and doors.
    ("open the bedroom blind", "open bedroom_blind {}"),
    ("open the bedroom blinds", "open bedroom_blind {}"),
    ("close the blinds", "close living_room_blinds {}"),
    ("close all the blinds", "close living_room_blinds bedroom_blind {}"),
    ("roll down the living room blinds", "close living_room_blinds {}"),
    ("pull the blinds in the bedroom up", "open bedroom_blind {}"),
    ("open the living room blinds halfway", r#"set_position living_room_blinds {"position_percent":50}"#),
    ("set the bedroom blind to 30 percent", r#"set_position bedroom_blind {"position_percent":30}"#),
    ("lock the front door", "lock front_door {}"),
    ("unlock the back door please", "unlock back_door {}"),
    ("lock all the doors", "lock front_door back_door {}"),
    ("lock up every door", "lock front_door back_door {}"),
    ("close the garage door", "close garage_door {}"),
    // Temperature.
    ("set the thermostat to 21 degrees", r#"set_temperature thermostat {"temperature_celsius":21.0}"#),
    ("set the thermostat to 21.5", r#"set_temperature thermostat {"temperature_celsius":21.5}"#),
    ("set the thermostat to twenty one degrees celsius", r#"set_temperature thermostat {"temperature_celsius":21.0}"#),
    ("set the temperature to 70°F", r#"set_temperature thermostat {"temperature_celsius":21.1}"#),
    ("turn the heating down to eighteen and a half degrees", r#"set_temperature thermostat {"temperature_celsius":18.5}"#),
    ("make it 20 degrees in the hall", r#"set_temperature thermostat {"temperature_celsius":20.0}"#),
    ("turn up the heat", r#"change_temperature thermostat {"temperature_step_celsius":1.0}"#),
    ("lower the temperature by two degrees", r#"change_temperature thermostat {"temperature_step_celsius":-2.0}"#),
    ("make it a bit warmer in here", r#"change_temperature thermostat {"temperature_step_celsius":1.0}"#),
    // Music.
    ("play some music", "play living_room_speaker {}"),
    ("play music in the kitchen", "play kitchen_speaker {}"),
    ("pause the music", "pause living_room_speaker {}"),
    ("stop the kitchen speaker", "pause kitchen_speaker {}"),
    ("resume", "play living_room_speaker {}"),
    ("next song please", "next living_room_speaker {}"),
    ("go back to the previous track", "previous living_room_speaker {}"),
    ("turn the volume up", r#"change_volume living_room_speaker {"volume_step_percent":10}"#),
    ("turn down the kitchen speaker by 25%", r#"change_volume kitchen_speaker {"volume_step_percent":-25}"#),
    ("set the volume to 35 percent", r#"set_volume living_room_speaker {"volume_percent":35}"#),
    ("turn the volume in the kitchen down to 20%", r#"set_volume kitchen_speaker {"volume_percent":20}"#),
    ("set the kitchen speaker to 60%", r#"set_volume kitchen_speaker {"volume_percent":60}"#),
    ("mute", "mute living_room_speaker {}"),
    ("unmute the kitchen speaker", "unmute kitchen_speaker {}"),
    // Timers.
    ("set a timer for 10 minutes", r#"set_timer timer {"duration_seconds":600}"#),
    ("set a timer for ten minutes please", r#"set_timer timer {"duration_seconds":600}"#),
    ("can you set a 30 second timer?", r#"set_timer timer {"duration_seconds":30}"#),
    ("set a 30-second timer", r#"set_timer timer {"duration_seconds":30}"#),
    ("start a timer for an hour and a half", r#"set_timer timer {"duration_seconds":5400}"#),
    ("timer for two and a half hours", r#"set_timer timer {"duration_seconds":9000}"#),
    ("set the timer for 1 hour and 20 minutes", r#"set_timer timer {"duration_seconds":4800}"#),
    ("set a timer for 5min 30sec", r#"set_timer timer {"duration_seconds":330}"#),
    ("set a timer for half an hour", r#"set_timer timer {"duration_seconds":1800}"#),
    ("give me a five minute timer", r#"set_timer timer {"duration_seconds":300}"#),
    ("set up a timer to go off in forty five minutes", r#"set_timer timer {"duration_seconds":2700}"#),
    ("i need a 10 minute timer", r#"set_timer timer {"duration_seconds":600}"#),
    ("start a countdown for 20 minutes", r#"set_timer timer {"duration_seconds":1200}"#),
    ("cancel the timer", "cancel_timer timer {}"),
];
