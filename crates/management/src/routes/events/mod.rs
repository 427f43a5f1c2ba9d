//! Events: what came in.

mod content;
mod export;
mod search;
mod status;
mod stream;
mod view;

use std::ops::RangeInclusive;

use actix_web::get;
use chrono::{DateTime, Utc};
use hookgate_domain::events::{self, EventFilter, EventStatus, Text};
use hookgate_model::body::most_memory;
use hookgate_model::ids::{EventId, ReplayId, UrlId, WebhookId};
use hookgate_model::webhook::Environment;
use serde_json::Value;
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;

pub use status::{StatusName, read as read_status};
pub use view::{EventSummary, EventView};

use crate::auth::Guarded;
use crate::auth::permissions::EventsRead;
use crate::body::Reply;
use crate::error::{ApiError, ApiResult, FieldCode};
use crate::fields::{Fields, FromFields, Read, json, parsed, text, time, wrong};
use crate::page::{Page, Paging, PagingParams};
use crate::path::Path;

/// How long a text is that bodies are searched for, in characters: a shorter one would find everything.
const SEARCHED_CHARACTERS: RangeInclusive<usize> = 3..=200;

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config
        .service(index)
        .service(stream::watch)
        .service(export::read)
        .service(read)
        .configure(content::register);
}

/// Which events a list shows.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filters {
    /// Of this webhook.
    webhook_id: Option<WebhookId>,
    /// To this URL.
    url_id: Option<UrlId>,
    /// In this environment.
    environment: Option<Environment>,
    /// With this HTTP method.
    #[param(example = "POST")]
    method: Option<String>,
    /// Of this type, exactly.
    #[param(max_length = 200, example = "order.paid")]
    event_type: Option<String>,
    /// That this replay made.
    replay_id: Option<ReplayId>,
    /// With this delivery id, exactly.
    #[param(max_length = 255, example = "72d3162e-cc78-11e3-81ab-4c9367dc0958")]
    delivery_id: Option<String>,
    /// Received at this moment or later.
    from: Option<DateTime<Utc>>,
    /// Received before this moment.
    to: Option<DateTime<Utc>>,
}

impl FromFields for Filters {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let webhook_id = fields.optional("webhook_id", parsed);
        let url_id = fields.optional("url_id", parsed);
        let environment = fields.optional("environment", json);
        let method = fields.optional("method", text(1..=20));
        let event_type = fields.optional("event_type", text(1..=200));
        let delivery_id = fields.optional("delivery_id", text(1..=255));
        let replay_id = fields.optional("replay_id", parsed);
        let from = fields.optional("from", time);
        let to = fields.optional("to", time);
        Some(Self {
            webhook_id: webhook_id?,
            url_id: url_id?,
            environment: environment?,
            method: method?,
            event_type: event_type?,
            delivery_id: delivery_id?,
            replay_id: replay_id?,
            from: from?,
            to: to?,
        })
    }
}

/// What becomes of an event later, which a list can ask for, but nobody who watches events as they come in.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
struct Progress {
    /// That have come as far as this.
    #[param(value_type = Option<StatusName>)]
    status: Option<EventStatus>,
    /// `true`: only events that came again; `false`: only those that did not.
    duplicated: Option<bool>,
}

impl FromFields for Progress {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let status = fields.optional("status", read_status);
        let duplicated = fields.optional("duplicated", parsed);
        Some(Self {
            status: status?,
            duplicated: duplicated?,
        })
    }
}

/// What bodies are searched for.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)]
struct SearchParams {
    /// With this text in the body, upper or lower case. It must stand there as it is given: in JSON, `\u00fc` is not `ü`. Bodies
    /// with a content encoding, such as gzip, are decoded for it. What data protection masks is not found.
    #[param(min_length = 3, max_length = 200, example = "ada@example.com")]
    text: Option<String>,
}

/// Which events a search finds.
pub(super) struct Search {
    filter: EventFilter,
    text: Option<Text>,
}

impl FromFields for Search {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let text = fields.optional("text", searched);
        let filters = Filters::from_fields(fields);
        let progress = Progress::from_fields(fields);
        let Progress { status, duplicated } = progress?;
        Some(Self {
            filter: EventFilter {
                status,
                duplicated,
                ..filters?.into()
            },
            text: text?,
        })
    }
}

fn searched(value: Value) -> Read<Text> {
    let given = text(SEARCHED_CHARACTERS)(value)?;
    Text::new(&given).map_or_else(|| wrong(FieldCode::Invalid, "is too long to be looked for"), Ok)
}

impl From<Filters> for EventFilter {
    fn from(filters: Filters) -> Self {
        let Filters {
            webhook_id,
            url_id,
            environment,
            method,
            event_type,
            delivery_id,
            replay_id,
            from,
            to,
        } = filters;
        Self {
            webhook_id,
            url_id,
            environment,
            method,
            event_type,
            delivery_id,
            replay_id,
            from,
            to,
            ..Self::default()
        }
    }
}

/// List events
///
/// Accepted requests, newest first, without their bodies. All filters must hold. `webhook_id`, `from` and `to` are found at once; what
/// other filters find seldom, and what `text` finds, is looked for part by part: a page may then be short, or empty, while
/// `next_cursor` goes on.
#[utoipa::path(tag = "events", operation_id = "listEvents", security(("bearer" = ["events:read"])),
    params(Filters, Progress, SearchParams, PagingParams),
    responses((status = 200, description = "A page of events, newest first", body = Page<EventSummary>),
        (status = 429, description = "too_many_requests")))]
#[get("/events")]
async fn index(caller: Guarded<EventsRead>, paging: Paging<Search>) -> ApiResult<Reply<Page<EventSummary>>> {
    let window = paging.window(&caller)?;
    let rows = window.rows();
    let Search { filter, text } = paging.filters;
    let found = match text {
        Some(text) => search::page(&caller, &filter, &text, rows).await?,
        None => {
            caller
                .run(move |conn, scope| events::list(conn, scope, &filter, rows))
                .await?
        }
    };
    Ok(Reply::ok(window.page(
        found,
        |event| event.id.uuid(),
        EventSummary::from,
    )?))
}

/// Read an event
///
/// With its headers, and its body as far as JSON can show it.
#[utoipa::path(tag = "events", operation_id = "getEvent", security(("bearer" = ["events:read"])),
    responses((status = 200, description = "The event", body = EventView)))]
#[get("/events/{id}")]
async fn read(caller: Guarded<EventsRead>, Path((id,)): Path<(EventId,)>) -> ApiResult<Reply<EventView>> {
    let (event, content) = caller
        .run(move |conn, scope| {
            Ok::<_, ApiError>((events::read(conn, scope, id)?, events::content(conn, scope, id)?))
        })
        .await?;
    let memory = most_memory(&content.headers, content.body.len());
    let view = caller
        .state()
        .apart
        .run(memory, move || EventView::new(event, content));
    let view = view.await;
    Ok(Reply::ok(
        view.ok_or_else(|| ApiError::internal("a body was not read"))?,
    ))
}
