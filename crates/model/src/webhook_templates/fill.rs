//! A template with a tenant's values in their places.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::document::{Parameter, ParameterKind, WebhookTemplate};
use crate::authentication::{Problem, ProblemCode};
use crate::flow::definition::{MAX_TEMPLATE_BYTES, RevisionDocument};
use crate::ids::{DestinationId, SecretId};

/// What a tenant gives for the parameters, by name.
pub type Given = BTreeMap<String, String>;

/// What a template comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Filled {
    /// The settings that it brings, as the API takes them.
    pub webhook: Map<String, Value>,
    /// What the webhook does.
    pub revision: RevisionDocument,
}

impl WebhookTemplate {
    /// Puts values in their places.
    ///
    /// # Errors
    /// Everything that is missing, unknown or malformed, with a pointer relative to the parameters. Whether the tenant has what
    /// a value names is for others to find out.
    pub fn fill(&self, given: &Given) -> Result<Filled, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut values = BTreeMap::new();
        for parameter in &self.parameters {
            match parameter.value(given) {
                Ok(value) => {
                    values.insert(parameter.name.as_str(), value);
                }
                Err(problem) => problems.push(problem),
            }
        }
        let known = |name: &str| self.parameters.iter().any(|parameter| parameter.name == name);
        for name in given.keys().filter(|name| !known(name)) {
            let names: Vec<&str> = self.parameters.iter().map(|one| one.name.as_str()).collect();
            let detail = format!(
                "`{}` has no such parameter; it has {}",
                self.name,
                names.join(", ")
            );
            problems.push(Problem::new(pointer(name), ProblemCode::Invalid, detail));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let webhook = self.webhook.iter();
        let webhook = webhook.map(|(name, value)| (name.clone(), filled(value, &values)));
        let revision = serde_json::from_value(filled(&self.revision, &values));
        Ok(Filled {
            webhook: webhook.collect(),
            revision: revision.map_err(|error| {
                vec![Problem::new(
                    String::new(),
                    ProblemCode::Invalid,
                    error.to_string(),
                )]
            })?,
        })
    }

    /// The parameter whose place in the revision a pointer leads to, or into.
    pub fn parameter_at(&self, pointer: &str) -> Option<&Parameter> {
        let mut ends = pointer.match_indices('/').map(|(end, _)| end).skip(1);
        let mut place = std::iter::from_fn(|| ends.next().map(|end| &pointer[..end])).chain([pointer]);
        let name = place.find_map(|place| parameter_of(self.revision.pointer(place)?.as_str()?))?;
        self.parameters.iter().find(|parameter| parameter.name == name)
    }
}

impl Parameter {
    fn value<'a>(&'a self, given: &'a Given) -> Result<&'a str, Problem> {
        let problem = |code, detail: String| Problem::new(pointer(&self.name), code, detail);
        let Some(value) = given.get(&self.name).or(self.default.as_ref()) else {
            let detail = format!("must be given: {}. {}", self.label, self.hint);
            return Err(problem(ProblemCode::Required, detail));
        };
        self.kind
            .check(value)
            .map_err(|detail| problem(ProblemCode::Invalid, detail.to_owned()))?;
        Ok(value)
    }
}

impl ParameterKind {
    fn check(self, value: &str) -> Result<(), &'static str> {
        match self {
            Self::Destination if value.parse::<DestinationId>().is_err() => {
                Err("must be the id of a destination, `dst_…`; POST /v1/destinations makes one")
            }
            Self::Secret if value.parse::<SecretId>().is_err() => {
                Err("must be the id of a secret, `sec_…`; POST /v1/secrets makes one")
            }
            Self::Collection | Self::Text if value.is_empty() || value.len() > MAX_TEMPLATE_BYTES => {
                Err("must not be empty, nor longer than 16 KiB")
            }
            _ => Ok(()),
        }
    }
}

/// The name in `${parameters.<name>}`.
fn parameter_of(text: &str) -> Option<&str> {
    text.strip_prefix("${parameters.")?.strip_suffix('}')
}

fn filled(document: &Value, values: &BTreeMap<&str, &str>) -> Value {
    match document {
        Value::String(text) => match parameter_of(text).and_then(|name| values.get(name)) {
            Some(value) => Value::String((*value).to_owned()),
            None => document.clone(),
        },
        Value::Array(items) => items.iter().map(|item| filled(item, values)).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), filled(value, values)))
            .collect(),
        other => other.clone(),
    }
}

/// The pointer to a parameter (RFC 6901, section 3).
fn pointer(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}
