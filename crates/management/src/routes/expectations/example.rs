//! Requests that are made up from what is expected: to be edited, simulated, or sent.

use std::fmt::Write;

use actix_web::get;
use hookgate_domain::clock;
use hookgate_domain::urls::{self, Url};
use hookgate_domain::webhooks::{self, Webhook};
use hookgate_model::expected_data::{ExpectedData, MadeUp, Place, api_key_field, made_up};
use hookgate_model::ids::WebhookId;
use hookgate_model::suffix::UrlSuffix;
use hookgate_model::webhook::{Environment, UrlStatus};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::Value;
use url::form_urlencoded;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::schema::OfRevision;
use crate::auth::Guarded;
use crate::auth::permissions::WebhooksRead;
use crate::body::Reply;
use crate::error::{ApiError, ApiResult};
use crate::path::Path;
use crate::query::Query;
use crate::request_view::HeaderView;
use crate::routes::simulation::read_document;

/// What is encoded of a path parameter.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'~');
const FORM: &str = "application/x-www-form-urlencoded";
/// Stands for the API key, which nobody here knows.
const API_KEY: &str = "$HOOKGATE_API_KEY";

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config.service(make_up);
}

/// A request that is made up.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MadeUpRequest, example = json!({"request": {"method": "POST", "path": "orders/42", "query": "", "headers": [],
    "json": {"order": {"id": 42}}},
    "curl": "curl -X POST 'https://hooks.example.com/5x3k9z3v8e5f2q8r7w6t5y4x3m/orders/42' -H 'content-type: application/json' --data-raw '{\"order\":{\"id\":42}}'"}))]
pub struct MadeUpView {
    /// It, as `simulate` and `samples` take it.
    request: MadeUpRequest,
    /// A command that sends it to the webhook's test URL; null when there is none that works. An API key is taken from the
    /// variable `HOOKGATE_API_KEY`; signatures are not made.
    curl: Option<String>,
}

/// The request.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MadeUpRequestParts, example = json!({"method": "POST", "path": "orders/42", "query": "", "headers": [], "json": {"order": {"id": 42}}}))]
pub struct MadeUpRequest {
    /// The first of the webhook's methods that can have a body, if one is expected; else the first.
    #[schema(example = "POST")]
    method: String,
    /// The path after the token.
    #[schema(example = "orders/42")]
    path: String,
    /// The query, without the `?`.
    #[schema(example = "source=shop")]
    query: String,
    /// The headers.
    headers: Vec<HeaderView>,
    /// The body as text, when it is a form.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "id=42")]
    body: Option<String>,
    /// The body as JSON, when it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = Value)]
    json: Option<Value>,
}

/// Make a request up
///
/// From what the webhook expects: examples first, else values that their type and name suggest. It can be edited, run by
/// `simulate`, kept as a sample, or sent to the test URL with the command that comes along.
#[utoipa::path(tag = "revisions", operation_id = "makeUpRequest", security(("bearer" = ["webhooks:read"])), params(OfRevision),
    responses((status = 200, description = "The request", body = MadeUpView)))]
#[get("/webhooks/{id}/made-up-request")]
async fn make_up(
    caller: Guarded<WebhooksRead>,
    Path((webhook,)): Path<(WebhookId,)>,
    Query(OfRevision { revision_id }): Query<OfRevision>,
) -> ApiResult<Reply<MadeUpView>> {
    let (webhook, expected, urls) = caller
        .run(move |conn, scope| {
            let document = read_document(conn, scope, webhook, revision_id, None)?;
            let urls = urls::of_webhooks(conn, scope, &[webhook])?;
            let webhook = webhooks::read(conn, scope, webhook)?;
            Ok::<_, ApiError>((webhook, document.expected_data, urls))
        })
        .await?;
    let request = MadeUpRequest::new(&webhook, &expected);
    let is_live = |url: &&Url| {
        let status = UrlStatus::of(url.expires_at, url.revoked_at, clock::now());
        url.environment == Environment::Test && matches!(status, UrlStatus::Active | UrlStatus::Expiring)
    };
    let base = caller.state().settings.public_url.as_str().trim_end_matches('/');
    let test_url = urls.iter().find(is_live);
    let curl = test_url.map(|url| {
        let path = path_of(&url.suffix, &made_up(&expected).path);
        request.curl(&format!("{base}/{}/{path}", url.token))
    });
    Ok(Reply::ok(MadeUpView { request, curl }))
}

impl MadeUpRequest {
    fn new(webhook: &Webhook, expected: &ExpectedData) -> Self {
        let MadeUp {
            mut headers,
            mut query,
            path,
            body,
        } = made_up(expected);
        if let Some((place, field)) = api_key_field(&webhook.authentication)
            && let Some(name) = field.path.name()
        {
            let pairs = match place {
                Place::Query => &mut query,
                _ => &mut headers,
            };
            pairs.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
            pairs.push((name.to_owned(), API_KEY.to_owned()));
        }
        let content_type = headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        let is_form = content_type.is_some_and(|(_, value)| value.starts_with(FORM));
        let form = body.as_ref().and_then(Value::as_object).filter(|_| is_form);
        let form =
            form.map(|fields| encoded(fields.iter().map(|(name, value)| (name.as_str(), text(value)))));
        if form.is_none() {
            // What the body is made as is JSON, whatever the samples were.
            headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
        }
        let methods = webhook.methods;
        let with_body = ["POST", "PUT", "PATCH"]
            .into_iter()
            .find(|method| methods.contains(method));
        let first = methods.iter().next().unwrap_or("POST");
        Self {
            method: with_body.filter(|_| body.is_some()).unwrap_or(first).to_owned(),
            path: path_of(&webhook.suffix, &path),
            query: encoded(query.iter().map(|(name, value)| (name.as_str(), value.clone()))),
            headers: headers
                .into_iter()
                .map(|(name, value)| HeaderView { name, value })
                .collect(),
            json: body.filter(|_| form.is_none()),
            body: form,
        }
    }

    /// A command that sends it.
    fn curl(&self, url: &str) -> String {
        let query = if self.query.is_empty() { "" } else { "?" };
        let target = format!("{url}{query}{}", self.query);
        let mut command = format!("curl -X {} {}", self.method, quoted(&target));
        for HeaderView { name, value } in &self.headers {
            let _ = write!(command, " -H {}", quoted(&format!("{name}: {value}")));
        }
        let json = self.json.as_ref().map(Value::to_string);
        if json.is_some() {
            command.push_str(" -H 'content-type: application/json'");
        }
        if let Some(body) = json.as_ref().or(self.body.as_ref()) {
            let _ = write!(command, " --data-raw {}", quoted(body));
        }
        command
    }
}

/// A word of a POSIX shell that stands for exactly this text, but for the API key's variable.
fn quoted(text: &str) -> String {
    let word = format!("'{}'", text.replace('\'', r"'\''"));
    let encoded: String = form_urlencoded::byte_serialize(API_KEY.as_bytes()).collect();
    [API_KEY, &encoded]
        .iter()
        .fold(word, |word, name| word.replace(name, &format!("'\"{API_KEY}\"'")))
}

fn encoded<'a>(pairs: impl Iterator<Item = (&'a str, String)>) -> String {
    let mut encoded = form_urlencoded::Serializer::new(String::new());
    for (name, value) in pairs {
        encoded.append_pair(name, &value);
    }
    encoded.finish()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The path of a suffix with these parameters.
fn path_of(suffix: &UrlSuffix, parameters: &[(String, String)]) -> String {
    let parts = suffix.as_str().split('/').zip(suffix.parameter_of_segments());
    let filled = parts.map(|(literal, parameter)| match parameter {
        None => literal.to_owned(),
        Some(name) => {
            let known = parameters.iter().find(|(known, _)| known == name);
            let value = known.map_or(name, |(_, value)| value.as_str());
            utf8_percent_encode(value, RESERVED).to_string()
        }
    });
    filled.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_a_shell_is_that_text() {
        for (text, word) in [
            ("a b", "'a b'"),
            ("it's $HOME `x`", r"'it'\''s $HOME `x`'"),
            (
                "x-api-key: $HOOKGATE_API_KEY",
                "'x-api-key: '\"$HOOKGATE_API_KEY\"''",
            ),
            ("/?k=%24HOOKGATE_API_KEY", "'/?k='\"$HOOKGATE_API_KEY\"''"),
        ] {
            assert_eq!(quoted(text), word);
        }
    }
}
