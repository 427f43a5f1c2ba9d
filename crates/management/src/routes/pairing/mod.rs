//! Pairing: a webhook takes the secret that its sender brings, once, in a window that the tenant opens.

mod view;

use actix_web::{delete, get, post};
use chrono::TimeDelta;
use hookgate_domain::redis::changes::Change;
use hookgate_domain::{clock, limits, pairings, webhooks};
use hookgate_model::authentication::Authentication;
use hookgate_model::ids::WebhookId;
use hookgate_model::senders;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

pub use view::{PairingView, RevealedSecret};

use crate::auth::Guarded;
use crate::auth::permissions::{SecretsWrite, WebhooksRead, WebhooksWrite};
use crate::body::{Json, NoContent, Reply};
use crate::changes::change;
use crate::error::{ApiError, ApiResult, ErrorCode};
use crate::fields::{Fields, FromFields, integer};
use crate::path::Path;

/// How long a webhook is open when nothing else is said, in seconds.
const OPEN_SECONDS: u32 = 600;

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config.service(open).service(read).service(close).service(reveal);
}

/// What can be chosen of a pairing.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"open_seconds": 600}))]
struct NewPairing {
    /// How long the webhook is open for it, in seconds.
    #[schema(required = false, default = 600, minimum = 60, maximum = 3600)]
    open_seconds: u32,
}

impl FromFields for NewPairing {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let open_seconds = fields.or("open_seconds", OPEN_SECONDS, integer(60..=3600));
        Some(Self {
            open_seconds: open_seconds?,
        })
    }
}

/// Open a webhook for pairing
///
/// For senders that bring the secret of their requests (`notion`, `asana`): the first request that brings one, and which the
/// allowlists let in, installs it in the webhook's `authentication` and closes the pairing. Until then, and after it, what
/// brings a secret is refused. Opening it anew ends what was open; secrets that came before stay.
#[utoipa::path(tag = "webhooks", operation_id = "openPairing", security(("bearer" = ["webhooks:write"])),
    request_body = NewPairing,
    responses((status = 201, description = "The webhook is open for pairing", body = PairingView),
        (status = 409, description = "wrong_state, limit_reached")))]
#[post("/webhooks/{id}/pairing")]
async fn open(
    caller: Guarded<WebhooksWrite>,
    Path((id,)): Path<(WebhookId,)>,
    Json(NewPairing { open_seconds }): Json<NewPairing>,
) -> ApiResult<Reply<PairingView>> {
    let expires_at = clock::now() + TimeDelta::seconds(open_seconds.into());
    let pairing = change(&caller, move |conn, scope| {
        let webhook = webhooks::read_for_change(conn, scope, id)?;
        let wrong_state = |detail: &str| ApiError::new(ErrorCode::WrongState, detail);
        let sender = senders::pairing_sender(webhook.handshake.as_ref(), &webhook.authentication);
        let sender = sender.map_err(wrong_state)?;
        if is_full(&webhook.authentication) {
            return Err(wrong_state(
                "the webhook has as many secrets as it may have: take one away first",
            ));
        }
        let pairing = pairings::open(conn, scope, id, sender, expires_at)?;
        Ok((pairing, vec![Change::Webhook(id)]))
    })
    .await?;
    Ok(Reply::created(PairingView::new(Some(pairing), clock::now())))
}

fn is_full(authentication: &Authentication) -> bool {
    let most = usize::try_from(limits::SENDER_SECRETS).unwrap_or(usize::MAX);
    matches!(authentication, Authentication::Sender(settings) if settings.secrets.len() >= most)
}

/// Read a webhook's pairing
///
/// Whether it waits for a sender that installs a secret itself, until when, and what has come.
#[utoipa::path(tag = "webhooks", operation_id = "getPairing", security(("bearer" = ["webhooks:read"])),
    responses((status = 200, description = "Its state", body = PairingView)))]
#[get("/webhooks/{id}/pairing")]
async fn read(
    caller: Guarded<WebhooksRead>,
    Path((id,)): Path<(WebhookId,)>,
) -> ApiResult<Reply<PairingView>> {
    let pairing = caller
        .run(move |conn, scope| pairings::read(conn, scope, id))
        .await?;
    Ok(Reply::ok(PairingView::new(pairing, clock::now())))
}

/// Close a webhook for pairing
///
/// Before its time is over. A secret that has come stays.
#[utoipa::path(tag = "webhooks", operation_id = "closePairing", security(("bearer" = ["webhooks:write"])),
    responses((status = 204, description = "It is not open (any more)")))]
#[delete("/webhooks/{id}/pairing")]
async fn close(caller: Guarded<WebhooksWrite>, Path((id,)): Path<(WebhookId,)>) -> ApiResult<NoContent> {
    change(&caller, move |conn, scope| {
        pairings::close(conn, scope, id)?;
        Ok((NoContent, vec![Change::Webhook(id)]))
    })
    .await
}

/// Reveal the secret that pairing installed
///
/// Once: some senders (`notion`) want it back to see that the URL is yours. After that nobody can read it here.
#[utoipa::path(tag = "webhooks", operation_id = "revealPairedSecret", security(("bearer" = ["secrets:write"])),
    responses((status = 200, description = "The secret", body = RevealedSecret),
        (status = 409, description = "wrong_state")))]
#[post("/webhooks/{id}/pairing/reveal")]
async fn reveal(
    caller: Guarded<SecretsWrite>,
    Path((id,)): Path<(WebhookId,)>,
) -> ApiResult<Reply<RevealedSecret>> {
    let key = caller.state().master_key.clone();
    let secret = caller
        .run(move |conn, scope| pairings::reveal(conn, scope, &key, id))
        .await?;
    let secret = secret.ok_or_else(|| {
        ApiError::new(
            ErrorCode::WrongState,
            "no secret has come, or it was shown before",
        )
    })?;
    Ok(Reply::ok(RevealedSecret::new(secret)))
}
