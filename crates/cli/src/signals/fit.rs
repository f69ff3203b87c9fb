//! `causeway signals fit`: learns a model from the folder of data, and tells how good such a model is on texts that it
//! did not learn from.

use std::path::Path;

use ::signals::Models;
use ::signals::learn::{self, Annotated, FOLD_COUNT, Labelled};
use anyhow::Result;

use super::data::{Row, read_all};
use super::eval;
use super::measure::Measures;
use crate::args::FitTask;

/// How often an exemplar of private content counts, and of how many requests one is taken beside them.
const EXEMPLAR_WEIGHT: u16 = 6;
const REQUESTS_STRIDE: usize = 7;

/// A text to learn from, as its recipe has it.
enum Lesson {
    Label(Labelled),
    Spans(Annotated),
}

/// What a recipe made of a folder: what is learned from, and the rows on which the result is measured.
struct Material {
    lessons: Vec<Lesson>,
    rows: Vec<Row>,
}

/// The model as a file, and its measures out of fold: every row is told by a model that has not seen its text.
pub(super) fn fit(task: FitTask, folder: &Path, seed: u64) -> Result<(Vec<u8>, Measures)> {
    let material = match task {
        FitTask::Language => languages(folder)?,
        FitTask::Safety => subjects(folder)?,
        FitTask::Content => content(folder)?,
        FitTask::Pii => personal(folder)?,
    };
    let file = learned(task, &material.lessons, |_| true, seed)?;
    let mut models = Models::shipped();
    let mut measures: Option<Measures> = None;
    for fold in 0..FOLD_COUNT {
        models.replace(&learned(
            task,
            &material.lessons,
            |text| learn::fold_of(text, seed) != fold,
            seed,
        )?)?;
        let mut own = Vec::new();
        for row in &material.rows {
            if learn::fold_of(row.text()?, seed) == fold {
                own.push(row);
            }
        }
        let told = match task {
            FitTask::Language => eval::language(&own, &models)?,
            FitTask::Safety => eval::safety(&own, &models)?,
            FitTask::Content | FitTask::Pii => eval::pii(&own, &models)?,
        };
        measures = Some(match measures {
            Some(all) => all.with(told),
            None => told,
        });
    }
    let mut measures = measures.unwrap_or_default();
    if matches!(task, FitTask::Safety) {
        transfer(&material, seed, &mut models, &mut measures)?;
    }
    Ok((file, measures))
}

/// How a model does on the prompts that are or seem unsafe when it learned from none of them.
fn transfer(material: &Material, seed: u64, models: &mut Models, measures: &mut Measures) -> Result<()> {
    let mut prompts = Vec::new();
    for row in material.rows.iter().filter(|row| row.has("label")) {
        prompts.push(row.text()?);
    }
    models.replace(&learned(FitTask::Safety, &material.lessons, |text| !prompts.contains(&text), seed)?)?;
    let rows: Vec<&Row> = material.rows.iter().filter(|row| row.has("label")).collect();
    for (name, share) in eval::safety(&rows, models)?.groups {
        let kind = if name.starts_with("recall") { "recall" } else { "false alarms" };
        let all = measures.groups.entry(format!("~ learned from no such prompt, {kind}")).or_default();
        all.part += share.part;
        all.all += share.all;
    }
    Ok(())
}

fn learned(task: FitTask, lessons: &[Lesson], keep: impl Fn(&str) -> bool, seed: u64) -> Result<Vec<u8>> {
    let (mut labels, mut spans) = (Vec::new(), Vec::new());
    for lesson in lessons {
        match lesson {
            Lesson::Label(label) if keep(&label.text) => labels.push(label.clone()),
            Lesson::Spans(text) if keep(&text.text) => spans.push(text.clone()),
            _ => {}
        }
    }
    Ok(match task {
        FitTask::Language => learn::fit_language(&labels, seed)?,
        FitTask::Safety => learn::fit_safety(&labels, seed)?,
        FitTask::Content => learn::fit_content(&labels, seed)?,
        FitTask::Pii => learn::fit_tagger(&spans, seed)?,
    })
}

fn rows(folder: &Path, names: &[&str]) -> Result<Vec<Row>> {
    let paths: Vec<_> = names.iter().map(|name| folder.join(format!("{name}.jsonl.gz"))).collect();
    read_all(&paths)
}

fn lesson(text: &str, label: &str, weight: u16) -> Lesson {
    Lesson::Label(Labelled { text: text.to_owned(), label: label.to_owned(), weight })
}

/// Sentences of homes, templates of such sentences without their marks, and English of other kinds.
fn languages(folder: &Path) -> Result<Material> {
    let sentences = rows(folder, &["intents/home_sentences_65_languages"])?;
    let mut lessons = Vec::new();
    for row in &sentences {
        lessons.push(lesson(row.text()?, row.text_of("lang")?, 1));
    }
    for row in rows(folder, &["intents/home_templates_65_languages"])? {
        let plain = without_marks(row.text_of("template")?);
        if plain.chars().filter(|one| one.is_alphabetic()).count() >= 4 {
            lessons.push(lesson(&plain, row.text_of("lang")?, 1));
        }
    }
    for (at, row) in
        rows(folder, &["intents/clinc150_train", "intents/hwu64_fold1_train"])?.iter().enumerate()
    {
        if at % 20 == 0 {
            lessons.push(lesson(row.text()?, "en", 1));
        }
    }
    Ok(Material { lessons, rows: sentences })
}

/// The words of a template: names of slots and rules go, alternatives stand side by side.
fn without_marks(template: &str) -> String {
    let (mut plain, mut depth) = (String::with_capacity(template.len()), 0_usize);
    for one in template.chars() {
        match one {
            '{' | '<' => depth += 1,
            '}' | '>' => {
                depth = depth.saturating_sub(1);
                plain.push(' ');
            }
            '[' | ']' | '(' | ')' | '|' | ';' if depth == 0 => plain.push(' '),
            _ if depth == 0 => plain.push(one),
            _ => {}
        }
    }
    plain
}

/// Medical questions, questions of law and of other subjects, prompts that are or seem unsafe, and requests.
fn subjects(folder: &Path) -> Result<Material> {
    let mut lessons = Vec::new();
    let measured = rows(
        folder,
        &[
            "safety/medical_questions",
            "safety/xstest_prompts",
            "intents/clinc150_train",
            "intents/hwu64_fold1_train",
        ],
    )?;
    for row in &measured {
        let (label, weight) = match (row.maybe("topic"), row.maybe("label")) {
            (Some(topic), _) => (topic, 1),
            (_, Some("unsafe")) => ("dangerous", 4),
            (_, Some(_)) => ("none", 8),
            _ => ("none", 1),
        };
        lessons.push(lesson(row.text()?, label, weight));
    }
    for row in rows(folder, &["routing/routellm_mmlu"])? {
        let label = match row.text_of("subject")? {
            "professional_law" | "international_law" | "jurisprudence" => "legal",
            "professional_medicine" | "clinical_knowledge" => "medical",
            "college_medicine"
            | "medical_genetics"
            | "anatomy"
            | "virology"
            | "nutrition"
            | "human_aging"
            | "human_sexuality"
            | "business_ethics"
            | "professional_psychology" => continue,
            _ => "none",
        };
        lessons.push(lesson(row.text_of("prompt")?, label, 1));
    }
    for row in rows(folder, &["intents/home_sentences_65_languages"])?.iter().step_by(4) {
        lessons.push(lesson(row.text()?, "none", 1));
    }
    for row in rows(folder, &["routing/nine_models", "routing/routellm_gsm8k"])?.iter().step_by(4) {
        lessons.push(lesson(row.text_of("prompt")?, "none", 1));
    }
    Ok(Material { lessons, rows: measured })
}

/// Exemplars of private content, and some requests that have none.
fn content(folder: &Path) -> Result<Material> {
    let measured = rows(folder, &["privacy/labelled_exemplars", "intents/clinc150_train"])?;
    let mut lessons = Vec::new();
    for (at, row) in measured.iter().enumerate() {
        let kind = row.maybe("label").and_then(eval::kind_of);
        match row.has("label") {
            true => {
                lessons.push(lesson(row.text()?, kind.map_or("none", |kind| kind.name()), EXEMPLAR_WEIGHT));
            }
            false if at % REQUESTS_STRIDE == 0 => lessons.push(lesson(row.text()?, "none", 1)),
            false => {}
        }
    }
    for row in rows(folder, &["intents/hwu64_fold1_train"])?.iter().step_by(REQUESTS_STRIDE) {
        lessons.push(lesson(row.text()?, "none", 1));
    }
    for row in rows(folder, &["routing/nine_models"])?.iter().step_by(8) {
        lessons.push(lesson(row.text_of("prompt")?, "none", 1));
    }
    Ok(Material { lessons, rows: measured })
}

/// Texts with spans, and requests in which nothing is to be marked.
fn personal(folder: &Path) -> Result<Material> {
    let mut measured = rows(folder, &["privacy/pii_spans"])?;
    let mut lessons = Vec::new();
    for row in &measured {
        let text = row.text()?;
        let places: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let bytes = |at: u32| places.get(at as usize).copied().unwrap_or(text.len());
        let spans = row.spans()?.into_iter().map(|span| (span.kind, bytes(span.start)..bytes(span.end)));
        lessons.push(Lesson::Spans(Annotated { text: text.to_owned(), spans: spans.collect() }));
    }
    let requests = rows(folder, &["intents/clinc150_train", "intents/hwu64_fold1_train"])?;
    for row in requests.into_iter().step_by(8) {
        lessons.push(Lesson::Spans(Annotated { text: row.text()?.to_owned(), spans: Vec::new() }));
        measured.push(row);
    }
    // Sentences of other languages, so that a capital or an accent alone is not taken for a name.
    for row in rows(folder, &["intents/home_sentences_65_languages"])?.iter().step_by(12) {
        lessons.push(Lesson::Spans(Annotated { text: row.text()?.to_owned(), spans: Vec::new() }));
    }
    Ok(Material { lessons, rows: measured })
}
