//! Notifications: where the tenant is told of what went wrong.

use actix_web::{delete, get, put};
use chrono::{DateTime, Utc};
use hookgate_domain::notifications::{self, NotificationSettings};
use hookgate_model::ids::DestinationId;
use hookgate_model::notification::Kind;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::auth::Guarded;
use crate::auth::permissions::{TenantRead, TenantWrite};
use crate::body::{Json, NoContent, Reply};
use crate::error::{ApiError, ApiResult, FieldCode, OnConstraint};
use crate::etag::IfMatch;
use crate::fields::{Fields, FromFields, Read, json, list, parsed, wrong};

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config.service(read).service(replace).service(remove);
}

/// Where the tenant is told of what went wrong, and of what.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Notifications, example = json!({"destination_id": "dst_01k9z3v8e5f2q8r7w6t5y4x3m2",
    "kinds": ["run.failed", "callback.failed", "destination.paused"], "suppressed": 0, "updated_at": "2026-11-21T12:00:00Z"}))]
pub struct NotificationsView {
    /// Where notifications are posted; null: nothing is told.
    destination_id: Option<DestinationId>,
    /// What is told.
    kinds: Vec<Kind>,
    /// How many were left out since the last one that was sent, because there were too many in a minute.
    suppressed: i64,
    /// When this was last changed; null when it never was.
    updated_at: Option<DateTime<Utc>>,
}

impl From<Option<NotificationSettings>> for NotificationsView {
    fn from(settings: Option<NotificationSettings>) -> Self {
        match settings {
            None => Self {
                destination_id: None,
                kinds: Vec::new(),
                suppressed: 0,
                updated_at: None,
            },
            Some(settings) => Self {
                destination_id: Some(settings.destination_id),
                kinds: settings.kinds,
                suppressed: settings.suppressed,
                updated_at: Some(settings.updated_at),
            },
        }
    }
}

/// What a tenant chooses of its notifications.
#[derive(ToSchema)]
#[schema(as = NotificationSettings, example = json!({"destination_id": "dst_01k9z3v8e5f2q8r7w6t5y4x3m2",
    "kinds": ["run.failed", "destination.paused"]}))]
pub struct SettingsBody {
    /// Where they are posted: signed, authenticated and repeated like every other call to the destination.
    destination_id: DestinationId,
    /// What is told; by default everything.
    #[schema(required = false, min_items = 1)]
    kinds: Vec<Kind>,
}

impl FromFields for SettingsBody {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let destination_id = fields.required("destination_id", parsed);
        let kinds = fields.or("kinds", Kind::ALL.to_vec(), kinds);
        Some(Self {
            destination_id: destination_id?,
            kinds: kinds?,
        })
    }
}

fn kinds(value: Value) -> Read<Vec<Kind>> {
    let kinds: Vec<Kind> = list(1..=Kind::ALL.len(), json)(value)?;
    let is_twice = |(place, kind): (usize, &Kind)| kinds[..place].contains(kind);
    if kinds.iter().enumerate().any(is_twice) {
        return wrong(FieldCode::Invalid, "may name each kind once");
    }
    Ok(kinds)
}

fn show(settings: Option<NotificationSettings>) -> Reply<NotificationsView> {
    let version = version(settings.as_ref());
    Reply::ok(NotificationsView::from(settings)).version(version)
}

fn version(settings: Option<&NotificationSettings>) -> i64 {
    settings.map_or(0, |settings| settings.version)
}

/// Read where the tenant is told of what went wrong
///
/// Which kinds of news go to which destination, if any do.
#[utoipa::path(tag = "account", operation_id = "getNotifications", security(("bearer" = ["tenant:read"])),
    responses((status = 200, description = "Where, and of what", body = NotificationsView)))]
#[get("/tenant/notifications")]
async fn read(caller: Guarded<TenantRead>) -> ApiResult<Reply<NotificationsView>> {
    Ok(show(caller.run(notifications::read).await?))
}

/// Set where the tenant is told of what went wrong
///
/// What failed is then posted to the destination, as the Standard Webhooks have it: `type`, `timestamp` and `data`, with ids of
/// what it is about. `run.failed` comes when a run failed after all its retries, `callback.failed` when a call that a run left
/// behind did, `destination.paused` when a destination answered 410 Gone. What fails because of a notification is not told,
/// neither are calls to this destination. In a minute a tenant gets 60 (or what the operator has set); further ones are left
/// out, and the next one says how many, as `suppressed`.
#[utoipa::path(tag = "account", operation_id = "setNotifications", security(("bearer" = ["tenant:write"])),
    request_body = SettingsBody,
    responses((status = 200, description = "Where, and of what", body = NotificationsView),
        (status = 412, description = "precondition_failed")))]
#[put("/tenant/notifications")]
async fn replace(
    caller: Guarded<TenantWrite>,
    if_match: IfMatch,
    Json(SettingsBody {
        destination_id,
        kinds,
    }): Json<SettingsBody>,
) -> ApiResult<Reply<NotificationsView>> {
    let settings = caller
        .run(move |conn, scope| {
            if_match.check(version(notifications::read(conn, scope)?.as_ref()))?;
            notifications::put(conn, scope, destination_id, &kinds).on_constraint(
                "notification_settings_destination_fkey",
                || {
                    let detail =
                        "the tenant has no destination with this id; POST /v1/destinations makes one";
                    ApiError::field("/destination_id", FieldCode::NotFound, detail)
                },
            )
        })
        .await?;
    Ok(show(Some(settings)))
}

/// End the notifications
///
/// Those that are made already are sent.
#[utoipa::path(tag = "account", operation_id = "deleteNotifications", security(("bearer" = ["tenant:write"])),
    responses((status = 204, description = "There are none any more")))]
#[delete("/tenant/notifications")]
async fn remove(caller: Guarded<TenantWrite>) -> ApiResult<NoContent> {
    caller.run(notifications::remove).await?;
    Ok(NoContent)
}
