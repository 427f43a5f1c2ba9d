//! Sessions: what the flows of a webhook keep between events.

use actix_web::{delete, get};
use chrono::{DateTime, Utc};
use hookgate_domain::{clock, sessions, webhooks};
use hookgate_model::flow::session;
use hookgate_model::ids::WebhookId;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::auth::Guarded;
use crate::auth::permissions::{EventsRead, EventsWrite};
use crate::body::{NoContent, Reply};
use crate::error::ApiResult;
use crate::page::{Page, Paging, PagingParams};
use crate::path::Path;

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config.service(index).service(read).service(remove);
}

/// What a webhook's flow keeps between the events of one key.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session, example = json!({"key": "chat-42", "state": {"count": 3}, "created_at": "2026-11-21T12:00:00Z",
    "updated_at": "2026-11-21T12:05:00Z", "expires_at": "2026-11-22T12:05:00Z"}))]
pub struct SessionView {
    /// The key that its events have.
    key: String,
    /// What it holds.
    #[schema(value_type = Object)]
    state: Value,
    /// When it began.
    created_at: DateTime<Utc>,
    /// When its last event was over.
    updated_at: DateTime<Utc>,
    /// When it ends, unless another event comes.
    expires_at: DateTime<Utc>,
}

impl From<sessions::Session> for SessionView {
    fn from(session: sessions::Session) -> Self {
        Self {
            key: session.key,
            state: session.state,
            created_at: session.created_at,
            updated_at: session.updated_at,
            expires_at: session.expires_at,
        }
    }
}

/// List the sessions of a webhook
///
/// Those that have not expired, with their keys.
#[utoipa::path(tag = "events", operation_id = "listSessions",
    security(("bearer" = ["events:read"])), params(PagingParams),
    responses((status = 200, description = "A page of sessions, in no particular order", body = Page<SessionView>)))]
#[get("/webhooks/{id}/sessions")]
async fn index(
    caller: Guarded<EventsRead>,
    Path((webhook,)): Path<(WebhookId,)>,
    paging: Paging,
) -> ApiResult<Reply<Page<SessionView>>> {
    let window = paging.window(&caller)?;
    let rows = window.rows();
    let found = caller
        .run(move |conn, scope| {
            webhooks::require(conn, scope, webhook)?;
            sessions::list(conn, scope, webhook, rows, clock::now())
        })
        .await?;
    Ok(Reply::ok(window.page(
        found,
        |session| session.id,
        SessionView::from,
    )?))
}

/// Read a session
///
/// With what the flow keeps of it.
#[utoipa::path(tag = "events", operation_id = "getSession",
    security(("bearer" = ["events:read"])),
    responses((status = 200, description = "The session", body = SessionView)))]
#[get("/webhooks/{id}/sessions/{key}")]
async fn read(
    caller: Guarded<EventsRead>,
    Path((webhook, key)): Path<(WebhookId, String)>,
) -> ApiResult<Reply<SessionView>> {
    let id = session::id(webhook, &key);
    let session = caller
        .run(move |conn, scope| sessions::read(conn, scope, webhook, id, clock::now()))
        .await?;
    Ok(Reply::ok(SessionView::from(session)))
}

/// End a session
///
/// The next event of its key begins with nothing. An event that is running writes its own state all the same.
#[utoipa::path(tag = "events", operation_id = "deleteSession",
    security(("bearer" = ["events:write"])),
    responses((status = 204, description = "It is gone")))]
#[delete("/webhooks/{id}/sessions/{key}")]
async fn remove(
    caller: Guarded<EventsWrite>,
    Path((webhook, key)): Path<(WebhookId, String)>,
) -> ApiResult<NoContent> {
    let id = session::id(webhook, &key);
    caller
        .run(move |conn, scope| sessions::delete(conn, scope, webhook, id))
        .await?;
    Ok(NoContent)
}
