//! The words of the closed lexicon, with the forms that the patterns need.

/// What a thing is good for in a phrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Building,
    Vehicle,
    Room,
    Furniture,
    Object,
}

impl Sort {
    pub(super) const ALL: [Self; 5] =
        [Self::Building, Self::Vehicle, Self::Room, Self::Furniture, Self::Object];
}

/// A noun: one and many in each language; Hindi one, one before a postposition, many; Chinese with its
/// measure word.
#[derive(Debug)]
pub(super) struct Noun {
    pub(super) sort: Sort,
    pub(super) en: [&'static str; 2],
    pub(super) es: [&'static str; 2],
    pub(super) fr: [&'static str; 2],
    pub(super) de: [&'static str; 2],
    pub(super) hi: [&'static str; 3],
    pub(super) zh: [&'static str; 2],
    /// The gender in Spanish, French, German and Hindi: m, f or n.
    sex: [u8; 4],
}

impl Noun {
    pub(super) fn es_feminine(&self) -> bool {
        self.sex[0] == b'f'
    }

    pub(super) fn fr_feminine(&self) -> bool {
        self.sex[1] == b'f'
    }

    /// 0 masculine, 1 feminine, 2 neuter.
    pub(super) fn de_gender(&self) -> usize {
        match self.sex[2] {
            b'm' => 0,
            b'f' => 1,
            _ => 2,
        }
    }

    pub(super) fn hi_feminine(&self) -> bool {
        self.sex[3] == b'f'
    }
}

/// A row of the lexicon; the last column is the gender in Spanish, French, German and Hindi.
macro_rules! noun {
    ($sort:ident, $en:expr, $es:expr, $fr:expr, $de:expr, $hi:expr, $zh:expr, $sex:expr) => {
        Noun { sort: Sort::$sort, en: $en, es: $es, fr: $fr, de: $de, hi: $hi, zh: $zh, sex: *$sex }
    };
}

#[rustfmt::skip]
pub(super) const NOUNS: [Noun; 32] = [
    noun!(Building, ["house", "houses"], ["casa", "casas"], ["maison", "maisons"], ["Haus", "Häuser"], ["घर", "घर", "घर"], ["房子", "栋"], b"ffnm"),
    noun!(Building, ["station", "stations"], ["estación", "estaciones"], ["gare", "gares"], ["Bahnhof", "Bahnhöfe"], ["स्टेशन", "स्टेशन", "स्टेशन"], ["车站", "个"], b"ffmm"),
    noun!(Building, ["school", "schools"], ["escuela", "escuelas"], ["école", "écoles"], ["Schule", "Schulen"], ["स्कूल", "स्कूल", "स्कूल"], ["学校", "所"], b"fffm"),
    noun!(Building, ["hotel", "hotels"], ["hotel", "hoteles"], ["hôtel", "hôtels"], ["Hotel", "Hotels"], ["होटल", "होटल", "होटल"], ["酒店", "家"], b"mmnm"),
    noun!(Building, ["shop", "shops"], ["tienda", "tiendas"], ["magasin", "magasins"], ["Laden", "Läden"], ["दुकान", "दुकान", "दुकानें"], ["商店", "家"], b"fmmf"),
    noun!(Building, ["bank", "banks"], ["banco", "bancos"], ["banque", "banques"], ["Bank", "Banken"], ["बैंक", "बैंक", "बैंक"], ["银行", "家"], b"mffm"),
    noun!(Building, ["hospital", "hospitals"], ["hospital", "hospitales"], ["hôpital", "hôpitaux"], ["Krankenhaus", "Krankenhäuser"], ["अस्पताल", "अस्पताल", "अस्पताल"], ["医院", "家"], b"mmnm"),
    noun!(Building, ["bridge", "bridges"], ["puente", "puentes"], ["pont", "ponts"], ["Brücke", "Brücken"], ["पुल", "पुल", "पुल"], ["桥", "座"], b"mmfm"),
    noun!(Building, ["market", "markets"], ["mercado", "mercados"], ["marché", "marchés"], ["Markt", "Märkte"], ["बाज़ार", "बाज़ार", "बाज़ार"], ["市场", "个"], b"mmmm"),
    noun!(Building, ["museum", "museums"], ["museo", "museos"], ["musée", "musées"], ["Museum", "Museen"], ["संग्रहालय", "संग्रहालय", "संग्रहालय"], ["博物馆", "座"], b"mmnm"),
    noun!(Vehicle, ["car", "cars"], ["coche", "coches"], ["voiture", "voitures"], ["Auto", "Autos"], ["गाड़ी", "गाड़ी", "गाड़ियाँ"], ["汽车", "辆"], b"mfnf"),
    noun!(Vehicle, ["bicycle", "bicycles"], ["bicicleta", "bicicletas"], ["vélo", "vélos"], ["Fahrrad", "Fahrräder"], ["साइकिल", "साइकिल", "साइकिलें"], ["自行车", "辆"], b"fmnf"),
    noun!(Vehicle, ["boat", "boats"], ["barco", "barcos"], ["bateau", "bateaux"], ["Boot", "Boote"], ["नाव", "नाव", "नावें"], ["船", "条"], b"mmnf"),
    noun!(Room, ["room", "rooms"], ["habitación", "habitaciones"], ["chambre", "chambres"], ["Zimmer", "Zimmer"], ["कमरा", "कमरे", "कमरे"], ["房间", "个"], b"ffnm"),
    noun!(Room, ["kitchen", "kitchens"], ["cocina", "cocinas"], ["cuisine", "cuisines"], ["Küche", "Küchen"], ["रसोई", "रसोई", "रसोइयाँ"], ["厨房", "个"], b"ffff"),
    noun!(Room, ["garden", "gardens"], ["jardín", "jardines"], ["jardin", "jardins"], ["Garten", "Gärten"], ["बगीचा", "बगीचे", "बगीचे"], ["花园", "个"], b"mmmm"),
    noun!(Furniture, ["table", "tables"], ["mesa", "mesas"], ["table", "tables"], ["Tisch", "Tische"], ["मेज़", "मेज़", "मेज़ें"], ["桌子", "张"], b"ffmf"),
    noun!(Furniture, ["chair", "chairs"], ["silla", "sillas"], ["chaise", "chaises"], ["Stuhl", "Stühle"], ["कुर्सी", "कुर्सी", "कुर्सियाँ"], ["椅子", "把"], b"ffmf"),
    noun!(Furniture, ["bed", "beds"], ["cama", "camas"], ["lit", "lits"], ["Bett", "Betten"], ["बिस्तर", "बिस्तर", "बिस्तर"], ["床", "张"], b"fmnm"),
    noun!(Object, ["book", "books"], ["libro", "libros"], ["livre", "livres"], ["Buch", "Bücher"], ["किताब", "किताब", "किताबें"], ["书", "本"], b"mmnf"),
    noun!(Object, ["key", "keys"], ["llave", "llaves"], ["clé", "clés"], ["Schlüssel", "Schlüssel"], ["चाबी", "चाबी", "चाबियाँ"], ["钥匙", "把"], b"ffmf"),
    noun!(Object, ["cup", "cups"], ["taza", "tazas"], ["tasse", "tasses"], ["Tasse", "Tassen"], ["प्याला", "प्याले", "प्याले"], ["杯子", "个"], b"fffm"),
    noun!(Object, ["hat", "hats"], ["sombrero", "sombreros"], ["chapeau", "chapeaux"], ["Hut", "Hüte"], ["टोपी", "टोपी", "टोपियाँ"], ["帽子", "顶"], b"mmmf"),
    noun!(Object, ["bottle", "bottles"], ["botella", "botellas"], ["bouteille", "bouteilles"], ["Flasche", "Flaschen"], ["बोतल", "बोतल", "बोतलें"], ["瓶子", "个"], b"ffff"),
    noun!(Object, ["letter", "letters"], ["carta", "cartas"], ["lettre", "lettres"], ["Brief", "Briefe"], ["चिट्ठी", "चिट्ठी", "चिट्ठियाँ"], ["信", "封"], b"ffmf"),
    noun!(Object, ["lamp", "lamps"], ["lámpara", "lámparas"], ["lampe", "lampes"], ["Lampe", "Lampen"], ["लैंप", "लैंप", "लैंप"], ["台灯", "盏"], b"fffm"),
    noun!(Object, ["phone", "phones"], ["teléfono", "teléfonos"], ["téléphone", "téléphones"], ["Telefon", "Telefone"], ["फ़ोन", "फ़ोन", "फ़ोन"], ["电话", "部"], b"mmnm"),
    noun!(Object, ["picture", "pictures"], ["cuadro", "cuadros"], ["tableau", "tableaux"], ["Bild", "Bilder"], ["तस्वीर", "तस्वीर", "तस्वीरें"], ["画", "幅"], b"mmnf"),
    noun!(Object, ["umbrella", "umbrellas"], ["paraguas", "paraguas"], ["parapluie", "parapluies"], ["Regenschirm", "Regenschirme"], ["छाता", "छाते", "छाते"], ["雨伞", "把"], b"mmmm"),
    noun!(Object, ["clock", "clocks"], ["reloj", "relojes"], ["horloge", "horloges"], ["Uhr", "Uhren"], ["घड़ी", "घड़ी", "घड़ियाँ"], ["时钟", "个"], b"mfff"),
    noun!(Object, ["box", "boxes"], ["caja", "cajas"], ["boîte", "boîtes"], ["Kiste", "Kisten"], ["डिब्बा", "डिब्बे", "डिब्बे"], ["盒子", "个"], b"fffm"),
    noun!(Object, ["bag", "bags"], ["bolsa", "bolsas"], ["sac", "sacs"], ["Tasche", "Taschen"], ["थैला", "थैले", "थैले"], ["包", "个"], b"fmfm"),
];

/// An adjective with its forms.
#[derive(Debug)]
pub(super) struct Adjective {
    pub(super) en: &'static str,
    /// Masculine and feminine, one and many.
    pub(super) es: [&'static str; 4],
    /// Masculine and feminine, one and many.
    pub(super) fr: [&'static str; 4],
    /// The stem; endings follow the case.
    pub(super) de: &'static str,
    /// Masculine, masculine oblique or many, feminine.
    pub(super) hi: [&'static str; 3],
    pub(super) zh: &'static str,
    pub(super) colour: bool,
    /// May stand before a colour.
    pub(super) leads: bool,
    /// Spanish `estar` rather than `ser`.
    pub(super) es_state: bool,
    /// Before the noun in French.
    pub(super) fr_before: bool,
    /// Chinese attaches it without 的.
    pub(super) zh_bare: bool,
}

const PLAIN: Adjective = Adjective {
    en: "",
    es: [""; 4],
    fr: [""; 4],
    de: "",
    hi: [""; 3],
    zh: "",
    colour: false,
    leads: false,
    es_state: false,
    fr_before: false,
    zh_bare: false,
};
const LEADING: Adjective = Adjective { leads: true, fr_before: true, zh_bare: true, ..PLAIN };
const COLOUR: Adjective = Adjective { colour: true, ..PLAIN };

#[rustfmt::skip]
pub(super) const ADJECTIVES: [Adjective; 12] = [
    Adjective { en: "small", es: ["pequeño", "pequeña", "pequeños", "pequeñas"], fr: ["petit", "petite", "petits", "petites"], de: "klein", hi: ["छोटा", "छोटे", "छोटी"], zh: "小", ..LEADING },
    Adjective { en: "big", es: ["grande", "grande", "grandes", "grandes"], fr: ["grand", "grande", "grands", "grandes"], de: "groß", hi: ["बड़ा", "बड़े", "बड़ी"], zh: "大", ..LEADING },
    Adjective { en: "old", es: ["viejo", "vieja", "viejos", "viejas"], fr: ["vieux", "vieille", "vieux", "vieilles"], de: "alt", hi: ["पुराना", "पुराने", "पुरानी"], zh: "旧", ..LEADING },
    Adjective { en: "new", es: ["nuevo", "nueva", "nuevos", "nuevas"], fr: ["nouveau", "nouvelle", "nouveaux", "nouvelles"], de: "neu", hi: ["नया", "नए", "नई"], zh: "新", ..LEADING },
    Adjective { en: "beautiful", es: ["bonito", "bonita", "bonitos", "bonitas"], fr: ["beau", "belle", "beaux", "belles"], de: "schön", hi: ["सुंदर"; 3], zh: "漂亮", fr_before: true, ..PLAIN },
    Adjective { en: "clean", es: ["limpio", "limpia", "limpios", "limpias"], fr: ["propre", "propre", "propres", "propres"], de: "sauber", hi: ["साफ़"; 3], zh: "干净", es_state: true, ..PLAIN },
    Adjective { en: "red", es: ["rojo", "roja", "rojos", "rojas"], fr: ["rouge", "rouge", "rouges", "rouges"], de: "rot", hi: ["लाल"; 3], zh: "红色", ..COLOUR },
    Adjective { en: "white", es: ["blanco", "blanca", "blancos", "blancas"], fr: ["blanc", "blanche", "blancs", "blanches"], de: "weiß", hi: ["सफ़ेद"; 3], zh: "白色", ..COLOUR },
    Adjective { en: "black", es: ["negro", "negra", "negros", "negras"], fr: ["noir", "noire", "noirs", "noires"], de: "schwarz", hi: ["काला", "काले", "काली"], zh: "黑色", ..COLOUR },
    Adjective { en: "green", es: ["verde", "verde", "verdes", "verdes"], fr: ["vert", "verte", "verts", "vertes"], de: "grün", hi: ["हरा", "हरे", "हरी"], zh: "绿色", ..COLOUR },
    Adjective { en: "blue", es: ["azul", "azul", "azules", "azules"], fr: ["bleu", "bleue", "bleus", "bleues"], de: "blau", hi: ["नीला", "नीले", "नीली"], zh: "蓝色", ..COLOUR },
    Adjective { en: "yellow", es: ["amarillo", "amarilla", "amarillos", "amarillas"], fr: ["jaune", "jaune", "jaunes", "jaunes"], de: "gelb", hi: ["पीला", "पीले", "पीली"], zh: "黄色", ..COLOUR },
];
