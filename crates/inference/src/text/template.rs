//! A model's chat template: Jinja as `transformers` sets it up, bounded in steps, depth and size.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    time::SystemTime,
};

use minijinja::{
    AutoEscape, Environment, Error as JinjaError, ErrorKind, Output, State, Value,
    syntax::SyntaxConfig,
    value::{Kwargs, ValueKind},
};

use super::{calendar, python};
use crate::Error;

/// Longer templates are refused; the longest known takes a tenth of this.
const SOURCE_BYTES_MAX: usize = 1 << 20;
/// Steps of the template's machine for one rendering. A turn takes some hundreds.
const STEPS_MAX: u64 = 4_000_000;
const DEPTH_MAX: usize = 100;
/// Longer renderings fit no model.
const TEXT_BYTES_MAX: usize = 64 << 20;
const NAME: &str = "chat_template";

/// A compiled template.
#[derive(Debug)]
pub(crate) struct Template {
    environment: Environment<'static>,
    /// `bos_token` and its like, as the template may name them.
    names: Vec<(String, String)>,
}

/// What a template is given besides the model's own tokens.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    /// A list of maps with `role` and `content`.
    pub(crate) messages: Value,
    /// Tools that the model may call; undefined where there are none.
    pub(crate) tools: Option<Value>,
    pub(crate) add_generation_prompt: bool,
    /// More names that a template may ask for.
    pub(crate) more: Vec<(String, Value)>,
    /// For templates that tell the date.
    pub(crate) now: SystemTime,
}

impl Template {
    pub(crate) fn new(path: &Path, source: &str, names: Vec<(String, String)>) -> Result<Self, Error> {
        let refused = |problem: String| Error::model(path, NAME, problem);
        if source.len() > SOURCE_BYTES_MAX {
            let problem = format!("is {} bytes long; at most {SOURCE_BYTES_MAX} are read", source.len());
            return Err(refused(problem));
        }
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|error| refused(told(&error)))?);
        environment.set_fuel(Some(STEPS_MAX));
        environment.set_recursion_limit(DEPTH_MAX);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_formatter(print);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_filter("tojson", python::to_json);
        environment.add_function("raise_exception", raise);
        environment.add_function("dict", dictionary);
        environment
            .add_template_owned(NAME, without_generation(source))
            .map_err(|error| refused(format!("cannot be parsed: {}", told(&error))))?;
        Ok(Self { environment, names })
    }

    /// The rendered text.
    pub(crate) fn render(&self, scene: Scene) -> Result<String, Error> {
        let refused = |problem: String| Error::bad_request("conversation", problem);
        let now = scene.now;
        let clock = move |format: &str| calendar::format(now, format);
        let mut context: Vec<(String, Value)> =
            self.names.iter().map(|(name, token)| (name.clone(), Value::from(token.as_str()))).collect();
        context.push(("messages".into(), scene.messages));
        context.push(("tools".into(), scene.tools.unwrap_or(Value::from(()))));
        context.push(("documents".into(), Value::from(())));
        context.push(("add_generation_prompt".into(), Value::from(scene.add_generation_prompt)));
        context.push(("strftime_now".into(), Value::from_function(clock)));
        context.extend(scene.more);
        let template = self.environment.get_template(NAME).map_err(|error| refused(told(&error)))?;
        let context = Value::from_pairs(context);
        // The template is a part of the model's file, and its interpreter has been seen to panic on odd slices.
        let rendered = catch_unwind(AssertUnwindSafe(|| template.render(context)))
            .map_err(|_| refused("makes the interpreter of the model's chat template fail".into()))?;
        let text = rendered.map_err(|error| match error.kind() {
            ErrorKind::OutOfFuel => {
                refused(format!("keeps the model's chat template busy for more than {STEPS_MAX} steps"))
            }
            _ => refused(format!("is refused by the model's chat template: {}", told(&error))),
        })?;
        if text.len() > TEXT_BYTES_MAX {
            return Err(refused(format!(
                "becomes {} bytes; at most {TEXT_BYTES_MAX} are allowed",
                text.len()
            )));
        }
        Ok(text)
    }
}

/// An error in one line.
fn told(error: &JinjaError) -> String {
    let what = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    match error.line() {
        Some(line) => format!("{what} (line {line})"),
        None => what,
    }
}

/// Prints values as Python does.
fn print(out: &mut Output<'_>, _state: &mut State<'_, '_>, value: &Value) -> Result<(), JinjaError> {
    let written = match value.kind() {
        ValueKind::Undefined => return Ok(()),
        ValueKind::String => out.write_str(value.as_str().unwrap_or_default()),
        _ => out.write_str(&python::text(value)?),
    };
    written.map_err(|error| JinjaError::new(ErrorKind::WriteFailure, error.to_string()))
}

fn raise(message: String) -> Result<Value, JinjaError> {
    Err(JinjaError::new(ErrorKind::InvalidOperation, message))
}

/// Python's `dict(name=value)`.
#[expect(clippy::needless_pass_by_value, reason = "functions are given their arguments by value")]
fn dictionary(named: Kwargs) -> Result<Value, JinjaError> {
    let pairs = named.args().map(|name| Ok((name.to_owned(), named.get::<Value>(name)?)));
    Ok(Value::from_pairs(pairs.collect::<Result<Vec<_>, JinjaError>>()?))
}

/// The block that marks an assistant's words for training does nothing here: it becomes a condition that holds.
fn without_generation(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let (before, tag) = rest.split_at(start);
        out.push_str(before);
        let end = tag.find("%}").map_or(tag.len(), |end| end + 2);
        let (tag, after) = tag.split_at(end);
        let inner = tag.trim_start_matches("{%").trim_end_matches("%}");
        match inner.trim_matches(['-', '+']).trim() {
            "generation" => out.push_str(&tag.replacen("generation", "if true", 1)),
            "endgeneration" => out.push_str(&tag.replacen("endgeneration", "endif", 1)),
            _ => out.push_str(tag),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}
