//! Replays: stored events that run again.

mod view;

use actix_web::{get, post};
use chrono::{DateTime, Utc};
use hookgate_domain::clock;
use hookgate_domain::events::{self, EventFilter, EventStatus};
use hookgate_domain::replays::{self, NewReplay, NotReplayed};
use hookgate_model::ids::{EventId, ReplayId, UrlId, WebhookId};
use hookgate_model::replay::RevisionChoice;
use hookgate_model::webhook::Environment;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

pub use view::ReplayView;

use crate::auth::Guarded;
use crate::auth::permissions::{EventsRead, EventsWrite};
use crate::body::{Json, Reply};
use crate::error::{ApiError, ApiResult, ErrorCode, FieldCode};
use crate::fields::{Fields, FromFields, integer, json, object, parsed, text, time};
use crate::page::{Page, Paging, PagingParams};
use crate::path::Path;
use crate::routes::events::{StatusName, read_status};

/// How many events of a replay run in a second, if its maker does not say.
const EVENTS_PER_SECOND: i32 = 10;

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config
        .service(replay_event)
        .service(create)
        .service(preview)
        .service(index)
        .service(read)
        .service(cancel);
}

/// What the copy of one event runs.
#[derive(ToSchema)]
#[schema(as = EventReplay, example = json!({"revision": "current"}))]
pub struct EventReplayBody {
    /// What the copy runs.
    #[schema(required = false, default = "current")]
    revision: RevisionChoice,
}

impl FromFields for EventReplayBody {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            revision: fields.or("revision", RevisionChoice::Current, json)?,
        })
    }
}

/// The copy of an event.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReplayedEvent, example = json!({"event_id": "evt_01k9z3v8e5f2q8r7w6t5y4x3m2"}))]
pub struct ReplayedView {
    /// The copy, which runs.
    event_id: EventId,
}

/// Replay an event
///
/// Stores a copy of the event, as of now, and starts the webhook's flow with it. The copy names the event in `replay_of`; what it
/// sends carries keys of its own. Nobody is answered, and no delivery is recognised by it. Of an event that is stored masked
/// there is not enough left.
#[utoipa::path(tag = "events", operation_id = "replayEvent", security(("bearer" = ["events:write"])),
    request_body = EventReplayBody,
    responses((status = 201, description = "The copy", body = ReplayedView),
        (status = 409, description = "wrong_state, data_protected, limit_reached")))]
#[post("/events/{id}/replay")]
async fn replay_event(
    caller: Guarded<EventsWrite>,
    Path((id,)): Path<(EventId,)>,
    Json(EventReplayBody { revision }): Json<EventReplayBody>,
) -> ApiResult<Reply<ReplayedView>> {
    let defaults = caller.state().settings.tenant_limits;
    let copied = caller
        .run(move |conn, scope| replays::replay_event(conn, scope, id, revision, defaults))
        .await?;
    let event_id = copied.map_err(|reason| match reason {
        NotReplayed::Masked => {
            let detail = "the event is stored masked: its flow would not get what it got the first time";
            ApiError::new(ErrorCode::DataProtected, detail)
        }
        NotReplayed::NoWebhook => ApiError::new(ErrorCode::WrongState, "its webhook was deleted"),
        NotReplayed::Disabled => ApiError::new(
            ErrorCode::WrongState,
            "its webhook is disabled: activate or pause it first",
        ),
    })?;
    if let Err(error) = caller.state().redis.wake_workers().await {
        tracing::debug!(%error, "workers find the job by polling");
    }
    Ok(Reply::created(ReplayedView { event_id }))
}

/// Which events. At least one of the fields must be given.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReplayFilter, example = json!({"webhook_id": "whk_01k9z3v8e5f2q8r7w6t5y4x3m2", "status": "failed",
    "from": "2026-11-21T12:00:00Z", "to": "2026-11-21T13:00:00Z"}))]
pub struct FilterBody {
    /// Of this webhook.
    pub webhook_id: Option<WebhookId>,
    /// To this URL.
    pub url_id: Option<UrlId>,
    /// In this environment.
    pub environment: Option<Environment>,
    /// With this HTTP method.
    #[schema(min_length = 1, max_length = 20, example = "POST")]
    pub method: Option<String>,
    /// Of this type, exactly.
    #[schema(min_length = 1, max_length = 200, example = "order.paid")]
    pub event_type: Option<String>,
    /// That have come as far as this.
    #[schema(value_type = Option<StatusName>)]
    pub status: Option<EventStatus>,
    /// Received at this moment or later.
    pub from: Option<DateTime<Utc>>,
    /// Received before this moment. What comes in after the replay was made is never part of it.
    pub to: Option<DateTime<Utc>>,
}

impl FromFields for FilterBody {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let webhook_id = fields.optional("webhook_id", parsed);
        let url_id = fields.optional("url_id", parsed);
        let environment = fields.optional("environment", json);
        let method = fields.optional("method", text(1..=20));
        let event_type = fields.optional("event_type", text(1..=200));
        let status = fields.optional("status", read_status);
        let from = fields.optional("from", time);
        let to = fields.optional("to", time);
        let filter = Self {
            webhook_id: webhook_id?,
            url_id: url_id?,
            environment: environment?,
            method: method?,
            event_type: event_type?,
            status: status?,
            from: from?,
            to: to?,
        };
        if filter.to_domain() == EventFilter::default() {
            let detail = "must say which events: by webhook, URL, environment, method, type, status or time";
            fields.error("", FieldCode::Required, detail);
            return None;
        }
        Some(filter)
    }
}

impl FilterBody {
    fn to_domain(&self) -> EventFilter {
        EventFilter {
            webhook_id: self.webhook_id,
            url_id: self.url_id,
            environment: self.environment,
            method: self.method.clone(),
            event_type: self.event_type.clone(),
            status: self.status.clone(),
            from: self.from,
            to: self.to,
            ..EventFilter::default()
        }
    }

    fn of_domain(filter: EventFilter) -> Self {
        Self {
            webhook_id: filter.webhook_id,
            url_id: filter.url_id,
            environment: filter.environment,
            method: filter.method,
            event_type: filter.event_type,
            status: filter.status,
            from: filter.from,
            to: filter.to,
        }
    }
}

/// Which events run again, on what, and how fast.
#[derive(ToSchema)]
#[schema(as = NewReplay, example = json!({"filter": {"webhook_id": "whk_01k9z3v8e5f2q8r7w6t5y4x3m2", "status": "failed"},
    "revision": "current", "events_per_second": 10}))]
pub struct NewReplayBody {
    /// Which events.
    #[schema(value_type = FilterBody)]
    filter: FilterBody,
    /// What the copies run.
    #[schema(required = false, default = "current")]
    revision: RevisionChoice,
    /// How many start in a second, at most.
    #[schema(required = false, minimum = 1, maximum = 1_000, default = 10)]
    events_per_second: i32,
}

impl FromFields for NewReplayBody {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let filter = fields.required("filter", object);
        let revision = fields.or("revision", RevisionChoice::Current, json);
        let events_per_second = fields.or("events_per_second", EVENTS_PER_SECOND, integer(1..=1_000));
        Some(Self {
            filter: filter?,
            revision: revision?,
            events_per_second: events_per_second?,
        })
    }
}

/// Replay many events
///
/// Runs every event again that the filter finds and that was there when the replay was made, from the oldest on, at most so many
/// in a second. Each becomes a copy, as when one event is replayed. Events that are stored masked, and those of disabled or
/// deleted webhooks, are skipped and counted. Copies count towards the tenant's events of the month; a replay waits while there may be no
/// more. Ask `/v1/replays/preview` first how many there are.
#[utoipa::path(tag = "events", operation_id = "createReplay", security(("bearer" = ["events:write"])),
    request_body = NewReplayBody,
    responses((status = 201, description = "The replay, which begins", body = ReplayView),
        (status = 409, description = "limit_reached"),
        (status = 429, description = "too_many_requests")))]
#[post("/replays")]
async fn create(
    caller: Guarded<EventsWrite>,
    Json(body): Json<NewReplayBody>,
) -> ApiResult<Reply<ReplayView>> {
    let created_by = caller.actor.to_string();
    let defaults = caller.state().settings.tenant_limits;
    let _place = caller.state().searches.take(&caller)?;
    let replay = caller
        .run(move |conn, scope| {
            let new = NewReplay {
                filter: body.filter.to_domain(),
                revision: body.revision,
                events_per_second: body.events_per_second,
                created_by,
            };
            replays::create(conn, scope, &new, defaults)
        })
        .await?;
    Ok(Reply::created(replay.into()))
}

/// How many events a replay would come to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"matched": 1204}))]
pub struct ReplayPreview {
    /// How many events there are now.
    #[schema(example = 1204)]
    matched: i64,
}

/// Preview a replay
///
/// Counts the events that a filter finds, and changes nothing.
#[utoipa::path(tag = "events", operation_id = "previewReplay", security(("bearer" = ["events:read"])),
    request_body = FilterBody,
    responses((status = 200, description = "How many events there are", body = ReplayPreview),
        (status = 429, description = "too_many_requests")))]
#[post("/replays/preview")]
async fn preview(
    caller: Guarded<EventsRead>,
    Json(filter): Json<FilterBody>,
) -> ApiResult<Reply<ReplayPreview>> {
    let now: ReplayId = clock::new_id();
    let _place = caller.state().searches.take(&caller)?;
    let matched = caller
        .run(move |conn, scope| events::count(conn, scope, &filter.to_domain(), now.uuid()))
        .await?;
    Ok(Reply::ok(ReplayPreview { matched }))
}

/// List replays
///
/// Also those that are over, newest first, with how far each has come.
#[utoipa::path(tag = "events", operation_id = "listReplays", security(("bearer" = ["events:read"])),
    params(PagingParams),
    responses((status = 200, description = "A page of replays, newest first", body = Page<ReplayView>)))]
#[get("/replays")]
async fn index(caller: Guarded<EventsRead>, paging: Paging) -> ApiResult<Reply<Page<ReplayView>>> {
    let window = paging.window(&caller)?;
    let rows = window.rows();
    let found = caller
        .run(move |conn, scope| replays::list(conn, scope, rows))
        .await?;
    Ok(Reply::ok(window.page(
        found,
        |replay| replay.id.uuid(),
        ReplayView::from,
    )?))
}

/// Read a replay
///
/// With how far it has come. Its copies are listed by `/v1/events?replay_id=…`.
#[utoipa::path(tag = "events", operation_id = "getReplay", security(("bearer" = ["events:read"])),
    responses((status = 200, description = "The replay", body = ReplayView)))]
#[get("/replays/{id}")]
async fn read(caller: Guarded<EventsRead>, Path((id,)): Path<(ReplayId,)>) -> ApiResult<Reply<ReplayView>> {
    let replay = caller
        .run(move |conn, scope| replays::read(conn, scope, id))
        .await?;
    Ok(Reply::ok(replay.into()))
}

/// Cancel a replay
///
/// No further event runs again; those that have begun go on. One that has ended stays as it is.
#[utoipa::path(tag = "events", operation_id = "cancelReplay", security(("bearer" = ["events:write"])),
    responses((status = 200, description = "The replay as it is now", body = ReplayView)))]
#[post("/replays/{id}/cancel")]
async fn cancel(
    caller: Guarded<EventsWrite>,
    Path((id,)): Path<(ReplayId,)>,
) -> ApiResult<Reply<ReplayView>> {
    let replay = caller
        .run(move |conn, scope| replays::cancel(conn, scope, id))
        .await?;
    Ok(Reply::ok(replay.into()))
}
