//! Requests that stand for all others: one for each combination of values that the conditions of a policy can tell apart.

use std::collections::BTreeMap;

use crate::capabilities::Capabilities;
use crate::condition::{Condition, Const, Expr, Field, Node, Operator, Unknown};
use crate::decision::Decision;
use crate::facts::{Facts, Priority, Privacy, Topic};
use crate::name::Name;
use crate::rules::Rules;
use crate::vector::Vector;

/// Most requests that are tried; where there are more combinations, as many are drawn.
const CASES_MAX: usize = 6000;
/// What draws them.
const SEED: u64 = 0x00C0_FFEE;
/// Most texts of which every subset is tried.
const SUBSETS_OF_MAX: usize = 4;

/// The requests tried, with their decisions.
pub(super) struct Cases {
    pub(super) all: Vec<Case>,
    /// Whether every combination was tried.
    pub(super) whole: bool,
    /// Whether they stand for every request: each condition compares fields with constants only, and no combination was
    /// left out.
    pub(super) exact: bool,
}

/// One request.
pub(super) struct Case {
    pub(super) facts: Facts,
    /// Its class, as an index.
    pub(super) class: usize,
    /// Its decision among the places that the tiers describe.
    pub(super) decision: Decision,
    /// What sets it apart, for people.
    pub(super) shown: String,
}

/// A value that a field can have.
#[derive(Clone, Debug, PartialEq)]
enum Setting {
    Absent,
    One(Const),
    Texts(Vec<Name>),
    Numbers(Vector),
}

/// Tries every combination, or as many as may be.
pub(super) fn cases(rules: &Rules) -> Cases {
    let (domains, comparable) = domains(rules);
    let base = rules.offline(able(rules));
    let candidates = rules.described_candidates();
    let combinations = domains.iter().try_fold(1_usize, |all, (_, values)| all.checked_mul(values.len()));
    let whole = combinations.filter(|combinations| *combinations <= CASES_MAX);
    let mut state = SEED;
    let case = |number: usize| {
        let mut facts = base.clone();
        let mut shown = Vec::new();
        let mut rest = number;
        for (field, values) in &domains {
            let index = if whole.is_some() {
                let index = rest % values.len();
                rest /= values.len();
                index
            } else {
                (next(&mut state) % values.len() as u64) as usize
            };
            set(&mut facts, *field, &values[index]);
            shown.extend(telling(*field, &values[index]));
        }
        let class = rules.class_of(&facts);
        let class = rules.classes().iter().position(|one| one.name == class.name).unwrap_or_default();
        let decision = crate::decide(rules, &facts, &candidates, 0);
        let shown = if shown.is_empty() { "any".to_owned() } else { shown.join(", ") };
        Case { facts, class, decision, shown }
    };
    let all = (0..whole.unwrap_or(CASES_MAX)).map(case).collect();
    Cases { all, whole: whole.is_some(), exact: whole.is_some() && comparable }
}

/// A request that every able model answers rightly, so that what is removed is removed by a rule.
fn able(rules: &Rules) -> Facts {
    let dimensions = rules.tiers().iter().filter_map(|tier| tier.abilities).map(|one| one.as_slice().len());
    let requirement = vec![8.0; dimensions.max().unwrap_or(1)];
    Facts {
        prompt_tokens: 32,
        output_tokens_p50: 32.0,
        output_tokens_p90: 64.0,
        requirement: Vector::new(&requirement),
        turns: 1,
        ..Facts::default()
    }
}

/// The values to try of every field that any condition reads, with those by which places are removed; and whether these
/// values are all that the conditions can tell apart.
fn domains(rules: &Rules) -> (Vec<(Field, Vec<Setting>)>, bool) {
    let mut constants: BTreeMap<Field, Vec<Const>> = BTreeMap::new();
    let mut comparable = true;
    let classes = rules.classes().iter().filter_map(|class| class.when.as_ref());
    for when in classes.chain(rules.budgets().iter().filter_map(|budget| budget.when.as_ref())) {
        comparable &= collect(when, &mut constants);
    }
    constants.entry(Field::Privacy).or_default();
    let residencies = constants.entry(Field::Residency).or_default();
    let regions = rules.tiers().iter().flat_map(|tier| &tier.regions);
    for region in regions.chain(rules.classes().iter().filter_map(|class| class.residency.as_ref())).take(8) {
        residencies.push(Const::Text(region.clone()));
    }
    let mut domains = Vec::new();
    for (field, mut constants) in constants {
        constants.dedup();
        let (values, all) = values(field, &constants);
        comparable &= all;
        domains.push((field, values));
    }
    (domains, comparable)
}

/// The constants that each field is compared with. Whether every field is compared with constants only.
fn collect(when: &Condition, constants: &mut BTreeMap<Field, Vec<Const>>) -> bool {
    let mut comparable = true;
    when.tree().walk(&mut |expr| {
        if let Node::Field(field) | Node::Has(field) = expr.node {
            constants.entry(field).or_default();
        }
        let pair = match &expr.node {
            Node::Binary(operator, a, b) if !matches!(operator, Operator::And | Operator::Or) => [a, b],
            Node::Call(_, arguments) => {
                comparable = false;
                if let [a, b] = &arguments[..] {
                    note(a, b, constants);
                }
                return;
            }
            Node::Index(..) | Node::Negative(_) => {
                comparable = false;
                return;
            }
            _ => return,
        };
        let known = note(pair[0], pair[1], constants) || note(pair[1], pair[0], constants);
        comparable &= known;
    });
    comparable
}

/// Whether `a` is a field and `b` constant, which is then noted.
fn note(a: &Expr, b: &Expr, constants: &mut BTreeMap<Field, Vec<Const>>) -> bool {
    let Node::Field(field) = a.node else { return false };
    let of = constants.entry(field).or_default();
    match &b.node {
        Node::Literal(value) => of.push(value.clone()),
        Node::List(values) => of.extend(values.iter().cloned()),
        _ => return false,
    }
    true
}

/// The values of a field that differ to one that compares it with these constants, and whether these are all.
fn values(field: Field, constants: &[Const]) -> (Vec<Setting>, bool) {
    let texts: Vec<Name> = constants
        .iter()
        .filter_map(|one| if let Const::Text(text) = one { Some(text.clone()) } else { None })
        .collect();
    let text = |text: &str| Setting::One(Const::Text(text.into()));
    let mut all = true;
    let mut values: Vec<Setting> = match field {
        Field::Topic | Field::Privacy | Field::Priority => {
            field.values().into_iter().flatten().map(text).collect()
        }
        Field::InScope | Field::HasCode | Field::HasNumbers | Field::HasLists => {
            [false, true].map(|value| Setting::One(Const::Bool(value))).to_vec()
        }
        Field::PrivateContent | Field::PersonalData | Field::Needs => {
            let (subsets, whole) = subsets(&texts);
            all = whole;
            subsets
        }
        Field::Requirement => {
            all = false;
            [-3.0, 0.0, 3.0].map(|one| Setting::Numbers(Vector::new(&[one; 2]))).to_vec()
        }
        _ if !numbers(constants).is_empty() || is_number(field) => points(field, &numbers(constants)),
        _ => {
            let beyond = texts.iter().flat_map(|one| [format!("{one}-x"), format!("x-{one}")]);
            let mut values = vec![text("another")];
            values.extend(texts.iter().map(|one| text(one)));
            values.extend(beyond.take(8).map(|one| text(&one)));
            if field.unknown() == Unknown::Never {
                values.push(text(""));
            }
            values
        }
    };
    if field.unknown() == Unknown::Absent {
        values.insert(0, Setting::Absent);
    }
    let mut unique: Vec<Setting> = Vec::with_capacity(values.len());
    for value in values {
        if !unique.contains(&value) {
            unique.push(value);
        }
    }
    (unique, all)
}

fn is_number(field: Field) -> bool {
    use crate::condition::Type;
    matches!(field.r#type(), Type::Int | Type::Double)
}

fn numbers(constants: &[Const]) -> Vec<f64> {
    let mut numbers: Vec<f64> = constants
        .iter()
        .filter_map(|one| match one {
            Const::Int(value) => Some(*value as f64),
            Const::Double(value) => Some(*value),
            _ => None,
        })
        .collect();
    numbers.sort_by(f64::total_cmp);
    numbers.dedup();
    numbers
}

/// The constants, what lies between them, and what lies beyond them.
fn points(field: Field, constants: &[f64]) -> Vec<Setting> {
    let whole = field.r#type() == crate::condition::Type::Int;
    let share = matches!(field, Field::IntentProbability | Field::Battery);
    let most = if share { 1.0 } else { f64::from(u32::MAX) };
    let mut points: Vec<f64> = constants.to_vec();
    for pair in constants.windows(2) {
        points.push((pair[0] + pair[1]) / 2.0);
    }
    let (low, high) = (constants.first().copied().unwrap_or(1.0), constants.last().copied().unwrap_or(1.0));
    let step = if share { 0.05 } else { 1.0 };
    points.extend([low - step, high + step]);
    if whole {
        points.extend(constants.iter().flat_map(|one| [one - 1.0, one + 1.0]));
        points.iter_mut().for_each(|one| *one = libm::round(*one));
    }
    let least = if field == Field::Difficulty { f64::MIN } else { 0.0 };
    let setting = |one: f64| Setting::One(if whole { Const::Int(one as i64) } else { Const::Double(one) });
    points.into_iter().filter(|one| (least..=most).contains(one)).map(setting).collect()
}

/// Every subset of a few texts; of many: none, each alone, and all.
fn subsets(texts: &[Name]) -> (Vec<Setting>, bool) {
    let mut texts = texts.to_vec();
    texts.sort();
    texts.dedup();
    if texts.len() <= SUBSETS_OF_MAX {
        let subset = |bits: usize| {
            let chosen = texts.iter().enumerate().filter(|(index, _)| bits & (1 << index) != 0);
            Setting::Texts(chosen.map(|(_, text)| text.clone()).collect())
        };
        return ((0..1 << texts.len()).map(subset).collect(), true);
    }
    let mut sets = vec![Setting::Texts(Vec::new()), Setting::Texts(texts.clone())];
    sets.extend(texts.into_iter().map(|text| Setting::Texts(vec![text])));
    (sets, false)
}

fn set(facts: &mut Facts, field: Field, setting: &Setting) {
    match setting {
        Setting::Absent => absent(facts, field),
        Setting::One(Const::Bool(value)) => match field {
            Field::InScope => facts.in_scope = *value,
            Field::HasCode => facts.has_code = *value,
            Field::HasNumbers => facts.has_numbers = *value,
            _ => facts.has_lists = *value,
        },
        // Both casts saturate; the points were held to the field's range.
        Setting::One(Const::Int(value)) => match field {
            Field::PromptTokens => facts.prompt_tokens = *value as u32,
            Field::OutputTokensMax => facts.output_tokens_max = Some(*value as u32),
            Field::Turns => facts.turns = *value as u32,
            _ => {}
        },
        Setting::One(Const::Double(value)) => match field {
            Field::IntentProbability => facts.intent_probability = *value as f32,
            Field::Difficulty => facts.difficulty = *value as f32,
            Field::OutputTokensP50 => facts.output_tokens_p50 = *value as f32,
            Field::OutputTokensP90 => facts.output_tokens_p90 = *value as f32,
            Field::DeadlineSeconds => facts.deadline_seconds = Some(*value),
            Field::PriceMaxUsd => facts.price_max_usd = Some(*value),
            Field::Battery => facts.battery = Some(*value as f32),
            _ => {}
        },
        Setting::One(Const::Text(text)) => set_text(facts, field, text),
        Setting::Texts(texts) => match field {
            Field::PrivateContent => facts.private_content.clone_from(texts),
            Field::PersonalData => facts.personal_data.clone_from(texts),
            _ => {
                let named = texts.iter().filter_map(|text| Capabilities::named(text));
                facts.needs = named.fold(Capabilities::TEXT, Capabilities::with);
            }
        },
        Setting::Numbers(vector) => facts.requirement = *vector,
    }
}

fn set_text(facts: &mut Facts, field: Field, text: &Name) {
    fn named<T: Copy>(known: &[(&'static str, T)], text: &str) -> Option<T> {
        known.iter().find(|(name, _)| *name == text).map(|(_, value)| *value)
    }
    match field {
        Field::Topic => facts.topic = named(&Topic::ALL, text).unwrap_or_default(),
        Field::Privacy => facts.privacy = named(&Privacy::ALL, text).unwrap_or_default(),
        Field::Priority => facts.priority = named(&Priority::ALL, text).unwrap_or_default(),
        Field::Language => facts.language = text.clone(),
        Field::Script => facts.script = text.clone(),
        Field::Intent => facts.intent = text.clone(),
        Field::Residency => facts.residency = Some(text.clone()),
        Field::OnlyPlace => facts.only_place = Some(text.clone()),
        Field::Tenant => facts.tenant = text.clone(),
        Field::Device => facts.device = text.clone(),
        Field::Conversation => facts.conversation = text.clone(),
        Field::Region => facts.region = text.clone(),
        _ => {}
    }
}

fn absent(facts: &mut Facts, field: Field) {
    match field {
        Field::Difficulty => facts.requirement = Vector::UNKNOWN,
        Field::OutputTokensP50 => facts.output_tokens_p50 = 0.0,
        Field::OutputTokensP90 => facts.output_tokens_p90 = 0.0,
        Field::Residency => facts.residency = None,
        Field::DeadlineSeconds => facts.deadline_seconds = None,
        Field::PriceMaxUsd => facts.price_max_usd = None,
        Field::OutputTokensMax => facts.output_tokens_max = None,
        Field::OnlyPlace => facts.only_place = None,
        Field::Battery => facts.battery = None,
        _ => {}
    }
}

/// What a value says of its request; nothing where it is what most have.
fn telling(field: Field, setting: &Setting) -> Option<String> {
    let value = match setting {
        Setting::Absent => return None,
        Setting::One(Const::Bool(false)) => return None,
        Setting::One(Const::Text(text)) if ["", "none", "normal", "another"].contains(&text.as_str()) => {
            return None;
        }
        Setting::One(value) => value.to_string(),
        Setting::Texts(texts) if texts.is_empty() => return None,
        Setting::Texts(texts) => {
            let texts: Vec<String> = texts.iter().map(|text| format!("{:?}", text.as_str())).collect();
            format!("[{}]", texts.join(", "))
        }
        Setting::Numbers(vector) => format!("{:?}", vector.as_slice()),
    };
    Some(format!("{} = {value}", field.name()))
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}
