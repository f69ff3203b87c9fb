//! How positions become angles: the rotation's base, its width, and what stretches it beyond the trained context.

use std::{f64::consts::TAU, path::Path};

use serde_json::Value;

use super::{Architecture, CONTEXT_MAX, folder::Json, number, unsupported};
use crate::{Error, kernels::Rotation};

/// One kind of rotation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rope {
    pub(crate) base: f32,
    /// Rotated numbers of a head; the rest of the head stays.
    pub(crate) width: usize,
    /// Pairs are neighbours rather than half the width apart.
    pub(crate) interleaved: bool,
    pub(crate) scaling: Scaling,
}

/// What becomes of the plain frequencies.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scaling {
    None,
    /// Every frequency is divided by this.
    Linear(f32),
    /// Frequencies are divided by these, one each.
    Divisors(Vec<f32>),
    /// Low frequencies are divided, high ones stay, with a ramp between (Llama 3.1).
    Llama3 {
        factor: f64,
        low: f64,
        high: f64,
        original: f64,
    },
    /// As before, the ramp being one over dimensions (Peng et al. 2023, section 3.2).
    Yarn {
        factor: f64,
        original: f64,
        fast: f64,
        slow: f64,
        /// The ramp's ends are whole dimensions.
        whole: bool,
        magnitude: f32,
    },
    /// One list of divisors for contexts up to `original` tokens and one for longer ones (Ding et al. 2024).
    Long {
        short: Vec<f32>,
        long: Vec<f32>,
        original: usize,
        magnitude: f32,
        is_long: bool,
    },
}

impl Rope {
    /// One angle per position step for each pair.
    pub(crate) fn frequencies(&self) -> Vec<f32> {
        let plain = Rotation::new(self.base, self.width, self.interleaved).frequencies.into_iter();
        match &self.scaling {
            Scaling::None => plain.collect(),
            Scaling::Linear(factor) => plain.map(|f| f / factor).collect(),
            Scaling::Divisors(divisors) => plain.zip(divisors).map(|(f, d)| f / d).collect(),
            Scaling::Long { short, long, is_long, .. } => {
                plain.zip(if *is_long { long } else { short }).map(|(f, d)| f / d).collect()
            }
            Scaling::Llama3 { factor, low, high, original } => {
                let bent = |frequency: f32| {
                    let frequency = f64::from(frequency);
                    // Turns within the trained context.
                    let turns = original * frequency / TAU;
                    let kept = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                    (frequency * (kept + (1.0 - kept) / factor)) as f32
                };
                plain.map(bent).collect()
            }
            Scaling::Yarn { factor, original, fast, slow, whole, .. } => {
                let ramp = self.ramp([*fast, *slow], *original, *whole);
                let bent = |(pair, frequency): (usize, f32)| {
                    let divided = ((pair as f64 - ramp[0]) / (ramp[1] - ramp[0])).clamp(0.0, 1.0);
                    let frequency = f64::from(frequency);
                    (frequency / factor * divided + frequency * (1.0 - divided)) as f32
                };
                plain.enumerate().map(bent).collect()
            }
        }
    }

    /// The pairs at which a ramp over dimensions starts and ends.
    fn ramp(&self, turns: [f64; 2], original: f64, whole: bool) -> [f64; 2] {
        let width = self.width as f64;
        let at = |turns: f64| width * (original / (turns * TAU)).ln() / (2.0 * f64::from(self.base).ln());
        let [mut start, mut end] = turns.map(at);
        if whole {
            (start, end) = (start.floor(), end.ceil());
        }
        (start, end) = (start.max(0.0), end.min(width - 1.0));
        if start == end {
            end += 0.001;
        }
        [start, end]
    }

    /// What cosines and sines are multiplied with.
    pub(crate) fn magnitude(&self) -> f32 {
        match &self.scaling {
            Scaling::Yarn { magnitude, .. } | Scaling::Long { magnitude, .. } => *magnitude,
            _ => 1.0,
        }
    }

    /// Settles what depends on the longest context that will be computed.
    pub(crate) fn choose(&mut self, tokens: usize) {
        if let Scaling::Long { original, is_long, .. } = &mut self.scaling {
            *is_long = tokens > *original;
        }
    }

    pub(crate) fn check(&self, file: &Path) -> Result<(), Error> {
        let pairs = self.width / 2;
        let refused = |problem: String| Err(Error::model(file, "rotation scaling", problem));
        let list =
            |divisors: &[f32]| divisors.len() == pairs && divisors.iter().all(|d| d.is_finite() && *d > 0.0);
        let positive = |values: &[f64]| values.iter().all(|v| v.is_finite() && *v > 0.0);
        let fits = match &self.scaling {
            Scaling::None => true,
            Scaling::Linear(factor) => positive(&[f64::from(*factor)]),
            Scaling::Divisors(divisors) => list(divisors),
            Scaling::Long { short, long, magnitude, .. } => {
                list(short) && list(long) && positive(&[f64::from(*magnitude)])
            }
            Scaling::Llama3 { factor, low, high, original } => {
                positive(&[*factor, *low, *high, *original]) && low < high
            }
            Scaling::Yarn { factor, original, fast, slow, magnitude, .. } => {
                positive(&[*factor, *original, *fast, *slow, f64::from(*magnitude)])
            }
        };
        if fits { Ok(()) } else { refused(format!("does not suit {pairs} pairs: {:?}", self.scaling)) }
    }
}

/// Growth of the magnitude with the stretch (Peng et al. 2023, equation 22).
pub(super) fn magnitude(factor: f64, scale: f64) -> f64 {
    if factor <= 1.0 { 1.0 } else { 0.1 * scale * factor.ln() + 1.0 }
}

/// DeepSeek's extra magnitude of whole scores; 1 where none is asked for.
pub(super) fn magnitude_of_all(json: &Json<'_>) -> f64 {
    let Some(parameters) = parameters(json) else { return 1.0 };
    if kind_of(parameters).unwrap_or("default") == "default" {
        return 1.0;
    }
    let float = |name: &str| parameters.get(name).and_then(Value::as_f64);
    match float("mscale_all_dim") {
        Some(scale) if scale != 0.0 => magnitude(float("factor").unwrap_or(1.0), scale),
        _ => 1.0,
    }
}

/// `rope_parameters`, which older files call `rope_scaling`.
fn parameters<'a>(json: &Json<'a>) -> Option<&'a Value> {
    ["rope_parameters", "rope_scaling"].iter().find_map(|name| json.value(name).filter(|v| v.is_object()))
}

fn kind_of(parameters: &Value) -> Option<&str> {
    parameters.get("rope_type").or_else(|| parameters.get("type")).and_then(Value::as_str)
}

/// The ropes of a folder: one, or that of full layers and that of layers with a window.
pub(super) fn of_folder(
    json: &Json<'_>,
    architecture: Architecture,
    width: usize,
) -> Result<Vec<Rope>, Error> {
    let parameters = parameters(json);
    if architecture != Architecture::Gemma3 {
        return one(json, architecture, parameters, width).map(|rope| vec![rope]);
    }
    let nested = |name: &str| parameters.and_then(|p| p.get(name)).filter(|v| v.is_object());
    let mut full = nested("full_attention");
    if full.is_none() && nested("sliding_attention").is_none() {
        full = parameters;
    }
    let mut ropes = [one(json, architecture, full, width)?, one(json, architecture, None, width)?];
    let sliding = nested("sliding_attention");
    if let Some(sliding) = sliding {
        ropes[1] = one(json, architecture, Some(sliding), width)?;
    }
    let own_base = sliding.and_then(|p| p.get("rope_theta")).and_then(Value::as_f64);
    ropes[1].base = own_base.or_else(|| json.float("rope_local_base_freq")).unwrap_or(10_000.0) as f32;
    Ok(ropes.into())
}

fn one(
    json: &Json<'_>,
    architecture: Architecture,
    parameters: Option<&Value>,
    width: usize,
) -> Result<Rope, Error> {
    let float = |name: &str| parameters.and_then(|p| p.get(name)).and_then(Value::as_f64);
    let default_base = match architecture {
        Architecture::Gemma3 | Architecture::Mixtral => 1e6,
        Architecture::GptOss => 150_000.0,
        _ => 10_000.0,
    };
    let base = float("rope_theta").or_else(|| json.float("rope_theta")).unwrap_or(default_base) as f32;
    let share = float("partial_rotary_factor").or_else(|| json.float("partial_rotary_factor"));
    let share = share.filter(|_| architecture == Architecture::Phi3).unwrap_or(1.0);
    let width = (width as f64 * share.clamp(0.0, 1.0)) as usize;
    let interleaved = architecture.is_latent();
    let scaling = match parameters.and_then(kind_of) {
        None | Some("default") => Scaling::None,
        // Within the context that the model is limited to, its base is never changed.
        Some("dynamic") => Scaling::None,
        Some("longrope" | "su" | "yarn") if architecture == Architecture::Phi3 => long(json, parameters)?,
        Some("longrope") => long(json, parameters)?,
        Some("linear") => Scaling::Linear(float("factor").unwrap_or(0.0) as f32),
        Some("llama3") => Scaling::Llama3 {
            factor: float("factor").unwrap_or(0.0),
            low: float("low_freq_factor").unwrap_or(0.0),
            high: float("high_freq_factor").unwrap_or(0.0),
            original: original(json, parameters)? as f64,
        },
        Some("yarn") => yarn(json, parameters)?,
        Some(other) => {
            let known = "linear, dynamic, llama3, yarn and longrope are";
            return Err(unsupported(json.path, "rope_type", other, known));
        }
    };
    Ok(Rope { base, width, interleaved, scaling })
}

/// The context that the model was trained with.
fn original(json: &Json<'_>, parameters: Option<&Value>) -> Result<usize, Error> {
    let name = "original_max_position_embeddings";
    let own = parameters.and_then(|p| p.get(name)).and_then(Value::as_u64);
    let found = own.or_else(|| json.find(name)).or_else(|| json.find("max_position_embeddings"));
    number(json.path, name, found, CONTEXT_MAX)
}

/// How much longer the context became.
fn stretch(json: &Json<'_>, parameters: Option<&Value>) -> Result<f64, Error> {
    let given = parameters.and_then(|p| p.get("factor")).and_then(Value::as_f64);
    let longest = json.float("max_position_embeddings").unwrap_or(0.0);
    Ok(given.unwrap_or(longest / original(json, parameters)? as f64))
}

fn yarn(json: &Json<'_>, parameters: Option<&Value>) -> Result<Scaling, Error> {
    let float = |name: &str| parameters.and_then(|p| p.get(name)).and_then(Value::as_f64);
    let some = |name: &str| float(name).filter(|value| *value != 0.0);
    let factor = stretch(json, parameters)?;
    let own = match (some("mscale"), some("mscale_all_dim")) {
        (Some(scale), Some(all)) => magnitude(factor, scale) / magnitude(factor, all),
        _ => magnitude(factor, 1.0),
    };
    let whole = parameters.and_then(|p| p.get("truncate")).and_then(Value::as_bool).unwrap_or(true);
    Ok(Scaling::Yarn {
        factor,
        original: original(json, parameters)? as f64,
        fast: some("beta_fast").unwrap_or(32.0),
        slow: some("beta_slow").unwrap_or(1.0),
        whole,
        magnitude: float("attention_factor").unwrap_or(own) as f32,
    })
}

fn long(json: &Json<'_>, parameters: Option<&Value>) -> Result<Scaling, Error> {
    let list = |name: &str| -> Vec<f32> {
        let list = parameters.and_then(|p| p.get(name)).and_then(Value::as_array);
        list.into_iter().flatten().map(|v| v.as_f64().unwrap_or(f64::NAN) as f32).collect()
    };
    let original = original(json, parameters)?;
    let own = long_magnitude(stretch(json, parameters)?, original);
    let given = parameters.and_then(|p| p.get("attention_factor")).and_then(Value::as_f64);
    let is_long = json.float("max_position_embeddings").is_some_and(|longest| longest > original as f64);
    Ok(Scaling::Long {
        short: list("short_factor"),
        long: list("long_factor"),
        original,
        magnitude: given.unwrap_or(own) as f32,
        is_long,
    })
}

/// Growth of the magnitude with the stretch (Ding et al. 2024, section 3.3).
pub(super) fn long_magnitude(factor: f64, original: usize) -> f64 {
    if factor <= 1.0 { 1.0 } else { (1.0 + factor.ln() / (original as f64).ln()).sqrt() }
}
