//! A template as the API shows it.

use hookgate_model::senders::{self, Category, Choice, Need, Preset};
use hookgate_model::webhook_templates::{self, Parameter, WebhookTemplate};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

/// A webhook ready to be made.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[schema(as = Template, example = json!({"name": "stripe", "kind": "sender", "title": "Stripe", "category": "payments",
    "summary": "HMAC-SHA256 of time and body in `Stripe-Signature`.",
    "documentation_url": "https://docs.stripe.com/webhooks/signature", "methods": ["POST"],
    "secrets": {"label": "Signing secret", "origin": "endpoint",
        "hint": "Developers › Webhooks › the endpoint › Signing secret.", "example": "whsec_…", "generate": "hex"},
    "public_keys": null, "options": [],
    "authentication": {"kind": "hmac", "content": [{"part": "timestamp"}, {"part": "text", "text": "."}, {"part": "body"}],
        "signature": {"at": {"in": "pair", "header": "stripe-signature", "key": "v1"}, "encoding": "hex"},
        "timestamp": {"at": {"in": "pair", "header": "stripe-signature", "key": "t"}, "unit": "seconds", "tolerance_seconds": 300},
        "secrets": "${secrets}"},
    "handshake": null, "event_type": "{{ body.type }}", "delivery_id": "{{ body.id }}", "delivery_id_is_signed": true,
    "deadline": null, "retries": "For 3 days, also after a 4xx; then the endpoint is disabled.",
    "webhook": {"name": "Stripe", "system": "stripe",
        "authentication": {"kind": "sender", "sender": "stripe", "secrets": ["sec_…"]}},
    "steps": ["Make the webhook: `POST /v1/webhooks` with the body below."], "limits": []}))]
pub enum TemplateView {
    /// A known sender: how to verify it.
    Sender(SenderView),
    /// A whole webhook, with a flow, which `template` of `POST /v1/webhooks` makes.
    Webhook(WebhookTemplateView),
}

/// A known sender.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SenderTemplate)]
pub struct SenderView {
    /// Its name, also in `authentication.sender` and `system`.
    #[schema(example = "stripe")]
    pub name: &'static str,
    /// Its name for people.
    #[schema(example = "Stripe")]
    pub title: &'static str,
    /// Where it belongs.
    pub category: Category,
    /// How the sender is verified, in a sentence.
    #[schema(example = "HMAC-SHA256 of time and body in `Stripe-Signature`.")]
    pub summary: &'static str,
    /// The sender's own documentation.
    #[schema(example = "https://docs.stripe.com/webhooks/signature")]
    pub documentation_url: &'static str,
    /// The methods of its requests.
    #[schema(example = json!(["POST"]))]
    pub methods: &'static [String],
    /// The secrets that `secrets` takes; null for none.
    pub secrets: Option<&'static Need>,
    /// The public keys that `public_keys` takes; null for none.
    pub public_keys: Option<&'static Need>,
    /// What `options` takes.
    pub options: &'static [Choice],
    /// The declarative authentication that the sender stands for, with `${secrets}`, `${public_keys}` and
    /// `${options.<name>}` where your values go.
    #[schema(value_type = Object)]
    pub authentication: &'static Value,
    /// What it asks before it sends; null for nothing.
    pub handshake: Option<TemplateHandshake>,
    /// The template for the type of an event; null when requests do not say it.
    #[schema(example = "{{ body.type }}")]
    pub event_type: Option<&'static str>,
    /// The template for the id by which a delivery is known again; null when there is none.
    #[schema(example = "{{ body.id }}")]
    pub delivery_id: Option<&'static str>,
    /// Whether that id is signed. One that is not counts together with a hash of the body.
    pub delivery_id_is_signed: bool,
    /// How long the sender waits for an answer; null when it does not say.
    #[schema(example = "10 seconds")]
    pub deadline: Option<&'static str>,
    /// What it does when there is no answer, or a bad one; null when it does not say.
    #[schema(example = "For 3 days, also after a 4xx; then the endpoint is disabled.")]
    pub retries: Option<&'static str>,
    /// The body of `POST /v1/webhooks`, with examples where your values go.
    #[schema(value_type = Object)]
    pub webhook: Value,
    /// What to do, in order; Markdown.
    #[schema(example = json!(["Make the webhook: `POST /v1/webhooks` with the body below."]))]
    pub steps: Vec<String>,
    /// What the verification does not cover, and what is left out; Markdown.
    #[schema(example = json!(["The token does not cover the body."]))]
    pub limits: &'static [String],
}

/// What a template is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TemplateKind {
    /// A known sender.
    Sender,
    /// A whole webhook.
    Webhook,
}

/// A whole webhook.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookTemplate)]
pub struct WebhookTemplateView {
    /// Its name, also in `template.name` of a new webhook.
    #[schema(example = "github-events")]
    pub name: &'static str,
    /// Its name for people.
    #[schema(example = "GitHub events")]
    pub title: &'static str,
    /// Where it belongs.
    pub category: Category,
    /// What it does, in a sentence.
    #[schema(example = "Forwards verified events of GitHub, each once, to a destination of yours.")]
    pub summary: &'static str,
    /// What you choose.
    pub parameters: &'static [Parameter],
    /// The body of `POST /v1/webhooks`, with examples where your values go.
    #[schema(value_type = Object)]
    pub webhook: Value,
    /// The revision that is published, with `${parameters.<name>}` where your values go.
    #[schema(value_type = Object)]
    pub revision: &'static Value,
    /// The `request` of `POST /v1/webhooks/{id}/simulate`, to try it with.
    #[schema(value_type = Object)]
    pub request: &'static Value,
    /// What to do and to know, in order; Markdown.
    #[schema(example = json!(["Make the collection: `POST /v1/collections`."]))]
    pub steps: &'static [String],
}

/// What a sender asks before it sends.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"kind": "slack", "is_pairing": false}))]
pub struct TemplateHandshake {
    /// Its kind, as in a webhook's `handshake`.
    #[schema(example = "slack")]
    pub kind: &'static str,
    /// Whether it brings the secret, which takes an open pairing.
    pub is_pairing: bool,
}

impl From<&'static Preset> for SenderView {
    fn from(preset: &'static Preset) -> Self {
        Self {
            name: preset.name,
            title: &preset.title,
            category: preset.category,
            summary: &preset.summary,
            documentation_url: &preset.documentation_url,
            methods: &preset.methods,
            secrets: preset.secrets.as_ref(),
            public_keys: preset.public_keys.as_ref(),
            options: &preset.options,
            authentication: &preset.authentication,
            handshake: preset.handshake_kind().map(|kind| TemplateHandshake {
                kind,
                is_pairing: preset.pairs(),
            }),
            event_type: preset.event_type.as_deref(),
            delivery_id: preset.delivery_id.as_deref(),
            delivery_id_is_signed: preset.delivery_id_is_signed,
            deadline: preset.deadline.as_deref(),
            retries: preset.retries.as_deref(),
            webhook: preset.webhook(),
            steps: preset.setup(),
            limits: &preset.limits,
        }
    }
}

impl From<&'static WebhookTemplate> for WebhookTemplateView {
    fn from(template: &'static WebhookTemplate) -> Self {
        let needed = template.parameters.iter().filter(|one| one.default.is_none());
        let parameters = needed.map(|one| (one.name.clone(), Value::from(one.example.as_str())));
        let parameters: Map<String, Value> = parameters.collect();
        Self {
            name: template.name,
            title: &template.title,
            category: template.category,
            summary: &template.summary,
            parameters: &template.parameters,
            webhook: json!({"name": template.title, "template": {"name": template.name, "parameters": parameters}}),
            revision: &template.revision,
            request: &template.request,
            steps: &template.steps,
        }
    }
}

impl TemplateView {
    /// All of them, by name.
    pub fn all() -> Vec<Self> {
        let senders = senders::all().iter().map(|preset| Self::Sender(preset.into()));
        let webhooks = webhook_templates::all().iter();
        let webhooks = webhooks.map(|template| Self::Webhook(template.into()));
        let mut all: Vec<Self> = senders.chain(webhooks).collect();
        all.sort_by_key(Self::name);
        all
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Sender(sender) => sender.name,
            Self::Webhook(webhook) => webhook.name,
        }
    }

    /// What it is for.
    pub const fn kind(&self) -> TemplateKind {
        match self {
            Self::Sender(_) => TemplateKind::Sender,
            Self::Webhook(_) => TemplateKind::Webhook,
        }
    }

    /// Where it belongs.
    pub const fn category(&self) -> Category {
        match self {
            Self::Sender(sender) => sender.category,
            Self::Webhook(webhook) => webhook.category,
        }
    }
}
