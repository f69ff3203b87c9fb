//! Lays the sources over each other, takes the typed value out, and blames each failure on its source.

use figment::error::Kind;
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::file::{self, Written};
use super::origin::{Origin, Origins, dotted, segments};
use super::report::{Error, Problem, nearest};
use super::variables::{Census, Variable};
use super::{Configure, LOG_KEY, LOG_VARIABLE, VARIABLE_PREFIX, report, words};

/// All sources of one configuration, laid over its defaults.
#[derive(Debug)]
pub(super) struct Layers {
    defaults: Dict,
    overlay: Dict,
    origins: Origins,
}

/// A dictionary as figment takes its sources.
struct Layer<'a>(&'a str, &'a Dict);

impl Provider for Layer<'_> {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.0.to_owned())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Map::from([(Profile::Default, self.1.clone())]))
    }
}

/// The defaults as a dictionary.
pub(super) fn defaults<T: Configure>() -> Result<Dict, Error> {
    let unusable = |what: String| Error { problems: vec![Problem::new(Origin::Default, what)] };
    match Value::serialize(T::default()) {
        Ok(Value::Dict(_, dict)) => Ok(dict),
        Ok(_) => Err(unusable("the defaults are not a table of keys".to_owned())),
        Err(cause) => Err(unusable(format!("the defaults cannot be shown: {cause}"))),
    }
}

// === impl Layers ===

impl Layers {
    pub(super) fn new(defaults: Dict) -> Self {
        Layers { defaults, overlay: Dict::new(), origins: Origins::default() }
    }

    pub(super) fn put_file(&mut self, written: Written) {
        self.overlay = written.dict;
        for place in written.places {
            self.origins.place(&place.path, place.origin, place.heading);
        }
    }

    pub(super) fn put_variables(&mut self, env: &[(String, String)], problems: &mut Vec<Problem>) {
        self.put_log_variable(env, problems);
        let census = Census::new(env);
        let mut set = Vec::new();
        for (name, text) in env {
            match census.judge(name, text, |path| find(&self.defaults, path).is_some()) {
                Variable::Ignored => {}
                Variable::Key(path) => set.push((path, text.clone(), Origin::Variable(name.clone()))),
                Variable::Shapeless => problems.push(self.shapeless(name)),
            }
        }
        for (path, text, origin) in set {
            self.put_text(&path, text, origin, problems);
        }
    }

    /// What other programs read too gives way to whatever was written for this one.
    fn put_log_variable(&mut self, env: &[(String, String)], problems: &mut Vec<Problem>) {
        let path = segments(LOG_KEY);
        let written = env.iter().find(|(name, text)| name == LOG_VARIABLE && !text.trim().is_empty());
        let Some((name, text)) = written else { return };
        if find(&self.defaults, &path).is_some() && find(&self.overlay, &path).is_none() {
            self.put_text(&path, text.clone(), Origin::Variable(name.clone()), problems);
        }
    }

    pub(super) fn put_flags(&mut self, flags: Vec<(String, String)>, problems: &mut Vec<Problem>) {
        for (key, text) in flags {
            self.put_text(&segments(&key), text, Origin::Flag(key), problems);
        }
    }

    /// Text starts out as a string; [`Layers::extract`] reads it as TOML where the type asks for something else.
    fn put_text(&mut self, path: &[String], text: String, origin: Origin, problems: &mut Vec<Problem>) {
        if insert(&mut self.overlay, path, Value::from(text)) {
            self.origins.put(path, origin);
        } else {
            problems.push(Problem::unknown(origin, &dotted(path), None));
        }
    }

    fn shapeless(&self, name: &str) -> Problem {
        let mut keys = Vec::new();
        leaves(&self.defaults, &mut Vec::new(), &mut keys);
        let bare = |name: &str| name.trim_start_matches(VARIABLE_PREFIX).to_owned();
        let names: Vec<String> = keys.iter().map(|key| bare(&report::variable_name(key))).collect();
        let mend = match nearest(&bare(name), names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{VARIABLE_PREFIX}{near}`?"),
            None => "levels are joined by two underscores, as in CAUSEWAY_LISTEN__ADDRESS".to_owned(),
        };
        let origin = Origin::Variable(name.to_owned());
        Problem { mend: Some(mend), ..Problem::new(origin, "does not name a key of the configuration") }
    }

    /// Takes the typed value out. Each failing entry is reported and put back to its default, so that the next
    /// round can find the next failure; the value is `None` only where no round could succeed.
    pub(super) fn extract<T: Configure>(
        mut self,
        problems: &mut Vec<Problem>,
    ) -> (Option<T>, Value, Origins) {
        loop {
            let merged =
                Figment::from(Layer("defaults", &self.defaults)).merge(Layer("overlay", &self.overlay));
            match merged.extract::<T>() {
                Ok(value) => {
                    let tree = Value::serialize(&value).unwrap_or_else(|_| Value::from(Dict::new()));
                    self.refuse_unread::<T>(&tree, problems);
                    return (Some(value), tree, self.origins);
                }
                Err(error) => {
                    if !self.settle(&error, problems) {
                        return (None, Value::from(self.defaults), self.origins);
                    }
                }
            }
        }
    }

    /// Deals with one failure; false when there is nothing left to take back.
    fn settle(&mut self, error: &figment::Error, problems: &mut Vec<Problem>) -> bool {
        let path = blamed_path(error);
        if !matches!(error.kind, Kind::UnknownField(..) | Kind::MissingField(_)) && self.retype(&path) {
            return true;
        }
        match &error.kind {
            Kind::UnknownField(name, known) => {
                self.describe_unknown(&path, nearest(name, known.iter().copied()), problems);
            }
            _ => problems.push(self.describe(error, &path)),
        }
        self.take_back(&path)
    }

    /// Reads a text that came from a variable or a flag as TOML; false when it was not such a text.
    fn retype(&mut self, path: &[String]) -> bool {
        if !matches!(self.origins.of(path), Origin::Variable(_) | Origin::Flag(_)) {
            return false;
        }
        let Some(Value::String(_, text)) = find(&self.overlay, path) else { return false };
        match text.trim().parse::<toml_edit::Value>() {
            Ok(toml_edit::Value::String(_)) | Err(_) => false,
            Ok(value) => insert(&mut self.overlay, path, file::plain(&value)),
        }
    }

    /// An unknown key in its own place, or, where variables or flags name keys of an unknown table, each of them.
    fn describe_unknown(&self, path: &[String], near: Option<&str>, problems: &mut Vec<Problem>) {
        let at = path.len() - 1;
        let meant = |path: &[String]| {
            near.map(|near| dotted(&[&path[..at], &[near.to_owned()], &path[at + 1..]].concat()))
        };
        let written = self.origins.at_or_below(path);
        let ends = if written.iter().any(|(found, _)| *found == path) { 1 } else { written.len() };
        for (path, origin) in &written[..ends] {
            problems.push(Problem::unknown((*origin).clone(), &dotted(path), meant(path)));
        }
    }

    fn describe(&self, error: &figment::Error, path: &[String]) -> Problem {
        let key = dotted(path);
        let origin = self.origins.near(path).clone();
        match &error.kind {
            Kind::MissingField(_) => Problem::new(origin, format!("`{key}` is missing; it has no default")),
            Kind::InvalidType(found, wanted) | Kind::InvalidValue(found, wanted) => {
                let (found, wanted) = (words::found(found), words::wanted(wanted));
                Problem::new(origin, format!("`{key}` is {found}, expected {wanted}"))
            }
            Kind::UnknownVariant(found, known) => Problem {
                mend: Some(format!("it is one of {}", quoted(known))),
                ..Problem::new(origin, format!("`{key}` is `{found}`"))
            },
            other => Problem::new(origin, format!("`{key}`: {other}")),
        }
    }

    /// Removes the entry that a path blames: the path itself, or the nearest key above it that a source has set.
    fn take_back(&mut self, path: &[String]) -> bool {
        // An element of a list cannot go alone: later elements would move up and be blamed at the wrong line.
        let whole = path.iter().position(|segment| segment.parse::<usize>().is_ok()).unwrap_or(path.len());
        for depth in (1..=whole).rev() {
            if remove(&mut self.overlay, &path[..depth]) {
                self.origins.forget(&path[..depth]);
                return true;
            }
        }
        false
    }

    /// Refuses what a source has set but the typed value does not show: a key that nothing reads.
    fn refuse_unread<T: Configure>(&self, tree: &Value, problems: &mut Vec<Problem>) {
        let mut unread: Vec<&[String]> = Vec::new();
        for (path, origin) in self.origins.iter() {
            let covered = unread.iter().any(|above| path.starts_with(above));
            if covered || is_optional::<T>(path) {
                continue;
            }
            // A key whose table is unknown is one mistake, and the table is where it was made.
            if let Some((unknown, near)) = first_unknown(tree, path) {
                problems.push(Problem::unknown(origin.clone(), &dotted(unknown), near));
                unread.push(unknown);
            }
        }
    }
}

/// The path that a failure is about; figment leaves a missing field's name in the kind.
fn blamed_path(error: &figment::Error) -> Vec<String> {
    let mut path = error.path.clone();
    if let Kind::MissingField(name) = &error.kind {
        path.push(name.to_string());
    }
    path
}

/// The shortest start of a path that the value does not show, and the known key nearest to it.
fn first_unknown<'p>(tree: &Value, path: &'p [String]) -> Option<(&'p [String], Option<String>)> {
    let mut known = tree;
    for (depth, name) in path.iter().enumerate() {
        match step(known, name) {
            Some(next) => known = next,
            None => {
                let siblings = known.as_dict().into_iter().flat_map(Dict::keys).map(String::as_str);
                let near = nearest(name, siblings);
                let near = near.map(|near| dotted(&[&path[..depth], &[near.to_owned()]].concat()));
                return Some((&path[..=depth], near));
            }
        }
    }
    None
}

fn step<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    match value {
        Value::Dict(_, dict) => dict.get(name),
        Value::Array(_, elements) => elements.get(name.parse::<usize>().ok()?),
        _ => None,
    }
}

fn is_optional<T: Configure>(path: &[String]) -> bool {
    T::optional_keys().iter().any(|pattern| {
        let (mut wanted, mut given) = (pattern.split('.'), path.iter());
        loop {
            match (wanted.next(), given.next()) {
                (None, _) => return true,
                (Some("*"), Some(_)) => {}
                (Some(wanted), Some(given)) if wanted == given => {}
                _ => return false,
            }
        }
    })
}

fn find<'d>(dict: &'d Dict, path: &[String]) -> Option<&'d Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(dict.get(first)?, |value, name| step(value, name))
}

/// Sets a value, making tables on the way; false where something that is not a table is in the way.
fn insert(dict: &mut Dict, path: &[String], value: Value) -> bool {
    match path {
        [] => false,
        [name] => {
            dict.insert(name.clone(), value);
            true
        }
        [name, rest @ ..] => {
            let below = dict.entry(name.clone()).or_insert_with(|| Value::from(Dict::new()));
            match below {
                Value::Dict(_, below) => insert(below, rest, value),
                _ => false,
            }
        }
    }
}

fn remove(dict: &mut Dict, path: &[String]) -> bool {
    match path {
        [] => false,
        [name] => dict.remove(name).is_some(),
        [name, rest @ ..] => match dict.get_mut(name) {
            Some(Value::Dict(_, below)) => remove(below, rest),
            _ => false,
        },
    }
}

fn leaves(dict: &Dict, above: &mut Vec<String>, keys: &mut Vec<String>) {
    for (name, value) in dict {
        above.push(name.clone());
        match value {
            Value::Dict(_, below) if !below.is_empty() => leaves(below, above, keys),
            _ => keys.push(above.join(".")),
        }
        above.pop();
    }
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
