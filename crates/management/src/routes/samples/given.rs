//! Samples that are given, as the API takes them, and masked as the webhook's requests are.

use hookgate_domain::body::StoredBody;
use hookgate_domain::database::PgConnection;
use hookgate_domain::events;
use hookgate_domain::samples::NewSample;
use hookgate_domain::scope::TenantScope;
use hookgate_domain::webhooks::Webhook;
use hookgate_model::body::most_memory;
use hookgate_model::flow::variables::{EventInput, Request};
use hookgate_model::ids::{EventId, SampleId, UrlId, WebhookId};
use hookgate_model::protection::{DataProtection, Masked, Parts, Protection};
use hookgate_model::sample::SampleSource;
use hookgate_model::suffix::UrlSuffix;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::form_urlencoded;
use utoipa::ToSchema;

use crate::auth::Actor;
use crate::error::{ApiError, ApiResult, FieldCode};
use crate::fields::{Fields, FromFields, any, json, list, object, parsed, text, wrong};
use crate::routes::simulation::{SampleRequest, event_of};

/// The most pairs of a sample, and the longest value of one, in characters.
const PAIRS: usize = 200;
const VALUE_CHARACTERS: usize = 8_000;

/// A JSON example.
#[derive(ToSchema)]
#[schema(example = json!({"json": {"order": {"id": 42, "total": 19.9}}}))]
pub struct JsonExample {
    /// The body.
    #[schema(value_type = Value)]
    pub json: Value,
}

impl FromFields for JsonExample {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            json: fields.required("json", any)?,
        })
    }
}

/// Names and values.
#[derive(ToSchema)]
#[schema(example = json!({"in": "query", "pairs": [{"name": "order_id", "value": "42"}]}))]
pub struct PairsExample {
    /// Where they stand in a request.
    #[schema(rename = "in", required = false, default = "query")]
    place: PairsPlace,
    /// They, in their order.
    #[schema(min_items = 1, max_items = 200)]
    pairs: Vec<Pair>,
}

/// Where pairs stand in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PairsPlace {
    /// In the query of a GET.
    Query,
    /// In a form that is posted.
    Form,
}

/// A name and its value.
#[derive(ToSchema)]
#[schema(as = SamplePair, example = json!({"name": "order_id", "value": "42"}))]
pub struct Pair {
    /// The name.
    #[schema(min_length = 1, max_length = 200, example = "order_id")]
    name: String,
    /// The value.
    #[schema(max_length = 8_000, example = "42")]
    value: String,
}

impl FromFields for Pair {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let name = fields.required("name", text(1..=200));
        let value = fields.required("value", |value| match value {
            Value::String(text) if text.chars().count() <= VALUE_CHARACTERS => Ok(text),
            Value::String(_) => wrong(
                FieldCode::TooLong,
                format!("may have at most {VALUE_CHARACTERS} characters"),
            ),
            _ => wrong(FieldCode::WrongType, "must be a string"),
        });
        Some(Self {
            name: name?,
            value: value?,
        })
    }
}

impl FromFields for PairsExample {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let place = fields.or("in", PairsPlace::Query, json);
        let pairs = fields.required("pairs", list(1..=PAIRS, object));
        Some(Self {
            place: place?,
            pairs: pairs?,
        })
    }
}

impl PairsExample {
    /// The request that has them.
    pub fn into_request(self) -> SampleRequest {
        let mut encoded = form_urlencoded::Serializer::new(String::new());
        for Pair { name, value } in &self.pairs {
            encoded.append_pair(name, value);
        }
        let encoded = encoded.finish();
        match self.place {
            PairsPlace::Query => SampleRequest::of_query(encoded),
            PairsPlace::Form => {
                SampleRequest::of_body("application/x-www-form-urlencoded", encoded.into_bytes())
            }
        }
    }
}

/// An event.
#[derive(ToSchema)]
#[schema(example = json!({"event_id": "evt_01k9z3v8e5f2q8r7w6t5y4x3m2"}))]
pub struct EventExample {
    /// An event of the webhook.
    pub event_id: EventId,
}

impl FromFields for EventExample {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            event_id: fields.required("event_id", parsed)?,
        })
    }
}

/// What a sample is to be made of.
pub enum Given {
    /// A request.
    Request(SampleRequest, SampleSource),
    /// An event of the webhook.
    Event(EventId),
}

/// A sample before it is masked, or after.
pub struct Example {
    source: SampleSource,
    url_id: Option<UrlId>,
    event_id: Option<EventId>,
    input: EventInput,
    address: Option<IpNet>,
    masked: Masked,
}

impl Given {
    /// Reads it.
    ///
    /// # Errors
    /// 400 for an event that the webhook has not; 403 for an event that the actor may not read.
    pub fn read(
        self,
        conn: &mut PgConnection,
        scope: &TenantScope,
        actor: &Actor,
        webhook: &Webhook,
    ) -> ApiResult<Example> {
        let id = match self {
            Self::Request(request, source) => {
                let input = request.into_input(&webhook.suffix);
                return Ok(Example {
                    source,
                    url_id: None,
                    event_id: None,
                    address: input.address.map(IpNet::from),
                    input,
                    masked: Masked::default(),
                });
            }
            Self::Event(id) => id,
        };
        let event = event_of(conn, scope, actor, webhook.id, id, "/event_id")?;
        let content = events::content(conn, scope, id)?;
        Ok(Example {
            source: SampleSource::Event,
            url_id: Some(event.url_id),
            event_id: Some(id),
            address: event.address,
            masked: event.masked.clone().unwrap_or_default(),
            input: event.into_input(content),
        })
    }
}

impl Example {
    /// The most memory that reading it takes, in bytes.
    pub fn most_memory(&self) -> usize {
        most_memory(&self.input.headers, self.input.body.len())
    }

    /// Leaves out what data protection says. What was left out before stays so.
    ///
    /// # Errors
    /// When data protection cannot be applied.
    pub fn mask(mut self, settings: &DataProtection) -> ApiResult<Self> {
        if settings.is_off() {
            return Ok(self);
        }
        let protection = Protection::compile(settings).map_err(ApiError::internal)?;
        let suffix = UrlSuffix::parse(&self.input.suffix).map_err(ApiError::internal)?;
        let is_sensitive = protection
            .sensitive_if()
            .is_some_and(|condition| condition.holds(&Request::new(self.input.clone())));
        let input = &mut self.input;
        let parts = Parts {
            headers: &input.headers,
            query: &input.query,
            path: &input.path,
            suffix: &suffix,
            address: input.address,
            body: &input.body,
        };
        let kept = protection.apply(&parts, is_sensitive);
        input.headers = kept.headers.unwrap_or_else(|| std::mem::take(&mut input.headers));
        input.query = kept.query.unwrap_or_else(|| std::mem::take(&mut input.query));
        input.path = kept.path.unwrap_or_else(|| std::mem::take(&mut input.path));
        if let Some(body) = kept.body {
            input.body = body.into();
        }
        let was_network = self
            .address
            .is_some_and(|network| network.prefix_len() < network.max_prefix_len());
        if !was_network {
            self.address = kept.address.or(self.address);
        }
        let before = &mut self.masked;
        before.sensitive |= kept.masked.sensitive;
        before.paths.extend(kept.masked.paths);
        before.paths.sort();
        before.paths.dedup();
        before.body_removed = before.body_removed.or(kept.masked.body_removed);
        Ok(self)
    }

    /// It as a sample to add.
    ///
    /// # Errors
    /// When what was masked cannot be written down.
    pub fn store<T>(
        &self,
        id: SampleId,
        webhook_id: WebhookId,
        store: impl FnOnce(&NewSample<'_>) -> ApiResult<T>,
    ) -> ApiResult<T> {
        let masked = (!self.masked.is_nothing()).then(|| serde_json::to_value(&self.masked));
        let input = &self.input;
        store(&NewSample {
            id,
            webhook_id,
            source: self.source,
            url_id: self.url_id,
            event_id: self.event_id,
            environment: input.environment,
            method: &input.method,
            suffix: &input.suffix,
            path: &input.path,
            query: &input.query,
            address: self.address,
            headers: &input.headers,
            body: &StoredBody::new(input.body.clone()),
            masked: masked.transpose().map_err(ApiError::internal)?,
        })
    }
}
