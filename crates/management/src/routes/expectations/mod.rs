//! What requests are expected to hold: learnt from samples, and how live requests differ from it.

mod example;
mod schema;
mod view;

use std::sync::Arc;

use actix_web::{delete, get, post};
use hookgate_domain::database::PgConnection;
use hookgate_domain::page::Page;
use hookgate_domain::redis::changes::Change;
use hookgate_domain::scope::TenantScope;
use hookgate_domain::{drift, events, revisions, samples, webhooks};
use hookgate_model::access::Permission;
use hookgate_model::expected_data::{ExpectedData, infer, merge, to_json_schema, widen, without_credentials};
use hookgate_model::flow::definition::RevisionDocument;
use hookgate_model::flow::variables::Request;
use hookgate_model::ids::{EventId, SampleId, WebhookId};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

pub use view::{DifferenceView, DriftView, LearntView};

use super::revisions::{RevisionView, problems};
use super::simulation::{SampleRequest, SampleRequestBody, event_of, of_event, sample_of};
use crate::auth::permissions::{WebhooksRead, WebhooksWrite};
use crate::auth::{Actor, Guarded};
use crate::body::{Json, NoContent, Reply};
use crate::changes::change;
use crate::error::{ApiError, ApiResult, ErrorCode, FieldCode};
use crate::fields::{Fields, FromFields, boolean, list, object, parsed};
use crate::path::Path;

/// The most samples that are looked at together.
const SAMPLES: usize = 50;
const SAMPLES_STORED: i64 = 50;
/// The most events that a structure is widened for.
const DRIFTED: usize = 100;

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config
        .service(learn)
        .service(schema::export)
        .service(schema::import)
        .configure(example::register)
        .service(read_drift)
        .service(accept_drift)
        .service(clear_drift);
}

/// What to learn from: samples, events, requests that are given here, or several of them. Without any of them: the webhook's
/// samples, the newest 50.
#[derive(ToSchema)]
#[schema(as = Samples, example = json!({"sample_ids": ["smp_01k9z3v8e5f2q8r7w6t5y4x3m2"], "event_ids": ["evt_01k9z3v8e5f2q8r7w6t5y4x3m2"],
    "requests": [{"json": {"order": {"id": 42}}}], "save": true}))]
pub struct SamplesBody {
    /// Samples of the webhook.
    #[schema(required = false, max_items = 50)]
    sample_ids: Vec<SampleId>,
    /// Events of the webhook.
    #[schema(required = false, max_items = 50)]
    event_ids: Vec<EventId>,
    /// Requests, such as a JSON example.
    #[schema(required = false, max_items = 50, value_type = Vec<SampleRequestBody>)]
    requests: Vec<SampleRequest>,
    /// Whether the draft is saved with what was learnt.
    #[schema(required = false, default = false)]
    save: bool,
}

impl FromFields for SamplesBody {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let sample_ids = fields.or("sample_ids", Vec::new(), list(0..=SAMPLES, parsed));
        let event_ids = fields.or("event_ids", Vec::new(), list(0..=SAMPLES, parsed));
        let requests = fields.or("requests", Vec::new(), list(0..=SAMPLES, object));
        let save = fields.or("save", false, boolean);
        Some(Self {
            sample_ids: sample_ids?,
            event_ids: event_ids?,
            requests: requests?,
            save: save?,
        })
    }
}

/// Learn what requests hold
///
/// Finds the structure that the samples have in common: fields, their types, and whether they are always there. It is merged
/// with that of the draft: fields that were written or changed by hand stay, and where the samples differ from them is told. Of
/// what is stored masked it is learnt that it is there, and nothing else. Credentials are left out; the header of an API key that the webhook wants
/// is listed by itself. Unless it is given requests alone, the caller needs `events:read`, too.
#[utoipa::path(tag = "revisions", operation_id = "inferExpectedData", security(("bearer" = ["webhooks:write"])),
    request_body = SamplesBody,
    responses((status = 200, description = "What was learnt, merged with the draft", body = LearntView),
        (status = 409, description = "limit_reached")))]
#[post("/webhooks/{id}/infer")]
async fn learn(
    caller: Guarded<WebhooksWrite>,
    Path((webhook,)): Path<(WebhookId,)>,
    Json(given): Json<SamplesBody>,
) -> ApiResult<Reply<LearntView>> {
    let save = given.save;
    let actor = caller.actor.clone();
    let (existing, requests, authentication) = caller
        .run(move |conn, scope| {
            let existing = draft(conn, scope, webhook)?.expected_data;
            let requests = read_samples(conn, scope, &actor, webhook, given)?;
            let authentication = webhooks::read(conn, scope, webhook)?.authentication;
            Ok::<_, ApiError>((existing, requests, authentication))
        })
        .await?;
    let memory = requests.iter().map(|request| request.most_memory()).sum();
    let learn = move || merge(&existing, without_credentials(infer(&requests), &authentication));
    let merged = caller.state().apart.run(memory, learn).await;
    let merged = merged.ok_or_else(|| ApiError::internal("samples were not read"))?;
    if save {
        let expected = merged.expected.clone();
        save_expected(&caller, webhook, move |_| expected).await?;
    }
    Ok(Reply::ok(LearntView {
        json_schema: to_json_schema(&merged.expected),
        expected_data: merged.expected,
        conflicts: merged.conflicts,
    }))
}

fn draft(conn: &mut PgConnection, scope: &TenantScope, webhook: WebhookId) -> ApiResult<RevisionDocument> {
    let draft = revisions::read_draft(conn, scope, webhook)?;
    serde_json::from_value(draft.document).map_err(ApiError::internal)
}

fn read_samples(
    conn: &mut PgConnection,
    scope: &TenantScope,
    actor: &Actor,
    webhook: WebhookId,
    given: SamplesBody,
) -> ApiResult<Vec<Arc<Request>>> {
    let mut requests = Vec::new();
    for (index, id) in given.sample_ids.iter().enumerate() {
        let sample = sample_of(conn, scope, actor, webhook, *id, &format!("/sample_ids/{index}"))?;
        let content = samples::content(conn, scope, *id)?;
        requests.push(Request::new(sample.into_input(content)));
    }
    for (index, id) in given.event_ids.iter().enumerate() {
        let event = event_of(conn, scope, actor, webhook, *id, &format!("/event_ids/{index}"))?;
        let content = events::content(conn, scope, *id)?;
        requests.push(Request::new(event.into_input(content)));
    }
    let suffix = webhooks::read(conn, scope, webhook)?.suffix;
    for request in given.requests {
        requests.push(Request::new(request.into_input(&suffix)));
    }
    if !requests.is_empty() {
        return Ok(requests);
    }
    actor.demand(Permission::EventsRead)?;
    for sample in samples::list(conn, scope, webhook, Page::newest(SAMPLES_STORED))? {
        let content = samples::content(conn, scope, sample.id)?;
        requests.push(Request::new(sample.into_input(content)));
    }
    if requests.is_empty() {
        let detail =
            "the webhook has no samples yet: capture some, add some, or give `event_ids` or `requests`";
        return Err(ApiError::field("", FieldCode::Required, detail));
    }
    Ok(requests)
}

/// Saves the draft with another structure, made from the one that it has.
async fn save_expected(
    caller: &Guarded<WebhooksWrite>,
    webhook: WebhookId,
    make: impl FnOnce(&ExpectedData) -> ExpectedData + Send + 'static,
) -> ApiResult<revisions::Revision> {
    let created_by = caller.actor.to_string();
    change(caller, move |conn, scope| {
        webhooks::read_for_change(conn, scope, webhook)?;
        let mut document = draft(conn, scope, webhook)?;
        document.expected_data = make(&document.expected_data);
        if let Some(problem) = problems(conn, scope, &document)?.first() {
            let detail = format!(
                "the draft cannot be saved: {}: {}",
                problem.pointer, problem.detail
            );
            return Err(ApiError::new(ErrorCode::WrongState, detail));
        }
        let document = serde_json::to_value(&document).map_err(ApiError::internal)?;
        let saved = revisions::save_draft(conn, scope, webhook, &document, &created_by)?;
        Ok((saved, vec![Change::Webhook(webhook)]))
    })
    .await
}

/// Read a webhook's drift
///
/// How live requests differ from what the webhook expects, where `expected_data.mode` is `warn`: the latest first, at most 500.
/// Of a flood, 1,000 requests in a second are looked at on each node (`ingress.drift_checks_per_second`).
#[utoipa::path(tag = "revisions", operation_id = "getDrift", security(("bearer" = ["webhooks:read"])),
    responses((status = 200, description = "How requests differ", body = DriftView)))]
#[get("/webhooks/{id}/drift")]
async fn read_drift(
    caller: Guarded<WebhooksRead>,
    Path((webhook,)): Path<(WebhookId,)>,
) -> ApiResult<Reply<DriftView>> {
    let found = caller
        .run(move |conn, scope| {
            webhooks::require(conn, scope, webhook)?;
            drift::list(conn, scope, webhook)
        })
        .await?;
    Ok(Reply::ok(DriftView {
        differences: found.into_iter().map(DifferenceView::from).collect(),
    }))
}

/// Accept a webhook's drift
///
/// Widens the draft's structure so that it accepts the first and the last event of every difference, and forgets the
/// differences. The production URLs go on with what is published until the draft is. The caller needs `events:read`, too.
#[utoipa::path(tag = "revisions", operation_id = "acceptDrift", security(("bearer" = ["webhooks:write"])),
    responses((status = 200, description = "The draft as it is now", body = RevisionView),
        (status = 409, description = "limit_reached")))]
#[post("/webhooks/{id}/drift/accept")]
async fn accept_drift(
    caller: Guarded<WebhooksWrite>,
    Path((webhook,)): Path<(WebhookId,)>,
) -> ApiResult<Reply<RevisionView>> {
    let actor = caller.actor.clone();
    let requests = caller
        .run(move |conn, scope| {
            actor.demand(Permission::EventsRead)?;
            let mut events: Vec<EventId> = Vec::new();
            for difference in drift::list(conn, scope, webhook)? {
                events.extend([difference.first_event(), difference.last_event()]);
            }
            events.sort_unstable();
            events.dedup();
            events.truncate(DRIFTED);
            let mut requests = Vec::new();
            for event in events {
                // One that is gone, or is stored masked, is no sample.
                if let Ok(input) = of_event(conn, scope, &actor, webhook, event, "") {
                    requests.push(Request::new(input));
                }
            }
            Ok::<_, ApiError>(requests)
        })
        .await?;
    let saved = save_expected(&caller, webhook, move |expected| widen(expected, &requests)).await?;
    caller
        .run(move |conn, scope| drift::clear(conn, scope, webhook))
        .await?;
    Ok(Reply::ok(saved.into()))
}

/// Clear a webhook's drift
///
/// Forgets how requests differed so far.
#[utoipa::path(tag = "revisions", operation_id = "clearDrift", security(("bearer" = ["webhooks:write"])),
    responses((status = 204, description = "They are forgotten")))]
#[delete("/webhooks/{id}/drift")]
async fn clear_drift(
    caller: Guarded<WebhooksWrite>,
    Path((webhook,)): Path<(WebhookId,)>,
) -> ApiResult<NoContent> {
    caller
        .run(move |conn, scope| {
            webhooks::require(conn, scope, webhook)?;
            drift::clear(conn, scope, webhook)
        })
        .await?;
    Ok(NoContent)
}
