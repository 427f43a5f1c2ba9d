//! A known sender as data: one document each in `presets/`, embedded, read once.
//!
//! A document holds the authentication that a tenant could write for himself, with `${secrets}`, `${public_keys}` and
//! `${options.<name>}` where his own values go, and beside it what the sender calls its events and what people must know to
//! set it up. Nothing about one sender is in code, but for its handshake.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::identity::Identity;

/// A known sender.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// Its name in `sender` and `system`.
    #[serde(skip)]
    pub name: &'static str,
    /// Its name for people.
    pub title: String,
    /// Where it belongs in a list.
    pub category: Category,
    /// How it is verified, in a sentence.
    pub summary: String,
    /// Where its own documentation is.
    pub documentation_url: String,
    /// The methods of its requests.
    #[serde(default = "post")]
    pub methods: Vec<String>,
    /// The secrets that it needs.
    pub secrets: Option<Need>,
    /// The public keys that it needs.
    pub public_keys: Option<Need>,
    /// What else it needs.
    #[serde(default)]
    pub options: Vec<Choice>,
    /// The authentication, with places for what the tenant fills in.
    pub authentication: Value,
    /// The handshake, in the same way.
    pub(super) handshake: Option<Value>,
    /// A template for the type of its events.
    pub event_type: Option<String>,
    /// A template for the id of a delivery.
    pub delivery_id: Option<String>,
    /// Whether the id is part of what is signed.
    #[serde(default)]
    pub delivery_id_is_signed: bool,
    /// How long it waits for an answer.
    pub deadline: Option<String>,
    /// What it does when there is none, or a bad one.
    pub retries: Option<String>,
    /// What to do, in order.
    pub steps: Vec<String>,
    /// What the verification does not cover, and what is left out.
    #[serde(default)]
    pub limits: Vec<String>,
}

fn post() -> Vec<String> {
    vec!["POST".to_owned()]
}

/// Where a sender belongs in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = TemplateCategory)]
pub enum Category {
    /// Code and issues.
    Development,
    /// Payments and banks.
    Payments,
    /// Shops and subscriptions.
    Commerce,
    /// Chat, telephony and social networks.
    Messaging,
    /// E-mail.
    Email,
    /// Customers and their questions.
    Customers,
    /// Documents, forms, calendars, tasks.
    Productivity,
    /// People and their logins.
    Identity,
    /// Clouds' own events.
    Cloud,
    /// Standards that any sender may follow.
    Standards,
}

/// Secrets or public keys that a sender needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TemplateNeed, example = json!({"label": "Signing secret", "origin": "endpoint",
    "hint": "Developers › Webhooks › the endpoint › Signing secret.", "example": "whsec_…", "generate": "hex"}))]
pub struct Need {
    /// What the sender calls it.
    #[schema(example = "Signing secret")]
    pub label: String,
    /// Where it comes from.
    pub origin: Origin,
    /// Where it is found, or how it is made.
    #[schema(example = "Developers › Webhooks › the endpoint › Signing secret.")]
    pub hint: String,
    /// What it looks like.
    #[schema(example = "whsec_…")]
    pub example: String,
    /// The form in which `POST /v1/secrets` generates one of its kind.
    #[serde(default = "hex")]
    #[schema(example = "whsec")]
    pub generate: String,
}

fn hex() -> String {
    "hex".to_owned()
}

/// Where a secret or a public key comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = TemplateNeedOrigin)]
pub enum Origin {
    /// You choose it, and tell the sender.
    Chosen,
    /// The sender shows it before it knows the URL.
    Account,
    /// The sender shows it once it knows the URL.
    Endpoint,
    /// The sender brings it, while the webhook is open for pairing.
    Pairing,
}

/// Another value that a sender needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TemplateOption, example = json!({"name": "webhook_id", "label": "Webhook ID", "format": "text",
    "hint": "Apps & Credentials › the app › Webhooks.", "example": "1JE4291016473214C", "default": null}))]
pub struct Choice {
    /// Its name in `options`.
    #[schema(example = "webhook_id")]
    pub name: String,
    /// What the sender calls it.
    #[schema(example = "Webhook ID")]
    pub label: String,
    /// What it must be.
    pub format: Format,
    /// Where it is found, or how it is chosen.
    #[schema(example = "Apps & Credentials › the app › Webhooks.")]
    pub hint: String,
    /// What it looks like.
    #[schema(example = "1JE4291016473214C")]
    pub example: String,
    /// What is taken when it is not given; null when it must be given.
    #[schema(example = "authorization")]
    pub default: Option<String>,
}

/// What an option must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = TemplateOptionFormat)]
pub enum Format {
    /// Up to 500 visible characters.
    Text,
    /// A name of letters, digits, `-`, `_` and `.`, as in a header, a parameter or a host.
    Name,
    /// The id of a secret.
    Secret,
    /// A UUID.
    Uuid,
    /// JSON Web Keys (RFC 7517), as a text in JSON: a list of them.
    JsonWebKeys,
}

macro_rules! documents {
    ($($name:literal,)*) => {
        [$(($name, include_str!(concat!("presets/", $name, ".json"))),)*]
    };
}

/// The documents, in the order in which lists show them.
const DOCUMENTS: [(&str, &str); 46] = documents![
    "adyen",
    "asana",
    "auth0",
    "bitbucket",
    "calendly",
    "cloudevents",
    "coinbase-cdp",
    "coinbase-commerce",
    "discord",
    "docusign",
    "dropbox",
    "event-grid",
    "event-grid-entra",
    "github",
    "gitlab",
    "gitlab-token",
    "hap",
    "hubspot",
    "intercom",
    "linear",
    "mailgun",
    "meta",
    "microsoft-graph",
    "microsoft-graph-rich",
    "notion",
    "okta",
    "paddle",
    "paypal",
    "plaid",
    "pubsub",
    "sendgrid",
    "shopify",
    "slack",
    "sns",
    "square",
    "standard-webhooks",
    "standard-webhooks-ed25519",
    "stripe",
    "svix",
    "telegram",
    "twilio",
    "typeform",
    "whatsapp",
    "x",
    "zendesk",
    "zoom",
];

#[allow(
    clippy::expect_used,
    reason = "the documents are part of the program, and a test reads them all"
)]
static PRESETS: LazyLock<Vec<Preset>> = LazyLock::new(|| {
    let read = |(name, document)| Preset {
        name,
        ..serde_json::from_str(document).expect(name)
    };
    DOCUMENTS.into_iter().map(read).collect()
});

/// Every known sender, by name.
pub fn all() -> &'static [Preset] {
    &PRESETS
}

/// The sender of a name.
pub fn find(name: &str) -> Option<&'static Preset> {
    let place = PRESETS.binary_search_by(|preset| preset.name.cmp(name)).ok()?;
    PRESETS.get(place)
}

impl Preset {
    /// What tells its events and deliveries apart.
    pub fn identity(&self) -> Identity {
        let compiled = Identity::compile(
            self.event_type.as_deref(),
            self.delivery_id.as_deref(),
            self.delivery_id_is_signed,
        );
        compiled.unwrap_or_default()
    }

    /// The kind of its handshake.
    pub fn handshake_kind(&self) -> Option<&str> {
        self.handshake.as_ref()?.get("kind")?.as_str()
    }

    /// Whether its secret comes by pairing.
    pub fn pairs(&self) -> bool {
        self.secrets
            .as_ref()
            .is_some_and(|need| need.origin == Origin::Pairing)
    }
}
