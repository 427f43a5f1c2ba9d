//! Asking a webhook about a request: would it be accepted, and what decides that?

mod captured;
mod view;

use actix_web::post;
use hookgate_domain::database::PgConnection;
use hookgate_domain::events;
use hookgate_domain::scope::TenantScope;
use hookgate_domain::urls;
use hookgate_model::ids::{EventId, WebhookId};
use utoipa_actix_web::service_config::ServiceConfig;

pub use captured::{CapturedHeader, CapturedRequest, Question};
pub use view::{JudgementView, RefusedView};

use super::simulation::event_of;
use crate::auth::permissions::WebhooksWrite;
use crate::auth::{Actor, Guarded};
use crate::body::{Json, Reply};
use crate::error::{ApiError, ApiResult, ErrorCode};
use crate::path::Path;
use crate::verification::{Candidate, Rules};

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config.service(verify);
}

/// Verify a request
///
/// Says step by step whether a request would be accepted by the webhook as it is set now, and why not: a captured one, or
/// one that is stored as an event. Nothing is stored and nothing runs. No secret and no expected signature is shown. What
/// is signed with a time is judged by the time of receipt. For an event the caller needs `events:read`, too.
#[utoipa::path(tag = "webhooks", operation_id = "verifyRequest", security(("bearer" = ["webhooks:write"])),
    request_body = Question,
    responses((status = 200, description = "What decides, step by step", body = JudgementView),
        (status = 409, description = "data_protected")))]
#[post("/webhooks/{id}/verify")]
async fn verify(
    caller: Guarded<WebhooksWrite>,
    Path((id,)): Path<(WebhookId,)>,
    Json(question): Json<Question>,
) -> ApiResult<Reply<JudgementView>> {
    let key = caller.state().master_key.clone();
    let actor = caller.actor.clone();
    let (rules, candidate) = caller
        .run(move |conn, scope| {
            let candidate = match (question.request, question.event_id) {
                (Some(request), _) => {
                    let url = urls::of_token(conn, scope, id, request.token())?;
                    request.into_candidate(url)
                }
                (None, Some(event)) => of_event(conn, scope, &actor, id, event)?,
                (None, None) => return Err(ApiError::internal("a question without a request")),
            };
            let rules = Rules::read(conn, scope, &key, id, candidate.address)?;
            Ok::<_, ApiError>((rules, candidate))
        })
        .await?;
    let judgement = rules.judge(&caller, &candidate).await;
    Ok(Reply::ok(judgement.into()))
}

/// A stored event as it came, as far as it is stored.
fn of_event(
    conn: &mut PgConnection,
    scope: &TenantScope,
    actor: &Actor,
    webhook: WebhookId,
    id: EventId,
) -> ApiResult<Candidate> {
    let event = event_of(conn, scope, actor, webhook, id, "/event_id")?;
    if event.masked.is_some() {
        let detail =
            "the event is stored masked: what is left of it cannot be verified because of data protection";
        return Err(ApiError::new(ErrorCode::DataProtected, detail));
    }
    let content = events::content(conn, scope, id)?;
    Ok(Candidate {
        method: event.method,
        url: Some(event.url_id),
        target: None,
        path: event.path,
        query: event.query,
        address: event.address.map(|network| network.addr()),
        headers: content.headers,
        body: content.body.into(),
        received_at: id.created_at(),
    })
}
