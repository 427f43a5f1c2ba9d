//! Templates: MiniJinja in strings, JSON as a tree of them.
//!
//! A string leaf that is one whole `{{ expression }}` keeps the type of its value; any other leaf with `{{ }}` or
//! `{% %}` is text. An undefined value is an error wherever it would be used, but for a condition, where it is false. In text a
//! string stands as it is and everything else as JSON. There are no includes, macros or blocks, no access to a file or a
//! clock; source size, instructions ("fuel") and output size are bounded.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::io;
use std::sync::LazyLock;

use minijinja::value::{Kwargs, Value as Variable};
use minijinja::{Environment, ErrorKind, Expression, UndefinedBehavior};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use super::definition::MAX_TEMPLATE_BYTES;

/// How many instructions the evaluation of one string may take.
pub const FUEL: u64 = 100_000;
/// The most bytes that one evaluation may give, all leaves of a JSON template together.
pub const MAX_OUTPUT_BYTES: usize = 8 * 1024 * 1024;
/// How deep a JSON template may be nested.
pub const MAX_DEPTH: usize = 32;

/// What a path segment or a query value may hold unencoded: RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

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

static PLAIN: LazyLock<Environment<'static>> = LazyLock::new(|| environment(Escape::None));
static URL: LazyLock<Environment<'static>> = LazyLock::new(|| environment(Escape::Url));
/// For conditions: what is absent compares as nothing, so `{{ body.kind == 'x' }}` is false without a `kind`.
static LENIENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = environment(Escape::None);
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    environment
});

fn environment(escape: Escape) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(64);
    environment.set_debug(true);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.remove_global("debug");
    environment.remove_global("namespace");
    environment.remove_filter("pprint");
    environment.add_filter("fromjson", from_json);
    environment.add_filter("tojson", to_json);
    environment.add_filter("urlencode", |text: String| {
        utf8_percent_encode(&text, RESERVED).to_string()
    });
    environment.set_formatter(move |out, _, value| {
        let failed = |_| minijinja::Error::from(ErrorKind::WriteFailure);
        if value.is_undefined() {
            return Err(minijinja::Error::from(ErrorKind::UndefinedError));
        }
        let json;
        let text = match value.as_str() {
            Some(text) => text,
            None => {
                json = print_json(value)?;
                &json
            }
        };
        if escape == Escape::Url && !value.is_safe() {
            utf8_percent_encode(text, RESERVED)
                .try_for_each(|part| out.write_str(part))
                .map_err(failed)
        } else {
            out.write_str(text).map_err(failed)
        }
    });
    environment
}

fn print_json(value: &Variable) -> Result<String, minijinja::Error> {
    let mut out = Bounded {
        out: Vec::new(),
        left: MAX_OUTPUT_BYTES,
    };
    serde_json::to_writer(&mut out, value)
        .map_err(|error| minijinja::Error::new(ErrorKind::BadSerialization, error.to_string()))?;
    String::from_utf8(out.out).map_err(|_| minijinja::Error::from(ErrorKind::BadSerialization))
}

fn from_json(text: String) -> Result<Variable, minijinja::Error> {
    serde_json::from_str(&text).map_err(|error| {
        minijinja::Error::new(ErrorKind::InvalidOperation, format!("this is no JSON: {error}"))
    })
}

/// Unlike MiniJinja's own, without the escapes that HTML needs.
fn to_json(value: Variable, options: Kwargs) -> Result<String, minijinja::Error> {
    let indented = options.get::<Option<bool>>("indent")?.unwrap_or(false);
    options.assert_all_used()?;
    if indented {
        let json = print_json(&value)?;
        let value: Value = serde_json::from_str(&json).unwrap_or_default();
        return Ok(serde_json::to_string_pretty(&value).unwrap_or(json));
    }
    print_json(&value)
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
        if escape == Escape::None
            && let Some(inner) = whole_expression(source)
            && let Ok(expression) = PLAIN.compile_expression_owned(inner.to_owned())
        {
            return Ok(Self::Expression {
                source: source.to_owned(),
                expression: Box::new(expression),
            });
        }
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

/// JSON whose strings are templates. Keys are taken as they are.
pub struct JsonTemplate(Node);

enum Node {
    Constant(Value),
    Leaf(Leaf),
    Array(Vec<Node>),
    Object(Vec<(String, Node)>),
}

/// Something that cannot be read in a JSON template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonTemplateError {
    /// Where in the JSON, as a JSON Pointer.
    pub pointer: String,
    /// Why.
    pub error: TemplateError,
}

impl JsonTemplate {
    /// The template of nothing.
    pub fn null() -> Self {
        Self(Node::Constant(Value::Null))
    }

    /// Compiles each string.
    ///
    /// # Errors
    /// Every string that cannot be read.
    pub fn compile(json: &Value) -> Result<Self, Vec<JsonTemplateError>> {
        let mut errors = Vec::new();
        let node = Node::compile(json, &mut String::new(), 0, &mut errors);
        if errors.is_empty() {
            Ok(Self(node))
        } else {
            Err(errors)
        }
    }

    /// The variables that it needs, each with the pointer of a string that does.
    pub fn roots(&self) -> Vec<(String, BTreeSet<String>)> {
        let mut found = Vec::new();
        self.0.collect_roots(&mut String::new(), &mut found);
        found
    }

    /// The JSON itself, when there is nothing to evaluate.
    pub fn constant(&self) -> Option<&Value> {
        if let Node::Constant(value) = &self.0 {
            Some(value)
        } else {
            None
        }
    }

    /// Evaluates it.
    ///
    /// # Errors
    /// When a value is not there, or a bound is passed.
    pub fn evaluate(&self, variables: &Variable) -> Result<Value, TemplateError> {
        self.0.evaluate(variables, &mut MAX_OUTPUT_BYTES.clone())
    }
}

impl Node {
    fn compile(
        json: &Value,
        pointer: &mut String,
        depth: usize,
        errors: &mut Vec<JsonTemplateError>,
    ) -> Self {
        if depth > MAX_DEPTH {
            let error = TemplateError(format!("JSON is nested at most {MAX_DEPTH} deep here"));
            errors.push(JsonTemplateError {
                pointer: pointer.clone(),
                error,
            });
            return Self::Constant(Value::Null);
        }
        let node = match json {
            Value::String(text) => match Leaf::compile(text, Escape::None) {
                Ok(Leaf::Literal(_)) => Self::Constant(json.clone()),
                Ok(leaf) => Self::Leaf(leaf),
                Err(error) => {
                    errors.push(JsonTemplateError {
                        pointer: pointer.clone(),
                        error,
                    });
                    Self::Constant(Value::Null)
                }
            },
            Value::Array(items) => Self::Array(
                items
                    .iter()
                    .enumerate()
                    .map(|(index, item)| {
                        within(pointer, &index.to_string(), |pointer| {
                            Self::compile(item, pointer, depth + 1, errors)
                        })
                    })
                    .collect(),
            ),
            Value::Object(fields) => Self::Object(
                fields
                    .iter()
                    .map(|(key, field)| {
                        let node = within(pointer, key, |pointer| {
                            Self::compile(field, pointer, depth + 1, errors)
                        });
                        (key.clone(), node)
                    })
                    .collect(),
            ),
            other => Self::Constant(other.clone()),
        };
        if node.is_constant() {
            Self::Constant(json.clone())
        } else {
            node
        }
    }

    fn is_constant(&self) -> bool {
        match self {
            Self::Constant(_) => true,
            Self::Leaf(_) => false,
            Self::Array(items) => items.iter().all(Self::is_constant),
            Self::Object(fields) => fields.iter().all(|(_, node)| node.is_constant()),
        }
    }

    fn collect_roots(&self, pointer: &mut String, found: &mut Vec<(String, BTreeSet<String>)>) {
        match self {
            Self::Constant(_) => {}
            Self::Leaf(leaf) => {
                let mut roots = BTreeSet::new();
                leaf.collect_roots(&mut roots);
                found.push((pointer.clone(), roots));
            }
            Self::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    within(pointer, &index.to_string(), |pointer| {
                        item.collect_roots(pointer, found)
                    });
                }
            }
            Self::Object(fields) => {
                for (key, field) in fields {
                    within(pointer, key, |pointer| field.collect_roots(pointer, found));
                }
            }
        }
    }

    fn evaluate(&self, variables: &Variable, left: &mut usize) -> Result<Value, TemplateError> {
        match self {
            Self::Constant(value) => Ok(value.clone()),
            Self::Leaf(leaf) => leaf.evaluate(variables, left),
            Self::Array(items) => items
                .iter()
                .map(|item| item.evaluate(variables, left))
                .collect::<Result<_, _>>()
                .map(Value::Array),
            Self::Object(fields) => fields
                .iter()
                .map(|(key, field)| Ok((key.clone(), field.evaluate(variables, left)?)))
                .collect::<Result<Map<_, _>, _>>()
                .map(Value::Object),
        }
    }
}

/// Does something one level deeper in a JSON Pointer (RFC 6901, section 3, escapes `~` and `/`).
fn within<T>(pointer: &mut String, token: &str, inner: impl FnOnce(&mut String) -> T) -> T {
    let length = pointer.len();
    pointer.push('/');
    pointer.push_str(&token.replace('~', "~0").replace('/', "~1"));
    let result = inner(pointer);
    pointer.truncate(length);
    result
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
