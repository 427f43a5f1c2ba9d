//! JSON as a tree of templates.

use std::collections::BTreeSet;

use minijinja::Value as Variable;
use serde_json::{Map, Value};

use super::{Escape, Leaf, MAX_DEPTH, MAX_OUTPUT_BYTES, TemplateError};

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
