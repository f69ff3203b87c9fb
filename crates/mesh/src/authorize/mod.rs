//! Who may call what: rules by the caller's name and the method, and the layer that holds calls to them.

mod glob;
mod layer;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::glob::Glob;
pub use self::layer::{AuthorizeLayer, AuthorizeService};
use crate::config::Invalid;
use crate::tls::Peer;

/// What a caller without a certificate is called in rules.
pub const UNNAMED: &str = "unnamed";

/// What stands in rules before what a token says.
const TENANT: &str = "tenant:";
const ROLE: &str = "role:";

/// Bounds of what is compared for each call.
const RULES_MAX: usize = 64;
const PATTERNS_MAX: usize = 64;
const PATTERN_BYTES_MAX: usize = 256;

/// Who may call what. Without a rule, everybody may who could connect: with certificates, whomever the authority vouches
/// for. With one, only what a rule allows. A token that is not believed is refused before any rule is looked at; one that is
/// adds names to the certificate's, and takes none away: a rule for any of them allows the call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthorizeOptions {
    /// The rules; any of them may allow a call.
    pub allow: Vec<Allow>,
}

/// These callers may call these methods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allow {
    /// Names as certificates give them, such as `spiffe://causeway.local/agent/*`: `*` stands for any part of one segment,
    /// `**` for any number of them. `unnamed`: whoever calls without a certificate. `tenant:` and a tenant, `role:` and a
    /// role: whoever brings a token that says so, whatever its certificate.
    pub callers: Vec<String>,
    /// Methods, such as `/causeway.v1.Generation/*`.
    pub methods: Vec<String>,
}

/// Rules that are ready to be held against calls.
#[derive(Debug, Clone)]
pub(crate) struct Rules(Arc<[(Vec<Glob>, Vec<Glob>)]>);

// === impl AuthorizeOptions ===

impl AuthorizeOptions {
    /// Checks the rules; `table` is the dotted key that holds these fields.
    #[must_use]
    pub fn invalid(&self, table: &str) -> Vec<Invalid> {
        let mut found = Vec::new();
        let mut rule = |holds: bool, key: &str, problem: &str, mend: &str| {
            Invalid::unless(&mut found, holds, key, problem, mend);
        };
        let few = self.allow.len() <= RULES_MAX;
        rule(few, &format!("{table}.allow"), "has too many rules", "give at most 64, with `*` in them");
        for (index, Allow { callers, methods }) in self.allow.iter().enumerate() {
            let of_callers: &[&str] = &["spiffe://", TENANT, ROLE];
            for (field, patterns, begins) in [("callers", callers, of_callers), ("methods", methods, &["/"])]
            {
                let key = format!("{table}.allow.{index}.{field}");
                let count = (1..=PATTERNS_MAX).contains(&patterns.len());
                rule(count, &key, "is empty or too long", "give 1 to 64 patterns");
                let sound = |pattern: &String| {
                    let begun = begins.iter().any(|begin| pattern.starts_with(begin));
                    let named = begun || field == "callers" && pattern == UNNAMED;
                    named && pattern.len() <= PATTERN_BYTES_MAX
                };
                let begins = begins.join("`, `");
                let mend = format!("begin each with `{begins}`, and give it at most 256 bytes");
                rule(patterns.iter().all(sound), &key, "holds what can match nothing", &mend);
            }
        }
        found
    }
}

// === impl Rules ===

impl Rules {
    /// `None`: there are none, so that everything is allowed.
    fn new(options: &AuthorizeOptions) -> Option<Self> {
        let globs = |patterns: &[String]| patterns.iter().map(|pattern| Glob::new(pattern)).collect();
        let rules: Vec<_> =
            options.allow.iter().map(|allow| (globs(&allow.callers), globs(&allow.methods))).collect();
        (!rules.is_empty()).then(|| Self(rules.into()))
    }

    /// Whether a rule lets a caller of any of these names call it.
    fn allow(&self, names: &[Cow<'_, str>], method: &str) -> bool {
        let any = |globs: &[Glob], text: &str| globs.iter().any(|glob| glob.matches(text));
        self.0
            .iter()
            .any(|(callers, methods)| any(methods, method) && names.iter().any(|name| any(callers, name)))
    }
}

/// What rules may call a caller: what its certificate names first, then what its token does.
fn names(peer: Option<&Peer>) -> Vec<Cow<'_, str>> {
    let certificate = peer.and_then(|peer| peer.spiffe.as_deref()).unwrap_or(UNNAMED);
    let mut names = vec![Cow::Borrowed(certificate)];
    if let Some(token) = peer.and_then(|peer| peer.token.as_deref()) {
        names.push(format!("{TENANT}{}", token.tenant).into());
        names.extend(token.roles.iter().map(|role| Cow::Owned(format!("{ROLE}{role}"))));
    }
    names
}
