//! From the text of a policy to checked rules.

use toml_edit::{Document, TableLike};

use super::section::{Section, Spelled};
use super::source::{Source, suggestion};
use super::{Class, Defaults, RULES_BYTES_MAX, Rules, SCHEMA, Tier, When};
use crate::candidate::{Kind, Price};
use crate::capabilities::Capabilities;
use crate::error::{Code, Error};
use crate::facts::{Priority, Privacy, Topic};
use crate::name::Name;
use crate::vector::{DIMENSIONS_MAX, Vector};

const FILE: &[&str] = &["schema", "defaults", "tier", "class"];
const DEFAULTS: &[&str] = &[
    "expected_seconds_unknown",
    "queue_seconds_unknown",
    "probability_right_unknown",
    "output_tokens_unknown",
    "context_tokens_max_unknown",
    "input_usd_per_million_tokens_unknown",
    "output_usd_per_million_tokens_unknown",
];
const TIER: &[&str] = &[
    "name",
    "kind",
    "input_usd_per_million_tokens",
    "cached_input_usd_per_million_tokens",
    "output_usd_per_million_tokens",
    "abilities",
    "context_tokens_max",
    "capabilities",
    "regions",
];
const CLASS: &[&str] = &[
    "name",
    "when",
    "second_usd",
    "wrong_answer_usd",
    "places_forbidden",
    "tiers_forbidden",
    "tiers_only",
    "probability_right_min",
    "price_max_usd",
];
const WHEN: &[&str] = &[
    "priority",
    "priority_any",
    "topic",
    "topic_any",
    "privacy",
    "privacy_any",
    "tenant_any",
    "language_any",
    "residency_any",
    "prompt_tokens_min",
    "prompt_tokens_max",
];

const PRIORITIES: &[(&str, Priority)] = &[
    ("interactive", Priority::Interactive),
    ("normal", Priority::Normal),
    ("background", Priority::Background),
];
const TOPICS: &[(&str, Topic)] = &[
    ("none", Topic::None),
    ("medical", Topic::Medical),
    ("legal", Topic::Legal),
    ("self_harm", Topic::SelfHarm),
    ("dangerous", Topic::Dangerous),
];
const PRIVACIES: &[(&str, Privacy)] =
    &[("normal", Privacy::Normal), ("home_only", Privacy::HomeOnly), ("local_only", Privacy::LocalOnly)];

/// The most that any price or worth may be, US dollars: sums and products with it stay finite and exact enough.
const USD_MAX: f64 = 1e6;
/// The longest that anything may be expected to take by default, seconds: one day.
const SECONDS_MAX: f64 = 86_400.0;
/// What is not known may not be costed as nothing.
const SECONDS_UNKNOWN_MIN: f64 = 0.001;

/// Reads and checks a policy.
pub(super) fn rules(file: &str, text: &str) -> Result<Rules, Error> {
    let source = Source { file, text };
    if text.len() > RULES_BYTES_MAX {
        let problem = format!("the policy has {} bytes", text.len());
        return Err(source.flaw(None, Code::TooLarge, problem, format!("give at most {RULES_BYTES_MAX}")));
    }
    let document = Document::parse(text).map_err(|error| {
        let problem = error.message().replace('\n', ", ");
        source.flaw(error.span(), Code::Syntax, problem, "write TOML, as on https://toml.io")
    })?;
    let table: &dyn TableLike = document.as_table();
    // The schema comes first: fields of another edition are no spelling mistakes.
    schema(&source, table)?;
    let root = Section::open(source, "the policy", (table, None), FILE)?;
    let tiers = tiers(&root)?;
    let (classes, catch_all) = classes(&root, &tiers)?;
    Ok(Rules {
        hash: blake3::hash(text.as_bytes()).to_hex().as_str().into(),
        defaults: defaults(&root)?,
        tiers,
        classes,
        catch_all,
    })
}

fn schema(source: &Source<'_>, table: &dyn TableLike) -> Result<(), Error> {
    let item = table.get("schema");
    match item.and_then(toml_edit::Item::as_str) {
        Some(SCHEMA) => Ok(()),
        Some(other) => Err(source.flaw(
            item.and_then(toml_edit::Item::span),
            Code::Schema,
            format!("this is a `{other}`"),
            format!("give a `{SCHEMA}`"),
        )),
        None => Err(source.flaw(
            item.and_then(toml_edit::Item::span),
            Code::Schema,
            "the policy does not say which edition it is",
            format!("begin with `schema = \"{SCHEMA}\"`"),
        )),
    }
}

fn defaults(root: &Section<'_>) -> Result<Defaults, Error> {
    let mut defaults = Defaults::default();
    let Some(section) = root.table("defaults", "[defaults]", DEFAULTS)? else { return Ok(defaults) };
    let set = |to: &mut f64, key: &str, min: f64, max: f64| {
        section.number(key, min..=max).map(|given| *to = given.unwrap_or(*to))
    };
    let seconds = SECONDS_UNKNOWN_MIN;
    set(&mut defaults.expected_seconds_unknown, "expected_seconds_unknown", seconds, SECONDS_MAX)?;
    set(&mut defaults.queue_seconds_unknown, "queue_seconds_unknown", 0.0, SECONDS_MAX)?;
    set(&mut defaults.probability_right_unknown, "probability_right_unknown", 0.0, 1.0)?;
    set(&mut defaults.output_tokens_unknown, "output_tokens_unknown", 1.0, 1e6)?;
    let price = &mut defaults.price_unknown;
    set(&mut price.input_usd_per_million_tokens, "input_usd_per_million_tokens_unknown", 0.0, USD_MAX)?;
    set(&mut price.output_usd_per_million_tokens, "output_usd_per_million_tokens_unknown", 0.0, USD_MAX)?;
    price.cached_input_usd_per_million_tokens = price.input_usd_per_million_tokens;
    if let Some(tokens) = section.whole("context_tokens_max_unknown", 1)? {
        defaults.context_tokens_max_unknown = tokens;
    }
    Ok(defaults)
}

fn tiers(root: &Section<'_>) -> Result<Vec<Tier>, Error> {
    let sections = root.tables("tier", "[[tier]]", TIER)?;
    if sections.is_empty() {
        return Err(root.missing("[[tier]]"));
    }
    let mut tiers: Vec<Tier> = Vec::with_capacity(sections.len());
    for section in &sections {
        let name = unused(section, "tier", tiers.iter().map(|tier| &tier.name))?;
        let kind = section.choice(&section.text_required("kind")?, &Kind::ALL)?;
        tiers.push(Tier {
            name,
            kind,
            price: price(section)?,
            abilities: abilities(section)?,
            context_tokens_max: section.whole("context_tokens_max", 1)?,
            capabilities: match section.choices("capabilities", &Capabilities::ALL)? {
                some if some.is_empty() => Capabilities::TEXT,
                some => some.into_iter().fold(Capabilities::NONE, Capabilities::with),
            },
            regions: section.names("regions")?,
        });
    }
    Ok(tiers)
}

fn price(section: &Section<'_>) -> Result<Price, Error> {
    let range = 0.0..=USD_MAX;
    let input = section.number_required("input_usd_per_million_tokens", range.clone())?;
    let cached = section.number("cached_input_usd_per_million_tokens", range.clone())?;
    Ok(Price {
        input_usd_per_million_tokens: input,
        cached_input_usd_per_million_tokens: cached.unwrap_or(input),
        output_usd_per_million_tokens: section.number_required("output_usd_per_million_tokens", range)?,
    })
}

fn abilities(section: &Section<'_>) -> Result<Option<Vector>, Error> {
    let Some(numbers) = section.numbers("abilities")? else { return Ok(None) };
    if numbers.is_empty() || numbers.len() > DIMENSIONS_MAX {
        let allowed = format!("from 1 to {DIMENSIONS_MAX} numbers");
        let is = format!("{} numbers", numbers.len());
        return Err(section.out_of_range("abilities", section.span_of("abilities"), &is, &allowed));
    }
    let narrow: Vec<f32> = numbers.iter().map(|number| *number as f32).collect();
    Ok(Some(Vector::new(&narrow)))
}

/// The classes but the last, and the last, which must take everything.
fn classes(root: &Section<'_>, tiers: &[Tier]) -> Result<(Vec<Class>, Class), Error> {
    let sections = root.tables("class", "[[class]]", CLASS)?;
    let mut classes: Vec<Class> = Vec::with_capacity(sections.len());
    for section in &sections {
        if let Some(before) = classes.last().filter(|class| class.when.is_none()) {
            return Err(section.source.flaw(
                section.span.clone(),
                Code::ClassUnreachable,
                format!("no request reaches this class: `{}` before it takes everything", before.name),
                format!("give `{}` a `when`, or move it to the end", before.name),
            ));
        }
        let name = unused(section, "class", classes.iter().map(|class| &class.name))?;
        classes.push(class(section, name, tiers)?);
    }
    match classes.pop() {
        Some(last) if last.when.is_none() => Ok((classes, last)),
        _ => Err(root.source.flaw(
            sections.last().and_then(|section| section.span.clone()),
            Code::ClassCatchAllMissing,
            "a request that matches no class would have no worth",
            "end with a [[class]] that has no `when`",
        )),
    }
}

fn class(section: &Section<'_>, name: Name, tiers: &[Tier]) -> Result<Class, Error> {
    let worth = 0.0..=USD_MAX;
    Ok(Class {
        name,
        when: section.table("when", "`when`", WHEN)?.map(|when| conditions(&when)).transpose()?,
        second_usd: section.number_required("second_usd", worth.clone())?,
        wrong_answer_usd: section.number_required("wrong_answer_usd", worth.clone())?,
        places_forbidden: section.names("places_forbidden")?,
        tiers_forbidden: known_tiers(section, "tiers_forbidden", tiers)?,
        tiers_only: known_tiers(section, "tiers_only", tiers)?,
        probability_right_min: section.number("probability_right_min", 0.0..=1.0)?,
        price_max_usd: section.number("price_max_usd", worth)?,
    })
}

fn conditions(section: &Section<'_>) -> Result<When, Error> {
    Ok(When {
        priority_any: one_or_any(section, "priority", "priority_any", PRIORITIES)?,
        topic_any: one_or_any(section, "topic", "topic_any", TOPICS)?,
        privacy_any: one_or_any(section, "privacy", "privacy_any", PRIVACIES)?,
        tenant_any: section.names("tenant_any")?,
        language_any: section.names("language_any")?,
        residency_any: section.names("residency_any")?,
        prompt_tokens_min: section.whole("prompt_tokens_min", 0)?,
        prompt_tokens_max: section.whole("prompt_tokens_max", 0)?,
    })
}

/// `priority = "x"` and `priority_any = ["x", "y"]` say the same kind of thing; both together are one list.
fn one_or_any<T: Copy>(
    section: &Section<'_>,
    one: &str,
    any: &str,
    known: &[(&'static str, T)],
) -> Result<Vec<T>, Error> {
    let mut wanted = section.choices(any, known)?;
    if let Some(spelled) = section.text(one)? {
        wanted.push(section.choice(&spelled, known)?);
    }
    Ok(wanted)
}

fn known_tiers(section: &Section<'_>, key: &str, tiers: &[Tier]) -> Result<Vec<Name>, Error> {
    let known = |spelled: Spelled| match tiers.iter().find(|tier| tier.name == spelled.name) {
        Some(tier) => Ok(tier.name.clone()),
        None => Err(section.source.flaw(
            spelled.span,
            Code::NameUnknown,
            format!("`{key}` names `{}`, which is no [[tier]]", spelled.name),
            suggestion(&spelled.name, tiers.iter().map(|tier| tier.name.as_str())),
        )),
    };
    section.texts(key)?.into_iter().map(known).collect()
}

/// The section's name, which no other of its kind may have.
fn unused<'n>(
    section: &Section<'_>,
    what: &str,
    mut taken: impl Iterator<Item = &'n Name>,
) -> Result<Name, Error> {
    let Spelled { name, span } = section.text_required("name")?;
    if taken.any(|other| *other == name) {
        let problem = format!("there is a {what} `{name}` already");
        return Err(section.source.flaw(span, Code::NameTaken, problem, "give it another name"));
    }
    Ok(name)
}
