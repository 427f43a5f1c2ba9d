//! What a tenant chooses of a webhook, as the API takes it. Settings with rules of their own are in files beside.

mod bodies;
mod cors;
mod deduplication;
mod handshake;
mod limits;
mod protection;

use std::collections::HashSet;

use hookgate_domain::limits as bounds;
use hookgate_domain::webhooks::{Webhook, WebhookSettings};
use hookgate_model::authentication::Authentication;
use hookgate_model::cors::Cors;
use hookgate_model::deduplication::Deduplication;
use hookgate_model::ids::AllowlistId;
use hookgate_model::methods::{self, MethodSet};
use hookgate_model::protection::DataProtection;
use hookgate_model::senders::Handshake;
use hookgate_model::suffix::UrlSuffix;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

pub use bodies::BodiesBody;
pub use limits::{LimitsBody, UrlLimitsBody};

use super::authentication::field_error;
use super::template::{Chosen, TemplateBody};
use crate::error::FieldCode;
use crate::fields::{self, Fields, FromFields, Read, json, list, object, parsed, text, wrong};

/// The system of a webhook that names none.
const CUSTOM: &str = "custom";

/// What a tenant chooses of a webhook. Only the name is needed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookSettings, example = json!({"name": "Orders from the shop", "system": "custom",
    "suffix": "orders/{order_id}", "methods": ["POST"], "authentication": {"kind": "api_key"},
    "allowlists": ["alw_01k9z3v8e5f2q8r7w6t5y4x3m2"], "limits": {"body_bytes": 1_048_576,
    "requests_per_second": 50, "burst": 100}, "data_protection": {"mask": ["headers.authorization", "body.card.number"],
    "mask_address": true, "sensitive_if": "{{ body.disableSensitiveLogging }}"},
    "bodies": {"malformed": "accept"}, "cors": {"allowed_origins": ["https://app.example.com"]},
    "deduplication": {"key": "{{ body.event_id }}", "remember_hours": 168}}))]
pub struct SettingsBody {
    /// What the tenant calls it.
    #[schema(min_length = 1, max_length = 200)]
    pub name: String,
    /// The system that sends, such as `github`, or `custom`.
    #[schema(default = "custom", pattern = "^[a-z0-9][a-z0-9_-]{0,49}$")]
    #[schema(required = false)]
    pub system: String,
    /// What follows the token in its URLs: segments of letters, digits, `-`, `_`, `.` and `~`, or parameters such as
    /// `{order_id}`. By default it is made from the name. Changing it changes the URLs that have it.
    #[schema(required = false, max_length = 200)]
    pub suffix: String,
    /// The methods that it accepts, of GET, POST, PUT, PATCH and DELETE; by default POST.
    #[schema(required = false, min_items = 1)]
    pub methods: Vec<String>,
    /// What a sender must present; by default nothing but the URL.
    #[schema(required = false)]
    pub authentication: Authentication,
    /// What the sender asks before it sends, and how it is answered; by default what is known of the sender in
    /// `authentication`.
    #[schema(required = false)]
    pub handshake: Option<Handshake>,
    /// The allowlists of which one must hold the sender's address; none: every address may send.
    #[schema(required = false, max_items = 10)]
    pub allowlists: Vec<AllowlistId>,
    /// How much it takes.
    #[schema(required = false)]
    pub limits: LimitsBody,
    /// What of its requests is stored masked; by default nothing. A change holds for requests from then on.
    #[schema(required = false)]
    pub data_protection: DataProtection,
    /// What it makes of bodies.
    #[schema(required = false)]
    pub bodies: BodiesBody,
    /// Which web pages may call it from a browser and read its answers; null: none.
    #[schema(required = false)]
    pub cors: Option<Cors>,
    /// What it recognises a delivery by that came before: such a one gets the first one's answer and starts nothing. Null:
    /// every delivery is a new one. A new webhook whose `authentication` names a known sender that has an id for each
    /// delivery remembers by that for 7 days, unless this says otherwise.
    #[schema(required = false)]
    pub deduplication: Option<Deduplication>,
}

/// A webhook to make.
#[derive(Serialize, ToSchema)]
#[schema(as = NewWebhook, example = json!({"name": "Repository events", "template": {"name": "github-events",
    "parameters": {"secret": "sec_01k9z3v8e5f2q8r7w6t5y4x3m2", "destination": "dst_01k9z3v8e5f2q8r7w6t5y4x3m2"}}}))]
pub struct NewWebhookBody {
    /// What a tenant chooses of a webhook.
    #[serde(flatten)]
    settings: SettingsBody,
    /// What it is made of: the template's settings stand where the body says nothing else, and its flow is published at once.
    #[schema(required = false)]
    template: Option<TemplateBody>,
}

/// The settings of a new webhook, which may depend on each other, and the template that it is made of.
pub struct NewWebhook {
    pub settings: WebhookSettings,
    pub template: Option<Chosen>,
}

impl FromFields for NewWebhook {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let template = fields.optional("template", object::<Chosen>);
        if let Some(Some(chosen)) = &template {
            for (name, value) in &chosen.settings {
                fields.fill(name, value.clone());
            }
        }
        let says_deduplication = fields.has("deduplication");
        let settings = Settings::from_fields(fields);
        let (Settings(mut settings), template) = (settings?, template?);
        if !says_deduplication {
            settings.deduplication = deduplication::of_new(&settings.authentication);
        }
        Some(Self { settings, template })
    }
}

/// The settings, read and valid.
#[derive(Debug, Clone)]
pub struct Settings(pub WebhookSettings);

impl FromFields for Settings {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let name = fields.required("name", text(1..=bounds::NAME_CHARACTERS));
        let system = fields.or("system", CUSTOM.to_owned(), system);
        let chosen = fields.optional("suffix", suffix);
        let methods = fields.or("methods", MethodSet::POST, methods);
        let authentication = fields.or("authentication", Authentication::None {}, authentication);
        let handshake = fields.optional("handshake", handshake::read);
        let allowlists = fields.or("allowlists", Vec::new(), allowlists);
        let limits = fields.or("limits", LimitsBody::default(), object);
        let data_protection = fields.or("data_protection", DataProtection::default(), object);
        let bodies = fields.or("bodies", BodiesBody::default(), object);
        let cors = fields.optional("cors", cors::read);
        let deduplication = fields.optional("deduplication", object::<Deduplication>);
        if let (Some(authentication), Some(system), Some(chosen)) = (&authentication, &system, &deduplication)
        {
            deduplication::check(fields, chosen.as_ref(), authentication, system);
        }
        let (name, limits) = (name?, limits?);
        Some(Self(WebhookSettings {
            suffix: chosen?.unwrap_or_else(|| UrlSuffix::from_name(&name)),
            name,
            system: system?,
            methods: methods?,
            authentication: authentication?,
            handshake: handshake?,
            body_limit_bytes: limits.body_bytes,
            limits: limits.limits(),
            allowlists: allowlists?,
            data_protection: data_protection?,
            cors: cors?,
            malformed_bodies: bodies?.malformed,
            deduplication: deduplication?,
        }))
    }
}

/// What there is, for a merge patch.
impl From<&Webhook> for SettingsBody {
    fn from(webhook: &Webhook) -> Self {
        Self {
            name: webhook.name.clone(),
            system: webhook.system.clone(),
            suffix: webhook.suffix.to_string(),
            methods: webhook.methods.iter().map(str::to_owned).collect(),
            authentication: webhook.authentication.clone(),
            handshake: webhook.handshake.clone(),
            allowlists: webhook.allowlists.clone(),
            limits: LimitsBody::new(webhook.body_limit_bytes, webhook.limits),
            data_protection: webhook.data_protection.clone(),
            bodies: BodiesBody {
                malformed: webhook.malformed_bodies,
            },
            cors: webhook.cors.clone(),
            deduplication: webhook.deduplication.clone(),
        }
    }
}

/// The suffix of a URL. A text with blanks is told what to write instead.
pub fn suffix(value: Value) -> Read<UrlSuffix> {
    let Value::String(text) = &value else {
        return text_only(value);
    };
    UrlSuffix::parse(text).or_else(|error| wrong(FieldCode::Invalid, error.to_string()))
}

/// Says that a value must be a string, in the words that other fields use.
fn text_only<T>(value: Value) -> Read<T> {
    fields::text(0..=0)(value).and_then(|_| wrong(FieldCode::WrongType, "must be a string"))
}

fn system(value: Value) -> Read<String> {
    let name = text(1..=50)(value)?;
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if name.chars().all(fits) && name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        Ok(name)
    } else {
        wrong(
            FieldCode::Invalid,
            "must be of a-z, 0-9, `-` and `_`, such as `github` or `custom`",
        )
    }
}

fn methods(value: Value) -> Read<MethodSet> {
    let names = list(1..=methods::KNOWN.len(), method)(value)?;
    MethodSet::parse(&names).or_else(|error| wrong(FieldCode::Invalid, error.to_string()))
}

fn method(value: Value) -> Read<String> {
    let name = text(1..=20)(value)?;
    match MethodSet::parse(&[&name]) {
        Ok(_) => Ok(name),
        Err(error) => wrong(FieldCode::Invalid, error.to_string()),
    }
}

fn authentication(value: Value) -> Read<Authentication> {
    let authentication: Authentication = json(value)?;
    let problems = authentication.problems();
    if problems.is_empty() {
        return Ok(authentication);
    }
    Err(problems.into_iter().map(field_error).collect())
}

fn allowlists(value: Value) -> Read<Vec<AllowlistId>> {
    let ids: Vec<AllowlistId> = list(0..=bounds::ATTACHED_ALLOWLISTS, parsed)(value)?;
    let mut seen = HashSet::new();
    if ids.iter().all(|id| seen.insert(*id)) {
        Ok(ids)
    } else {
        wrong(FieldCode::Invalid, "may name each allowlist once")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn errors(body: Value) -> Vec<(String, String)> {
        let errors = object::<Settings>(body).expect_err("wrong");
        errors
            .into_iter()
            .map(|error| (error.pointer, error.detail))
            .collect()
    }

    #[test]
    fn a_name_is_enough() {
        let Settings(settings) = object(json!({"name": "Orders from the shop"})).expect("settings");
        assert_eq!(settings.suffix.as_str(), "orders-from-the-shop");
        assert_eq!(settings.methods, MethodSet::POST);
        assert_eq!(settings.body_limit_bytes, 1024 * 1024);
        assert_eq!(settings.authentication, Authentication::None {});
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let told = errors(
            json!({"name": "", "system": "My Shop", "suffix": "item updated", "methods": ["POST", "post"],
            "authentication": {"kind": "magic"}, "allowlists": ["alw_1"], "limits": {"body_bytes": 0, "burst": 5, "rows": 1}, "colour": 1}),
        );
        let pointers: Vec<_> = told.iter().map(|(pointer, _)| pointer.as_str()).collect();
        assert_eq!(
            pointers,
            [
                "/name",
                "/system",
                "/suffix",
                "/methods/1",
                "/authentication/kind",
                "/allowlists/0",
                "/limits/body_bytes",
                "/limits/burst",
                "/limits/rows",
                "/colour"
            ]
        );
        assert!(told[2].1.contains("`item-updated`"));
        assert!(told[4].1.contains("api_key"), "{}", told[4].1);
        let id = "alw_01k9z3v8e5f2q8r7w6t5y4x3m2";
        assert_eq!(errors(json!({"name": "a", "allowlists": [id, id]})).len(), 1);
        assert_eq!(errors(json!({"name": "a", "suffix": 7})).len(), 1);
    }
}
