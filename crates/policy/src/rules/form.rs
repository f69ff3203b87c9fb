//! Every field of a policy file in one table: the parser, the JSON Schema, the formatter and the messages read it.

use crate::candidate::Kind as PlaceKind;
use crate::capabilities::Capabilities;
use crate::estimate::{PROMPT_TOKENS_RATIO_MAX, PROMPT_TOKENS_RATIO_MIN};
use crate::facts::Privacy;
use crate::rules::Per;
use crate::vector::DIMENSIONS_MAX;

/// A table of the file.
#[derive(Debug)]
pub(crate) struct Form {
    /// What messages call it, such as `[[class]]`.
    pub(crate) what: &'static str,
    /// What it is for.
    pub(crate) doc: &'static str,
    /// Its fields, in the order in which they are written.
    pub(crate) fields: &'static [FieldForm],
}

/// A field of a table.
#[derive(Debug)]
pub(crate) struct FieldForm {
    pub(crate) key: &'static str,
    pub(crate) kind: FieldKind,
    pub(crate) required: bool,
    pub(crate) doc: &'static str,
}

/// What a field may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) enum FieldKind {
    /// The edition of the file.
    Schema,
    /// The checksum of the file.
    Checksum,
    /// A text that is not empty.
    Text,
    /// A list of such texts.
    Texts,
    /// A number from the first to the second.
    Number(f64, f64),
    /// A whole number of at least this.
    Whole(u32),
    /// A list of one to so many finite numbers.
    Numbers(usize),
    /// True or false.
    Flag,
    /// One of these names.
    Choice(fn() -> Vec<&'static str>),
    /// A list of these names.
    Choices(fn() -> Vec<&'static str>),
    /// A condition in CEL.
    Condition,
    /// Facts of a request.
    Facts,
    /// A table.
    Table(&'static Form),
    /// A list of tables.
    Tables(&'static Form),
}

/// The most that any price or worth may be, US dollars: sums and products with it stay finite and exact enough.
const USD_MAX: f64 = 1e6;
/// The longest that anything may be expected to take by default, seconds: one day.
const SECONDS_MAX: f64 = 86_400.0;
/// What is not known may not be costed as nothing.
const SECONDS_UNKNOWN_MIN: f64 = 0.001;
/// The longest window of a budget or a cap, seconds: 366 days.
pub(super) const WINDOW_SECONDS_MAX: f64 = 366.0 * 86_400.0;

const USD: FieldKind = FieldKind::Number(0.0, USD_MAX);
const SECONDS: FieldKind = FieldKind::Number(0.0, SECONDS_MAX);
const SHARE: FieldKind = FieldKind::Number(0.0, 1.0);
const JOULES: FieldKind = FieldKind::Number(0.0, 1e6);
const WINDOW: FieldKind = FieldKind::Number(1.0, WINDOW_SECONDS_MAX);

const fn may(key: &'static str, kind: FieldKind, doc: &'static str) -> FieldForm {
    FieldForm { key, kind, required: false, doc }
}

const fn must(key: &'static str, kind: FieldKind, doc: &'static str) -> FieldForm {
    FieldForm { key, kind, required: true, doc }
}

/// The file.
pub(crate) static FILE: Form = Form {
    what: "the policy",
    doc: "A policy: what waiting and being wrong are worth to each class of request, and what each tier costs and can do.",
    fields: &[
        must("schema", FieldKind::Schema, "The edition of the file."),
        may(
            "checksum",
            FieldKind::Checksum,
            "The seal: a checksum of what the file says, written by `causeway policy seal`.",
        ),
        may("defaults", FieldKind::Table(&DEFAULTS), "What stands in for what is not known."),
        may(
            "session",
            FieldKind::Table(&SESSION),
            "What a conversation leaves behind where it was answered.",
        ),
        must("tier", FieldKind::Tables(&TIER), "Kinds of places."),
        must(
            "class",
            FieldKind::Tables(&CLASS),
            "Classes of requests; the first whose condition holds is taken.",
        ),
        may("budget", FieldKind::Tables(&BUDGET), "Dollars that may be spent in a window."),
        may("escalation_cap", FieldKind::Tables(&CAP), "Shares of requests that may go up in a window."),
        may("probe", FieldKind::Tables(&PROBE), "Requests with what is expected of their decision."),
    ],
};

pub(crate) static DEFAULTS: Form = Form {
    what: "[defaults]",
    doc: "What stands in for what is not known. Not knowing should never make a place look good.",
    fields: &[
        may(
            "expected_seconds_unknown",
            FieldKind::Number(SECONDS_UNKNOWN_MIN, SECONDS_MAX),
            "Seconds to the last token where a place's speed is unknown.",
        ),
        may("queue_seconds_unknown", SECONDS, "Least seconds of queueing where a place's load is unknown."),
        may(
            "probability_right_unknown",
            SHARE,
            "Probability of being right where ability or requirement is unknown.",
        ),
        may(
            "output_tokens_unknown",
            FieldKind::Number(1.0, 1e6),
            "Output tokens where the text does not tell.",
        ),
        may(
            "context_tokens_max_unknown",
            FieldKind::Whole(1),
            "Context length where neither place nor tier says.",
        ),
        may(
            "input_usd_per_million_tokens_unknown",
            USD,
            "Price of a million prompt tokens where nobody says, US dollars.",
        ),
        may(
            "output_usd_per_million_tokens_unknown",
            USD,
            "Price of a million output tokens where nobody says, US dollars.",
        ),
    ],
};

pub(crate) static SESSION: Form = Form {
    what: "[session]",
    doc: "The place that answered a conversation before still holds its prompt: what that saves is what a switch costs.",
    fields: &[
        must(
            "cache_seconds",
            SECONDS,
            "How long the prompt is believed to be held, seconds since the last answer.",
        ),
        may("cache_kept", SHARE, "The share of it that is believed to be held, from 0 to 1."),
    ],
};

pub(crate) static TIER: Form = Form {
    what: "[[tier]]",
    doc: "A kind of place: its prices, its abilities, its limits.",
    fields: &[
        must("name", FieldKind::Text, "Its name; places belong to it by this."),
        must("kind", FieldKind::Choice(|| names(&PlaceKind::ALL)), "Where its places stand."),
        may(
            "input_usd_per_million_tokens",
            USD,
            "Price of a million prompt tokens that are not cached, US dollars.",
        ),
        may(
            "cached_input_usd_per_million_tokens",
            USD,
            "Price of a million cached prompt tokens, US dollars; absent: as other prompt tokens.",
        ),
        may("output_usd_per_million_tokens", USD, "Price of a million output tokens, US dollars."),
        may("joules_per_input_token", JOULES, "Energy of a prompt token that is not cached, joules."),
        may("joules_per_output_token", JOULES, "Energy of an output token, joules."),
        may("usd_per_joule", USD, "What a joule costs, US dollars; a class may say otherwise."),
        may(
            "prompt_tokens_ratio",
            FieldKind::Number(PROMPT_TOKENS_RATIO_MIN, PROMPT_TOKENS_RATIO_MAX),
            "Tokens that its vocabulary makes of a prompt for each estimated one, until they are counted; absent: 1.",
        ),
        may(
            "abilities",
            FieldKind::Numbers(DIMENSIONS_MAX),
            "What its model can do, in the space of requirements.",
        ),
        may("context_tokens_max", FieldKind::Whole(1), "Tokens of prompt and answer together."),
        may(
            "capabilities",
            FieldKind::Choices(|| names(&Capabilities::ALL)),
            "What its places take and do; absent: text.",
        ),
        may("languages", FieldKind::Texts, "The languages that its model knows, ISO 639-1; absent: all."),
        may("regions", FieldKind::Texts, "Regions in which its places compute."),
        may("network_seconds", SECONDS, "Stated seconds of travel, there and back, until they are measured."),
        may("queue_seconds", SECONDS, "Stated seconds before prefill begins, until they are measured."),
        may(
            "prefill_seconds_per_token",
            FieldKind::Number(0.0, 60.0),
            "Stated seconds for each prompt token, until they are measured.",
        ),
        may(
            "seconds_per_output_token",
            FieldKind::Number(0.0, 60.0),
            "Stated seconds for each output token, until they are measured; the other speeds are 0 where they are absent.",
        ),
        may("closed", FieldKind::Flag, "Whether no request may go there, whatever its class; absent: no."),
    ],
};

pub(crate) static CLASS: Form = Form {
    what: "[[class]]",
    doc: "A class of request: who is meant, what time and truth are worth to them, and what is forbidden.",
    fields: &[
        must("name", FieldKind::Text, "Its name."),
        may("when", FieldKind::Condition, "The condition, in CEL; absent: every request that is left."),
        must("second_usd", USD, "What a second of waiting costs, US dollars."),
        must("wrong_answer_usd", USD, "What a wrong answer costs, US dollars."),
        may(
            "joule_usd",
            USD,
            "What a joule of a device costs this class, US dollars; absent: as its tier says.",
        ),
        may(
            "privacy",
            FieldKind::Choice(|| names(&Privacy::ALL)),
            "Its requests leave no further than this, whatever they say themselves.",
        ),
        may("residency", FieldKind::Text, "The region that its requests may not leave."),
        may("places_only", FieldKind::Texts, "The only places that it may use."),
        may("places_forbidden", FieldKind::Texts, "Places that it may not use."),
        may("tiers_only", FieldKind::Texts, "The only tiers that it may use."),
        may("tiers_forbidden", FieldKind::Texts, "Tiers that it may not use."),
        may("probability_right_min", SHARE, "Least probability of being right that it accepts."),
        may("price_max_usd", USD, "Most that one answer may cost, US dollars."),
        may(
            "hedge",
            FieldKind::Flag,
            "Whether a second worker is asked when the first token is late, for what its prompt costs; absent: no.",
        ),
    ],
};

pub(crate) static BUDGET: Form = Form {
    what: "[[budget]]",
    doc: "Dollars that may be spent in a window.",
    fields: &[
        must("name", FieldKind::Text, "Its name."),
        may("when", FieldKind::Condition, "The requests that it counts, in CEL; absent: all."),
        may("classes", FieldKind::Texts, "The classes that it counts; absent: all."),
        may(
            "per",
            FieldKind::Choice(|| names(&Per::ALL)),
            "Who has one of their own; absent: everybody together.",
        ),
        must("usd_max", USD, "The most that may be spent in a window, US dollars."),
        must("window_seconds", WINDOW, "The window, seconds."),
    ],
};

pub(crate) static CAP: Form = Form {
    what: "[[escalation_cap]]",
    doc: "The share of requests that may go up in a window: an attack on the estimates does not become a bill.",
    fields: &[
        must("name", FieldKind::Text, "Its name."),
        may("classes", FieldKind::Texts, "The classes that it counts; absent: all."),
        may(
            "per",
            FieldKind::Choice(|| names(&Per::ALL)),
            "Who has one of their own; absent: everybody together.",
        ),
        may("tiers_up", FieldKind::Texts, "The tiers that are up; absent: those of kind cloud."),
        must("share_max", SHARE, "The share of requests that may go up, from 0 to 1."),
        may(
            "free_requests",
            FieldKind::Whole(0),
            "Requests that may go up in a window whatever their share.",
        ),
        must("window_seconds", WINDOW, "The window, seconds."),
    ],
};

pub(crate) static PROBE: Form = Form {
    what: "[[probe]]",
    doc: "A request with what is expected of its decision. Places are those that the tiers describe.",
    fields: &[
        must("name", FieldKind::Text, "What it shows."),
        may("text", FieldKind::Text, "What is asked; its signals are read."),
        may("facts", FieldKind::Facts, "Facts that hold whatever the text says."),
        may("expect_class", FieldKind::Text, "The class."),
        may("expect_place", FieldKind::Text, "The place chosen."),
        may("expect_tier", FieldKind::Text, "The tier chosen."),
        may("expect_kind", FieldKind::Choice(|| names(&PlaceKind::ALL)), "Where the place chosen stands."),
        may("expect_not_tier", FieldKind::Text, "A tier that is not chosen."),
        may(
            "expect_not_kind",
            FieldKind::Choice(|| names(&PlaceKind::ALL)),
            "Where the place chosen does not stand.",
        ),
        may("expect_no_place", FieldKind::Flag, "Whether every place is removed."),
    ],
};

/// The names of a table of choices.
pub(super) fn names<T>(known: &[(&'static str, T)]) -> Vec<&'static str> {
    known.iter().map(|(name, _)| *name).collect()
}

// === impl Form ===

impl Form {
    /// The field of this name.
    pub(crate) fn field(&self, key: &str) -> Option<&'static FieldForm> {
        self.fields.iter().find(|field| field.key == key)
    }

    /// The names of all fields.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &'static str> + Clone {
        self.fields.iter().map(|field| field.key)
    }
}
