//! The documents, embedded and read once.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::senders::Category;

/// A webhook ready to be made.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookTemplate {
    /// Its name.
    #[serde(skip)]
    pub name: &'static str,
    /// Its name for people.
    pub title: String,
    /// Where it belongs in a list.
    pub category: Category,
    /// What it does, in a sentence.
    pub summary: String,
    /// What a tenant chooses.
    pub parameters: Vec<Parameter>,
    /// Settings of the webhook, with places for parameters.
    pub webhook: Map<String, Value>,
    /// What the webhook does, with places for parameters.
    pub revision: Value,
    /// A request to try it with, as a simulation takes it.
    pub request: Value,
    /// What to do and to know, in order; Markdown.
    pub steps: Vec<String>,
}

/// What a tenant chooses of a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TemplateParameter, example = json!({"name": "destination", "kind": "destination", "label": "Destination",
    "hint": "It gets the events.", "example": "dst_01k9z3v8e5f2q8r7w6t5y4x3m2", "default": null}))]
pub struct Parameter {
    /// Its name in `parameters`.
    #[schema(example = "destination")]
    pub name: String,
    /// What it must be.
    pub kind: ParameterKind,
    /// Its name for people.
    #[schema(example = "Destination")]
    pub label: String,
    /// What it is for, or where it is found.
    #[schema(example = "It gets the events.")]
    pub hint: String,
    /// What it looks like.
    #[schema(example = "dst_01k9z3v8e5f2q8r7w6t5y4x3m2")]
    pub example: String,
    /// What is taken when it is not given; null when it must be given.
    #[schema(example = "Thank you.")]
    pub default: Option<String>,
}

/// What a parameter must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = TemplateParameterKind)]
pub enum ParameterKind {
    /// The id of a destination.
    Destination,
    /// The id of a secret.
    Secret,
    /// The name of a collection.
    Collection,
    /// A text, which may be a template.
    Text,
}

macro_rules! documents {
    ($($name:literal,)*) => {
        [$(($name, include_str!(concat!("documents/", $name, ".json"))),)*]
    };
}

/// The documents, by name.
const DOCUMENTS: [(&str, &str); 5] = documents![
    "agent-message",
    "form-to-collection",
    "github-events",
    "slack-command",
    "stripe-events",
];

#[allow(
    clippy::expect_used,
    reason = "the documents are part of the program, and a test reads them all"
)]
static TEMPLATES: LazyLock<Vec<WebhookTemplate>> = LazyLock::new(|| {
    let read = |(name, document)| WebhookTemplate {
        name,
        ..serde_json::from_str(document).expect(name)
    };
    DOCUMENTS.into_iter().map(read).collect()
});

/// Every template, by name.
pub fn all() -> &'static [WebhookTemplate] {
    &TEMPLATES
}

/// The template of a name.
pub fn find(name: &str) -> Option<&'static WebhookTemplate> {
    all().iter().find(|template| template.name == name)
}
