//! A place that could answer, as it is known at the moment of deciding.

use serde::{Deserialize, Serialize};

use crate::capabilities::Capabilities;
use crate::name::Name;
use crate::number;
use crate::vector::Vector;

/// One place. Whatever is `None` is not known: the tier's value from the rules stands in, else a conservative one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// Its name, such as `device` or `cloud-fast/worker-1`.
    pub place: Name,
    /// The tier of the rules that it belongs to.
    pub tier: Name,
    /// Where it stands.
    pub kind: Kind,
    /// The region in which it computes.
    pub region: Option<Name>,
    /// Whether it takes work.
    pub healthy: bool,
    /// Why it does not, for people; `None`: nobody says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unhealthy_reason: Option<Name>,
    /// What its model can do; `None`: as the rules say of its tier.
    pub ability: Option<Vector>,
    /// Added to ability · requirement − difficulty: what feedback has taught of this place.
    #[serde(with = "number::f32")]
    pub ability_offset: f32,
    /// The probability of being right where it is known outright, such as 1 for a command that the grammar matched.
    #[serde(with = "number::option")]
    pub certain: Option<f64>,
    /// How fast it is.
    pub latency: Option<Latency>,
    /// Tokens of this prompt whose keys and values it already holds.
    pub cached_prompt_tokens: u32,
    /// What it can take and do; `None`: as its tier.
    pub capabilities: Option<Capabilities>,
    /// Tokens of prompt and answer together; `None`: as its tier.
    pub context_tokens_max: Option<u32>,
    /// What it makes of a prompt, tokens for each token that [`crate::Facts::prompt_tokens`] counts: vocabularies cut
    /// differently. `None`: as its tier states.
    #[serde(default, with = "number::option", skip_serializing_if = "Option::is_none")]
    pub prompt_tokens_ratio: Option<f64>,
    /// Its own prices; `None`: as its tier.
    pub price: Option<Price>,
    /// What it was doing when last heard of; `None`: stale or never heard of.
    pub load: Option<Load>,
}

/// Where a place stands, which is what privacy asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The command grammar of the device.
    Command,
    /// A model on the device.
    Device,
    /// Another machine of the same home.
    Home,
    /// A machine elsewhere.
    Cloud,
}

/// What was learned of a place's speed. A number that is negative or not finite makes all of it unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    /// Seconds before prefill begins.
    #[serde(with = "number::f64")]
    pub queue_seconds: f64,
    /// Seconds of travel, there and back.
    #[serde(with = "number::f64")]
    pub network_seconds: f64,
    /// Seconds for each prompt token that is not cached.
    #[serde(with = "number::f64")]
    pub prefill_seconds_per_token: f64,
    /// Seconds for each output token at the present batch.
    #[serde(with = "number::f64")]
    pub seconds_per_output_token: f64,
}

/// What tokens cost, US dollars per million.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Prompt tokens that are not cached.
    #[serde(with = "number::f64")]
    pub input_usd_per_million_tokens: f64,
    /// Prompt tokens that are cached.
    #[serde(with = "number::f64")]
    pub cached_input_usd_per_million_tokens: f64,
    /// Output tokens.
    #[serde(with = "number::f64")]
    pub output_usd_per_million_tokens: f64,
}

/// What a place was doing when it was weighed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// Requests in the batch.
    pub running: u32,
    /// Requests that wait for it.
    pub waiting: u32,
}

// === impl Candidate ===

impl Candidate {
    /// A healthy place of which nothing else is known.
    pub fn new(place: impl Into<Name>, tier: impl Into<Name>, kind: Kind) -> Self {
        Self {
            place: place.into(),
            tier: tier.into(),
            kind,
            region: None,
            healthy: true,
            unhealthy_reason: None,
            ability: None,
            ability_offset: 0.0,
            certain: None,
            latency: None,
            cached_prompt_tokens: 0,
            capabilities: None,
            context_tokens_max: None,
            prompt_tokens_ratio: None,
            price: None,
            load: None,
        }
    }
}

// === impl Kind ===

impl Kind {
    /// Every kind with its name in the rules.
    pub const ALL: [(&'static str, Self); 4] =
        [("command", Self::Command), ("device", Self::Device), ("home", Self::Home), ("cloud", Self::Cloud)];

    /// Its name in the rules.
    pub fn name(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Device => "device",
            Self::Home => "home",
            Self::Cloud => "cloud",
        }
    }
}

// === impl Latency ===

impl Latency {
    /// Whether every number can be believed: finite and not negative.
    pub fn is_sound(&self) -> bool {
        [
            self.queue_seconds,
            self.network_seconds,
            self.prefill_seconds_per_token,
            self.seconds_per_output_token,
        ]
        .iter()
        .all(|seconds| seconds.is_finite() && *seconds >= 0.0)
    }
}

// === impl Price ===

impl Price {
    /// Whether every number can be believed: finite and not negative.
    pub fn is_sound(&self) -> bool {
        [
            self.input_usd_per_million_tokens,
            self.cached_input_usd_per_million_tokens,
            self.output_usd_per_million_tokens,
        ]
        .iter()
        .all(|usd| usd.is_finite() && *usd >= 0.0)
    }
}
