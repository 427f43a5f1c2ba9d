//! The public URLs of a webhook.

mod view;

use actix_web::{delete, get, patch, post};
use chrono::{DateTime, TimeDelta, Utc};
use hookgate_domain::redis::changes::Change;
use hookgate_domain::urls::{self, Url, UrlSettings};
use hookgate_domain::{clock, limits};
use hookgate_model::ids::{UrlId, WebhookId};
use hookgate_model::suffix::UrlSuffix;
use hookgate_model::webhook::Environment;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

pub use view::UrlView;

use super::webhooks::{UrlLimitsBody, suffix};
use crate::auth::Guarded;
use crate::auth::permissions::{WebhooksRead, WebhooksWrite};
use crate::body::{Json, NoContent, Patch, Reply};
use crate::changes::change;
use crate::error::{ApiError, ApiResult, ErrorCode, FieldCode};
use crate::etag::IfMatch;
use crate::fields::{Fields, FromFields, integer, json, object, text, time};
use crate::page::{Page, Paging, PagingParams};
use crate::path::Path;

/// How long a URL works on after a rotation, in seconds, when the caller does not say: a day.
const GRACE_SECONDS: i64 = 86_400;
/// The longest that it may work on, in seconds: 30 days.
const GRACE_SECONDS_MOST: i64 = 30 * 86_400;

/// The longest that a URL can be made to work by `expires_in_seconds`: a year.
const LIFE_SECONDS_MOST: i64 = 365 * 86_400;

type UrlPatch = Patch<UrlSettingsBody>;

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config
        .service(create)
        .service(index)
        .service(read)
        .service(update)
        .service(remove)
        .service(rotate)
        .service(revoke);
}

/// A URL to make.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"name": "a first test", "environment": "test", "suffix": "orders/{order_id}",
    "expires_in_seconds": 3_600}))]
pub struct NewUrl {
    /// What the tenant calls it, such as the sender's name.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// What it runs: the draft (`test`) or what is published (`production`, the default).
    #[schema(required = false)]
    environment: Environment,
    /// What follows the token; by default the webhook's suffix.
    #[schema(value_type = Option<String>, max_length = 200)]
    suffix: Option<UrlSuffix>,
    /// From when it does not work any more; absent: it does not expire.
    expires_at: Option<DateTime<Utc>>,
    /// How long it works, in seconds, instead of `expires_at`: up to a year.
    #[schema(minimum = 1, maximum = 31_536_000)]
    expires_in_seconds: Option<i64>,
}

impl FromFields for NewUrl {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let name = fields.required("name", text(1..=limits::NAME_CHARACTERS));
        let environment = fields.or("environment", Environment::Production, json);
        let suffix = fields.optional("suffix", suffix);
        let expires_at = fields.optional("expires_at", time);
        let expires_in_seconds = fields.optional("expires_in_seconds", integer(1..=LIFE_SECONDS_MOST));
        if let (Some(Some(_)), Some(Some(_))) = (expires_at, expires_in_seconds) {
            fields.error(
                "/expires_in_seconds",
                FieldCode::Invalid,
                "cannot be given with `expires_at`",
            );
            return None;
        }
        Some(Self {
            name: name?,
            environment: environment?,
            suffix: suffix?,
            expires_at: expires_at?,
            expires_in_seconds: expires_in_seconds?,
        })
    }
}

/// Add a URL to a webhook
///
/// One URL for each sender can be revoked without the others noticing. One that expires, for a test say, ends by itself:
/// senders get the same 404 then as for a URL that never was, and the tenant sees it among the refusals.
#[utoipa::path(tag = "urls", operation_id = "createUrl", security(("bearer" = ["webhooks:write"])),
    request_body = NewUrl,
    responses((status = 201, description = "The URL", body = UrlView), (status = 409, description = "limit_reached")))]
#[post("/webhooks/{id}/urls")]
async fn create(
    caller: Guarded<WebhooksWrite>,
    Path((webhook,)): Path<(WebhookId,)>,
    Json(new): Json<NewUrl>,
) -> ApiResult<Reply<UrlView>> {
    require_future(new.expires_at)?;
    let in_seconds = new.expires_in_seconds.map(TimeDelta::seconds);
    let expires_at = new.expires_at.or(in_seconds.map(|life| clock::now() + life));
    let url = caller
        .run(move |conn, scope| {
            let NewUrl {
                name,
                environment,
                suffix,
                ..
            } = &new;
            urls::create(
                conn,
                scope,
                webhook,
                name,
                *environment,
                suffix.as_ref(),
                expires_at,
            )
        })
        .await?;
    Ok(show(&caller, &url, Reply::created))
}

/// List the URLs of a webhook
///
/// Those of production and of test, also the revoked ones, newest first.
#[utoipa::path(tag = "urls", operation_id = "listUrls", security(("bearer" = ["webhooks:read"])),
    params(PagingParams),
    responses((status = 200, description = "A page of URLs, newest first", body = Page<UrlView>)))]
#[get("/webhooks/{id}/urls")]
async fn index(
    caller: Guarded<WebhooksRead>,
    Path((webhook,)): Path<(WebhookId,)>,
    paging: Paging,
) -> ApiResult<Reply<Page<UrlView>>> {
    let window = paging.window(&caller)?;
    let rows = window.rows();
    let found = caller
        .run(move |conn, scope| urls::list(conn, scope, webhook, rows))
        .await?;
    let public_url = &caller.state().settings.public_url;
    Ok(Reply::ok(window.page(
        found,
        |url| url.id.uuid(),
        |url| UrlView::new(&url, public_url),
    )?))
}

/// Read a URL
///
/// With its environment, its suffix and its expiry.
#[utoipa::path(tag = "urls", operation_id = "getUrl", security(("bearer" = ["webhooks:read"])),
    responses((status = 200, description = "The URL", body = UrlView)))]
#[get("/webhooks/{id}/urls/{url_id}")]
async fn read(
    caller: Guarded<WebhooksRead>,
    Path((webhook, id)): Path<(WebhookId, UrlId)>,
) -> ApiResult<Reply<UrlView>> {
    let url = caller
        .run(move |conn, scope| urls::read(conn, scope, webhook, id))
        .await?;
    Ok(show(&caller, &url, Reply::ok))
}

/// What can be changed of a URL. Its token cannot: rotate the URL.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UrlSettings, example = json!({"name": "the shop in Berlin", "expires_at": "2026-12-01T00:00:00Z",
    "limits": {"requests_per_second": 5, "burst": 20}}))]
pub struct UrlSettingsBody {
    /// What the tenant calls it.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// What follows the token. Senders must be told.
    #[schema(max_length = 200)]
    suffix: String,
    /// From when it does not work any more; null: it does not expire.
    expires_at: Option<DateTime<Utc>>,
    /// How much it takes, besides what its webhook does.
    limits: UrlLimitsBody,
}

struct Changed(UrlSettings);

impl FromFields for Changed {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let name = fields.required("name", text(1..=limits::NAME_CHARACTERS));
        let suffix = fields.required("suffix", suffix);
        let expires_at = fields.optional("expires_at", time);
        let limits = fields.or("limits", UrlLimitsBody::default(), object);
        Some(Self(UrlSettings {
            name: name?,
            suffix: suffix?,
            expires_at: expires_at?,
            limits: limits?.into(),
        }))
    }
}

/// Change a URL
///
/// A URL whose `expires_at` has passed answers as if it had never been.
#[utoipa::path(tag = "urls", operation_id = "updateUrl", security(("bearer" = ["webhooks:write"])),
    request_body(content = UrlPatch, content_type = "application/merge-patch+json"),
    responses((status = 200, description = "The URL as it is now", body = UrlView)))]
#[patch("/webhooks/{id}/urls/{url_id}")]
async fn update(
    caller: Guarded<WebhooksWrite>,
    Path((webhook, id)): Path<(WebhookId, UrlId)>,
    if_match: IfMatch,
    patch: Patch<Changed>,
) -> ApiResult<Reply<UrlView>> {
    let url = change(&caller, move |conn, scope| {
        let current = urls::read_for_change(conn, scope, webhook, id)?;
        if_match.check(current.version)?;
        let Changed(settings) = patch.apply(&UrlSettingsBody {
            name: current.name,
            suffix: current.suffix.to_string(),
            expires_at: current.expires_at,
            limits: current.limits.into(),
        })?;
        let url = urls::update(conn, scope, webhook, id, &settings)?;
        Ok((url, vec![Change::Webhook(webhook)]))
    })
    .await?;
    Ok(show(&caller, &url, Reply::ok))
}

/// Delete a URL
///
/// This is final: requests to it get 404, and are not listed as refusals any more. What came in over it stays.
#[utoipa::path(tag = "urls", operation_id = "deleteUrl", security(("bearer" = ["webhooks:write"])),
    responses((status = 204, description = "It is gone"), (status = 412, description = "precondition_failed")))]
#[delete("/webhooks/{id}/urls/{url_id}")]
async fn remove(
    caller: Guarded<WebhooksWrite>,
    Path((webhook, id)): Path<(WebhookId, UrlId)>,
    if_match: IfMatch,
) -> ApiResult<NoContent> {
    change(&caller, move |conn, scope| {
        if_match.check(urls::read_for_change(conn, scope, webhook, id)?.version)?;
        urls::delete(conn, scope, webhook, id)?;
        Ok((NoContent, vec![Change::Webhook(webhook)]))
    })
    .await
}

/// How a URL is rotated.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"grace_seconds": 86_400}))]
pub struct Rotation {
    /// How long the old URL works on, in seconds; 0 ends it at once, the default is a day.
    #[schema(required = false, default = 86_400, minimum = 0, maximum = 2_592_000)]
    grace_seconds: i64,
}

impl FromFields for Rotation {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let grace_seconds = fields.or("grace_seconds", GRACE_SECONDS, integer(0..=GRACE_SECONDS_MOST));
        Some(Self {
            grace_seconds: grace_seconds?,
        })
    }
}

/// Rotate a URL
///
/// It gets a new token. The old one works on through a grace period, so that senders can be told.
#[utoipa::path(tag = "urls", operation_id = "rotateUrl", security(("bearer" = ["webhooks:write"])),
    request_body = Rotation,
    responses((status = 200, description = "The URL with its new token", body = UrlView),
        (status = 409, description = "wrong_state")))]
#[post("/webhooks/{id}/urls/{url_id}/rotate")]
async fn rotate(
    caller: Guarded<WebhooksWrite>,
    Path((webhook, id)): Path<(WebhookId, UrlId)>,
    Json(Rotation { grace_seconds }): Json<Rotation>,
) -> ApiResult<Reply<UrlView>> {
    let url = change(&caller, move |conn, scope| {
        if urls::read_for_change(conn, scope, webhook, id)?
            .revoked_at
            .is_some()
        {
            return Err(ApiError::new(
                ErrorCode::WrongState,
                "the URL is revoked: add a new one",
            ));
        }
        let url = urls::rotate(conn, scope, webhook, id, TimeDelta::seconds(grace_seconds))?;
        Ok((url, vec![Change::Webhook(webhook)]))
    })
    .await?;
    Ok(show(&caller, &url, Reply::ok))
}

/// Revoke a URL
///
/// It stops working at once and for good. Revoking it again changes nothing.
#[utoipa::path(tag = "urls", operation_id = "revokeUrl", security(("bearer" = ["webhooks:write"])),
    responses((status = 200, description = "The revoked URL", body = UrlView)))]
#[post("/webhooks/{id}/urls/{url_id}/revoke")]
async fn revoke(
    caller: Guarded<WebhooksWrite>,
    Path((webhook, id)): Path<(WebhookId, UrlId)>,
) -> ApiResult<Reply<UrlView>> {
    let url = change(&caller, move |conn, scope| {
        Ok((
            urls::revoke(conn, scope, webhook, id)?,
            vec![Change::Webhook(webhook)],
        ))
    })
    .await?;
    Ok(show(&caller, &url, Reply::ok))
}

fn show<P>(caller: &Guarded<P>, url: &Url, reply: fn(UrlView) -> Reply<UrlView>) -> Reply<UrlView> {
    reply(UrlView::new(url, &caller.state().settings.public_url)).version(url.version)
}

/// What is made to expire must do so later than now.
pub(super) fn require_future(expires_at: Option<DateTime<Utc>>) -> ApiResult<()> {
    if expires_at.is_some_and(|at| at <= clock::now()) {
        return Err(ApiError::field(
            "/expires_at",
            FieldCode::OutOfRange,
            "must be in the future",
        ));
    }
    Ok(())
}
