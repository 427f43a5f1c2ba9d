//! Refusals: requests to known URLs that were refused, with the reason. They are written by
//! [`crate::appender::refusals`] and read here.
//!
//! Functions run inside a [`TenantScope::transaction`] that the caller opened.

mod request;

pub use request::RefusedRequest;
pub(crate) use request::context as request_context;

use std::ops::Range;

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use hookgate_model::ids::{EventId, RefusalId, UrlId, WebhookId};
use hookgate_model::protection::Masked;
use ipnet::IpNet;
use uuid::Uuid;

use crate::crypto::MasterKey;
use crate::error::Result;
use crate::page::{self, Found, Page};
use crate::schema::refusals;
use crate::scope::TenantScope;
use crate::stored_json::MaybeJson;

/// A refused request.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = refusals, check_for_backend(diesel::pg::Pg))]
pub struct Refusal {
    /// Its id, which carries the time.
    #[diesel(deserialize_as = Uuid)]
    pub id: RefusalId,
    /// The webhook that refused it.
    #[diesel(deserialize_as = Uuid)]
    pub webhook_id: WebhookId,
    /// The URL that it came to.
    #[diesel(deserialize_as = Uuid)]
    pub url_id: UrlId,
    /// The stable code of the reason.
    pub reason: String,
    /// The reason in words.
    pub detail: String,
    /// The HTTP status of the answer.
    pub status: i16,
    /// The HTTP method.
    pub method: String,
    /// The path after the token, as it was sent.
    pub path: String,
    /// The query string after the `?`, as it was sent.
    pub query: String,
    /// Who sent it.
    pub address: Option<IpNet>,
    /// The headers in the form of [`hookgate_model::headers`], those with credentials redacted.
    pub headers: Vec<u8>,
    /// The length of the body, when it is known.
    pub body_bytes: Option<i32>,
    /// The beginning of the body.
    pub body_preview: Vec<u8>,
    /// What was masked of it; `None` when it is kept as it was sent.
    #[diesel(deserialize_as = MaybeJson<Masked>)]
    pub masked: Option<Masked>,
    /// Whether the whole request is kept, so that it can be judged again.
    #[diesel(select_expression = refusals::request.is_not_null())]
    pub is_kept: bool,
    event_id: Option<Uuid>,
}

impl Refusal {
    /// The event that it was taken as after all.
    pub fn event_id(&self) -> Option<EventId> {
        self.event_id.map(EventId::from)
    }
}

/// Which refusals are wanted; `None` means any.
#[derive(Debug, Clone, Default)]
pub struct RefusalFilter {
    /// Of this webhook.
    pub webhook_id: Option<WebhookId>,
    /// To this URL.
    pub url_id: Option<UrlId>,
    /// For this reason.
    pub reason: Option<String>,
    /// At this moment or later.
    pub from: Option<DateTime<Utc>>,
    /// Before this moment.
    pub to: Option<DateTime<Utc>>,
}

/// A page of the tenant's refusals.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn list(
    conn: &mut PgConnection,
    scope: &TenantScope,
    filter: &RefusalFilter,
    page: Page,
) -> Result<Found<Refusal>> {
    let time = page::between(filter.from, filter.to);
    let indexed = |ids: Range<Uuid>| {
        refusals::table
            .filter(refusals::tenant_id.eq(scope.uuid()))
            .filter(refusals::id.ge(time.start.max(ids.start)))
            .filter(refusals::id.lt(time.end.min(ids.end)))
            .order(refusals::id.desc())
    };
    let newest = |conn: &mut PgConnection, ids, most| {
        let mut query = indexed(ids).limit(most).select(Refusal::as_select()).into_boxed();
        if let Some(webhook) = filter.webhook_id {
            query = query.filter(refusals::webhook_id.eq(webhook.uuid()));
        }
        if let Some(url) = filter.url_id {
            query = query.filter(refusals::url_id.eq(url.uuid()));
        }
        if let Some(reason) = &filter.reason {
            query = query.filter(refusals::reason.eq(reason));
        }
        Ok(query.load(conn)?)
    };
    if filter.webhook_id.is_none() && filter.url_id.is_none() && filter.reason.is_none() {
        return page.recent_first(conn, newest);
    }
    page.in_slices(
        conn,
        |conn, below, n| {
            let nth = indexed(Uuid::nil()..below).offset(n - 1).limit(1);
            Ok(nth.select(refusals::id).first(conn).optional()?)
        },
        newest,
    )
}

/// One refusal.
///
/// # Errors
/// [`crate::Error::NotFound`].
pub fn read(conn: &mut PgConnection, scope: &TenantScope, id: RefusalId) -> Result<Refusal> {
    Ok(refusals::table
        .find((scope.uuid(), id.uuid()))
        .select(Refusal::as_select())
        .first(conn)?)
}

/// Notes the event that a refused request was taken as.
pub(crate) fn set_event(
    conn: &mut PgConnection,
    scope: &TenantScope,
    id: RefusalId,
    event: EventId,
) -> Result<()> {
    diesel::update(refusals::table.find((scope.uuid(), id.uuid())))
        .set(refusals::event_id.eq(event.uuid()))
        .execute(conn)?;
    Ok(())
}

/// The whole request of a refusal; `None` when it was not kept.
///
/// # Errors
/// [`crate::Error::NotFound`], [`crate::Error::Unreadable`] when it was sealed with another master key, or is damaged.
pub fn request(
    conn: &mut PgConnection,
    scope: &TenantScope,
    key: &MasterKey,
    id: RefusalId,
) -> Result<Option<RefusedRequest>> {
    let sealed: Option<Vec<u8>> = refusals::table
        .find((scope.uuid(), id.uuid()))
        .select(refusals::request)
        .first(conn)?;
    sealed
        .map(|sealed| RefusedRequest::open(key, scope.tenant(), id, &sealed))
        .transpose()
}
