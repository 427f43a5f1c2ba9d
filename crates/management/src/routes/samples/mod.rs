//! Samples: requests that show what a webhook's data is.

mod given;
mod view;

use actix_web::{delete, get, post};
use hookgate_domain::{clock, samples, webhooks};
use hookgate_model::body::most_memory;
use hookgate_model::ids::{SampleId, WebhookId};
use hookgate_model::sample::SampleSource;
use utoipa_actix_web::service_config::ServiceConfig;

pub use given::{EventExample, JsonExample, PairsExample};
pub use view::{SampleSummary, SampleView};

use self::given::Given;
use super::simulation::{SampleRequest, SampleRequestBody};
use crate::auth::permissions::{EventsRead, WebhooksWrite};
use crate::auth::{Caller, Guarded};
use crate::body::{Json, NoContent, Reply};
use crate::error::{ApiError, ApiResult};
use crate::page::{Page, Paging, PagingParams};
use crate::path::Path;

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config
        .service(index)
        .service(add)
        .service(add_json)
        .service(add_pairs)
        .service(add_event)
        .service(read)
        .service(remove);
}

/// List the samples of a webhook
///
/// Captured and given ones, newest first.
#[utoipa::path(tag = "samples", operation_id = "listSamples", security(("bearer" = ["events:read"])), params(PagingParams),
    responses((status = 200, description = "A page of samples, newest first", body = Page<SampleSummary>)))]
#[get("/webhooks/{id}/samples")]
async fn index(
    caller: Guarded<EventsRead>,
    Path((webhook,)): Path<(WebhookId,)>,
    paging: Paging,
) -> ApiResult<Reply<Page<SampleSummary>>> {
    let window = paging.window(&caller)?;
    let rows = window.rows();
    let found = caller
        .run(move |conn, scope| {
            webhooks::require(conn, scope, webhook)?;
            samples::list(conn, scope, webhook, rows)
        })
        .await?;
    Ok(Reply::ok(window.page(
        found,
        |sample| sample.id.uuid(),
        SampleSummary::from,
    )?))
}

/// Add a sample
///
/// A whole request, as a sender might send it. What data protection masks of the webhook's requests is masked in its samples,
/// too.
#[utoipa::path(tag = "samples", operation_id = "createSample", security(("bearer" = ["webhooks:write"])),
    request_body = SampleRequestBody,
    responses((status = 201, description = "The new sample", body = SampleView), (status = 409, description = "limit_reached")))]
#[post("/webhooks/{id}/samples")]
async fn add(
    caller: Guarded<WebhooksWrite>,
    Path((webhook,)): Path<(WebhookId,)>,
    Json(request): Json<SampleRequest>,
) -> ApiResult<Reply<SampleView>> {
    store(&caller, webhook, Given::Request(request, SampleSource::Request)).await
}

/// Add a JSON example as a sample
///
/// It counts as the JSON body of a POST request.
#[utoipa::path(tag = "samples", operation_id = "createSampleFromJson", security(("bearer" = ["webhooks:write"])),
    request_body = JsonExample,
    responses((status = 201, description = "The new sample", body = SampleView), (status = 409, description = "limit_reached")))]
#[post("/webhooks/{id}/samples/from-json")]
async fn add_json(
    caller: Guarded<WebhooksWrite>,
    Path((webhook,)): Path<(WebhookId,)>,
    Json(example): Json<JsonExample>,
) -> ApiResult<Reply<SampleView>> {
    let request = SampleRequest::of_body("application/json", example.json.to_string().into_bytes());
    store(&caller, webhook, Given::Request(request, SampleSource::Json)).await
}

/// Add names and values as a sample
///
/// As the query of a GET, or as a form that is posted.
#[utoipa::path(tag = "samples", operation_id = "createSampleFromPairs", security(("bearer" = ["webhooks:write"])),
    request_body = PairsExample,
    responses((status = 201, description = "The new sample", body = SampleView), (status = 409, description = "limit_reached")))]
#[post("/webhooks/{id}/samples/from-pairs")]
async fn add_pairs(
    caller: Guarded<WebhooksWrite>,
    Path((webhook,)): Path<(WebhookId,)>,
    Json(example): Json<PairsExample>,
) -> ApiResult<Reply<SampleView>> {
    let given = Given::Request(example.into_request(), SampleSource::Pairs);
    store(&caller, webhook, given).await
}

/// Add an event as a sample
///
/// What data protection left out of the event is left out of the sample. The caller needs `events:read`, too.
#[utoipa::path(tag = "samples", operation_id = "createSampleFromEvent", security(("bearer" = ["webhooks:write"])),
    request_body = EventExample,
    responses((status = 201, description = "The new sample", body = SampleView), (status = 409, description = "limit_reached")))]
#[post("/webhooks/{id}/samples/from-event")]
async fn add_event(
    caller: Guarded<WebhooksWrite>,
    Path((webhook,)): Path<(WebhookId,)>,
    Json(EventExample { event_id }): Json<EventExample>,
) -> ApiResult<Reply<SampleView>> {
    store(&caller, webhook, Given::Event(event_id)).await
}

/// Masks what was given and adds it.
async fn store(caller: &Caller, webhook: WebhookId, given: Given) -> ApiResult<Reply<SampleView>> {
    let actor = caller.actor.clone();
    let (settings, example) = caller
        .run(move |conn, scope| {
            let settings = webhooks::read(conn, scope, webhook)?;
            let example = given.read(conn, scope, &actor, &settings)?;
            Ok::<_, ApiError>((settings, example))
        })
        .await?;
    let memory = example.most_memory();
    let masked = caller
        .state()
        .apart
        .run(memory, move || example.mask(&settings.data_protection));
    let masked = masked
        .await
        .ok_or_else(|| ApiError::internal("a sample was not masked"))??;
    let (id, room): (SampleId, _) = (clock::new_id(), caller.state().settings.sample_room());
    let (sample, content) = caller
        .run(move |conn, scope| {
            let sample = masked.store(id, webhook, |new| Ok(samples::add(conn, scope, new, room)?))?;
            Ok::<_, ApiError>((sample, samples::content(conn, scope, id)?))
        })
        .await?;
    let view = caller
        .state()
        .apart
        .run(memory, move || SampleView::new(sample, content));
    Ok(Reply::created(view.await.ok_or_else(unread)?))
}

fn unread() -> ApiError {
    ApiError::internal("a body was not read")
}

/// Read a sample
///
/// With its headers, and its body as far as JSON can show it.
#[utoipa::path(tag = "samples", operation_id = "getSample", security(("bearer" = ["events:read"])),
    responses((status = 200, description = "The sample", body = SampleView)))]
#[get("/webhooks/{id}/samples/{sample_id}")]
async fn read(
    caller: Guarded<EventsRead>,
    Path((webhook, id)): Path<(WebhookId, SampleId)>,
) -> ApiResult<Reply<SampleView>> {
    let (sample, content) = caller
        .run(move |conn, scope| {
            let sample = samples::read(conn, scope, webhook, id)?;
            Ok::<_, ApiError>((sample, samples::content(conn, scope, id)?))
        })
        .await?;
    let memory = most_memory(&content.headers, content.body.len());
    let view = caller
        .state()
        .apart
        .run(memory, move || SampleView::new(sample, content));
    Ok(Reply::ok(view.await.ok_or_else(unread)?))
}

/// Delete a sample
///
/// This is final. What was learnt from it stays.
#[utoipa::path(tag = "samples", operation_id = "deleteSample", security(("bearer" = ["webhooks:write"])),
    responses((status = 204, description = "It is deleted")))]
#[delete("/webhooks/{id}/samples/{sample_id}")]
async fn remove(
    caller: Guarded<WebhooksWrite>,
    Path((webhook, id)): Path<(WebhookId, SampleId)>,
) -> ApiResult<NoContent> {
    caller
        .run(move |conn, scope| samples::delete(conn, scope, webhook, id))
        .await?;
    Ok(NoContent)
}
