//! Capture windows: while one is open, what comes to the webhook becomes a sample and starts nothing.

mod stream;
mod view;

use actix_web::{delete, get, post};
use chrono::TimeDelta;
use hookgate_domain::captures::{self, NewCapture};
use hookgate_domain::redis::changes::Change;
use hookgate_domain::{clock, samples, urls, webhooks};
use hookgate_model::ids::{UrlId, WebhookId};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

pub use view::{CaptureState, CaptureView};

use crate::auth::permissions::{EventsRead, WebhooksWrite};
use crate::auth::{Caller, Guarded};
use crate::body::{Json, NoContent, Reply};
use crate::changes::change;
use crate::error::{ApiError, ApiResult, FieldCode};
use crate::fields::{Fields, FromFields, integer, parsed};
use crate::path::Path;

/// How long a window is open when nothing else is said, in seconds.
const OPEN_SECONDS: u32 = 180;
/// The most samples that are shown with a window.
const SHOWN: i64 = 200;

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config
        .service(open)
        .service(read)
        .service(close)
        .service(stream::watch);
}

/// What can be chosen of a window.
#[derive(ToSchema)]
#[schema(example = json!({"open_seconds": 180, "url_id": null, "samples": 20}))]
struct NewCaptureWindow {
    /// How long it is open at most, in seconds.
    #[schema(required = false, default = 180, minimum = 10, maximum = 86_400)]
    open_seconds: u32,
    /// The URL that it is for; by default all of the webhook's.
    url_id: Option<UrlId>,
    /// How many samples it takes; then it is closed. By default as many as the webhook may have.
    #[schema(minimum = 1)]
    samples: Option<i32>,
}

impl FromFields for NewCaptureWindow {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let open_seconds = fields.or("open_seconds", OPEN_SECONDS, integer(10..=86_400));
        let url_id = fields.optional("url_id", parsed);
        let samples = fields.optional("samples", integer(1..=i32::MAX.into()));
        Some(Self {
            open_seconds: open_seconds?,
            url_id: url_id?,
            samples: samples?,
        })
    }
}

/// Open a capture window
///
/// While it is open, each request that the webhook would accept becomes a sample instead of an event, and starts nothing. Its
/// sender gets the webhook's immediate answer, with the sample's id in `hookgate-sample-id`. Who may send, how often and how
/// much is as ever, and so are handshakes. A paused webhook captures, too. What is expected of requests is not enforced,
/// deliveries that came before are samples like any other, and what is captured is not remembered: the sender may send it
/// again later.
///
/// The window ends when its time is over, when it has taken as many samples as it may, or when it is closed; from then on
/// requests become events again. Opening it anew ends the one before; samples stay.
#[utoipa::path(tag = "samples", operation_id = "openCapture", security(("bearer" = ["webhooks:write"])),
    request_body = NewCaptureWindow,
    responses((status = 201, description = "The window is open", body = CaptureView),
        (status = 409, description = "limit_reached")))]
#[post("/webhooks/{id}/capture")]
async fn open(
    caller: Guarded<WebhooksWrite>,
    Path((webhook,)): Path<(WebhookId,)>,
    Json(new): Json<NewCaptureWindow>,
) -> ApiResult<Reply<CaptureView>> {
    let room = caller.state().settings.sample_room();
    let new = NewCapture {
        url_id: new.url_id,
        expires_at: clock::now() + TimeDelta::seconds(new.open_seconds.into()),
        most: new.samples.unwrap_or(room.samples).min(room.samples),
        room,
    };
    let capture = change(&caller, move |conn, scope| {
        webhooks::read_for_change(conn, scope, webhook)?;
        if let Some(url) = new.url_id
            && !urls::of_webhooks(conn, scope, &[webhook])?
                .iter()
                .any(|known| known.id == url)
        {
            let detail = "the webhook has no URL with this id";
            return Err(ApiError::field("/url_id", FieldCode::NotFound, detail));
        }
        let capture = captures::open(conn, scope, webhook, new)?;
        Ok((capture, vec![Change::Webhook(webhook)]))
    })
    .await?;
    Ok(Reply::created(CaptureView::new(
        Some(capture),
        Vec::new(),
        clock::now(),
    )))
}

/// Read a webhook's capture window
///
/// The latest one, and the samples that it has taken.
#[utoipa::path(tag = "samples", operation_id = "getCapture", security(("bearer" = ["events:read"])),
    responses((status = 200, description = "Its state and its samples", body = CaptureView)))]
#[get("/webhooks/{id}/capture")]
async fn read(
    caller: Guarded<EventsRead>,
    Path((webhook,)): Path<(WebhookId,)>,
) -> ApiResult<Reply<CaptureView>> {
    let (capture, taken) = caller
        .run(move |conn, scope| {
            webhooks::require(conn, scope, webhook)?;
            let capture = captures::read(conn, scope, webhook)?;
            let taken = match &capture {
                Some(capture) => samples::captured_after(conn, scope, webhook, capture.taken_before, SHOWN)?,
                None => Vec::new(),
            };
            Ok::<_, ApiError>((capture, taken))
        })
        .await?;
    Ok(Reply::ok(CaptureView::new(capture, taken, clock::now())))
}

/// Close a webhook's capture window
///
/// From the answer on, nothing becomes a sample. The samples stay.
#[utoipa::path(tag = "samples", operation_id = "closeCapture", security(("bearer" = ["webhooks:write"])),
    responses((status = 204, description = "It is not open (any more)")))]
#[delete("/webhooks/{id}/capture")]
async fn close(caller: Guarded<WebhooksWrite>, Path((webhook,)): Path<(WebhookId,)>) -> ApiResult<NoContent> {
    change(&caller, move |conn, scope| {
        webhooks::require(conn, scope, webhook)?;
        captures::close(conn, scope, webhook)?;
        Ok(((), vec![Change::Webhook(webhook)]))
    })
    .await?;
    tell_watchers(&caller, webhook).await;
    Ok(NoContent)
}

async fn tell_watchers(caller: &Caller, webhook: WebhookId) {
    if let Err(error) = caller.state().redis.announce_sample(webhook).await {
        tracing::debug!(%error, "the end of a window was not announced; who watches finds it by polling");
    }
}
