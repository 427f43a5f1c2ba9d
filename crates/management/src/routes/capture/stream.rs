//! What a capture window takes, as it takes it: server-sent events (HTML Living Standard, section 9.2).
//!
//! News come over Redis; a poll finds what was missed. The number of a sample is the id of its event, in the order of the
//! commits, so a client that comes back with `Last-Event-ID` misses nothing and gets nothing twice.

use std::collections::VecDeque;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, get};
use bytes::Bytes;
use hookgate_domain::captures::{self, Capture};
use hookgate_domain::samples::{self, Sample};
use hookgate_domain::{clock, webhooks};
use hookgate_model::ids::WebhookId;
use serde_json::json;
use tokio::sync::broadcast;
use tokio::time::{Interval, MissedTickBehavior};

use super::view::CaptureState;
use crate::auth::permissions::EventsRead;
use crate::auth::{Caller, Guarded};
use crate::error::{ApiError, ApiResult};
use crate::path::Path;
use crate::routes::samples::SampleSummary;
use crate::server_sent_events::{self, NOTHING_NEW, Place, last_event_id, message};

/// How often it is looked for what Redis did not tell.
const POLL: Duration = Duration::from_secs(2);
/// How often a stream says something, so that nobody between takes it for dead: in polls.
const SILENT_POLLS: u32 = 7;
/// The most samples that are read together.
const TOGETHER: i64 = 50;

/// Watch a capture window
///
/// Server-sent events: `sample` for each sample that the window has taken and takes, and `end` with its state when it is over,
/// after which the stream ends. The `id` of an event is its sample's `number`: with it as `Last-Event-ID` a client goes on
/// where it was. The stream ends after some minutes, too (`management.stream_seconds`): come back then. When the window is
/// over and there is nothing new, a client that comes back gets 204.
#[utoipa::path(tag = "samples", operation_id = "watchCapture", security(("bearer" = ["events:read"])),
    params(("last-event-id" = Option<i64>, Header, description = "The `id` of the last event that came: what follows is sent.", example = 3)),
    responses((status = 200, description = "The events", body = String, content_type = "text/event-stream",
            example = json!("event: sample\nid: 1\ndata: {\"id\":\"smp_01k9z3v8e5f2q8r7w6t5y4x3m2\",\"number\":1}\n\nevent: end\ndata: {\"state\":\"expired\"}\n\n")),
        (status = 204, description = "The window is over, and there is nothing new"),
        (status = 400, description = "invalid_header"),
        (status = 429, description = "too_many_requests")))]
#[get("/webhooks/{id}/capture/stream")]
pub async fn watch(
    caller: Guarded<EventsRead>,
    Path((webhook,)): Path<(WebhookId,)>,
    request: HttpRequest,
) -> ApiResult<HttpResponse> {
    let last = last_event_id(request.headers())?;
    let caller: Caller = (*caller).clone();
    let state = caller.state();
    let place = Place::take(&caller)?;
    let news = state.sample_news.listen();
    let (capture, found) = caller
        .run(move |conn, scope| {
            webhooks::require(conn, scope, webhook)?;
            let capture = captures::read(conn, scope, webhook)?;
            let after = last.unwrap_or(capture.as_ref().map_or(0, |capture| capture.taken_before));
            let found = samples::captured_after(conn, scope, webhook, after, TOGETHER)?;
            Ok::<_, ApiError>((capture, (after, found)))
        })
        .await?;
    let (after, found) = found;
    if last.is_some()
        && found.is_empty()
        && CaptureState::of(capture.as_ref(), clock::now()) != CaptureState::Open
    {
        return Ok(HttpResponse::NoContent().finish());
    }
    let mut polls = tokio::time::interval(POLL);
    polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut watch = Watch {
        caller,
        webhook,
        after,
        news,
        polls,
        silent: 0,
        ready: VecDeque::new(),
        is_over: false,
        place,
    };
    watch.tell(capture.as_ref(), found)?;
    Ok(server_sent_events::answer(watch, |mut watch| async move {
        let message = watch.next().await?;
        Some((message, watch))
    }))
}

/// One client's view of a window.
struct Watch {
    caller: Caller,
    webhook: WebhookId,
    /// The number of the last sample that was told.
    after: i64,
    news: broadcast::Receiver<Option<WebhookId>>,
    polls: Interval,
    silent: u32,
    ready: VecDeque<Bytes>,
    is_over: bool,
    place: Place,
}

impl Watch {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.silent = 0;
                return Some(event);
            }
            if self.is_over || !self.wait().await || self.look().await.is_err() {
                // The client comes back, and hears then what is wrong.
                return None;
            }
        }
    }

    /// Waits until there may be something new; `false` when the stream is to end.
    async fn wait(&mut self) -> bool {
        loop {
            let stopping = self.caller.state().stopping.clone();
            tokio::select! {
                () = stopping.cancelled() => return false,
                () = tokio::time::sleep_until(self.place.ends_at) => return false,
                news = self.news.recv() => match news {
                    Ok(Some(webhook)) if webhook != self.webhook => {}
                    Err(broadcast::error::RecvError::Closed) => return false,
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => return true,
                },
                _ = self.polls.tick() => {
                    self.silent += 1;
                    return true;
                }
            }
        }
    }

    async fn look(&mut self) -> ApiResult<()> {
        let (webhook, after) = (self.webhook, self.after);
        let (capture, found) = self
            .caller
            .run(move |conn, scope| {
                webhooks::require(conn, scope, webhook)?;
                let capture = captures::read(conn, scope, webhook)?;
                let found = samples::captured_after(conn, scope, webhook, after, TOGETHER)?;
                Ok::<_, ApiError>((capture, found))
            })
            .await?;
        self.tell(capture.as_ref(), found)
    }

    fn tell(&mut self, capture: Option<&Capture>, found: Vec<Sample>) -> ApiResult<()> {
        let state = CaptureState::of(capture, clock::now());
        let is_all = i64::try_from(found.len()).unwrap_or(i64::MAX) < TOGETHER;
        for sample in found {
            let number = sample.number.unwrap_or(self.after);
            self.after = number;
            let told = message("sample", Some(&number), &SampleSummary::from(sample))?;
            self.ready.push_back(told);
        }
        if !is_all {
            // What is left is read at once.
            self.polls.reset_immediately();
        } else if state != CaptureState::Open {
            self.ready
                .push_back(message("end", None, &json!({ "state": state }))?);
            self.is_over = true;
        } else if self.silent >= SILENT_POLLS {
            self.ready.push_back(NOTHING_NEW);
        }
        Ok(())
    }
}
