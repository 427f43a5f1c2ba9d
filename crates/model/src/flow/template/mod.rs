//! Templates: MiniJinja in strings, JSON as a tree of them.
//!
//! A string leaf that is one whole `{{ expression }}` keeps the type of its value; any other leaf with `{{ }}` or
//! `{% %}` is text. An undefined value is an error wherever it would be used, but for a condition, where it is false. In text a
//! string stands as it is and everything else as JSON. There are no includes, macros or blocks, no access to a file or a
//! clock. Bounded are the source, the instructions ("fuel"), the output, how much larger than its inputs a value may become
//! ([`growth`]), and the time, by whoever evaluates ([`until`]).

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::io;
use std::sync::LazyLock;

use minijinja::value::Value as Variable;
use minijinja::{Environment, ErrorKind, Expression};
use serde_json::Value;

use super::definition::MAX_TEMPLATE_BYTES;
use crate::body::document;
use engine::{LENIENT, PLAIN, URL};
pub use json::{JsonTemplate, JsonTemplateError};
pub use stop::until;

mod engine;
mod functions;
mod growth;
mod json;
pub(in crate::flow) mod stop;

/// How many instructions the evaluation of one string may take.
pub const FUEL: u64 = 100_000;
/// The most bytes that one evaluation may give, all leaves of a JSON template together.
pub const MAX_OUTPUT_BYTES: usize = 8 * 1024 * 1024;
/// How deep a JSON template may be nested.
pub const MAX_DEPTH: usize = 32;

/// Why a template cannot be read, or gave no value. The text is for the tenant who wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(String);

impl TemplateError {
    fn from_engine(source: &str, error: &minijinja::Error) -> Self {
        let shown = abbreviate(source);
        let text = match error.kind() {
            ErrorKind::UndefinedError => match error.detail() {
                Some(detail) => {
                    format!("{detail}, in `{shown}`; `| default(…)` gives a value for what may be absent")
                }
                None => format!(
                    "a value in `{shown}` is not there; `| default(…)` gives one for what may be absent"
                ),
            },
            ErrorKind::OutOfFuel if error.detail().is_some() => {
                format!("`{shown}` was ended: it has taken too long")
            }
            ErrorKind::OutOfFuel => format!("`{shown}` takes too long: more than {FUEL} instructions"),
            ErrorKind::WriteFailure => too_large(),
            kind => match error.detail() {
                Some(detail) => format!("{kind}: {detail}, in `{shown}`"),
                None => format!("{kind}, in `{shown}`"),
            },
        };
        Self(text)
    }
}

fn too_large() -> String {
    format!("the result is larger than {MAX_OUTPUT_BYTES} bytes")
}

fn abbreviate(source: &str) -> String {
    const SHOWN: usize = 80;
    let mut shown: String = source.trim().chars().take(SHOWN).collect();
    if source.trim().chars().count() > SHOWN {
        shown.push('…');
    }
    shown
}

/// How values are written into text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// As they are.
    None,
    /// Percent-encoded, so that a value stays within its path segment or query value; `| safe` leaves one as it is.
    Url,
}

/// One string.
#[derive(Debug)]
enum Leaf {
    Literal(String),
    Expression {
        source: String,
        expression: Box<Expression<'static, 'static>>,
    },
    Text {
        source: String,
        environment: Box<Environment<'static>>,
    },
}

const TEXT: &str = "text";

impl Leaf {
    fn compile(source: &str, escape: Escape) -> Result<Self, TemplateError> {
        if source.len() > MAX_TEMPLATE_BYTES {
            return Err(TemplateError(format!(
                "a template has at most {MAX_TEMPLATE_BYTES} bytes"
            )));
        }
        if !["{{", "{%", "{#"].iter().any(|mark| source.contains(mark)) {
            return Ok(Self::Literal(source.to_owned()));
        }
        growth::shallow(source, false)?;
        if escape == Escape::None
            && let Some(inner) = whole_expression(source)
            && is_expression(inner)
        {
            growth::expression(source, inner)?;
            let expression = PLAIN
                .compile_expression_owned(inner.to_owned())
                .map_err(|error| TemplateError::from_engine(source, &error))?;
            return Ok(Self::Expression {
                source: source.to_owned(),
                expression: Box::new(expression),
            });
        }
        growth::text(source)?;
        let base = if escape == Escape::Url { &URL } else { &PLAIN };
        let mut environment = LazyLock::force(base).clone();
        environment
            .add_template_owned(TEXT, source.to_owned())
            .map_err(|error| TemplateError::from_engine(source, &error))?;
        Ok(Self::Text {
            source: source.to_owned(),
            environment: Box::new(environment),
        })
    }

    fn collect_roots(&self, roots: &mut BTreeSet<String>) {
        let found: HashSet<String> = match self {
            Self::Literal(_) => return,
            Self::Expression { expression, .. } => expression.undeclared_variables(false),
            Self::Text { environment, .. } => match environment.get_template(TEXT) {
                Ok(template) => template.undeclared_variables(false),
                Err(_) => return,
            },
        };
        roots.extend(
            found
                .into_iter()
                .filter(|name| !PLAIN.globals().any(|(global, _)| global == name)),
        );
    }

    fn evaluate(&self, variables: &Variable, left: &mut usize) -> Result<Value, TemplateError> {
        match self {
            Self::Literal(text) => spend(left, text.len()).map(|()| Value::String(text.clone())),
            Self::Expression { source, expression } => {
                let value = expression
                    .eval(variables.clone())
                    .map_err(|error| TemplateError::from_engine(source, &error))?;
                to_value(source, &value, left)
            }
            Self::Text { source, environment } => {
                render(source, environment, variables, left).map(Value::String)
            }
        }
    }
}

fn render(
    source: &str,
    environment: &Environment<'static>,
    variables: &Variable,
    left: &mut usize,
) -> Result<String, TemplateError> {
    let explain = |error: minijinja::Error| TemplateError::from_engine(source, &error);
    let mut out = Bounded {
        out: Vec::new(),
        left: *left,
    };
    environment
        .get_template(TEXT)
        .map_err(explain)?
        .render_captured_to(variables.clone(), &mut out)
        .map_err(explain)?;
    *left = out.left;
    String::from_utf8(out.out).map_err(|_| TemplateError("the result is not UTF-8".into()))
}

/// The expression of a template that is nothing but one `{{ expression }}`.
fn whole_expression(source: &str) -> Option<&str> {
    let inner = source.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    let inner = inner.strip_prefix(['-', '+']).unwrap_or(inner);
    Some(inner.strip_suffix(['-', '+']).unwrap_or(inner))
}

/// `{{ a }} and {{ b }}` begins and ends like one.
fn is_expression(inner: &str) -> bool {
    minijinja::machinery::parse_expr(inner).is_ok()
}

fn to_value(source: &str, value: &Variable, left: &mut usize) -> Result<Value, TemplateError> {
    if value.is_undefined() {
        return Err(TemplateError(format!(
            "`{}` is not there; `| default(…)` gives a value for what may be absent",
            abbreviate(source)
        )));
    }
    if let Some(text) = value.as_str() {
        spend(left, text.len())?;
        return Ok(Value::String(text.to_owned()));
    }
    if let Some(part) = document::container(value) {
        return part
            .to_json_within(left)
            .ok_or_else(|| TemplateError(too_large()));
    }
    let mut out = Bounded {
        out: Vec::new(),
        left: *left,
    };
    serde_json::to_writer(&mut out, value).map_err(|error| {
        TemplateError(if error.is_io() {
            too_large()
        } else {
            format!("`{}` is no JSON: {error}", abbreviate(source))
        })
    })?;
    *left = out.left;
    serde_json::from_slice(&out.out)
        .map_err(|error| TemplateError(format!("`{}` is no JSON: {error}", abbreviate(source))))
}

fn spend(left: &mut usize, bytes: usize) -> Result<(), TemplateError> {
    *left = left
        .checked_sub(bytes)
        .ok_or_else(|| TemplateError(too_large()))?;
    Ok(())
}

struct Bounded {
    out: Vec<u8>,
    left: usize,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.left = self
            .left
            .checked_sub(bytes.len())
            .ok_or(io::ErrorKind::FileTooLarge)?;
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A template of one string.
pub struct TextTemplate(Leaf);

impl TextTemplate {
    /// Compiles it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn compile(source: &str, escape: Escape) -> Result<Self, TemplateError> {
        Leaf::compile(source, escape).map(Self)
    }

    /// The variables that it needs.
    pub fn roots(&self) -> BTreeSet<String> {
        let mut roots = BTreeSet::new();
        self.0.collect_roots(&mut roots);
        roots
    }

    /// The text itself, when there is nothing to evaluate.
    pub fn literal(&self) -> Option<&str> {
        if let Leaf::Literal(text) = &self.0 {
            Some(text)
        } else {
            None
        }
    }

    /// Evaluates it to text: a string as it is, anything else as JSON.
    ///
    /// # Errors
    /// When a value is not there, or a bound is passed.
    pub fn evaluate(&self, variables: &Variable) -> Result<String, TemplateError> {
        match self.0.evaluate(variables, &mut MAX_OUTPUT_BYTES.clone())? {
            Value::String(text) => Ok(text),
            other => Ok(other.to_string()),
        }
    }
}

/// A template that is one whole `{{ expression }}`.
pub struct ExpressionTemplate {
    source: String,
    expression: Box<Expression<'static, 'static>>,
}

impl ExpressionTemplate {
    /// Compiles it.
    ///
    /// # Errors
    /// When it is anything else than one expression, or cannot be read.
    pub fn compile(source: &str) -> Result<Self, TemplateError> {
        let Some(inner) = whole_expression(source) else {
            return Err(TemplateError("this must be one whole `{{ expression }}`".into()));
        };
        if source.len() > MAX_TEMPLATE_BYTES {
            return Err(TemplateError(format!(
                "a template has at most {MAX_TEMPLATE_BYTES} bytes"
            )));
        }
        growth::shallow(inner, true)?;
        growth::expression(source, inner)?;
        let expression = LENIENT
            .compile_expression_owned(inner.to_owned())
            .map_err(|error| TemplateError::from_engine(source, &error))?;
        Ok(Self {
            source: source.to_owned(),
            expression: Box::new(expression),
        })
    }

    /// The variables that it needs.
    pub fn roots(&self) -> BTreeSet<String> {
        let mut roots = BTreeSet::new();
        for name in self.expression.undeclared_variables(false) {
            if !PLAIN.globals().any(|(global, _)| global == name) {
                roots.insert(name);
            }
        }
        roots
    }

    /// Whether the value is true: not `false`, `none`, zero, empty or undefined.
    ///
    /// # Errors
    /// When it cannot be evaluated.
    pub fn holds(&self, variables: &Variable) -> Result<bool, TemplateError> {
        self.eval(variables).map(|value| value.is_true())
    }

    /// The value as JSON; `null` for an undefined one.
    ///
    /// # Errors
    /// When it cannot be evaluated, or a bound is passed.
    pub fn value(&self, variables: &Variable) -> Result<Value, TemplateError> {
        let value = self.eval(variables)?;
        if value.is_undefined() {
            return Ok(Value::Null);
        }
        to_value(&self.source, &value, &mut MAX_OUTPUT_BYTES.clone())
    }

    fn eval(&self, variables: &Variable) -> Result<Variable, TemplateError> {
        self.expression
            .eval(variables.clone())
            .map_err(|error| TemplateError::from_engine(&self.source, &error))
    }
}

macro_rules! opaque_debug {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )*};
}
opaque_debug!(TextTemplate, ExpressionTemplate, JsonTemplate);

#[cfg(test)]
mod tests;
