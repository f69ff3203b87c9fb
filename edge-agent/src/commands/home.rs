//! What stands in the home: its rooms and entities, read from a file and checked before anything relies on them.

use std::collections::HashSet;

use serde::Deserialize;
use toml_edit::{Document, Item};

use super::{language::Language, token};
use crate::error::Error;

/// Most rooms and most entities of a home, and most other names of each: a grammar's size follows from them.
const ROOMS_MAX: usize = 128;
const ENTITIES_MAX: usize = 2048;
const ALIASES_MAX: usize = 16;
/// Longest identifier or name in bytes.
const NAME_BYTES_MAX: usize = 64;
/// Coldest and warmest settings of a thermostat that states none, degrees Celsius.
const TEMPERATURE_CELSIUS: [f64; 2] = [5.0, 30.0];

/// A home as its file says it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Home {
    /// ISO 639-1 code of the language that its commands are spoken in.
    #[serde(default = "english")]
    pub language: String,
    /// The room in which this device stands: `the lights` are the lights there.
    pub room: Option<String>,
    /// Names that the assistant is called by, as in `hey Causeway`.
    #[serde(default)]
    pub called: Vec<String>,
    /// Whether a bare number of degrees means Celsius or Fahrenheit.
    #[serde(default)]
    pub temperature_unit: TemperatureUnit,
    /// The rooms.
    #[serde(default)]
    pub rooms: Vec<Room>,
    /// The entities.
    #[serde(default)]
    pub entities: Vec<Entity>,
}

/// A room.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Room {
    /// Names it in this file.
    pub id: String,
    /// As it is spoken.
    pub name: String,
    /// Other spoken names.
    #[serde(default)]
    pub aliases: Vec<String>,
}

/// A thing that can be commanded.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entity {
    /// Names it to the firmware, as in `Action.entity_id`.
    pub id: String,
    /// As it is spoken. A name that begins with a capital letter takes no article.
    pub name: String,
    /// Other spoken names.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// The room it stands in.
    pub room: Option<String>,
    /// What sort of thing it is.
    pub kind: Kind,
    /// What it can do.
    pub abilities: Vec<Ability>,
    /// Lowest setting of a thermostat, degrees Celsius.
    pub temperature_min_celsius: Option<f64>,
    /// Highest setting of a thermostat, degrees Celsius.
    pub temperature_max_celsius: Option<f64>,
}

/// What sort of thing an entity is, which is what nouns such as `lights` stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A lamp.
    Light,
    /// A plug or an appliance behind one.
    Switch,
    /// A fan.
    Fan,
    /// A blind, shutter or curtain.
    Blind,
    /// The lock of a door.
    Lock,
    /// A door that a motor moves.
    Door,
    /// A thermostat.
    Thermostat,
    /// A speaker.
    Speaker,
    /// A timer.
    Timer,
}

/// Something that an entity can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ability {
    /// Go on and off.
    OnOff,
    /// Shine at a percentage.
    Brightness,
    /// Open and close.
    OpenClose,
    /// Stand open by a percentage.
    Position,
    /// Lock and unlock.
    Lock,
    /// Hold a temperature.
    Temperature,
    /// Play, pause, skip.
    Playback,
    /// Sound at a percentage.
    Volume,
    /// Count down.
    Timer,
}

/// What a bare number of degrees means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TemperatureUnit {
    /// Degrees Celsius.
    #[default]
    Celsius,
    /// Degrees Fahrenheit.
    Fahrenheit,
}

fn english() -> String {
    "en".to_owned()
}

// === impl Home ===

impl Home {
    /// Reads a home. `file` only names it in errors, which also give the line and the column.
    pub fn parse(file: &str, text: &str) -> Result<Self, Error> {
        let home: Self = toml_edit::de::from_str(text)
            .map_err(|fault| Error::home(file, text, fault.span(), fault.message().to_owned()))?;
        match home.fault() {
            None => Ok(home),
            Some(fault) => Err(Error::home(file, text, span(text, &fault.path), fault.text)),
        }
    }

    /// The place of a room among the rooms.
    pub(crate) fn room_index(&self, id: &str) -> Option<usize> {
        self.rooms.iter().position(|room| room.id == id)
    }

    fn fault(&self) -> Option<Fault> {
        self.fault_of_head().or_else(|| self.fault_of_rooms()).or_else(|| self.fault_of_entities())
    }

    fn fault_of_head(&self) -> Option<Fault> {
        if Language::of(&self.language).is_none() {
            let known = Language::ALL.map(|language| language.code).join(", ");
            return Some(Fault::new(
                [At::Key("language")],
                format!("language `{}` has no commands yet; known: {known}", self.language),
            ));
        }
        if let Some(fault) = self.fault_of_room(self.room.as_deref()) {
            return Some(Fault::new([At::Key("room")], fault));
        }
        if self.called.len() > ALIASES_MAX {
            return Some(Fault::new([At::Key("called")], too_many("called", self.called.len(), ALIASES_MAX)));
        }
        let fault = self.called.iter().find_map(|name| fault_of_name(name))?;
        Some(Fault::new([At::Key("called")], fault))
    }

    fn fault_of_rooms(&self) -> Option<Fault> {
        if self.rooms.len() > ROOMS_MAX {
            return Some(Fault::new([At::Key("rooms")], too_many("rooms", self.rooms.len(), ROOMS_MAX)));
        }
        let mut ids = HashSet::new();
        self.rooms.iter().enumerate().find_map(|(index, room)| {
            let at = |key, text| Some(Fault::new([At::Key("rooms"), At::Index(index), At::Key(key)], text));
            match fault_of_id(&room.id, &mut ids) {
                Some(text) => at("id", text),
                None => fault_of_names(&room.name, &room.aliases).and_then(|(key, text)| at(key, text)),
            }
        })
    }

    fn fault_of_entities(&self) -> Option<Fault> {
        if self.entities.len() > ENTITIES_MAX {
            let text = too_many("entities", self.entities.len(), ENTITIES_MAX);
            return Some(Fault::new([At::Key("entities")], text));
        }
        let mut ids = HashSet::new();
        self.entities.iter().enumerate().find_map(|(index, entity)| {
            let (key, text) = self.fault_of_entity(entity, &mut ids)?;
            Some(Fault::new([At::Key("entities"), At::Index(index), At::Key(key)], text))
        })
    }

    fn fault_of_entity<'a>(
        &self,
        entity: &'a Entity,
        ids: &mut HashSet<&'a str>,
    ) -> Option<(&'static str, String)> {
        if let Some(text) = fault_of_id(&entity.id, ids) {
            return Some(("id", text));
        }
        if let Some(fault) = fault_of_names(&entity.name, &entity.aliases) {
            return Some(fault);
        }
        if let Some(text) = self.fault_of_room(entity.room.as_deref()) {
            return Some(("room", text));
        }
        if entity.abilities.is_empty() {
            return Some(("abilities", format!("`{}` has no abilities; name at least one", entity.id)));
        }
        let [low, high] = entity.temperatures_celsius();
        // Written so that a bound that is not a number fails too.
        let sound = (-50.0..=100.0).contains(&low) && low < high && high <= 100.0;
        (!sound).then(|| {
            let text =
                format!("temperatures from {low} to {high} °C of `{}` are no range in [-50, 100]", entity.id);
            let key = if entity.temperature_max_celsius.is_some() {
                "temperature_max_celsius"
            } else {
                "temperature_min_celsius"
            };
            (key, text)
        })
    }

    fn fault_of_room(&self, id: Option<&str>) -> Option<String> {
        let id = id?;
        if self.room_index(id).is_some() {
            return None;
        }
        let near = self
            .rooms
            .iter()
            .map(|room| (strsim::damerau_levenshtein(&room.id, id), &room.id))
            .filter(|(distance, _)| *distance <= 3)
            .min();
        Some(match near {
            Some((_, near)) => format!("no room has the id `{id}`; did you mean `{near}`?"),
            None => format!("no room has the id `{id}`"),
        })
    }
}

// === impl Entity ===

impl Entity {
    /// The lowest and highest setting of a thermostat, degrees Celsius.
    pub fn temperatures_celsius(&self) -> [f64; 2] {
        let [low, high] = TEMPERATURE_CELSIUS;
        [self.temperature_min_celsius.unwrap_or(low), self.temperature_max_celsius.unwrap_or(high)]
    }

    /// Whether it can do this.
    pub fn can(&self, ability: Ability) -> bool {
        self.abilities.contains(&ability)
    }
}

// === faults ===

/// What is wrong, and on the way to which value.
struct Fault {
    path: Vec<At>,
    text: String,
}

#[derive(Clone, Copy)]
enum At {
    Key(&'static str),
    Index(usize),
}

impl Fault {
    fn new<const N: usize>(path: [At; N], text: String) -> Self {
        Self { path: path.into(), text }
    }
}

fn too_many(what: &str, count: usize, max: usize) -> String {
    format!("{count} {what} are more than the {max} that a home may have")
}

fn fault_of_id<'a>(id: &'a str, seen: &mut HashSet<&'a str>) -> Option<String> {
    if id.is_empty() || id.len() > NAME_BYTES_MAX {
        return Some(format!("an id has 1 to {NAME_BYTES_MAX} bytes, this one has {}", id.len()));
    }
    (!seen.insert(id)).then(|| format!("the id `{id}` was given before"))
}

fn fault_of_names(name: &str, aliases: &[String]) -> Option<(&'static str, String)> {
    if let Some(text) = fault_of_name(name) {
        return Some(("name", text));
    }
    if aliases.len() > ALIASES_MAX {
        return Some(("aliases", too_many("aliases", aliases.len(), ALIASES_MAX)));
    }
    aliases.iter().find_map(|alias| fault_of_name(alias)).map(|text| ("aliases", text))
}

fn fault_of_name(name: &str) -> Option<String> {
    if name.len() > NAME_BYTES_MAX {
        return Some(format!("a name has at most {NAME_BYTES_MAX} bytes, this one has {}", name.len()));
    }
    token::words(name)
        .is_none()
        .then(|| format!("the name `{name}` cannot be spoken: it needs words, and only words"))
}

/// Where in the text a value stands, or the nearest thing around it that can be found.
fn span(text: &str, path: &[At]) -> Option<std::ops::Range<usize>> {
    let document = Document::parse(text).ok()?;
    let mut found = None;
    let mut item: &Item = document.as_item();
    for at in path {
        let next = match at {
            At::Key(key) => item.get(*key),
            At::Index(index) => item.get(*index),
        };
        let Some(next) = next else { break };
        item = next;
        found = item.span().or(found);
    }
    found
}

#[cfg(test)]
mod tests;
