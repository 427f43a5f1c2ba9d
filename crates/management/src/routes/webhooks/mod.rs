//! Webhooks: live settings, effective at once.

pub(super) mod authentication;
mod settings;
mod template;
mod view;

use std::net::IpAddr;

use actix_web::{HttpRequest, delete, get, patch, post};
use hookgate_domain::database::PgConnection;
use hookgate_domain::redis::changes::Change;
use hookgate_domain::scope::TenantScope;
use hookgate_domain::urls::{self, Url};
use hookgate_domain::webhooks::{self, Search, Webhook, WebhookSettings};
use hookgate_domain::{allowlists, revisions};
use hookgate_model::flow::definition::RevisionDocument;
use hookgate_model::ids::WebhookId;
use hookgate_model::webhook::Status;
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;

use settings::{NewWebhook, NewWebhookBody, Settings, SettingsBody};
pub(super) use settings::{UrlLimitsBody, suffix};
pub use view::{AddressCheck, AddressReason, CheckedAllowlist, DecidingEntry, SeenAddress, WebhookView};

use crate::auth::Guarded;
use crate::auth::permissions::{WebhooksRead, WebhooksWrite};
use crate::body::{Json, NoContent, Patch, Reply};
use crate::changes::change;
use crate::client_address;
use crate::error::{ApiError, ApiResult, FieldCode, FieldError};
use crate::etag::IfMatch;
use crate::fields::{Fields, FromFields, parsed, text};
use crate::page::{Page, Paging, PagingParams};
use crate::path::Path;
use crate::query::Query;

type WebhookPatch = Patch<SettingsBody>;

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config
        .service(create)
        .service(index)
        .service(read)
        .service(update)
        .service(remove)
        .service(activate)
        .service(pause)
        .service(disable)
        .service(check_address);
}

/// Create a webhook
///
/// It gets a production URL and a test URL at once, and an empty draft. A name is enough. Requests to the production URL
/// are stored, but run nothing until a draft is published. Made of a `template`, it has that one's settings and its flow,
/// published: it works at once.
#[utoipa::path(tag = "webhooks", operation_id = "createWebhook", security(("bearer" = ["webhooks:write"])),
    request_body = NewWebhookBody,
    responses((status = 201, description = "The webhook with its URLs", body = WebhookView),
        (status = 409, description = "limit_reached")))]
#[post("/webhooks")]
async fn create(
    caller: Guarded<WebhooksWrite>,
    Json(NewWebhook { settings, template }): Json<NewWebhook>,
) -> ApiResult<Reply<WebhookView>> {
    let created_by = caller.actor.to_string();
    let empty = RevisionDocument::default();
    let draft = template.as_ref().map_or(&empty, |template| &template.revision);
    let draft = serde_json::to_value(draft).map_err(ApiError::internal)?;
    let key = caller.state().master_key.clone();
    let (webhook, urls) = caller
        .run(move |conn, scope| {
            if let Some(template) = &template {
                template.require_usable(conn, scope)?;
            }
            require_allowlists(conn, scope, &settings)?;
            authentication::require_usable(conn, scope, &key, &settings.authentication)?;
            authentication::require_handshake(conn, scope, settings.handshake.as_ref())?;
            let mut webhook = webhooks::create(conn, scope, &settings, &draft, &created_by)?;
            if template.is_some() {
                revisions::publish(conn, scope, webhook.id, webhook.draft_revision_id)?;
                webhook = webhooks::read(conn, scope, webhook.id)?;
            }
            with_urls(conn, scope, webhook)
        })
        .await?;
    Ok(show(&caller, webhook, &urls, Reply::created))
}

/// Which webhooks a list shows.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
struct Filters {
    /// A piece of the name, the system or the suffix; an id of a webhook or a URL; or a public URL, as it was pasted.
    #[param(max_length = 2000, example = "orders")]
    q: Option<String>,
}

impl FromFields for Filters {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let q = fields.optional("q", text(0..=2000));
        Some(Self { q: q? })
    }
}

/// List webhooks
///
/// `q` finds a webhook by its name, its system, its suffix, its id, or by a URL that leads to it.
#[utoipa::path(tag = "webhooks", operation_id = "listWebhooks", security(("bearer" = ["webhooks:read"])),
    params(Filters, PagingParams),
    responses((status = 200, description = "A page of webhooks, newest first", body = Page<WebhookView>)))]
#[get("/webhooks")]
async fn index(
    caller: Guarded<WebhooksRead>,
    paging: Paging<Filters>,
) -> ApiResult<Reply<Page<WebhookView>>> {
    let window = paging.window(&caller)?;
    let rows = window.rows();
    let search = paging.filters.q.as_deref().and_then(Search::parse);
    let (found, urls) = caller
        .run(move |conn, scope| {
            let found = webhooks::list(conn, scope, search.as_ref(), rows)?;
            let ids: Vec<WebhookId> = found.iter().map(|webhook| webhook.id).collect();
            let urls = urls::of_webhooks(conn, scope, &ids)?;
            Ok::<_, ApiError>((found, urls))
        })
        .await?;
    let public_url = &caller.state().settings.public_url;
    let page = window.page(
        found,
        |webhook| webhook.id.uuid(),
        |webhook| WebhookView::new(webhook, &urls, public_url),
    )?;
    Ok(Reply::ok(page))
}

/// Read a webhook
///
/// Its live settings, with its URLs.
#[utoipa::path(tag = "webhooks", operation_id = "getWebhook", security(("bearer" = ["webhooks:read"])),
    responses((status = 200, description = "The webhook with its URLs", body = WebhookView)))]
#[get("/webhooks/{id}")]
async fn read(
    caller: Guarded<WebhooksRead>,
    Path((id,)): Path<(WebhookId,)>,
) -> ApiResult<Reply<WebhookView>> {
    let (webhook, urls) = caller
        .run(move |conn, scope| {
            let webhook = webhooks::read(conn, scope, id)?;
            with_urls(conn, scope, webhook)
        })
        .await?;
    Ok(show(&caller, webhook, &urls, Reply::ok))
}

/// Change a webhook
///
/// Its settings take effect at once. Changing the suffix changes the URLs that have it: senders must then be told.
#[utoipa::path(tag = "webhooks", operation_id = "updateWebhook", security(("bearer" = ["webhooks:write"])),
    request_body(content = WebhookPatch, content_type = "application/merge-patch+json"),
    responses((status = 200, description = "The webhook as it is now", body = WebhookView)))]
#[patch("/webhooks/{id}")]
async fn update(
    caller: Guarded<WebhooksWrite>,
    Path((id,)): Path<(WebhookId,)>,
    if_match: IfMatch,
    patch: Patch<Settings>,
) -> ApiResult<Reply<WebhookView>> {
    let key = caller.state().master_key.clone();
    let (webhook, urls) = change(&caller, move |conn, scope| {
        let current = webhooks::read_for_change(conn, scope, id)?;
        if_match.check(current.version)?;
        let Settings(settings) = patch.apply(&SettingsBody::from(&current))?;
        require_allowlists(conn, scope, &settings)?;
        if settings.authentication != current.authentication {
            authentication::require_usable(conn, scope, &key, &settings.authentication)?;
        }
        authentication::require_handshake(conn, scope, settings.handshake.as_ref())?;
        let webhook = webhooks::update(conn, scope, id, &settings)?;
        Ok((with_urls(conn, scope, webhook)?, vec![Change::Webhook(id)]))
    })
    .await?;
    Ok(show(&caller, webhook, &urls, Reply::ok))
}

/// Delete a webhook
///
/// This is final. Its URLs, API keys, drafts and revisions go with it, and so does the work that is still due. Events,
/// runs, attempts and refusals stay readable until their time is over.
#[utoipa::path(tag = "webhooks", operation_id = "deleteWebhook", security(("bearer" = ["webhooks:write"])),
    responses((status = 204, description = "It is gone"), (status = 412, description = "precondition_failed")))]
#[delete("/webhooks/{id}")]
async fn remove(
    caller: Guarded<WebhooksWrite>,
    Path((id,)): Path<(WebhookId,)>,
    if_match: IfMatch,
) -> ApiResult<NoContent> {
    change(&caller, move |conn, scope| {
        if_match.check(webhooks::read_for_change(conn, scope, id)?.version)?;
        webhooks::delete(conn, scope, id)?;
        Ok((NoContent, vec![Change::Webhook(id)]))
    })
    .await
}

/// Activate a webhook
///
/// It accepts requests and runs them, also those that it held. Their flows begin in the order in which the events were stored;
/// as many run at the same time as ever, and new events may run beside them. Activating it again changes nothing.
#[utoipa::path(tag = "webhooks", operation_id = "activateWebhook", security(("bearer" = ["webhooks:write"])),
    responses((status = 200, description = "The webhook as it is now", body = WebhookView)))]
#[post("/webhooks/{id}/activate")]
async fn activate(
    caller: Guarded<WebhooksWrite>,
    Path((id,)): Path<(WebhookId,)>,
) -> ApiResult<Reply<WebhookView>> {
    set_status(&caller, id, Status::Active).await
}

/// Pause a webhook
///
/// It goes on accepting and storing requests, and holds their flows until it is activated, also those of earlier requests that
/// have not begun. Flows that have begun run on, with their retries, and callers who wait already get their answers.
#[utoipa::path(tag = "webhooks", operation_id = "pauseWebhook", security(("bearer" = ["webhooks:write"])),
    responses((status = 200, description = "The webhook as it is now", body = WebhookView)))]
#[post("/webhooks/{id}/pause")]
async fn pause(
    caller: Guarded<WebhooksWrite>,
    Path((id,)): Path<(WebhookId,)>,
) -> ApiResult<Reply<WebhookView>> {
    set_status(&caller, id, Status::Paused).await
}

/// Disable a webhook
///
/// It refuses requests until it is activated. Flows of earlier requests that have not begun, or that it held while it was
/// paused, are held until then; those that have begun run on, with their retries. Deleting the webhook ends all of them.
#[utoipa::path(tag = "webhooks", operation_id = "disableWebhook", security(("bearer" = ["webhooks:write"])),
    responses((status = 200, description = "The webhook as it is now", body = WebhookView)))]
#[post("/webhooks/{id}/disable")]
async fn disable(
    caller: Guarded<WebhooksWrite>,
    Path((id,)): Path<(WebhookId,)>,
) -> ApiResult<Reply<WebhookView>> {
    set_status(&caller, id, Status::Disabled).await
}

/// The address to ask about.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
struct AddressQuery {
    /// An IPv4 or IPv6 address; by default the caller's own, as it is seen here.
    #[param(value_type = Option<String>, example = "203.0.113.7")]
    address: Option<IpAddr>,
}

impl FromFields for AddressQuery {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let address = fields.optional("address", parsed);
        Some(Self { address: address? })
    }
}

/// Check an address against the allowlists
///
/// Says whether a request from the address would pass the webhook's allowlists, what each of them says, and which entry
/// decides. Without an address it is about the caller's own, and says how that is known: ask so from the machine that is to
/// send.
#[utoipa::path(tag = "webhooks", operation_id = "checkAddress", security(("bearer" = ["webhooks:read"])),
    params(AddressQuery),
    responses((status = 200, description = "Whether the address may send", body = AddressCheck)))]
#[get("/webhooks/{id}/address-check")]
async fn check_address(
    caller: Guarded<WebhooksRead>,
    request: HttpRequest,
    Path((id,)): Path<(WebhookId,)>,
    Query(AddressQuery { address }): Query<AddressQuery>,
) -> ApiResult<Reply<AddressCheck>> {
    let seen = match address {
        Some(_) => None,
        None => client_address::sender(&request, caller.state()),
    };
    let address = address.or(seen.map(|seen| seen.address));
    let address = address.ok_or_else(|| {
        ApiError::fields(vec![FieldError {
            pointer: "?address".to_owned(),
            code: FieldCode::Required,
            detail: "the caller's own address is not known".to_owned(),
        }])
    })?;
    let checked = caller
        .run(move |conn, scope| {
            webhooks::read(conn, scope, id)?;
            Ok::<_, ApiError>(allowlists::check(conn, scope, id, address)?)
        })
        .await?;
    let holding = checked.iter().filter_map(|list| list.entry.clone());
    let entry = holding.max_by_key(|entry| entry.network.prefix_len());
    let reason = match &entry {
        _ if checked.is_empty() => AddressReason::NoAllowlist,
        Some(_) => AddressReason::Listed,
        None => AddressReason::NotListed,
    };
    Ok(Reply::ok(AddressCheck {
        address: address.to_canonical().to_string(),
        seen: seen.map(SeenAddress::from),
        allowed: reason != AddressReason::NotListed,
        reason,
        entry: entry.map(DecidingEntry::from),
        allowlists: checked.into_iter().map(CheckedAllowlist::from).collect(),
    }))
}

async fn set_status(
    caller: &Guarded<WebhooksWrite>,
    id: WebhookId,
    status: Status,
) -> ApiResult<Reply<WebhookView>> {
    let (webhook, urls) = change(caller, move |conn, scope| {
        let webhook = webhooks::set_status(conn, scope, id, status)?;
        Ok((with_urls(conn, scope, webhook)?, vec![Change::Webhook(id)]))
    })
    .await?;
    Ok(show(caller, webhook, &urls, Reply::ok))
}

fn show<P>(
    caller: &Guarded<P>,
    webhook: Webhook,
    urls: &[Url],
    reply: fn(WebhookView) -> Reply<WebhookView>,
) -> Reply<WebhookView> {
    let version = webhook.version;
    reply(WebhookView::new(
        webhook,
        urls,
        &caller.state().settings.public_url,
    ))
    .version(version)
}

fn with_urls(
    conn: &mut PgConnection,
    scope: &TenantScope,
    webhook: Webhook,
) -> ApiResult<(Webhook, Vec<Url>)> {
    let urls = urls::of_webhooks(conn, scope, &[webhook.id])?;
    Ok((webhook, urls))
}

/// Every allowlist must be the tenant's own.
fn require_allowlists(
    conn: &mut PgConnection,
    scope: &TenantScope,
    settings: &WebhookSettings,
) -> ApiResult<()> {
    let missing = allowlists::missing(conn, scope, &settings.allowlists)?;
    let errors: Vec<FieldError> = settings
        .allowlists
        .iter()
        .enumerate()
        .filter(|(_, id)| missing.contains(id))
        .map(|(place, _)| FieldError {
            pointer: format!("/allowlists/{place}"),
            code: FieldCode::NotFound,
            detail: "the tenant has no allowlist with this id".to_owned(),
        })
        .collect();
    if errors.is_empty() {
        Ok(())
    } else {
        Err(ApiError::fields(errors))
    }
}
