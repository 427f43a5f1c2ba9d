//! Drafts and revisions: what a webhook does with its events.

mod view;

use actix_web::{get, post, put};
use hookgate_domain::database::PgConnection;
use hookgate_domain::redis::changes::Change;
use hookgate_domain::scope::TenantScope;
use hookgate_domain::{collections, destinations, revisions, secrets, webhooks};
use hookgate_model::access::Permission;
use hookgate_model::flow::check::{Context, Problem, ProblemCode, check};
use hookgate_model::flow::definition::{RevisionDocument, Step};
use hookgate_model::ids::{RevisionId, SecretId, WebhookId};
use utoipa_actix_web::service_config::ServiceConfig;

pub use view::{ChangeView, ComparisonView, RevisionView};

use crate::auth::permissions::{WebhooksRead, WebhooksWrite};
use crate::auth::{Actor, Guarded};
use crate::body::{Json, Reply};
use crate::changes::change;
use crate::error::{ApiError, ApiResult, ErrorCode, FieldCode, FieldError};
use crate::etag::IfMatch;
use crate::fields::{Fields, FromFields, json};
use crate::page::{Page, Paging, PagingParams};
use crate::path::Path;

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config
        .service(read_draft)
        .service(save_draft)
        .service(publish)
        .service(index)
        .service(read)
        .service(compare)
        .service(roll_back);
}

/// Read the draft of a webhook
///
/// The test URLs run it. Its `ETag` lets one save a change only if nobody else has.
#[utoipa::path(tag = "revisions", operation_id = "getDraft", security(("bearer" = ["webhooks:read"])),
    responses((status = 200, description = "The draft", body = RevisionView)))]
#[get("/webhooks/{id}/draft")]
async fn read_draft(
    caller: Guarded<WebhooksRead>,
    Path((webhook,)): Path<(WebhookId,)>,
) -> ApiResult<Reply<RevisionView>> {
    let draft = caller
        .run(move |conn, scope| revisions::read_draft(conn, scope, webhook))
        .await?;
    let number = draft.number;
    Ok(Reply::ok(RevisionView::from(draft)).version(number.into()))
}

/// A document that serde reads as a whole.
pub(super) struct Document(pub RevisionDocument);

impl FromFields for Document {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let expected_data = fields.or("expected_data", RevisionDocument::default().expected_data, json);
        let session = fields.optional("session", json);
        let flow = fields.or("flow", RevisionDocument::default().flow, json);
        let response = fields.or("response", RevisionDocument::default().response, json);
        Some(Self(RevisionDocument {
            expected_data: expected_data?,
            session: session?,
            flow: flow?,
            response: response?,
        }))
    }
}

/// Save the draft of a webhook
///
/// The draft is replaced as a whole. One that cannot work is refused, with a pointer to every place. The test URLs run it
/// at once, the production URLs when it is published. A draft like the one before makes no new revision. With secrets in its
/// flow the caller needs `secrets:write`, too: a flow sends them to where it says.
#[utoipa::path(tag = "revisions", operation_id = "saveDraft", security(("bearer" = ["webhooks:write"])),
    request_body = RevisionDocument,
    responses((status = 200, description = "The draft as it is now", body = RevisionView),
        (status = 403, description = "forbidden"), (status = 409, description = "limit_reached"),
        (status = 412, description = "precondition_failed")))]
#[put("/webhooks/{id}/draft")]
async fn save_draft(
    caller: Guarded<WebhooksWrite>,
    Path((webhook,)): Path<(WebhookId,)>,
    if_match: IfMatch,
    Json(Document(document)): Json<Document>,
) -> ApiResult<Reply<RevisionView>> {
    let created_by = caller.actor.to_string();
    let actor = caller.actor.clone();
    let draft = change(&caller, move |conn, scope| {
        webhooks::read_for_change(conn, scope, webhook)?;
        if_match.check(revisions::read_draft(conn, scope, webhook)?.number.into())?;
        may_send_secrets(&actor, &document)?;
        let problems = problems(conn, scope, &document)?;
        if !problems.is_empty() {
            return Err(ApiError::fields(
                problems.into_iter().map(FieldError::from).collect(),
            ));
        }
        let document = serde_json::to_value(&document).map_err(ApiError::internal)?;
        let draft = revisions::save_draft(conn, scope, webhook, &document, &created_by)?;
        Ok((draft, vec![Change::Webhook(webhook)]))
    })
    .await?;
    let number = draft.number;
    Ok(Reply::ok(RevisionView::from(draft)).version(number.into()))
}

/// Whoever lets a flow send secrets may change them.
fn may_send_secrets(actor: &Actor, document: &RevisionDocument) -> ApiResult<()> {
    if document.flow.secrets.is_empty() || actor.may(Permission::SecretsWrite) {
        return Ok(());
    }
    let detail = "whoever lets a flow send secrets needs secrets:write, too";
    Err(ApiError::new(ErrorCode::Forbidden, detail))
}

/// Publish the draft of a webhook
///
/// The production URLs run it from now on. Events that came in before run what was published when they came. With secrets in its
/// flow the caller needs `secrets:write`, too.
#[utoipa::path(tag = "revisions", operation_id = "publishDraft", security(("bearer" = ["webhooks:write"])),
    responses((status = 200, description = "The published revision", body = RevisionView),
        (status = 409, description = "wrong_state")))]
#[post("/webhooks/{id}/publish")]
async fn publish(
    caller: Guarded<WebhooksWrite>,
    Path((webhook,)): Path<(WebhookId,)>,
) -> ApiResult<Reply<RevisionView>> {
    let actor = caller.actor.clone();
    let revision = change(&caller, move |conn, scope| {
        let draft = webhooks::read_for_change(conn, scope, webhook)?.draft_revision_id;
        publish_revision(conn, scope, &actor, webhook, draft)
    })
    .await?;
    Ok(Reply::ok(revision.into()))
}

/// List the revisions of a webhook
///
/// Every draft that was saved, newest first, without the documents.
#[utoipa::path(tag = "revisions", operation_id = "listRevisions", security(("bearer" = ["webhooks:read"])),
    params(PagingParams),
    responses((status = 200, description = "A page of revisions, newest first", body = Page<RevisionView>)))]
#[get("/webhooks/{id}/revisions")]
async fn index(
    caller: Guarded<WebhooksRead>,
    Path((webhook,)): Path<(WebhookId,)>,
    paging: Paging,
) -> ApiResult<Reply<Page<RevisionView>>> {
    let window = paging.window(&caller)?;
    let rows = window.rows();
    let found = caller
        .run(move |conn, scope| revisions::list(conn, scope, webhook, rows))
        .await?;
    Ok(Reply::ok(window.page(
        found,
        |revision| revision.id.uuid(),
        RevisionView::from,
    )?))
}

/// Read a revision
///
/// With its document: what is expected of requests, the flow, and the answer.
#[utoipa::path(tag = "revisions", operation_id = "getRevision", security(("bearer" = ["webhooks:read"])),
    responses((status = 200, description = "The revision", body = RevisionView)))]
#[get("/webhooks/{id}/revisions/{revision_id}")]
async fn read(
    caller: Guarded<WebhooksRead>,
    Path((webhook, id)): Path<(WebhookId, RevisionId)>,
) -> ApiResult<Reply<RevisionView>> {
    let revision = caller
        .run(move |conn, scope| revisions::read(conn, scope, webhook, id))
        .await?;
    Ok(Reply::ok(revision.into()))
}

/// Compare two revisions
///
/// Says what leads from one revision to another of the same webhook, as a JSON Patch (RFC 6902) of their documents, in which
/// what is removed or replaced is shown as it was.
#[utoipa::path(tag = "revisions", operation_id = "compareRevisions", security(("bearer" = ["webhooks:read"])),
    responses((status = 200, description = "What changed", body = ComparisonView)))]
#[get("/webhooks/{id}/revisions/{revision_id}/compare/{other_revision_id}")]
async fn compare(
    caller: Guarded<WebhooksRead>,
    Path((webhook, from, to)): Path<(WebhookId, RevisionId, RevisionId)>,
) -> ApiResult<Reply<ComparisonView>> {
    let (from, to) = caller
        .run(move |conn, scope| {
            let from = revisions::read(conn, scope, webhook, from)?;
            Ok::<_, ApiError>((from, revisions::read(conn, scope, webhook, to)?))
        })
        .await?;
    Ok(Reply::ok(ComparisonView::new(&from, &to)))
}

/// Roll back to a revision
///
/// The production URLs run this revision from now on. The draft stays as it is. With secrets in its flow the caller needs
/// `secrets:write`, too.
#[utoipa::path(tag = "revisions", operation_id = "publishRevision", security(("bearer" = ["webhooks:write"])),
    responses((status = 200, description = "The published revision", body = RevisionView),
        (status = 409, description = "wrong_state")))]
#[post("/webhooks/{id}/revisions/{revision_id}/publish")]
async fn roll_back(
    caller: Guarded<WebhooksWrite>,
    Path((webhook, id)): Path<(WebhookId, RevisionId)>,
) -> ApiResult<Reply<RevisionView>> {
    let actor = caller.actor.clone();
    let revision = change(&caller, move |conn, scope| {
        publish_revision(conn, scope, &actor, webhook, id)
    })
    .await?;
    Ok(Reply::ok(revision.into()))
}

/// Publishes a revision that can work: what it calls may have been deleted since it was saved.
fn publish_revision(
    conn: &mut PgConnection,
    scope: &TenantScope,
    actor: &Actor,
    webhook: WebhookId,
    id: RevisionId,
) -> ApiResult<(revisions::Revision, Vec<Change>)> {
    let revision = revisions::publish(conn, scope, webhook, id)?;
    let document = serde_json::from_value(revision.document.clone()).map_err(ApiError::internal)?;
    may_send_secrets(actor, &document)?;
    if let Some(problem) = problems(conn, scope, &document)?.first() {
        let detail = format!("{}: {}", problem.pointer, problem.detail);
        return Err(ApiError::new(
            ErrorCode::WrongState,
            format!("the revision cannot work any more: {detail}"),
        ));
    }
    Ok((revision, vec![Change::Webhook(webhook)]))
}

/// What cannot work in a document.
pub(super) fn problems(
    conn: &mut PgConnection,
    scope: &TenantScope,
    document: &RevisionDocument,
) -> ApiResult<Vec<Problem>> {
    let destinations = destinations::existing(conn, scope, &document.destinations())?;
    let written: Vec<&str> = document
        .flow
        .steps
        .iter()
        .filter_map(|step| match step {
            Step::Record { collection, .. } => Some(collection.as_str()),
            _ => None,
        })
        .collect();
    let collections = collections::existing(conn, scope, &written)?;
    let named: Vec<SecretId> = document.flow.secrets.values().copied().collect();
    let secrets = secrets::existing(conn, scope, &named)?;
    Ok(check(
        document,
        Context {
            destinations: &destinations,
            collections: &collections,
            secrets: &secrets,
        },
    ))
}

impl From<Problem> for FieldError {
    fn from(problem: Problem) -> Self {
        let code = match problem.code {
            ProblemCode::UnknownDestination | ProblemCode::UnknownCollection | ProblemCode::UnknownSecret => {
                FieldCode::NotFound
            }
            ProblemCode::OutOfRange => FieldCode::OutOfRange,
            ProblemCode::InvalidTemplate => FieldCode::InvalidTemplate,
            ProblemCode::UnknownVariable => FieldCode::UnknownVariable,
            ProblemCode::InvalidCondition
            | ProblemCode::InvalidName
            | ProblemCode::DuplicateName
            | ProblemCode::MisplacedData
            | ProblemCode::MissingSession
            | ProblemCode::MisplacedRespond
            | ProblemCode::UnusedAnswer
            | ProblemCode::InvalidHeader
            | ProblemCode::InvalidPath
            | ProblemCode::InvalidBody => FieldCode::Invalid,
        };
        Self {
            pointer: problem.pointer,
            code,
            detail: problem.detail,
        }
    }
}
