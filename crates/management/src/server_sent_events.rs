//! Server-sent events (HTML Living Standard, section 9.2): answers that go on.
//!
//! A stream ends after `management.stream_seconds`, so that nobody reads on whose credential has ended, and when the service
//! stops. Clients come back by themselves and say where they were (`Last-Event-ID`).

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, HeaderMap, HeaderName};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use hookgate_model::ids::TenantId;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Duration, Instant};

use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, ErrorCode};

/// A comment: says that the stream is alive.
pub const NOTHING_NEW: Bytes = Bytes::from_static(b": nothing new\n\n");

/// The streams that a node serves.
pub struct Streams {
    room: Arc<Semaphore>,
    of_tenants: Arc<Mutex<HashMap<TenantId, usize>>>,
}

impl Streams {
    /// So many places in all.
    pub fn new(places: usize) -> Self {
        Self {
            room: Arc::new(Semaphore::new(places)),
            of_tenants: Arc::default(),
        }
    }
}

/// A place among the streams that this node serves; free again when it is dropped.
pub struct Place {
    /// When the stream is to end.
    pub ends_at: Instant,
    tenant: TenantId,
    of_tenants: Arc<Mutex<HashMap<TenantId, usize>>>,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    /// Takes one.
    ///
    /// # Errors
    /// 429 when there is none, or the tenant has as many as one may have.
    pub fn take(caller: &Caller) -> ApiResult<Self> {
        let state = caller.state();
        let tenant = caller.scope.tenant();
        let too_many = |whose: &str| {
            let detail =
                format!("{whose} as many streams as it may: end one, try again later, or ask for the list");
            ApiError::too_many(detail, 5)
        };
        let permit = state.streams.room.clone().try_acquire_owned();
        let permit = permit.map_err(|_| too_many("this node serves"))?;
        let of_tenants = Arc::clone(&state.streams.of_tenants);
        let mut counts = of_tenants.lock();
        let count = counts.entry(tenant).or_default();
        if *count >= state.settings.streams_per_tenant {
            return Err(too_many("the tenant has"));
        }
        *count += 1;
        drop(counts);
        Ok(Self {
            ends_at: Instant::now() + Duration::from_secs(state.settings.stream_seconds.max(1).into()),
            tenant,
            of_tenants,
            _permit: permit,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.of_tenants.lock();
        if let Some(count) = counts.get_mut(&self.tenant) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.tenant);
            }
        }
    }
}

/// Where a client was, if it comes back.
///
/// # Errors
/// 400 when it is no id of this stream.
pub fn last_event_id<T: std::str::FromStr>(headers: &HeaderMap) -> ApiResult<Option<T>> {
    let Some(value) = headers.get(HeaderName::from_static("last-event-id")) else {
        return Ok(None);
    };
    let id = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    let wrong = || {
        ApiError::new(
            ErrorCode::InvalidHeader,
            "Last-Event-ID must be the id of an event of this stream",
        )
    };
    id.map(Some).ok_or_else(wrong)
}

/// One message.
///
/// # Errors
/// When the data cannot be written as JSON.
pub fn message(event: &str, id: Option<&dyn std::fmt::Display>, data: &impl Serialize) -> ApiResult<Bytes> {
    let data = serde_json::to_string(data).map_err(ApiError::internal)?;
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    Ok(format!("event: {event}\n{id}data: {data}\n\n").into())
}

/// The answer that goes on: messages, one after the other, until there is none.
pub fn answer<T: 'static, F>(source: T, next: impl FnMut(T) -> F + 'static) -> HttpResponse
where
    F: Future<Output = Option<(Bytes, T)>> + 'static,
{
    let messages = stream::unfold(source, next).map(Ok::<_, Infallible>);
    HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        // A proxy that gathers answers would hold them back.
        .insert_header(("x-accel-buffering", "no"))
        .streaming(messages)
}
