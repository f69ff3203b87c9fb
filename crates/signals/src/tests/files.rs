//! The shipped model files, and what is refused.

use crate::{Error, Intent, Models, read};

const FILES: [(&str, &[u8]); 5] = [
    ("intent", include_bytes!("../../data/intent.bin")),
    ("language", include_bytes!("../../data/language.bin")),
    ("safety", include_bytes!("../../data/safety.bin")),
    ("content", include_bytes!("../../data/content.bin")),
    ("tagger", include_bytes!("../../data/tagger.bin")),
];

#[test]
fn the_device_carries_at_most_two_megabytes() {
    let difficulty = include_bytes!("../../data/difficulty.bin").len();
    let all = FILES.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() + difficulty;
    assert!(all <= 2 << 20, "{all} bytes");
}

#[test]
fn a_shipped_file_replaces_itself_and_names_its_content() {
    let mut models = Models::shipped();
    let before = models.clone();
    for (name, bytes) in FILES {
        models.replace(bytes).expect("a shipped file");
        assert!(models.versions().iter().any(|version| version.starts_with(name)), "{name}");
    }
    assert!(models == before);
}

#[test]
fn a_file_cut_short_or_changed_is_refused() {
    let mut models = Models::shipped();
    for (name, bytes) in FILES {
        let step = bytes.len() / 23 + 1;
        for end in (0..64).chain((64..bytes.len()).step_by(step)) {
            assert!(models.replace(&bytes[..end]).is_err(), "{name} cut at {end}");
        }
        let mut changed = bytes.to_vec();
        for at in (0..64).chain((64..bytes.len()).step_by(step)).chain([bytes.len() - 1]) {
            changed[at] ^= 0x10;
            assert!(models.replace(&changed).is_err(), "{name} changed at {at}");
            changed[at] ^= 0x10;
        }
        changed.push(0);
        assert!(matches!(models.replace(&changed), Err(Error::ModelLength { .. })), "{name} and a byte more");
    }
    assert_eq!(models.replace(b"PK\x03\x04"), Err(Error::ModelMagic { model: "signals" }));
}

#[test]
fn a_body_that_makes_no_sense_is_refused_though_its_checksum_is_right() {
    use crate::container::{Kind, seal};
    let mut models = Models::shipped();
    for kind in [Kind::Intent, Kind::Language, Kind::Safety, Kind::Content, Kind::Tagger] {
        for body in [&[][..], &[0; 3], &[0; 64], &[0xFF; 64], &[1, 0, 0, 0, 200, b'x']] {
            let refusal = models.replace(&seal(kind, body));
            assert!(matches!(refusal, Err(Error::ModelField { .. })), "{kind:?} {body:?}: {refusal:?}");
        }
    }
}

#[test]
fn intents_are_told_and_what_is_none_of_them_is_said_to_be_none() {
    let models = Models::shipped();
    let check = |text: &str, name: &str, in_scope: bool| {
        let [Intent { name: told, in_scope: scope, probability, .. }, _] = models.intent_of(text);
        assert!(probability > 0.0 && probability <= 1.0);
        assert_eq!(scope, in_scope, "{text}: {told} {probability}");
        assert!(!in_scope || &*told == name, "{text}: {told}");
    };
    check("what is the balance of my checking account", "balance", true);
    check("set an alarm for six in the morning", "alarm", true);
    check("how do you say good night in french", "translate", true);
    check("zzz qqq vvv", "", false);
    check("", "", false);
    let [_, command] = models.intent_of("wake me up at seven tomorrow");
    assert_eq!(&*command.name, "alarm_set");
}

#[test]
fn spans_are_told_by_type_and_character() {
    let models = Models::shipped();
    let check = |text: &str, wanted: &[(&str, &str)]| {
        let characters: Vec<char> = text.chars().collect();
        let spans = models.spans_of(text);
        let told: Vec<(&str, String)> = spans
            .iter()
            .map(|span| {
                (span.kind.name(), characters[span.start as usize..span.end as usize].iter().collect())
            })
            .collect();
        let told: Vec<(&str, &str)> = told.iter().map(|(kind, piece)| (*kind, piece.as_str())).collect();
        assert_eq!(told, wanted, "{text}");
        assert!(spans.windows(2).all(|pair| pair[0].end <= pair[1].start), "{text}");
    };
    check("für 4111 1111 1111 1111", &[("CREDIT_CARD", "4111 1111 1111 1111")]);
    check("write to anna@example.org!", &[("EMAIL_ADDRESS", "anna@example.org")]);
    check("see https://www.example.com/a?b=1.", &[("DOMAIN_NAME", "https://www.example.com/a?b=1")]);
    check("ping 192.168.0.17 now", &[("IP_ADDRESS", "192.168.0.17")]);
    check("version 1.2.3.4.5", &[]);
    check("my ssn is 514-69-0360", &[("US_SSN", "514-69-0360")]);
    check("My name is Maria Keller", &[("PERSON", "Maria Keller")]);
    check("turn on the kitchen light", &[]);
    let many = models.spans_of(&"a@b.cd ".repeat(500));
    assert_eq!(many.len(), 64);
}

#[test]
fn what_a_text_is_about_is_told_in_one_reading() {
    let models = Models::shipped();
    let whole = read("Review the source code of our private repository", &models);
    assert_eq!(whole.content.name(), "proprietary_code");
    assert!(whole.private);
    assert!(!read("What is the tallest mountain?", &models).private);
    let (script, language) = models.language_of("Включи свет");
    assert_eq!((whole.language.tag(), language.code()), ("en", "ru"));
    assert_eq!(script, crate::Script::Cyrillic);
}
