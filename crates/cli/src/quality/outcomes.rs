//! Tables of outcomes as files have them: weak against strong, scores by model, or one row for each answer.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use ::signals::train::irt::Table;
use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::signals::data::{Row, read_all};

/// Most different models of one table.
const MODELS_MAX: usize = 256;

/// What became of texts, model by model.
#[derive(Debug)]
pub(super) struct Outcomes {
    pub(super) table: Table,
    /// What each model costs, relative to the others: US dollars per million tokens in and out together.
    pub(super) prices: Vec<Option<f64>>,
}

impl Outcomes {
    pub(super) fn read(files: &[PathBuf], only: &[String], prices: Option<&Path>) -> Result<Self> {
        let only: Vec<(&str, &str)> = only
            .iter()
            .map(|one| one.split_once('=').with_context(|| format!("`--only {one}`: say FIELD=VALUE")))
            .collect::<Result<_>>()?;
        let rows = read_all(files)?;
        let mut gathered = Gathered::default();
        for row in rows.iter().filter(|row| only.iter().all(|(field, value)| row.is(field, value))) {
            gathered.take(row)?;
        }
        let table = gathered.table();
        let prices = match prices {
            Some(path) => read_prices(path, &table.models)?,
            None => vec![None; table.models.len()],
        };
        Ok(Self { table, prices })
    }

    /// Indices of the pair: as named, or the cheapest (else the worst) and the best.
    pub(super) fn pair(&self, weak: Option<&str>, strong: Option<&str>) -> Result<(usize, usize)> {
        let named = |name: &str| {
            let models = &self.table.models;
            let found = models.iter().position(|model| model == name);
            found.with_context(|| format!("no outcome is of `{name}`: there are {}", models.join(", ")))
        };
        let mut order: Vec<usize> = (0..self.table.models.len()).collect();
        order.sort_by(|a, b| self.mean(*a).total_cmp(&self.mean(*b)));
        let (Some(worst), Some(best)) = (order.first().copied(), order.last().copied()) else {
            bail!("there is no outcome in these files");
        };
        let dearness = |model: &usize| self.prices[*model].unwrap_or(f64::INFINITY);
        let strong = strong.map_or(Ok(best), named)?;
        let priced = order.iter().filter(|model| self.prices[**model].is_some() && **model != strong);
        let cheapest = priced.copied().min_by(|a, b| dearness(a).total_cmp(&dearness(b)));
        let weak = weak.map_or(Ok(cheapest.unwrap_or(worst)), named)?;
        if weak == strong {
            bail!("a pair has two models; the table has `{}` only", self.table.models[weak]);
        }
        Ok((weak, strong))
    }

    /// These two models, and the texts that either was asked.
    pub(super) fn only(&self, weak: usize, strong: usize) -> Self {
        let mut table = self.table.of_models(&[weak, strong]);
        let asked: Vec<bool> = table.scores.chunks(2).map(|row| row.iter().any(Option::is_some)).collect();
        let mut keep = asked.iter();
        table.texts.retain(|_| keep.next().is_some_and(|asked| *asked));
        let kept = table.scores.chunks(2).zip(&asked).filter(|(_, asked)| **asked);
        table.scores = kept.flat_map(|(row, _)| row.to_vec()).collect();
        Self { table, prices: vec![self.prices[weak], self.prices[strong]] }
    }

    /// How often a model is right where it was asked.
    pub(super) fn mean(&self, model: usize) -> f64 {
        let known: Vec<f64> =
            (0..self.table.texts.len()).filter_map(|text| self.table.score(text, model)).collect();
        known.iter().sum::<f64>() / known.len().max(1) as f64
    }
}

/// Sums and counts of scores, by text and model.
#[derive(Default)]
struct Gathered {
    texts: Vec<String>,
    models: Vec<String>,
    known_texts: HashMap<String, usize>,
    cells: BTreeMap<(usize, usize), (f64, f64)>,
}

impl Gathered {
    fn take(&mut self, row: &Row) -> Result<()> {
        let place = row.place();
        let text = ["text", "prompt"].into_iter().find_map(|field| row.maybe(field));
        let Some(text) = text else { bail!("{place}: an outcome needs a `text` or a `prompt`") };
        if let Some(Value::Object(scores)) = row.value("scores") {
            for (model, score) in scores {
                self.put(text, model, Some(score), place)?;
            }
            return Ok(());
        }
        if row.has("weak") && row.has("strong") {
            self.put(text, "weak", row.value("weak"), place)?;
            return self.put(text, "strong", row.value("strong"), place);
        }
        let Some(model) = row.maybe("model") else {
            bail!(
                "{place}: an outcome has `weak` and `strong`, or `scores`, or `model` with `correct` or `right`"
            );
        };
        self.put(text, model, row.value("correct").or_else(|| row.value("right")), place)
    }

    fn put(&mut self, text: &str, model: &str, score: Option<&Value>, place: &str) -> Result<()> {
        let score = match score {
            Some(Value::Bool(right)) => f64::from(u8::from(*right)),
            Some(value) => match value.as_f64() {
                Some(score) if (0.0..=1.0).contains(&score) => score,
                _ => bail!("{place}: the score of `{model}` is {value}; true, false or 0 to 1 is read"),
            },
            None => bail!("{place}: `{model}` has neither `correct` nor `right`"),
        };
        let at = match self.known_texts.get(text) {
            Some(at) => *at,
            None => {
                self.known_texts.insert(text.to_owned(), self.texts.len());
                self.texts.push(text.to_owned());
                self.texts.len() - 1
            }
        };
        let known = self.models.iter().position(|known| known == model);
        let model = match known {
            Some(model) => model,
            None if self.models.len() == MODELS_MAX => bail!("{place}: more than {MODELS_MAX} models"),
            None => {
                self.models.push(model.to_owned());
                self.models.len() - 1
            }
        };
        let cell = self.cells.entry((at, model)).or_default();
        *cell = (cell.0 + score, cell.1 + 1.0);
        Ok(())
    }

    fn table(self) -> Table {
        let mut scores = vec![None; self.texts.len() * self.models.len()];
        for ((text, model), (sum, count)) in self.cells {
            scores[text * self.models.len() + model] = Some(sum / count);
        }
        Table { texts: self.texts, models: self.models, scores }
    }
}

/// Prices by model; a model that the file does not have has none.
fn read_prices(path: &Path, models: &[String]) -> Result<Vec<Option<f64>>> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let value: Value = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
    let price = |model: &String| {
        let of = |field: &str| value.get(model)?.get(field)?.as_f64();
        Some(of("input_price")? + of("output_price")?)
    };
    Ok(models.iter().map(price).collect())
}
