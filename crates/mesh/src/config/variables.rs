//! Decides which environment variables are ours, which Kubernetes put there, and which are mistakes.

use std::collections::HashSet;

use super::VARIABLE_PREFIX;

/// What a variable with our prefix is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Variable {
    /// Sets a key, given as its segments.
    Key(Vec<String>),
    /// Not configuration: foreign, or put there by Kubernetes for some service.
    Ignored,
    /// Has our prefix but no `__`, so it cannot name a key.
    Shapeless,
}

/// Tells variables apart, knowing the names of all of them.
#[derive(Debug)]
pub(super) struct Census<'a> {
    names: HashSet<&'a str>,
}

// === impl Census ===

impl<'a> Census<'a> {
    pub(super) fn new(env: &'a [(String, String)]) -> Self {
        Census { names: env.iter().map(|(name, _)| name.as_str()).collect() }
    }

    /// Judges one variable; `is_key` tells whether segments name a key that the defaults show.
    pub(super) fn judge(&self, name: &str, value: &str, is_key: impl Fn(&[String]) -> bool) -> Variable {
        let Some(rest) = name.strip_prefix(VARIABLE_PREFIX) else { return Variable::Ignored };
        let segments: Vec<String> = rest.to_lowercase().split("__").map(str::to_owned).collect();
        let shaped = segments.len() > 1 && segments.iter().all(|segment| !segment.is_empty());
        let known = shaped && is_key(&segments);
        let by_kubernetes = service_stems(name, value).any(|stem| !known || self.is_service(stem));
        match (by_kubernetes, shaped) {
            (true, _) => Variable::Ignored,
            (false, true) => Variable::Key(segments),
            (false, false) => Variable::Shapeless,
        }
    }

    /// Kubernetes always writes these three together, so together they prove that a service of that name exists.
    fn is_service(&self, stem: &str) -> bool {
        ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT"]
            .iter()
            .all(|suffix| self.names.contains(format!("{stem}{suffix}").as_str()))
    }
}

/// The names of services for which Kubernetes could have written this variable.
///
/// It writes `X_SERVICE_HOST`, `X_SERVICE_PORT`, `X_SERVICE_PORT_{NAME}`, `X_PORT` (an URL), and
/// `X_PORT_{NUMBER}_{PROTOCOL}` alone and with `_PROTO`, `_PORT`, `_ADDR`, where X is the service's name in capitals
/// with dashes as underscores. A service's name ends in a letter or digit, so X never ends in an underscore.
fn service_stems<'n>(name: &'n str, value: &str) -> impl Iterator<Item = &'n str> {
    // Somebody who would rather not have it can only empty it.
    let url = value.is_empty() || value.contains("://");
    let whole = [
        name.strip_suffix("_SERVICE_HOST"),
        name.strip_suffix("_SERVICE_PORT"),
        name.strip_suffix("_PORT").filter(|_| url),
        name.find("_SERVICE_PORT_").map(|at| &name[..at]),
        port_stem(name),
    ];
    whole.into_iter().flatten().filter(|stem| !stem.is_empty() && !stem.ends_with('_'))
}

/// The stem of `X_PORT_80_TCP` and of its three followers.
fn port_stem(name: &str) -> Option<&str> {
    let bare =
        ["_PROTO", "_PORT", "_ADDR"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
    let numbered = ["_TCP", "_UDP", "_SCTP"].iter().find_map(|suffix| bare.strip_suffix(suffix))?;
    let (stem, number) = numbered.rsplit_once("_PORT_")?;
    (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(stem)
}
