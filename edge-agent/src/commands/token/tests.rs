//! How texts fall into words.

use super::spoken;

#[test]
fn texts_fall_into_words() {
    for (text, expect) in [
        ("Turn ON the lamp!", Some("turn|on|the|lamp")),
        ("  lamp ,  please. ", Some("lamp|please")),
        ("I’d like that", Some("i'd|like|that")),
        ("30-second timer", Some("30|second|timer")),
        ("5min30s", Some("5|min|30|s")),
        ("21.5°C", Some("21.5|°|c")),
        ("40%", Some("40|%")),
        ("on?", Some("on|?")),
        ("Büro", Some("büro")),
        ("कमरे की बत्ती", Some("कमरे|की|बत्ती")),
        ("lamp.", Some("lamp")),
        ("v2.lamp", Some("v|2|lamp")),
        ("21,5", None),
        ("7:30", None),
        ("-5", None),
        ("5-10", None),
        ("\"lamp\"", None),
        ("«lamp»", None),
        ("lamp (kitchen)", None),
        ("on? off", None),
        ("", None),
        ("?", None),
        ("...", None),
    ] {
        let words = spoken(text).map(|spoken| spoken.words.join("|") + if spoken.asks { "|?" } else { "" });
        assert_eq!(words.as_deref(), expect, "{text}");
    }
}

#[test]
fn a_long_text_is_no_command() {
    assert!(spoken(&"a".repeat(240)).is_some());
    assert!(spoken(&"a".repeat(241)).is_none());
    assert!(spoken(&"a ".repeat(32)).is_some());
    assert!(spoken(&"a ".repeat(33)).is_none());
}
