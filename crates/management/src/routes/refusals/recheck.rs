//! Judging a refused request again, and taking it.

use std::sync::Arc;

use actix_web::post;
use hookgate_domain::appender::{NewEvent, Remember, Work};
use hookgate_domain::body::StoredBody;
use hookgate_domain::crypto::MasterKey;
use hookgate_domain::database::PgConnection;
use hookgate_domain::deduplication::DeliveryKeys;
use hookgate_domain::refusals::{self, Refusal, RefusedRequest};
use hookgate_domain::scope::TenantScope;
use hookgate_domain::urls::{self, Url};
use hookgate_domain::webhooks::{self, Webhook};
use hookgate_domain::{clock, events, revisions};
use hookgate_model::deduplication::{Keys, Recognition};
use hookgate_model::flow::definition::RevisionDocument;
use hookgate_model::flow::variables::{EventInput, Request};
use hookgate_model::ids::{EventId, RefusalId, RevisionId};
use hookgate_model::senders;
use hookgate_model::webhook::Environment;
use ipnet::IpNet;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::Guarded;
use crate::auth::permissions::EventsWrite;
use crate::body::{Json, Reply};
use crate::error::{ApiError, ApiResult, ErrorCode};
use crate::fields::{Fields, FromFields, boolean};
use crate::path::Path;
use crate::routes::verification::JudgementView;
use crate::verification::{Candidate, Rules};

/// What is to become of a refused request.
#[derive(ToSchema)]
#[schema(example = json!({"accept": true}))]
pub struct Recheck {
    /// Whether it becomes an event if it would be accepted now.
    #[schema(required = false, default = false)]
    accept: bool,
}

impl FromFields for Recheck {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            accept: fields.or("accept", false, boolean)?,
        })
    }
}

/// What would become of a refused request now, and what has.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RecheckedRefusal, example = json!({"verification": {"accepted": true, "refusal": null,
    "steps": [{"name": "method", "passed": true, "detail": "POST is among POST."}]},
    "event_id": "evt_01k9z3v8e5f2q8r7w6t5y4x3m2"}))]
pub struct RecheckView {
    /// Whether it would be accepted, and what decides that.
    verification: JudgementView,
    /// The event that it was taken as, now or before.
    event_id: Option<EventId>,
}

/// Recheck a refusal
///
/// Judges a refused request by what its webhook is set to now; a signature with a time is judged by the time of receipt. With
/// `accept`, a request that would be accepted becomes an event, once: it starts the webhook's flow, and its refusal names the
/// event from then on. The sender has its answer already and gets no other. When the same delivery has come again meanwhile
/// and was accepted, no second event is made.
///
/// Only refusals that say `recheckable` can be judged: requests that were too long, came in a flood, or fall under data
/// protection are not kept whole.
#[utoipa::path(tag = "events", operation_id = "recheckRefusal", security(("bearer" = ["events:write"])),
    request_body = Recheck,
    responses((status = 200, description = "What decides now, and the event", body = RecheckView),
        (status = 409, description = "wrong_state, data_protected")))]
#[post("/refusals/{id}/recheck")]
pub async fn recheck(
    caller: Guarded<EventsWrite>,
    Path((id,)): Path<(RefusalId,)>,
    Json(Recheck { accept }): Json<Recheck>,
) -> ApiResult<Reply<RecheckView>> {
    let key = caller.state().master_key.clone();
    let (rules, candidate, refusal) = caller
        .run(move |conn, scope| {
            let refusal = refusals::read(conn, scope, id)?;
            let Some(request) = refusals::request(conn, scope, &key, id)? else {
                let detail = "the request was not kept whole: its refusal is not `recheckable`";
                return Err(ApiError::new(ErrorCode::WrongState, detail));
            };
            let candidate = candidate(&refusal, request);
            let rules = Rules::read(conn, scope, &key, refusal.webhook_id, candidate.address)?;
            Ok::<_, ApiError>((rules, candidate, refusal))
        })
        .await?;
    let judgement = rules.judge(&caller, &candidate).await;
    let taken_before = refusal.event_id();
    let event_id = if accept && judgement.refusal.is_none() && taken_before.is_none() {
        let key = caller.state().master_key.clone();
        let taken = caller
            .run(move |conn, scope| take(conn, scope, &key, &refusal, candidate))
            .await?;
        if let Err(error) = caller.state().redis.wake_workers().await {
            tracing::debug!(%error, "workers find the job by polling");
        }
        Some(taken)
    } else {
        taken_before
    };
    Ok(Reply::ok(RecheckView {
        verification: judgement.into(),
        event_id,
    }))
}

fn candidate(refusal: &Refusal, request: RefusedRequest) -> Candidate {
    let (path, query) = request.path_and_query();
    Candidate {
        method: refusal.method.clone(),
        url: Some(refusal.url_id),
        path: path.to_owned(),
        query: query.to_owned(),
        target: Some(request.target),
        address: refusal.address.map(|network| network.addr()),
        headers: request.headers,
        body: request.body.into(),
        received_at: refusal.id.created_at(),
    }
}

/// Makes an event of a request that is accepted.
fn take(
    conn: &mut PgConnection,
    scope: &TenantScope,
    key: &MasterKey,
    refusal: &Refusal,
    candidate: Candidate,
) -> ApiResult<EventId> {
    let webhook = webhooks::read(conn, scope, refusal.webhook_id)?;
    if !webhook.data_protection.is_off() {
        let detail = "the webhook masks what it stores since: the request was kept before, and cannot be stored as an event";
        return Err(ApiError::new(ErrorCode::DataProtected, detail));
    }
    let urls = urls::of_webhooks(conn, scope, &[webhook.id])?;
    let url = urls.into_iter().find(|url| url.id == refusal.url_id);
    let url = url.ok_or(hookgate_domain::Error::NotFound)?;
    let (revision_id, work) = work(conn, scope, &webhook, url.environment)?;
    let (request, remember) = recognize(key, &webhook, request(&url, candidate))?;
    let event = request.event();
    let new = NewEvent {
        scope: *scope,
        id: event.id,
        webhook_id: webhook.id,
        url_id: url.id,
        revision_id,
        environment: event.environment,
        method: &event.method,
        suffix: &event.suffix,
        path: &event.path,
        query: &event.query,
        address: event.address.map(IpNet::from),
        headers: &event.headers,
        body: &StoredBody::new(event.body.clone()),
        event_type: event.event_type.as_deref(),
        delivery_id: event.delivery_id.as_deref(),
        masked: None,
        payload: None,
        remember: &remember,
        work,
        session_id: None,
    };
    Ok(events::take_refused(conn, scope, refusal.id, &new)?)
}

/// The request as an event of this moment.
fn request(url: &Url, candidate: Candidate) -> Arc<Request> {
    let id: EventId = clock::new_id();
    Request::new(EventInput {
        id,
        received_at: id.created_at(),
        method: candidate.method,
        address: candidate.address,
        environment: url.environment,
        suffix: url.suffix.as_str().to_owned(),
        path: candidate.path,
        query: candidate.query,
        headers: candidate.headers,
        body: candidate.body.into(),
        event_type: None,
        delivery_id: None,
    })
}

/// The revision that runs at a webhook's URLs, and whether there is anything to run.
fn work(
    conn: &mut PgConnection,
    scope: &TenantScope,
    webhook: &Webhook,
    environment: Environment,
) -> ApiResult<(Option<RevisionId>, Work)> {
    let id = match environment {
        Environment::Test => Some(webhook.draft_revision_id),
        Environment::Production => webhook.published_revision_id,
    };
    let Some(id) = id else {
        return Ok((None, Work::None));
    };
    let document = revisions::read(conn, scope, webhook.id, id)?.document;
    let document: RevisionDocument = serde_json::from_value(document).map_err(ApiError::internal)?;
    let work = if document.is_idle() { Work::None } else { Work::Run };
    Ok((Some(id), work))
}

/// Reads a request's type, delivery id and keys, as it would have been when it came.
fn recognize(
    key: &MasterKey,
    webhook: &Webhook,
    request: Arc<Request>,
) -> ApiResult<(Arc<Request>, Remember)> {
    let identity = senders::identity(&webhook.authentication, &webhook.system);
    let recognition =
        Recognition::compile(identity, webhook.deduplication.as_ref()).map_err(ApiError::internal)?;
    let (request, keys) = recognition.read(&key.delivery_secrets(), webhook.id, request);
    let remember = match keys {
        Keys::Off => Remember::Off,
        Keys::Missing => Remember::NoKey,
        Keys::Known(keys) => Remember::By(DeliveryKeys {
            keys,
            remember: recognition.remember(),
            answer: None,
        }),
    };
    Ok((request, remember))
}
