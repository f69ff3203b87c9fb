//! From the text of a policy file to checked rules.

use toml_edit::{Document, TableLike};

use super::form;
use super::limits::{Budget, Cap, Per};
use super::probes::{Expectation, Probe};
use super::seal::{self, Sealing};
use super::section::{Section, Spelled};
use super::source::{Source, suggestion};
use super::{
    CONDITIONS_COST_MAX, Class, Defaults, Energy, RULES_BYTES_MAX, Rules, SCHEMA, SessionRule, Tier,
};
use crate::candidate::{Kind, Latency, Price};
use crate::capabilities::Capabilities;
use crate::error::{Code, Error};
use crate::facts::Privacy;
use crate::name::Name;
use crate::vector::{DIMENSIONS_MAX, Vector};

/// The tables of a policy file.
pub(super) fn document<'a>(source: &Source<'a>) -> Result<Document<&'a str>, Error> {
    if source.text.len() > RULES_BYTES_MAX {
        let problem = format!("the policy has {} bytes", source.text.len());
        return Err(source.flaw(None, Code::TooLarge, problem, format!("give at most {RULES_BYTES_MAX}")));
    }
    Document::parse(source.text).map_err(|error| {
        let problem = error.message().replace('\n', ", ");
        source.flaw(error.span(), Code::Syntax, problem, "write TOML, as on https://toml.io")
    })
}

/// Reads and checks a policy.
pub(super) fn rules(source: Source<'_>, sealing: Sealing) -> Result<Rules, Error> {
    let document = document(&source)?;
    let table: &dyn TableLike = document.as_table();
    // The schema comes first: fields of another edition are no spelling mistakes.
    schema(&source, table)?;
    let root = Section::open(source, (table, None), &form::FILE)?;
    let tiers = tiers(&root)?;
    let classes = classes(&root, &tiers)?;
    let budgets = budgets(&root, &classes)?;
    costs(&source, &classes, &budgets)?;
    Ok(Rules {
        file: source.file.into(),
        hash: blake3::hash(source.text.as_bytes()).to_hex().as_str().into(),
        defaults: defaults(&root)?,
        session: session(&root)?,
        caps: caps(&root, &tiers, &classes)?,
        probes: probes(&root, &tiers, &classes)?,
        // Last, because what is wrong in one place is better told with that place.
        sealed: seal::check(&root, table, sealing)?,
        tiers,
        classes,
        budgets,
    })
}

fn schema(source: &Source<'_>, table: &dyn TableLike) -> Result<(), Error> {
    let item = table.get("schema");
    let problem = match item.and_then(toml_edit::Item::as_str) {
        Some(SCHEMA) => return Ok(()),
        Some(other) => format!("this is a `{other}`"),
        None => "the policy does not say which edition it is".to_owned(),
    };
    let mend = format!("begin with `schema = \"{SCHEMA}\"`");
    Err(source.flaw(item.and_then(toml_edit::Item::span), Code::Schema, problem, mend))
}

/// The conditions bound the time of a decision only together.
fn costs(source: &Source<'_>, classes: &[Class], budgets: &[Budget]) -> Result<(), Error> {
    let conditions =
        classes.iter().map(|class| &class.when).chain(budgets.iter().map(|budget| &budget.when)).flatten();
    let cost: usize = conditions.map(crate::condition::Condition::cost).sum();
    if cost <= CONDITIONS_COST_MAX {
        return Ok(());
    }
    let problem = format!("all conditions together cost {cost} steps");
    let mend = format!("give conditions of at most {CONDITIONS_COST_MAX}");
    Err(source.flaw(None, Code::ConditionTooLarge, problem, mend))
}

fn defaults(root: &Section<'_>) -> Result<Defaults, Error> {
    let mut defaults = Defaults::default();
    let Some(section) = root.table("defaults", &form::DEFAULTS)? else { return Ok(defaults) };
    let set = |to: &mut f64, key: &str| section.number(key).map(|given| *to = given.unwrap_or(*to));
    set(&mut defaults.expected_seconds_unknown, "expected_seconds_unknown")?;
    set(&mut defaults.queue_seconds_unknown, "queue_seconds_unknown")?;
    set(&mut defaults.probability_right_unknown, "probability_right_unknown")?;
    set(&mut defaults.output_tokens_unknown, "output_tokens_unknown")?;
    let price = &mut defaults.price_unknown;
    set(&mut price.input_usd_per_million_tokens, "input_usd_per_million_tokens_unknown")?;
    set(&mut price.output_usd_per_million_tokens, "output_usd_per_million_tokens_unknown")?;
    price.cached_input_usd_per_million_tokens = price.input_usd_per_million_tokens;
    if let Some(tokens) = section.whole("context_tokens_max_unknown")? {
        defaults.context_tokens_max_unknown = tokens;
    }
    Ok(defaults)
}

fn session(root: &Section<'_>) -> Result<Option<SessionRule>, Error> {
    let Some(section) = root.table("session", &form::SESSION)? else { return Ok(None) };
    Ok(Some(SessionRule {
        cache_seconds: section.number_required("cache_seconds")?,
        cache_kept: section.number("cache_kept")?.unwrap_or(1.0),
    }))
}

fn tiers(root: &Section<'_>) -> Result<Vec<Tier>, Error> {
    let sections = root.tables("tier", &form::TIER)?;
    if sections.is_empty() {
        return Err(root.missing("[[tier]]"));
    }
    let mut tiers: Vec<Tier> = Vec::with_capacity(sections.len());
    for section in &sections {
        let name = unused(section, "tier", tiers.iter().map(|tier| &tier.name))?;
        let kind = section.choice(&section.text_required("kind")?, &Kind::ALL)?;
        let energy = energy(section)?;
        tiers.push(Tier {
            name,
            kind,
            price: price(section, energy)?,
            energy,
            prompt_tokens_ratio: section.number("prompt_tokens_ratio")?,
            abilities: abilities(section)?,
            context_tokens_max: section.whole("context_tokens_max")?,
            capabilities: match section.choices("capabilities", &Capabilities::ALL)? {
                some if some.is_empty() => Capabilities::TEXT,
                some => some.into_iter().fold(Capabilities::NONE, Capabilities::with),
            },
            languages: section.names("languages")?,
            regions: section.names("regions")?,
            latency: latency(section)?,
            closed: section.flag("closed")?.unwrap_or(false),
            at: section.position(),
        });
    }
    Ok(tiers)
}

/// Tokens of a tier that states their energy need no other price.
fn price(section: &Section<'_>, energy: Energy) -> Result<Price, Error> {
    let powered = energy.joules_per_output_token > 0.0;
    let required = |key: &str| match section.number(key)? {
        Some(usd) => Ok(usd),
        None if powered => Ok(0.0),
        None => Err(section.missing(key)),
    };
    let input = required("input_usd_per_million_tokens")?;
    let cached = section.number("cached_input_usd_per_million_tokens")?;
    Ok(Price {
        input_usd_per_million_tokens: input,
        cached_input_usd_per_million_tokens: cached.unwrap_or(input),
        output_usd_per_million_tokens: required("output_usd_per_million_tokens")?,
    })
}

fn energy(section: &Section<'_>) -> Result<Energy, Error> {
    let input = section.number("joules_per_input_token")?;
    let output = section.number("joules_per_output_token")?;
    let price = section.number("usd_per_joule")?;
    if (input.is_some() || output.is_some()) && price.is_none() {
        return Err(section.missing("usd_per_joule"));
    }
    Ok(Energy {
        joules_per_input_token: input.unwrap_or(0.0),
        joules_per_output_token: output.unwrap_or(0.0),
        usd_per_joule: price.unwrap_or(0.0),
    })
}

fn latency(section: &Section<'_>) -> Result<Option<Latency>, Error> {
    let keys = ["queue_seconds", "network_seconds", "prefill_seconds_per_token", "seconds_per_output_token"];
    let mut stated = [None; 4];
    for (slot, key) in stated.iter_mut().zip(keys) {
        *slot = section.number(key)?;
    }
    let [queue, network, prefill, output] = stated.map(|seconds| seconds.unwrap_or(0.0));
    Ok(stated.iter().any(Option::is_some).then_some(Latency {
        queue_seconds: queue,
        network_seconds: network,
        prefill_seconds_per_token: prefill,
        seconds_per_output_token: output,
    }))
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

/// The classes, of which the last must take everything.
fn classes(root: &Section<'_>, tiers: &[Tier]) -> Result<Vec<Class>, Error> {
    let sections = root.tables("class", &form::CLASS)?;
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
    if classes.last().is_some_and(|last| last.when.is_none()) {
        return Ok(classes);
    }
    Err(root.source.flaw(
        sections.last().and_then(|section| section.span.clone()),
        Code::ClassCatchAllMissing,
        "a request that matches no class would have no worth",
        "end with a [[class]] that has no `when`",
    ))
}

fn class(section: &Section<'_>, name: Name, tiers: &[Tier]) -> Result<Class, Error> {
    let tiers: Vec<&Name> = tiers.iter().map(|tier| &tier.name).collect();
    let privacy = section.text("privacy")?;
    Ok(Class {
        name,
        when: section.condition("when")?,
        second_usd: section.number_required("second_usd")?,
        wrong_answer_usd: section.number_required("wrong_answer_usd")?,
        joule_usd: section.number("joule_usd")?,
        privacy_said: privacy.is_some(),
        privacy: match privacy {
            Some(spelled) => section.choice(&spelled, &Privacy::ALL)?,
            None => Privacy::Normal,
        },
        residency: section.text("residency")?.map(|spelled| spelled.name),
        places_only: section.names("places_only")?,
        places_forbidden: section.names("places_forbidden")?,
        tiers_only: known(section, "tiers_only", "[[tier]]", &tiers)?,
        tiers_forbidden: known(section, "tiers_forbidden", "[[tier]]", &tiers)?,
        probability_right_min: section.number("probability_right_min")?,
        price_max_usd: match section.number("price_max_usd")? {
            Some(0.0) => return Err(section.zero("price_max_usd", "only what is free is left")),
            usd => usd,
        },
        hedge: section.flag("hedge")?.unwrap_or(false),
        at: section.position(),
    })
}

fn budgets(root: &Section<'_>, classes: &[Class]) -> Result<Vec<Budget>, Error> {
    let classes: Vec<&Name> = classes.iter().map(|class| &class.name).collect();
    let mut budgets: Vec<Budget> = Vec::new();
    for section in &root.tables("budget", &form::BUDGET)? {
        let name = unused(section, "budget", budgets.iter().map(|budget| &budget.name))?;
        budgets.push(Budget {
            name,
            when: section.condition("when")?,
            classes: known(section, "classes", "[[class]]", &classes)?,
            per: per(section)?,
            usd_max: match section.number_required("usd_max")? {
                0.0 => return Err(section.zero("usd_max", "nothing that costs anything is left")),
                usd => usd,
            },
            window_seconds: section.number_required("window_seconds")?,
            at: section.position(),
        });
    }
    Ok(budgets)
}

fn caps(root: &Section<'_>, tiers: &[Tier], classes: &[Class]) -> Result<Vec<Cap>, Error> {
    let classes: Vec<&Name> = classes.iter().map(|class| &class.name).collect();
    let tiers: Vec<&Name> = tiers.iter().map(|tier| &tier.name).collect();
    let mut caps: Vec<Cap> = Vec::new();
    for section in &root.tables("escalation_cap", &form::CAP)? {
        let name = unused(section, "escalation cap", caps.iter().map(|cap| &cap.name))?;
        let cap = Cap {
            name,
            classes: known(section, "classes", "[[class]]", &classes)?,
            per: per(section)?,
            tiers_up: known(section, "tiers_up", "[[tier]]", &tiers)?,
            share_max: section.number_required("share_max")?,
            free_requests: section.whole("free_requests")?.unwrap_or(0),
            window_seconds: section.number_required("window_seconds")?,
            at: section.position(),
        };
        if cap.share_max <= 0.0 && cap.free_requests == 0 {
            return Err(section.zero("share_max", "nothing may go up"));
        }
        caps.push(cap);
    }
    Ok(caps)
}

fn per(section: &Section<'_>) -> Result<Per, Error> {
    Ok(match section.text("per")? {
        Some(spelled) => section.choice(&spelled, &Per::ALL)?,
        None => Per::All,
    })
}

fn probes(root: &Section<'_>, tiers: &[Tier], classes: &[Class]) -> Result<Vec<Probe>, Error> {
    let mut probes: Vec<Probe> = Vec::new();
    for section in &root.tables("probe", &form::PROBE)? {
        let name = unused(section, "probe", probes.iter().map(|probe| &probe.name))?;
        let expects = expectations(section, tiers, classes)?;
        if expects.is_empty() {
            return Err(section.source.flaw(
                section.span.clone(),
                Code::FieldMissing,
                format!("the probe `{name}` expects nothing"),
                "add a field such as `expect_not_kind = \"cloud\"`",
            ));
        }
        let text = section.text("text")?.map(|spelled| spelled.name);
        let facts = section.facts("facts")?;
        probes.push(Probe { name, text, facts, expects, at: section.position() });
    }
    Ok(probes)
}

fn expectations(section: &Section<'_>, tiers: &[Tier], classes: &[Class]) -> Result<Vec<Expectation>, Error> {
    let classes: Vec<&Name> = classes.iter().map(|class| &class.name).collect();
    let tiers: Vec<&Name> = tiers.iter().map(|tier| &tier.name).collect();
    let tier = |key: &str| one_of(section, key, "[[tier]]", &tiers);
    let kind = |key: &str| section.text(key)?.map(|spelled| section.choice(&spelled, &Kind::ALL)).transpose();
    let class = one_of(section, "expect_class", "[[class]]", &classes)?;
    let found = [
        class.map(Expectation::Class),
        section.text("expect_place")?.map(|spelled| Expectation::Place(spelled.name)),
        tier("expect_tier")?.map(Expectation::Tier),
        kind("expect_kind")?.map(Expectation::Kind),
        tier("expect_not_tier")?.map(Expectation::NotTier),
        kind("expect_not_kind")?.map(Expectation::NotKind),
        section.flag("expect_no_place")?.map(Expectation::NoPlace),
    ];
    Ok(found.into_iter().flatten().collect())
}

/// The name under `key`, which must be one of `of`.
fn one_of(section: &Section<'_>, key: &str, what: &str, of: &[&Name]) -> Result<Option<Name>, Error> {
    section.text(key)?.map(|spelled| is_known(section, (key, what), spelled, of)).transpose()
}

/// The names under `key`, which must be of `of`.
fn known(section: &Section<'_>, key: &str, what: &str, of: &[&Name]) -> Result<Vec<Name>, Error> {
    section.texts(key)?.into_iter().map(|spelled| is_known(section, (key, what), spelled, of)).collect()
}

fn is_known(
    section: &Section<'_>,
    (key, what): (&str, &str),
    spelled: Spelled,
    of: &[&Name],
) -> Result<Name, Error> {
    if of.contains(&&spelled.name) {
        return Ok(spelled.name);
    }
    Err(section.source.flaw(
        spelled.span,
        Code::NameUnknown,
        format!("`{key}` names `{}`, which is no {what}", spelled.name),
        suggestion(&spelled.name, of.iter().map(|name| name.as_str())),
    ))
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
