//! The export of events as JSON Lines.

use actix_web::{HttpResponse, get};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use hookgate_domain::events::{self, Event, EventContent, EventFilter, StoredContent, Text};
use hookgate_model::body::encoding::most_decoded;
use hookgate_model::ids::EventId;
use serde::Serialize;
use utoipa::IntoParams;

use super::{EventSummary, Filters, Progress, Search, SearchParams};
use crate::auth::permissions::{Demand, EventsRead};
use crate::auth::{Caller, Guarded};
use crate::error::{ApiError, ApiResult};
use crate::fields::{Fields, FromFields, parsed};
use crate::json_lines::{self, Export};
use crate::query::Query;
use crate::request_view::HeaderView;

/// Where an export goes on.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)]
struct After {
    /// Begin after this event: the last one of an export that broke off.
    after: Option<EventId>,
}

/// The query of an export.
struct Wanted {
    search: Search,
    after: Option<EventId>,
}

impl FromFields for Wanted {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let after = fields.optional("after", parsed);
        let search = Search::from_fields(fields);
        Some(Self {
            search: search?,
            after: after?,
        })
    }
}

/// Export events
///
/// All events that the filters find, the oldest first, as JSON Lines: an event on each line, as the list shows it, with its `headers`
/// (credentials are not shown) and its body as it was sent: in `body` when it is text in UTF-8, else in `body_base64`. An export that
/// breaks off is incomplete; `after` goes on after the last line. So can one that comes back for newer events: with a `to` of a minute
/// ago, as an event can be seen some seconds after its time of receipt.
#[utoipa::path(tag = "events", operation_id = "exportEvents", security(("bearer" = ["events:read"])),
    params(Filters, Progress, SearchParams, After),
    responses((status = 200, description = "The events", body = String, content_type = "application/jsonl",
        example = json!("{\"id\":\"evt_01k9z3v8e5f2q8r7w6t5y4x3m2\",\"method\":\"POST\",\"body\":\"{\\\"order\\\": 42}\",\"body_base64\":null}\n")),
        (status = 429, description = "too_many_requests")))]
#[get("/events/export")]
pub async fn read(caller: Guarded<EventsRead>, Query(wanted): Query<Wanted>) -> ApiResult<HttpResponse> {
    let Search { filter, text } = wanted.search;
    let export = EventExport {
        filter,
        text,
        after: wanted.after,
    };
    json_lines::answer((*caller).clone(), EventsRead::PERMISSION, export).await
}

/// Where an export is.
struct EventExport {
    filter: EventFilter,
    text: Option<Text>,
    after: Option<EventId>,
}

impl Export for EventExport {
    async fn next(mut self, caller: &Caller) -> ApiResult<(Bytes, Option<Self>)> {
        let (filter, text, after) = (self.filter.clone(), self.text.clone(), self.after);
        let part = caller
            .run(move |conn, scope| events::export(conn, scope, &filter, after))
            .await?;
        let memory = most_memory(&part.events);
        let lines = caller
            .state()
            .apart
            .run(memory, move || lines(part.events, text.as_ref()));
        let lines = lines
            .await
            .ok_or_else(|| ApiError::internal("a part was not written"))??;
        self.after = part.seen_to;
        Ok((lines, self.after.is_some().then_some(self)))
    }
}

/// The lines of a part, of those events that have the text.
fn lines(part: Vec<(Event, StoredContent)>, text: Option<&Text>) -> ApiResult<Bytes> {
    let mut lines = BytesMut::new();
    for (event, stored) in part {
        let content = stored.read()?;
        if text.is_none_or(|text| text.is_in(&content)) {
            json_lines::add_line(&mut lines, &Line::new(event, &content))?;
        }
    }
    Ok(lines.freeze())
}

/// About the most memory that writing a part takes: all lines, one body as it was sent, and that decoded.
fn most_memory(part: &[(Event, StoredContent)]) -> usize {
    /// JSON has six for a control character.
    const CHARACTERS_PER_BYTE: usize = 6;
    let lengths = || part.iter().map(|(_, content)| content.body_bytes());
    let longest = lengths().max().unwrap_or(0);
    lengths().sum::<usize>() * CHARACTERS_PER_BYTE + longest + most_decoded(longest)
}

/// An event with all that it brought.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    summary: EventSummary,
    headers: Vec<HeaderView>,
    body: Option<&'a str>,
    body_base64: Option<String>,
}

impl<'a> Line<'a> {
    fn new(event: Event, content: &'a EventContent) -> Self {
        let text = std::str::from_utf8(&content.body).ok();
        Self {
            summary: event.into(),
            headers: HeaderView::all(&content.headers),
            body: text,
            body_base64: text.is_none().then(|| STANDARD.encode(&content.body)),
        }
    }
}
