//! Server-sent events (HTML Living Standard, section 9.2): answers that go on.
//!
//! A stream ends after `management.stream_seconds`, so that nobody reads on whose credential has ended, and when the service
//! stops. Clients come back by themselves and say where they were (`Last-Event-ID`).

use std::convert::Infallible;

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, HeaderMap, HeaderName};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde::Serialize;
use tokio::time::{Duration, Instant};

use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, ErrorCode};
use crate::places;

/// A comment: says that the stream is alive.
pub const NOTHING_NEW: Bytes = Bytes::from_static(b": nothing new\n\n");

/// A place among the streams that this node serves; free again when it is dropped.
pub struct Place {
    /// When the stream is to end.
    pub ends_at: Instant,
    _place: places::Place,
}

impl Place {
    /// Takes one.
    ///
    /// # Errors
    /// 429 when there is none, or the tenant has as many as one may have.
    pub fn take(caller: &Caller) -> ApiResult<Self> {
        let state = caller.state();
        Ok(Self {
            ends_at: Instant::now() + Duration::from_secs(state.settings.stream_seconds.max(1).into()),
            _place: state.streams.take(caller)?,
        })
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
