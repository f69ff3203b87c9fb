//! Numbers and measures in English.

use super::{Numerals, Quantity, Scale};
use crate::commands::{language::Language, token};

fn numerals() -> &'static Numerals {
    &Language::of("en").unwrap().numerals
}

fn words(text: &str) -> Vec<String> {
    token::words(text).unwrap()
}

#[test]
fn numbers_are_read_to_their_end() {
    for (text, expect) in [
        ("7", Some((1, 7.0))),
        ("21.25 x", Some((1, 21.25))),
        ("seven", Some((1, 7.0))),
        ("twenty one", Some((2, 21.0))),
        ("twenty eleven", Some((1, 20.0))),
        ("one hundred", Some((2, 100.0))),
        ("a hundred and five", Some((4, 105.0))),
        ("two hundred and", Some((2, 200.0))),
        ("two hundred ninety nine", Some((4, 299.0))),
        ("twenty hundred", Some((1, 20.0))),
        ("twenty one point five", Some((4, 21.5))),
        ("two and a half", Some((4, 2.5))),
        ("2 and half", Some((3, 2.5))),
        ("2 and a bit", Some((1, 2.0))),
        ("a", None),
        ("hundred", None),
        ("123456", None),
        ("1.234", None),
        ("lamp", None),
    ] {
        assert_eq!(numerals().number(&words(text), 0), expect, "{text}");
    }
}

#[test]
fn a_percentage_needs_its_unit_where_it_could_be_a_step_of_ten() {
    for (text, bare, with_unit) in [
        ("40 percent", Some((2, 40)), Some((2, 40))),
        ("40%", Some((2, 40)), Some((2, 40))),
        ("forty per cent", Some((3, 40)), Some((3, 40))),
        ("40", Some((1, 40)), None),
        ("0", Some((1, 0)), None),
        ("4", None, None),
        ("10", None, None),
        ("4%", Some((2, 4)), Some((2, 4))),
        ("101%", None, None),
        ("half way", Some((2, 50)), Some((2, 50))),
        ("full", Some((1, 100)), Some((1, 100))),
    ] {
        let expect =
            |found: Option<(usize, u8)>| found.map(|(end, percent)| (end, Quantity::Percent(percent)));
        assert_eq!(numerals().percent(&words(text), 0, false), expect(bare), "{text}");
        assert_eq!(numerals().percent(&words(text), 0, true), expect(with_unit), "{text}");
    }
}

#[test]
fn temperatures_are_read_with_their_scale() {
    for (text, expect) in [
        ("21 degrees", Some((2, 21.0, None))),
        ("21°C", Some((3, 21.0, Some(Scale::Celsius)))),
        ("seventy fahrenheit", Some((2, 70.0, Some(Scale::Fahrenheit)))),
        ("21", Some((1, 21.0, None))),
        ("warm", None),
    ] {
        let expect = expect.map(|(end, value, scale)| (end, Quantity::Temperature(value, scale)));
        assert_eq!(numerals().temperature(&words(text), 0, false), expect, "{text}");
    }
    assert_eq!(numerals().temperature(&words("21"), 0, true), None);
}

#[test]
fn lengths_of_time_are_read_from_long_to_short() {
    for (text, expect) in [
        ("10 minutes", Some((2, 600))),
        ("an hour", Some((2, 3600))),
        ("one hour", Some((2, 3600))),
        ("an hour and a half", Some((5, 5400))),
        ("two and a half minutes", Some((5, 150))),
        ("1 hour 20 minutes and 5 seconds", Some((7, 4805))),
        ("5 minutes 1 hour", Some((2, 300))),
        ("half an hour", Some((3, 1800))),
        ("three quarters of an hour", Some((5, 2700))),
        ("24 hours", Some((2, 86_400))),
        ("25 hours", None),
        ("0 seconds", None),
        ("1.5 seconds", None),
        ("1.5 hours", Some((2, 5400))),
        ("10", None),
        ("minutes", None),
    ] {
        let expect = expect.map(|(end, seconds)| (end, Quantity::Seconds(seconds)));
        assert_eq!(numerals().duration(&words(text), 0), expect, "{text}");
    }
}
