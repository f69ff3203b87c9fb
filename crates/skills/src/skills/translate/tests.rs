//! Checks each language's grammar: gender, case, contractions, measure words.

use std::collections::BTreeMap;

use super::{
    lexicon::{ADJECTIVES, Adjective, NOUNS, Noun},
    phrase::{Count, Deed, Person, Relation, Rhythm, Thing},
    *,
};
use crate::Split;

fn noun(en: &str) -> &'static Noun {
    NOUNS.iter().find(|noun| noun.en[0] == en).unwrap()
}

fn adjective(en: &str) -> &'static Adjective {
    ADJECTIVES.iter().find(|word| word.en == en).unwrap()
}

/// "The small red house": the last word is the noun, those before it its properties.
fn thing(count: Count, words: &str) -> Thing {
    let words: Vec<&str> = words.split(' ').collect();
    let (first, second) = match words[..] {
        [first, second, _] => (Some(adjective(first)), Some(adjective(second))),
        [second, _] => (None, Some(adjective(second))),
        _ => (None, None),
    };
    Thing { count, first, second, noun: noun(words[words.len() - 1]) }
}

fn the(words: &str) -> Thing {
    thing(Count::The, words)
}

/// The phrase in English, Spanish, French, German, Hindi and Chinese.
fn check(phrase: &Phrase, expect: [&str; 6]) {
    assert_eq!(english::say(phrase), expect[0]);
    for (language, expect) in LANGUAGES.iter().zip(&expect[1..]) {
        assert_eq!((language.says)(phrase), *expect);
    }
}

#[test]
fn places_take_the_case_and_the_contraction() {
    let at = |thing, relation, place, not| Phrase::At { thing, relation, place, not };
    check(
        &at(the("small red house"), Relation::Near, the("station"), false),
        [
            "The small red house is near the station.",
            "La pequeña casa roja está cerca de la estación.",
            "La petite maison rouge est près de la gare.",
            "Das kleine rote Haus ist nahe dem Bahnhof.",
            "छोटा लाल घर स्टेशन के पास है।",
            "红色的小房子在车站附近。",
        ],
    );
    check(
        &at(the("old black car"), Relation::NextTo, the("green market"), true),
        [
            "The old black car is not next to the green market.",
            "El viejo coche negro no está al lado del mercado verde.",
            "La vieille voiture noire n'est pas à côté du marché vert.",
            "Das alte schwarze Auto ist nicht neben dem grünen Markt.",
            "पुरानी काली गाड़ी हरे बाज़ार के बगल में नहीं है।",
            "黑色的旧汽车不在绿色的市场旁边。",
        ],
    );
    check(
        &at(the("key"), Relation::In, the("blue room"), false),
        [
            "The key is in the blue room.",
            "La llave está en la habitación azul.",
            "La clé est dans la chambre bleue.",
            "Der Schlüssel ist im blauen Zimmer.",
            "चाबी नीले कमरे में है।",
            "钥匙在蓝色的房间里。",
        ],
    );
}

#[test]
fn furniture_and_vowels_take_theirs() {
    let at = |thing, relation, place, not| Phrase::At { thing, relation, place, not };
    check(
        &at(the("new clock"), Relation::On, the("old table"), false),
        [
            "The new clock is on the old table.",
            "El reloj nuevo está sobre la mesa vieja.",
            "La nouvelle horloge est sur la vieille table.",
            "Die neue Uhr ist auf dem alten Tisch.",
            "नई घड़ी पुरानी मेज़ पर है।",
            "新时钟在旧桌子上。",
        ],
    );
    check(
        &at(the("shop"), Relation::InFrontOf, the("old hotel"), false),
        [
            "The shop is in front of the old hotel.",
            "La tienda está delante del hotel viejo.",
            "Le magasin est devant le vieil hôtel.",
            "Der Laden ist vor dem alten Hotel.",
            "दुकान पुराने होटल के सामने है।",
            "商店在旧酒店前面。",
        ],
    );
    check(
        &at(the("bank"), Relation::Near, the("school"), false),
        [
            "The bank is near the school.",
            "El banco está cerca de la escuela.",
            "La banque est près de l'école.",
            "Die Bank ist nahe der Schule.",
            "बैंक स्कूल के पास है।",
            "银行在学校附近。",
        ],
    );
}

#[test]
fn properties_and_questions_agree() {
    let is = |thing, so, not| Phrase::Is { thing, so: adjective(so), not };
    check(
        &is(the("white bottle"), "clean", false),
        [
            "The white bottle is clean.",
            "La botella blanca está limpia.",
            "La bouteille blanche est propre.",
            "Die weiße Flasche ist sauber.",
            "सफ़ेद बोतल साफ़ है।",
            "白色的瓶子很干净。",
        ],
    );
    check(
        &is(the("old bag"), "yellow", true),
        [
            "The old bag is not yellow.",
            "La bolsa vieja no es amarilla.",
            "Le vieux sac n'est pas jaune.",
            "Die alte Tasche ist nicht gelb.",
            "पुराना थैला पीला नहीं है।",
            "旧包不是黄色的。",
        ],
    );
    check(
        &is(the("hospital"), "new", true),
        [
            "The hospital is not new.",
            "El hospital no es nuevo.",
            "L'hôpital n'est pas nouveau.",
            "Das Krankenhaus ist nicht neu.",
            "अस्पताल नया नहीं है।",
            "医院不新。",
        ],
    );
    check(
        &Phrase::Where(the("big blue boat")),
        [
            "Where is the big blue boat?",
            "¿Dónde está el gran barco azul?",
            "Où est le grand bateau bleu ?",
            "Wo ist das große blaue Boot?",
            "बड़ी नीली नाव कहाँ है?",
            "蓝色的大船在哪里？",
        ],
    );
}

#[test]
fn counted_things_take_their_plural_and_measure() {
    let mine = |want, things: &[Thing]| Phrase::Mine { want, things: things.to_vec() };
    check(
        &mine(false, &[thing(Count::A, "old hat"), thing(Count::Some(3), "big red box")]),
        [
            "I have an old hat and three big red boxes.",
            "Tengo un sombrero viejo y tres grandes cajas rojas.",
            "J'ai un vieux chapeau et trois grandes boîtes rouges.",
            "Ich habe einen alten Hut und drei große rote Kisten.",
            "मेरे पास एक पुरानी टोपी और तीन बड़े लाल डिब्बे हैं।",
            "我有一顶旧帽子和三个红色的大盒子。",
        ],
    );
    check(
        &mine(true, &[thing(Count::A, "beautiful umbrella")]),
        [
            "I want a beautiful umbrella.",
            "Quiero un paraguas bonito.",
            "Je veux un beau parapluie.",
            "Ich will einen schönen Regenschirm.",
            "मुझे एक सुंदर छाता चाहिए।",
            "我想要一把漂亮的雨伞。",
        ],
    );
    check(
        &Phrase::There {
            thing: thing(Count::Some(2), "white cup"),
            relation: Relation::Under,
            place: the("bed"),
        },
        [
            "There are two white cups under the bed.",
            "Hay dos tazas blancas debajo de la cama.",
            "Il y a deux tasses blanches sous le lit.",
            "Es gibt zwei weiße Tassen unter dem Bett.",
            "बिस्तर के नीचे दो सफ़ेद प्याले हैं।",
            "床下面有两个白色的杯子。",
        ],
    );
}

#[test]
fn doers_govern_their_verb() {
    let does = |who, deed, thing, rhythm| Phrase::Does { who, deed, thing, rhythm };
    check(
        &does(Person::Woman, Deed::Buys, thing(Count::A, "new chair"), Some(Rhythm::EveryDay)),
        [
            "The woman buys a new chair every day.",
            "La mujer compra una silla nueva todos los días.",
            "La femme achète une nouvelle chaise tous les jours.",
            "Die Frau kauft jeden Tag einen neuen Stuhl.",
            "औरत हर दिन एक नई कुर्सी खरीदती है।",
            "女人每天买一把新椅子。",
        ],
    );
    check(
        &does(Person::Boy, Deed::Sees, the("small letter"), Some(Rhythm::Often)),
        [
            "The boy often sees the small letter.",
            "El niño ve la carta pequeña a menudo.",
            "Le garçon voit souvent la petite lettre.",
            "Der Junge sieht oft den kleinen Brief.",
            "लड़का अक्सर छोटी चिट्ठी देखता है।",
            "男孩经常看见小信。",
        ],
    );
}

/// Without this, a phrase would have two right translations.
#[test]
fn different_phrases_are_said_differently_in_every_language() {
    let mut dice = Dice::new(Split::Train, 3);
    let phrases: Vec<Phrase> = (0..20_000).map(|_| Phrase::drawn(&mut dice)).collect();
    for language in LANGUAGES {
        let mut meanings = BTreeMap::new();
        for phrase in &phrases {
            let english = english::say(phrase);
            let before = meanings.insert((language.says)(phrase), english.clone());
            assert!(before.is_none_or(|before| before == english), "{english}");
        }
    }
}
