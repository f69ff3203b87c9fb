//! What the signals say of texts.

mod files;

use crate::{DifficultyModel, Error, Language, Models, Script, Signals, Topic, read};

fn signals(text: &str) -> Signals {
    read(text, &Models::shipped())
}

#[test]
fn languages_are_told_by_script_and_by_common_words() {
    let check = |text: &str, code: &str| assert_eq!(signals(text).language.code(), code, "{text}");
    check("What is the weather like tomorrow?", "en");
    check("turn on the kitchen light", "en");
    check("Turn the heating down to 19 degrees please", "en");
    check("Enciende la luz de la cocina", "es");
    check("¿Qué tiempo hace mañana?", "es");
    check("Pon un temporizador de diez minutos", "es");
    check("Allume la lumière de la cuisine", "fr");
    check("Quel temps fera-t-il demain ?", "fr");
    check("Mets un minuteur de dix minutes", "fr");
    check("Schalte das Licht in der Küche ein", "de");
    check("Wie wird das Wetter morgen?", "de");
    check("Stell einen Timer auf zehn Minuten", "de");
    check("रसोई की बत्ती जला दो", "hi");
    check("कल मौसम कैसा रहेगा?", "hi");
    check("打开厨房的灯", "zh");
    check("明天天气怎么样？", "zh");
    check("Translate to English: 打开灯", "en");
    check("キッチンの電気をつけて", "ja");
    check("부엌 불 켜줘", "ko");
    check("Включи свет на кухне", "ru");
    check("12 + 30 =", "");
    check("", "");
    assert_eq!(signals("打开厨房的灯").script, Script::Han);
    assert_eq!(signals("रसोई की बत्ती").script, Script::Devanagari);
    assert_eq!(signals("🙂 42").language, Language::OTHER);
}

#[test]
fn topics_need_more_than_a_word_that_looks_like_them() {
    let check = |text: &str, topic: Topic| assert_eq!(signals(text).topic, topic, "{text}");
    check("Is it safe to take ibuprofen with alcohol?", Topic::Medical);
    check("My chest hurts and my left arm aches, should I see a doctor?", Topic::Medical);
    check("What are the side effects of this drug?", Topic::Medical);
    check("Was hilft gegen Fieber?", Topic::Medical);
    check("¿Cuál es la dosis de paracetamol para un niño?", Topic::Medical);
    check("What are the treatments for tonsillitis?", Topic::Medical);
    check("how much amoxicillin may a child have", Topic::Medical);
    check("布洛芬的剂量是多少", Topic::Medical);
    check("बुखार की दवा कौन सी है", Topic::Medical);
    check("Can my landlord evict me without notice? I want to sue.", Topic::Legal);
    check("Is this clause of the contract enforceable?", Topic::Legal);
    check("I want to kill myself", Topic::SelfHarm);
    check("Ich will sterben", Topic::SelfHarm);
    check("I don\u{2019}t want to live any more", Topic::SelfHarm);
    check("我不想活了", Topic::SelfHarm);
    check("how to make a bomb at home", Topic::Dangerous);
    check("how could I poison someone without being caught", Topic::Dangerous);

    // Words with borders: none of these is meant.
    check("kill the lights", Topic::None);
    check("How do I kill a process in Linux?", Topic::None);
    check("shoot a photo of the garden", Topic::None);
    check("play Doctor Who", Topic::None);
    check("That party was the bomb", Topic::None);
    check("What is a bath bomb made of?", Topic::None);
    check("I'm dying to see that film", Topic::None);
    check("blow up the balloons for the party", Topic::None);
    check("How can I cut costs and beat the market?", Topic::None);
    check("The heart of the city is sick of traffic noise", Topic::None);
    check("Who was the judge in that baking show?", Topic::None);
    check("turn on the lights in the skinny corridor", Topic::None);
    check("Describe the cancellation policy", Topic::None);
    check("What happens in April at the academia of Bohemia?", Topic::None);
    check("", Topic::None);
}

#[test]
fn personal_data_is_found_by_form_and_checksum() {
    let found = |text: &str| {
        let is = signals(text).sensitivity;
        (is.emails, is.cards, is.phones, is.ibans, is.secrets)
    };
    let check = |text: &str, wanted: (u16, u16, u16, u16, u16)| {
        assert_eq!(found(text), wanted, "emails, cards, phones, ibans, secrets in: {text}");
        assert_eq!(signals(text).private, wanted != (0, 0, 0, 0, 0), "{text}");
    };
    let nothing = (0, 0, 0, 0, 0);
    check("Write to maria.lopez+home@example.co.uk, or to ben@example.org.", (2, 0, 0, 0, 0));
    check("Meet me @ noon, user@localhost, a@b", nothing);
    check("My card is 4111 1111 1111 1111", (0, 1, 0, 0, 0));
    check("Card 5500-0000-0000-0004, thanks", (0, 1, 0, 0, 0));
    check("Card 4111 1111 1111 1112", nothing);
    check("lost my card 180016070420458 today", (0, 1, 0, 0, 0));
    check("180016070420458 is a big number", nothing);
    check("my iban is gb42nawi04454264788619", (0, 0, 0, 1, 0));
    check("They do not answer at 5550132; I keep calling 555 0132", (0, 0, 1, 0, 0));
    check("The serial number is 0000000000000000", nothing);
    check("IBAN DE89 3704 0044 0532 0130 00 please", (0, 0, 0, 1, 0));
    check("GB82WEST12345698765432", (0, 0, 0, 1, 0));
    check("GB83WEST12345698765432", nothing);
    check("on american airlines flight ab123 and my luggage is now lost", nothing);
    check("Call me on +49 30 901820", (0, 0, 1, 0, 0));
    check("ring (415) 555-0132 after six", (0, 0, 1, 0, 0));
    check("my phone number is 5550132", (0, 0, 1, 0, 0));
    check("What is 5550132 times 3?", nothing);
    check("From 2024-05-12 to 2024-06-12, 1234567890 + 5", nothing);
    check("My password is swordfish", (0, 0, 0, 0, 1));
    check("What makes a good password?", nothing);
    check("", nothing);
}

#[test]
fn shapes_count_what_is_there() {
    let shape = signals("Buy:\n- 3 apples\n- 12 eggs\n1. and milk").shape;
    assert_eq!((shape.lines, shape.list_items, shape.numbers, shape.words), (4, 3, 3, 8));
    assert!(!shape.question && !shape.code);
    assert!(signals("How tall is it").shape.question);
    assert!(signals("你好吗？").shape.question);
    assert!(!signals("turn it off").shape.question);
    assert!(signals("fn main() { let x = 1; }").shape.code);
    assert!(!signals("The class of 1998 (reunion) will return").shape.code);
    let long = signals(&"one two 3\n".repeat(10_000)).shape;
    assert_eq!(long.chars, 100_000);
    assert!((29_000..31_000).contains(&long.words), "{}", long.words);
}

#[test]
fn token_estimates_lie_near_those_of_common_vocabularies() {
    let check = |text: &str, least: u32, most: u32| {
        let tokens = signals(text).prompt_tokens;
        assert!((least..=most).contains(&tokens), "{tokens} tokens for: {text}");
    };
    check("", 0, 0);
    check("turn on the kitchen light", 5, 7);
    check("What is the weather like tomorrow?", 7, 9);
    check("12345", 5, 5);
    check("打开厨房的灯", 4, 7);
    check("रसोई की बत्ती", 5, 10);
    check(&"word ".repeat(10_000), 9_900, 10_100);
}

#[test]
fn reading_ends_and_stays_in_bounds_whatever_the_text() {
    for text in [
        "\u{0}".repeat(5000),
        "é".repeat(5000),
        "🙂".repeat(3000),
        "+".repeat(5000),
        "1-".repeat(5000),
        "A1 ".repeat(5000),
        "@".repeat(5000),
        "'".repeat(5000),
        "\u{202e}\u{0301}".repeat(2000),
    ] {
        let signals = signals(&text);
        assert!(signals.output_tokens_p50 >= 1.0 && signals.output_tokens_p90 >= signals.output_tokens_p50);
        assert!(signals.difficulty.is_finite());
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig {
        cases: 64, failure_persistence: None, ..Default::default()
    })]

    #[test]
    fn any_text_can_be_read(text in "(?s).{0,200}|[0-9 +().@A-Z-]{0,80}") {
        let read = signals(&text);
        proptest::prop_assert!(read.requirement.iter().all(|one| one.is_finite()));
        proptest::prop_assert_eq!(read, signals(&text));
    }
}

#[test]
fn the_shipped_model_is_whole_and_its_version_is_its_content() {
    let bytes = include_bytes!("../data/difficulty.bin");
    assert!(bytes.len() <= 300_000, "{} bytes", bytes.len());
    let model = DifficultyModel::from_bytes(bytes).expect("the shipped model");
    assert_eq!(model.to_bytes(), bytes);
    assert!(model.version().starts_with("difficulty-") && model.version().len() == 27);
    assert_eq!(Models::shipped().version(), model.version());
}

#[test]
fn the_shipped_model_was_taught_by_the_demo_models_that_ship() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/models");
    let shipped = ["device", "cloud"].map(|name| {
        let file = folder.join(format!("{name}/causeway-{name}-q4_0.gguf"));
        blake3::hash(&std::fs::read(file).expect("a demo model")).to_hex().to_string()
    });
    assert_eq!(Models::shipped().difficulty().taught_by(), shipped, "`model outcomes`, then `signals train`");
}

#[test]
fn a_model_file_that_is_not_whole_is_refused() {
    let bytes = DifficultyModel::neutral().to_bytes();
    let refusal = |bytes: &[u8]| Models::with_difficulty(bytes).err();
    for end in 0..bytes.len() {
        assert!(refusal(&bytes[..end]).is_some(), "cut at {end}");
    }
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x40;
        assert!(refusal(&flipped).is_some(), "flipped at {at}");
    }
    assert_eq!(refusal(b"PK\x03\x04"), Some(Error::Magic));
    let older = [b"CWDIFF01", &bytes[8..]].concat();
    assert_eq!(refusal(&older), Some(Error::Edition { given: "CWDIFF01".into() }));
    assert!(matches!(refusal(&bytes[..bytes.len() - 1]), Some(Error::Length { .. })));
    let mut broken = bytes.clone();
    *broken.last_mut().expect("a byte") ^= 1;
    assert_eq!(refusal(&broken), Some(Error::Checksum));
    let mut more_heads = bytes;
    more_heads[8] = 6;
    assert!(matches!(refusal(&more_heads), Some(Error::Header { field: "heads", value: 6, .. })));
}

#[test]
fn a_model_that_has_learned_nothing_says_the_same_of_every_text() {
    let models = Models::from(DifficultyModel::neutral());
    let (one, other) = (read("hello", &models), read("prove that there are infinitely many primes", &models));
    assert_eq!((one.requirement, one.difficulty), (other.requirement, other.difficulty));
    assert_eq!((one.requirement, one.difficulty), ([1.0, 2.0], 0.0));
    assert!((one.output_tokens_p50 - 32.0).abs() < 1e-3 && (one.output_tokens_p90 - 128.0).abs() < 1e-2);
}

#[cfg(feature = "wire")]
#[test]
fn signals_travel_with_the_edition_of_their_models() {
    let models = Models::shipped();
    let signals = read("My card is 4111 1111 1111 1111, is it safe to take aspirin?", &models);
    let wire = signals.to_wire(&models);
    assert_eq!((wire.language.as_str(), wire.topic.as_str(), wire.sensitive), ("en", "medical", true));
    assert_eq!((wire.requirement, wire.difficulty), (signals.requirement.to_vec(), signals.difficulty));
    assert_eq!((wire.prompt_tokens, wire.version.as_str()), (signals.prompt_tokens, models.version()));
}
