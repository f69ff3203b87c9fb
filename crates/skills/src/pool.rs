//! The open-class words: thousands of each kind, built from syllables and dealt to the splits by hash.

use std::sync::LazyLock;

use crate::split::{Key, Split};

/// A kind of open-class word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A person's given name.
    Given,
    /// A family name.
    Family,
    /// A town.
    Place,
    /// A room of a home.
    Room,
    /// A maker, a shop or a band.
    Maker,
    /// What a letter or a call is about, as "roof invoice".
    Topic,
}

/// The words of one split.
#[derive(Debug)]
pub(crate) struct Pools {
    given: Vec<String>,
    family: Vec<String>,
    place: Vec<String>,
    room: Vec<String>,
    maker: Vec<String>,
    topic: Vec<String>,
}

static POOLS: LazyLock<[Pools; 3]> = LazyLock::new(|| Split::ALL.map(Pools::new));

impl Pools {
    pub(crate) fn of(split: Split) -> &'static Self {
        &POOLS[split as usize]
    }

    pub(crate) fn words(&self, kind: Kind) -> &[String] {
        match kind {
            Kind::Given => &self.given,
            Kind::Family => &self.family,
            Kind::Place => &self.place,
            Kind::Room => &self.room,
            Kind::Maker => &self.maker,
            Kind::Topic => &self.topic,
        }
    }

    fn new(split: Split) -> Self {
        let mut rooms = composed([&ROOM_STARTS, &[""], &ROOM_ENDS]);
        rooms.extend(ROOMS.map(str::to_owned));
        Self {
            given: dealt(split, composed([&GIVEN_STARTS, &MIDDLES, &GIVEN_ENDS])),
            family: dealt(split, composed([&FAMILY_STARTS, &FAMILY_MIDDLES, &FAMILY_ENDS])),
            place: dealt(split, composed([&PLACE_STARTS, &PLACE_MIDDLES, &PLACE_ENDS])),
            room: dealt(split, rooms),
            maker: dealt(split, composed([&MAKER_STARTS, &MAKER_MIDDLES, &MAKER_ENDS])),
            topic: dealt(split, composed([&TOPIC_STARTS, &[" "], &TOPIC_ENDS])),
        }
    }
}

/// A word belongs to one split whatever its kind: the hash sees only its letters.
fn dealt(split: Split, mut words: Vec<String>) -> Vec<String> {
    words.retain(|word| Split::of(Key::new("word").text(&word.to_lowercase()).done()) == split);
    words.sort();
    words.dedup();
    words
}

/// Every start with every middle and end, less those that stammer ("Mar-an-an").
fn composed(parts: [&[&str]; 3]) -> Vec<String> {
    let [starts, middles, ends] = parts;
    let mut words = Vec::with_capacity(starts.len() * middles.len() * ends.len());
    for start in starts {
        for middle in middles {
            for end in ends {
                let stammers =
                    !middle.trim().is_empty() && (end.starts_with(middle) || start.ends_with(middle));
                if !stammers {
                    words.push(format!("{start}{middle}{end}"));
                }
            }
        }
    }
    words
}

const GIVEN_STARTS: [&str; 50] = [
    "Mar", "Tal", "Ren", "Jov", "Kes", "Lin", "Bran", "Dor", "Fen", "Gal", "Har", "Ing", "Jas", "Kor", "Lor",
    "Mir", "Nad", "Ol", "Pel", "Quin", "Ros", "Sol", "Tam", "Ul", "Vel", "Wen", "Yar", "Zel", "Ad", "Bel",
    "Cas", "Del", "El", "Far", "Gret", "Hel", "Iv", "Jun", "Kir", "Lev", "Mon", "Nor", "Ot", "Per", "Rav",
    "Sam", "Ter", "Val", "Stev", "Clar",
];
const MIDDLES: [&str; 10] = ["", "an", "el", "in", "or", "is", "ud", "ev", "am", "ir"];
const GIVEN_ENDS: [&str; 24] = [
    "a", "o", "ia", "en", "ek", "ik", "us", "ine", "ette", "ard", "id", "ov", "ana", "ora", "i", "e", "is",
    "on", "an", "el", "ie", "ina", "ero", "as",
];
const FAMILY_STARTS: [&str; 40] = [
    "Hol", "Brand", "Kell", "Stern", "Lind", "Mor", "Ash", "Whit", "Cald", "Fair", "Gren", "Hart", "Lang",
    "Marsh", "Nord", "Oak", "Park", "Rad", "Sand", "Thorn", "Und", "Vald", "West", "Yor", "Berg", "Dal",
    "Ek", "Frost", "Gar", "Iv", "Jans", "Kram", "Lun", "Mal", "Ol", "Pett", "Quil", "Ross", "Stan", "Tor",
];
const FAMILY_MIDDLES: [&str; 6] = ["", "er", "en", "ing", "a", "o"];
const FAMILY_ENDS: [&str; 24] = [
    "man", "son", "well", "ford", "ley", "ton", "by", "berg", "stein", "wick", "gate", "ridge", "croft",
    "worth", "feld", "mont", "dahl", "strom", "holt", "burn", "vik", "ski", "lund", "nova",
];
const PLACE_STARTS: [&str; 40] = [
    "Ald", "Bren", "Carn", "Dun", "Eld", "Fal", "Glen", "Hath", "Ist", "Kil", "Lang", "Mel", "North", "Ox",
    "Pen", "Quar", "Ros", "Stan", "Tor", "Ul", "Ven", "Wal", "Yel", "Zan", "Ash", "Bel", "Cal", "Der", "Est",
    "Free", "Gran", "Hol", "Ing", "Jor", "Kirk", "Lis", "Mont", "Nev", "Or", "Port",
];
const PLACE_MIDDLES: [&str; 6] = ["", "en", "er", "a", "in", "o"];
const PLACE_ENDS: [&str; 22] = [
    "ville", "ham", "mouth", "stead", "minster", "bury", "haven", "field", "port", "borough", "vik", "grad",
    "dale", "bridge", "wood", "heim", "fall", "cross", "shire", "market", "ness", "beck",
];
const ROOM_STARTS: [&str; 42] = [
    "sun", "back", "front", "mud", "oak", "elm", "north", "south", "east", "west", "high", "low", "old",
    "new", "long", "blue", "green", "red", "gold", "stone", "glass", "wood", "book", "tea", "wine", "art",
    "play", "work", "guest", "tool", "garden", "moon", "star", "rain", "snow", "cedar", "pine", "rose",
    "lake", "hill", "clay", "fern",
];
const ROOM_ENDS: [&str; 16] = [
    "room", "hall", "den", "loft", "porch", "attic", "cellar", "nook", "study", "lounge", "shed", "wing",
    "house", "court", "deck", "suite",
];
const ROOMS: [&str; 24] = [
    "kitchen", "bedroom", "bathroom", "hallway", "garage", "office", "nursery", "basement", "balcony",
    "terrace", "pantry", "laundry", "library", "attic", "cellar", "studio", "gym", "den", "study", "lounge",
    "porch", "patio", "loft", "corridor",
];
const MAKER_STARTS: [&str; 40] = [
    "Lum", "Vex", "Nov", "Zen", "Ark", "Bril", "Cor", "Dyn", "Ech", "Flux", "Glim", "Hex", "Ion", "Jet",
    "Kin", "Lux", "Mag", "Neb", "Opt", "Pix", "Quant", "Rad", "Syn", "Tek", "Umb", "Vol", "Wav", "Xen",
    "Yon", "Zor", "Aer", "Bol", "Cyg", "Del", "Emb", "Fon", "Gal", "Hal", "Ind", "Jul",
];
const MAKER_MIDDLES: [&str; 8] = ["", "an", "er", "il", "om", "ar", "ed", "us"];
const MAKER_ENDS: [&str; 16] =
    ["ora", "ex", "io", "on", "ix", "a", "ia", "is", "eo", "um", "ant", "al", "ik", "os", "ero", "ity"];
const TOPIC_STARTS: [&str; 46] = [
    "roof",
    "garden",
    "school",
    "travel",
    "budget",
    "dental",
    "garage",
    "kitchen",
    "summer",
    "winter",
    "school trip",
    "rent",
    "water",
    "power",
    "phone",
    "staff",
    "sales",
    "wedding",
    "birthday",
    "tax",
    "car",
    "bike",
    "boiler",
    "window",
    "door",
    "fence",
    "piano",
    "swim",
    "yoga",
    "chess",
    "choir",
    "museum",
    "hotel",
    "train",
    "flight",
    "ferry",
    "parking",
    "health",
    "library",
    "street",
    "market",
    "harbour",
    "bridge",
    "paint",
    "floor",
    "carpet",
];
const TOPIC_ENDS: [&str; 30] = [
    "invoice",
    "plan",
    "report",
    "ticket",
    "form",
    "contract",
    "photos",
    "list",
    "quote",
    "repair",
    "survey",
    "permit",
    "order",
    "booking",
    "delivery",
    "inspection",
    "deposit",
    "refund",
    "schedule",
    "review",
    "bill",
    "sketch",
    "notes",
    "draft",
    "receipt",
    "keys",
    "offer",
    "class",
    "meeting",
    "warranty",
];

#[cfg(test)]
mod tests;
