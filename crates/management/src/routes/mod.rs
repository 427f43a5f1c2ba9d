//! The routes, one file per noun.
//!
//! To add one, write it as below in `routes/<noun>.rs`, list it in that file's `register`, and call that from
//! [`register`]. The path, the parameters and the JSON body reach the OpenAPI document from the code; what every operation
//! has in common (401, 403, 404 for ids, 400/413/415 for bodies, `Idempotency-Key` for POST, `If-Match` for PATCH, 503,
//! their examples) is added by [`crate::openapi`]. An operation states only the error codes of its own, as a description
//! that lists them. Its `security` names the scope that [`Guarded`](crate::auth::Guarded) demands; a test compares the two.
//!
//! ```text
//! /// Create a webhook
//! ///
//! /// It gets a production and a test URL at once.
//! #[utoipa::path(tag = "webhooks", operation_id = "createWebhook",
//!     security(("bearer" = ["webhooks:write"])),
//!     responses((status = 201, description = "The new webhook", body = Webhook),
//!               (status = 409, description = "limit_reached")))]
//! #[post("/webhooks")]
//! async fn create(caller: Guarded<WebhooksWrite>, Json(new): Json<NewWebhook>) -> ApiResult<Reply<Webhook>> {
//!     let webhook = caller.run(move |conn, scope| webhooks::create(conn, scope, &new)).await?;
//!     Ok(Reply::created(Webhook::from(&webhook)).version(webhook.version))
//! }
//! ```
//! A body implements [`FromFields`](crate::fields::FromFields) beside its `ToSchema`, and every schema that is a body has
//! `#[schema(example = json!(…))]`. Lists take [`Paging`](crate::page::Paging) and `params(PagingParams)` and give a
//! [`Page`](crate::page::Page); ids come by `Path((id,)): Path<(WebhookId,)>`; a PATCH takes
//! [`IfMatch`](crate::etag::IfMatch) and [`Patch`](crate::body::Patch). `management_keys.rs` and `tenant.rs` show all of it.

use actix_web::middleware::from_fn;
use utoipa_actix_web::scope;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::{auth as authentication, idempotency};

pub mod admin;
pub mod allowlists;
pub mod api_keys;
pub mod attempts;
pub mod audit_log;
pub mod auth;
pub mod capture;
pub mod collections;
pub mod destinations;
pub(crate) mod docs;
pub mod emails;
pub mod events;
pub mod expectations;
pub mod export;
pub mod failed_callbacks;
pub mod health;
pub mod invitations;
pub mod logins;
pub mod management_keys;
pub mod me;
pub mod members;
pub mod notifications;
pub mod pairing;
pub mod passwords;
pub mod public_api;
pub mod refusals;
pub mod replays;
pub mod revisions;
pub mod runs;
pub mod samples;
pub mod secrets;
pub mod sessions;
pub mod simulation;
pub mod templates;
pub mod tenant;
pub mod tenants;
pub mod totp;
pub mod urls;
pub mod usage;
pub mod verification;
pub mod webhooks;

/// Registers every route, in the order in which the document shows them.
pub(crate) fn register(config: &mut ServiceConfig<'_>) {
    let v1 = scope("/v1")
        .configure(auth::register)
        .configure(passwords::register)
        .configure(emails::register)
        .configure(me::register)
        .configure(totp::register)
        .configure(logins::register)
        .configure(tenant::register)
        .configure(export::register)
        .configure(notifications::register)
        .configure(tenants::register)
        .configure(members::register)
        .configure(invitations::register)
        .configure(management_keys::register)
        .configure(webhooks::register)
        .configure(pairing::register)
        .configure(verification::register)
        .configure(templates::register)
        .configure(urls::register)
        .configure(api_keys::register)
        .configure(revisions::register)
        .configure(simulation::register)
        .configure(sessions::register)
        .configure(capture::register)
        .configure(samples::register)
        .configure(expectations::register)
        .configure(public_api::register)
        .configure(allowlists::register)
        .configure(destinations::register)
        .configure(collections::register)
        .configure(secrets::register)
        .configure(events::register)
        .configure(refusals::register)
        .configure(replays::register)
        .configure(runs::register)
        .configure(failed_callbacks::register)
        .configure(attempts::register)
        .configure(usage::register)
        .configure(audit_log::register)
        .wrap(from_fn(idempotency::middleware))
        .wrap(from_fn(authentication::middleware));
    config
        .configure(health::register)
        .configure(public_api::register_shared)
        .service(v1);
}
