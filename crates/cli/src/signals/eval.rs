//! `causeway signals eval`: each task's answers against labels, text by text.

use std::hint::black_box;
use std::time::Instant;

use ::signals::{Content, Models, SpanKind, Topic};
use anyhow::{Result, bail};

use super::data::{GoldSpan, Row};
use super::measure::{Measures, Share, auroc, median};

/// The intent of a row that is none of those known.
const OUT_OF_SCOPE: &str = "oos";

/// Texts that are timed, evenly chosen, and readings of each.
const TIMED_MAX: usize = 400;
const READINGS: usize = 9;

/// Personal data: spans by type and place, and false alarms where there is none.
pub(super) fn pii(rows: &[&Row], models: &Models) -> Result<Measures> {
    let mut measures = Measures { task: "pii", rows: rows.len(), ..Measures::default() };
    let (mut precision, mut recall, mut alarms) = (Share::default(), Share::default(), Share::default());
    for row in rows {
        let text = row.text()?;
        if let Some(label) = row.maybe("label") {
            content(label, text, models, &mut measures);
            continue;
        }
        let gold = match (row.has("spans"), row.has("intent")) {
            (true, _) => row.spans()?,
            (false, true) => Vec::new(),
            _ => bail!("{}: there is neither `spans` nor `intent` nor `label`", row.place()),
        };
        let found: Vec<GoldSpan> = models.spans_of(text).into_iter().map(GoldSpan::from).collect();
        if gold.is_empty() {
            let identifies =
                |span: &GoldSpan| SpanKind::from_name(&span.kind).is_some_and(SpanKind::identifies);
            alarms.count(found.iter().any(identifies));
            measures.group("texts without spans, any span found", !found.is_empty());
            measures.group("texts without spans, found private", ::signals::read(text, models).private);
        }
        if !row.has("spans") {
            continue;
        }
        for span in &found {
            let right = gold.contains(span);
            precision.count(right);
            measures.group(&format!("precision {}", span.kind), right);
        }
        for span in &gold {
            let right = found.contains(span);
            recall.count(right);
            measures.group(&format!("recall {}", span.kind), right);
            let touched =
                |one: &GoldSpan| one.kind == span.kind && one.start < span.end && span.start < one.end;
            measures.group("recall of any part", found.iter().any(touched));
        }
    }
    measures.span_precision = precision.fraction();
    measures.span_recall = recall.fraction();
    let f1 = |(precision, recall): (f64, f64)| 2.0 * precision * recall / (precision + recall).max(1e-12);
    measures.span_f1 = measures.span_precision.zip(measures.span_recall).map(f1);
    measures.false_positive_rate = alarms.fraction();
    measures.micros_p50 = time(rows, |text| {
        black_box(models.spans_of(text));
    })?;
    Ok(measures)
}

// === impl GoldSpan ===

impl From<::signals::Span> for GoldSpan {
    fn from(span: ::signals::Span) -> Self {
        Self { kind: span.kind.name().to_owned(), start: span.start, end: span.end }
    }
}

fn content(label: &str, text: &str, models: &Models, measures: &mut Measures) {
    let (kind, _) = models.content_of(text);
    match kind_of(label) {
        Some(wanted) => measures.group(&format!("content {}", wanted.name()), kind == wanted),
        None => measures.group("content false alarms", kind != Content::None),
    }
}

/// The kind of private content that a label of the exemplars stands for.
pub(super) fn kind_of(label: &str) -> Option<Content> {
    match label.strip_prefix("labels/").unwrap_or(label) {
        "credential_exfiltration" => Some(Content::Credentials),
        "proprietary_code" | "trade_secret_ip" => Some(Content::ProprietaryCode),
        "internal_document" | "business_strategy" | "operational_infrastructure" => Some(Content::Internal),
        "customer_data" | "pii" => Some(Content::Records),
        _ => None,
    }
}

/// Subjects in which a wrong answer harms: recall where they are, false alarms where they only seem to be.
pub(super) fn safety(rows: &[&Row], models: &Models) -> Result<Measures> {
    let mut measures = Measures { task: "safety", rows: rows.len(), ..Measures::default() };
    let (mut recall, mut alarms) = (Share::default(), Share::default());
    let (mut positives, mut negatives) = (Vec::new(), Vec::new());
    for row in rows {
        let (topic, probability) = models.topic_of(row.text()?);
        let told = topic != Topic::None;
        let score = if told { probability } else { 1.0 - probability };
        let (harmful, right, group) = match (row.maybe("topic"), row.maybe("label"), row.maybe("intent")) {
            (Some(wanted), ..) => (true, topic.name() == wanted, wanted.to_owned()),
            (_, Some("unsafe"), _) => {
                (true, told, format!("unsafe {}", row.maybe("type").unwrap_or_default()))
            }
            (_, Some("safe"), _) => (false, told, format!("safe {}", row.maybe("type").unwrap_or_default())),
            (_, Some(other), _) => bail!("{}: label is `{other}`; safe or unsafe is read", row.place()),
            (.., Some(_)) => (false, told, "intents".to_owned()),
            _ => bail!("{}: there is neither `topic` nor `label` nor `intent`", row.place()),
        };
        if harmful {
            recall.count(right);
            positives.push(score);
        } else {
            alarms.count(right);
            negatives.push(score);
        }
        let kind = if harmful { "recall" } else { "false alarms" };
        measures.group(&format!("{kind}: {group}"), right);
    }
    measures.recall = recall.fraction();
    measures.false_positive_rate = alarms.fraction();
    measures.auroc = auroc(&positives, &negatives);
    measures.micros_p50 = time(rows, |text| {
        black_box(models.topic_of(text));
    })?;
    Ok(measures)
}

/// Intents: each row by the list that knows its own, `oos` by the list of the other rows.
pub(super) fn intent(rows: &[&Row], models: &Models) -> Result<Measures> {
    let mut measures = Measures { task: "intent", rows: rows.len(), ..Measures::default() };
    let lists: Vec<(String, Vec<String>)> = models
        .taxonomies()
        .map(|(name, classes)| (name.to_owned(), classes.iter().map(|class| class.to_string()).collect()))
        .collect();
    let (mut accuracy, mut closed, mut rejected) = (Share::default(), Share::default(), Share::default());
    let (mut inside, mut outside) = (Vec::new(), Vec::new());
    let mut main = 0;
    for pass in 0..2 {
        for row in rows {
            let wanted = row.text_of("intent")?;
            let out = wanted == OUT_OF_SCOPE;
            // The rows in scope come first: they tell which list is meant.
            if out != (pass == 1) {
                continue;
            }
            let knows = |list: &usize| lists[*list].1.iter().any(|class| class == wanted);
            // Some names stand in both lists; rows of HWU64 have a scenario besides.
            let mut order: Vec<usize> = (0..lists.len()).collect();
            if row.has("scenario") {
                order.reverse();
            }
            let list = match order.into_iter().find(knows) {
                Some(list) => list,
                None if out => main,
                None => bail!("{}: intent is `{wanted}`, which no list of intents here has", row.place()),
            };
            main = list;
            let told = &models.intent_of(row.text()?)[list];
            let group = &lists[list].0;
            if out {
                rejected.count(!told.in_scope);
                outside.push(told.energy);
                measures.group(&format!("{group}: out of scope told"), !told.in_scope);
            } else {
                let right = *told.name == *wanted;
                closed.count(right);
                accuracy.count(right && told.in_scope);
                inside.push(told.energy);
                measures.group(&format!("{group}: in scope, right"), right && told.in_scope);
                measures.group(&format!("{group}: right if told to be in scope"), right);
            }
        }
    }
    measures.in_scope_accuracy = accuracy.fraction();
    measures.closed_set_accuracy = closed.fraction();
    measures.out_of_scope_recall = rejected.fraction();
    measures.auroc = auroc(&inside, &outside);
    measures.micros_p50 = time(rows, |text| {
        black_box(models.intent_of(text));
    })?;
    Ok(measures)
}

/// Languages by their tags.
pub(super) fn language(rows: &[&Row], models: &Models) -> Result<Measures> {
    let mut measures = Measures { task: "language", rows: rows.len(), ..Measures::default() };
    let mut accuracy = Share::default();
    for row in rows {
        let wanted = row.text_of("lang")?;
        let (_, language) = models.language_of(row.text()?);
        let right = language.tag() == wanted;
        accuracy.count(right);
        measures.group(wanted, right);
        let code = wanted.split('-').next().unwrap_or(wanted);
        measures.group("~ without region or script", language.code() == code);
    }
    measures.accuracy = accuracy.fraction();
    measures.in_scope_accuracy = measures.accuracy;
    let languages = measures.groups.iter().filter(|(name, _)| !name.starts_with('~'));
    let recalls: Vec<f64> = languages.filter_map(|(_, share)| share.fraction()).collect();
    measures.recall = Some(recalls.iter().sum::<f64>() / recalls.len().max(1) as f64);
    measures.micros_p50 = time(rows, |text| {
        black_box(models.language_of(text));
    })?;
    Ok(measures)
}

/// The median over texts of the median of several readings, in microseconds.
pub(super) fn time(rows: &[&Row], read: impl Fn(&str)) -> Result<Option<f64>> {
    let mut micros = Vec::with_capacity(TIMED_MAX);
    for row in rows.iter().step_by(rows.len().div_ceil(TIMED_MAX).max(1)) {
        let text = row.text()?;
        let readings = (0..READINGS).map(|_| {
            let start = Instant::now();
            read(black_box(text));
            start.elapsed().as_secs_f64() * 1e6
        });
        micros.extend(median(readings.collect()));
    }
    Ok(median(micros))
}
