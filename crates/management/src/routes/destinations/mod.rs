//! Destinations: where flows call.

mod sent_secrets;
mod settings;
mod view;

use actix_web::{delete, get, patch, post};
use chrono::TimeDelta;
use hookgate_domain::clock;
use hookgate_domain::database::PgConnection;
use hookgate_domain::destinations::{self, Destination, DestinationSettings, Pause};
use hookgate_domain::scope::TenantScope;
use hookgate_model::access::Permission;
use hookgate_model::ids::DestinationId;
use hookgate_model::outbound_authentication::{ClientCertificate, OutboundAuthentication};
use hookgate_model::outbound_signature::{SignatureVersion, SigningSecret};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use sent_secrets::{SentSecrets, presents_secrets};
pub(super) use settings::require_usable;
pub use settings::{CallLimits, Settings, SettingsBody};
pub use view::{DestinationView, DestinationWithSecret};

use crate::auth::Guarded;
use crate::auth::permissions::{DestinationsRead, DestinationsWrite};
use crate::body::{Json, NoContent, Patch, Reply};
use crate::error::{ApiError, ApiResult, ErrorCode, FieldCode, OnConstraint};
use crate::etag::IfMatch;
use crate::fields::{Fields, FromFields, Read, boolean, integer, json, text, wrong};
use crate::page::{Page, Paging, PagingParams};
use crate::path::Path;

/// The random bytes of a generated signing secret.
const SECRET_BYTES: usize = 32;
/// How long the secret before a rotation signs too, by default, in seconds: a day.
const GRACE_SECONDS: u32 = 86_400;
/// The longest such time, in seconds: 30 days.
const GRACE_SECONDS_MOST: i64 = 30 * 86_400;

type DestinationPatch = Patch<SettingsBody>;

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config
        .service(create)
        .service(index)
        .service(read)
        .service(update)
        .service(remove)
        .service(pause_calls)
        .service(resume_calls)
        .service(rotate_secret)
        .service(remove_secret);
}

/// A destination to make.
#[derive(ToSchema)]
#[schema(example = json!({"name": "CRM", "base_url": "https://crm.example.com/api", "signed": true}))]
pub struct NewDestination {
    /// A name, unique in the tenant.
    #[schema(min_length = 1, max_length = 200)]
    pub name: String,
    /// What the URL of every call begins with: http or https, without credentials, query and fragment.
    #[schema(max_length = 2000)]
    pub base_url: String,
    /// What is presented with every call; by default nothing.
    #[schema(required = false)]
    pub authentication: OutboundAuthentication,
    /// The certificate that is presented when a connection is made (mTLS), beside any authentication.
    pub client_certificate: Option<ClientCertificate>,
    /// How much it takes; what is over waits.
    #[schema(required = false)]
    pub limits: CallLimits,
    /// Whether an answer of 410 Gone pauses it: no call goes there until somebody resumes it.
    #[schema(required = false, default = true)]
    pub pauses_on_gone: bool,
    /// Whether calls are signed per Standard Webhooks.
    #[schema(required = false, default = true)]
    pub signed: bool,
    /// The kind of the secret that is generated; one that is given says it itself.
    #[schema(required = false, default = "v1")]
    pub signature_version: SignatureVersion,
    /// The secret that signs calls: `whsec_` and the base64 of 16 to 64 bytes, or `whsk_` and the base64 of an Ed25519
    /// key. By default one is generated.
    #[schema(value_type = Option<String>)]
    pub signing_secret: Option<SigningSecret>,
}

/// A destination to make, read and valid.
struct New {
    settings: DestinationSettings,
    secret: Option<SigningSecret>,
}

impl FromFields for New {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let settings = Settings::from_fields(fields);
        let signed = fields.or("signed", true, boolean);
        let secret = GivenSecret::from_fields(fields);
        if signed == Some(false) && matches!(secret, Some(GivenSecret { given: Some(_), .. })) {
            let detail = "leave it out when calls are not to be signed";
            fields.error("/signing_secret", FieldCode::Invalid, detail);
            return None;
        }
        let (Settings(settings), secret) = (settings?, secret?);
        let secret = if signed? { Some(secret.make(fields)?) } else { None };
        Some(Self { settings, secret })
    }
}

/// A signing secret that is given, or the kind of one to generate.
struct GivenSecret {
    given: Option<SigningSecret>,
    version: Option<SignatureVersion>,
}

impl FromFields for GivenSecret {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let given = fields.optional("signing_secret", secret);
        let version = fields.optional("signature_version", json);
        if let (Some(Some(given)), Some(Some(version))) = (&given, &version)
            && given.version() != *version
        {
            let detail = "the secret that is given is of another kind; leave this out";
            fields.error("/signature_version", FieldCode::Invalid, detail);
            return None;
        }
        Some(Self {
            given: given?,
            version: version?,
        })
    }
}

impl GivenSecret {
    fn make(self, fields: &mut Fields) -> Option<SigningSecret> {
        if self.given.is_some() {
            return self.given;
        }
        let random = clock::secret_bytes::<SECRET_BYTES>();
        SigningSecret::generate(self.version.unwrap_or_default(), &random)
            .map_err(|error| fields.error("/signature_version", FieldCode::Invalid, error.to_string()))
            .ok()
    }
}

fn secret(value: Value) -> Read<SigningSecret> {
    let written = text(1..=200)(value)?;
    SigningSecret::parse(&written).or_else(|error| wrong(FieldCode::Invalid, error.to_string()))
}

/// Create a destination
///
/// Its signing secret is in this answer alone. The receiver verifies with it that a call comes from here. An `authentication` or
/// `client_certificate` that names secrets takes the scope `secrets:write`, too.
#[utoipa::path(tag = "destinations", operation_id = "createDestination",
    security(("bearer" = ["destinations:write"])), request_body = NewDestination,
    responses((status = 201, description = "The destination", body = DestinationWithSecret),
        (status = 403, description = "forbidden"), (status = 409, description = "name_taken, limit_reached")))]
#[post("/destinations")]
async fn create(
    caller: Guarded<DestinationsWrite>,
    Json(New { settings, secret }): Json<New>,
) -> ApiResult<Reply<DestinationWithSecret>> {
    let key = caller.state().master_key.clone();
    let own = secret.clone();
    if !caller.actor.may(Permission::SecretsWrite) && presents_secrets(&settings) {
        return Err(may_not_send_secrets());
    }
    let destination = caller
        .run(move |conn, scope| {
            let (authentication, certificate) = (&settings.authentication, &settings.client_certificate);
            require_usable(conn, scope, &key, authentication, certificate.as_ref())?;
            Ok::<_, ApiError>(destinations::create(conn, scope, &key, &settings, own.as_ref())?)
        })
        .await?;
    let version = destination.version;
    Ok(Reply::created(DestinationWithSecret::new(destination, None, secret.as_ref())).version(version))
}

/// List destinations
///
/// Without their secrets, newest first.
#[utoipa::path(tag = "destinations", operation_id = "listDestinations",
    security(("bearer" = ["destinations:read"])), params(PagingParams),
    responses((status = 200, description = "A page of destinations, newest first", body = Page<DestinationView>)))]
#[get("/destinations")]
async fn index(caller: Guarded<DestinationsRead>, paging: Paging) -> ApiResult<Reply<Page<DestinationView>>> {
    let window = paging.window(&caller)?;
    let rows = window.rows();
    let (found, mut pauses) = caller
        .run(move |conn, scope| {
            let found = destinations::list(conn, scope, rows)?;
            let ids: Vec<DestinationId> = found.iter().map(|destination| destination.id).collect();
            let pauses = destinations::pauses(conn, scope, &ids)?;
            Ok::<_, ApiError>((found, pauses))
        })
        .await?;
    Ok(Reply::ok(window.page(
        found,
        |destination| destination.id.uuid(),
        |destination| {
            let pause = pauses.remove(&destination.id);
            DestinationView::new(destination, pause)
        },
    )?))
}

/// Read a destination
///
/// Without its secrets: where it is, how calls authenticate, and whether it is paused.
#[utoipa::path(tag = "destinations", operation_id = "getDestination",
    security(("bearer" = ["destinations:read"])),
    responses((status = 200, description = "The destination, without its secret", body = DestinationView)))]
#[get("/destinations/{id}")]
async fn read(
    caller: Guarded<DestinationsRead>,
    Path((id,)): Path<(DestinationId,)>,
) -> ApiResult<Reply<DestinationView>> {
    caller
        .run(move |conn, scope| {
            let destination = destinations::read(conn, scope, id)?;
            Ok::<_, ApiError>(show(destination, pause_of(conn, scope, id)?))
        })
        .await
}

fn may_not_send_secrets() -> ApiError {
    let detail = "whoever has secrets sent somewhere needs secrets:write, too";
    ApiError::new(ErrorCode::Forbidden, detail)
}

fn pause_of(conn: &mut PgConnection, scope: &TenantScope, id: DestinationId) -> ApiResult<Option<Pause>> {
    Ok(destinations::pauses(conn, scope, &[id])?.remove(&id))
}

fn show(destination: Destination, pause: Option<Pause>) -> Reply<DestinationView> {
    let version = destination.version;
    Reply::ok(DestinationView::new(destination, pause)).version(version)
}

/// Change a destination
///
/// Calls that are made from now on go to the new URL, also those of runs that have begun. Secrets go with them: another scheme, host
/// or port of `base_url`, and another `authentication` or `client_certificate` that names secrets, take the scope `secrets:write`,
/// too.
#[utoipa::path(tag = "destinations", operation_id = "updateDestination",
    security(("bearer" = ["destinations:write"])),
    request_body(content = DestinationPatch, content_type = "application/merge-patch+json"),
    responses((status = 200, description = "The destination as it is now", body = DestinationView),
        (status = 403, description = "forbidden"), (status = 409, description = "name_taken")))]
#[patch("/destinations/{id}")]
async fn update(
    caller: Guarded<DestinationsWrite>,
    Path((id,)): Path<(DestinationId,)>,
    if_match: IfMatch,
    patch: Patch<Settings>,
) -> ApiResult<Reply<DestinationView>> {
    let key = caller.state().master_key.clone();
    let may_send_secrets = caller.actor.may(Permission::SecretsWrite);
    caller
        .run(move |conn, scope| {
            let current = destinations::read_for_change(conn, scope, id)?;
            if_match.check(current.version)?;
            let sent_before = SentSecrets::of(&current);
            let Settings(settings) = patch.apply(&SettingsBody::from(current))?;
            if !may_send_secrets && sent_before.are_led_elsewhere(&settings) {
                return Err(may_not_send_secrets());
            }
            let (authentication, certificate) = (&settings.authentication, &settings.client_certificate);
            require_usable(conn, scope, &key, authentication, certificate.as_ref())?;
            let changed = destinations::update(conn, scope, id, &settings)?;
            Ok::<_, ApiError>(show(changed, pause_of(conn, scope, id)?))
        })
        .await
}

/// Pause a destination
///
/// No call goes there until it is resumed; flows that come to such a call wait.
#[utoipa::path(tag = "destinations", operation_id = "pauseDestination",
    security(("bearer" = ["destinations:write"])),
    responses((status = 200, description = "The destination as it is now", body = DestinationView)))]
#[post("/destinations/{id}/pause")]
async fn pause_calls(
    caller: Guarded<DestinationsWrite>,
    Path((id,)): Path<(DestinationId,)>,
) -> ApiResult<Reply<DestinationView>> {
    caller
        .run(move |conn, scope| {
            let destination = destinations::read_for_change(conn, scope, id)?;
            destinations::pause(conn, scope, id, "it was paused over the API")?;
            Ok::<_, ApiError>(show(destination, pause_of(conn, scope, id)?))
        })
        .await
}

/// Resume a destination
///
/// What waits for it goes on; a circuit that was open is closed.
#[utoipa::path(tag = "destinations", operation_id = "resumeDestination",
    security(("bearer" = ["destinations:write"])),
    responses((status = 200, description = "The destination as it is now", body = DestinationView)))]
#[post("/destinations/{id}/resume")]
async fn resume_calls(
    caller: Guarded<DestinationsWrite>,
    Path((id,)): Path<(DestinationId,)>,
) -> ApiResult<Reply<DestinationView>> {
    let (destination, tenant) = caller
        .run(move |conn, scope| {
            let destination = destinations::read_for_change(conn, scope, id)?;
            destinations::resume(conn, scope, id)?;
            Ok::<_, ApiError>((destination, scope.tenant()))
        })
        .await?;
    if let Err(error) = caller.state().redis.forget_turns((tenant, id)).await {
        tracing::debug!(%error, "an open circuit could not be closed; it closes by itself");
    }
    Ok(show(destination, None))
}

/// Delete a destination
///
/// This is final. A destination that the draft or the published revision of a webhook calls cannot be deleted, nor one that
/// notifications go to.
#[utoipa::path(tag = "destinations", operation_id = "deleteDestination",
    security(("bearer" = ["destinations:write"])),
    responses((status = 204, description = "It is gone"), (status = 409, description = "in_use"),
        (status = 412, description = "precondition_failed")))]
#[delete("/destinations/{id}")]
async fn remove(
    caller: Guarded<DestinationsWrite>,
    Path((id,)): Path<(DestinationId,)>,
    if_match: IfMatch,
) -> ApiResult<NoContent> {
    caller
        .run(move |conn, scope| {
            if_match.check(destinations::read_for_change(conn, scope, id)?.version)?;
            let webhooks: Vec<String> = destinations::used_by(conn, scope, id)?
                .iter()
                .map(ToString::to_string)
                .collect();
            if !webhooks.is_empty() {
                let detail = format!(
                    "it is called by the draft or the published revision of {}",
                    webhooks.join(", ")
                );
                return Err(ApiError::new(ErrorCode::InUse, detail));
            }
            destinations::delete(conn, scope, id).on_constraint(
                "notification_settings_destination_fkey",
                || {
                    let detail =
                        "the tenant's notifications go to it: DELETE /v1/tenant/notifications ends them";
                    ApiError::new(ErrorCode::InUse, detail)
                },
            )?;
            Ok(NoContent)
        })
        .await
}

/// How a signing secret is replaced.
#[derive(ToSchema)]
#[schema(example = json!({"grace_seconds": 86_400}))]
pub struct SecretRotation {
    /// The new secret: `whsec_` and the base64 of 16 to 64 bytes, or `whsk_` and the base64 of an Ed25519 key. By default
    /// one is generated.
    #[schema(value_type = Option<String>)]
    pub signing_secret: Option<SigningSecret>,
    /// The kind of the secret that is generated; one that is given says it itself.
    #[schema(required = false, default = "v1")]
    pub signature_version: SignatureVersion,
    /// How long the secret before signs too, so that receivers can change it in their own time, in seconds.
    #[schema(required = false, default = 86_400, minimum = 0, maximum = 2_592_000)]
    pub grace_seconds: u32,
}

/// A rotation, read and valid.
struct Rotation {
    secret: SigningSecret,
    grace_seconds: u32,
}

impl FromFields for Rotation {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let secret = GivenSecret::from_fields(fields);
        let grace_seconds = fields.or("grace_seconds", GRACE_SECONDS, integer(0..=GRACE_SECONDS_MOST));
        Some(Self {
            grace_seconds: grace_seconds?,
            secret: secret?.make(fields)?,
        })
    }
}

/// Rotate the signing secret of a destination
///
/// The new secret signs from the next call on, and is in this answer alone. For the grace period calls carry the signature
/// of the old one too, with a space between. An unsigned destination becomes a signed one.
#[utoipa::path(tag = "destinations", operation_id = "rotateSigningSecret",
    security(("bearer" = ["destinations:write"])), request_body = SecretRotation,
    responses((status = 200, description = "The destination with its new secret", body = DestinationWithSecret)))]
#[post("/destinations/{id}/rotate-secret")]
async fn rotate_secret(
    caller: Guarded<DestinationsWrite>,
    Path((id,)): Path<(DestinationId,)>,
    Json(Rotation {
        secret,
        grace_seconds,
    }): Json<Rotation>,
) -> ApiResult<Reply<DestinationWithSecret>> {
    let key = caller.state().master_key.clone();
    let own = secret.clone();
    let until = (grace_seconds > 0).then(|| clock::now() + TimeDelta::seconds(grace_seconds.into()));
    let replace = move |conn: &mut PgConnection, scope: &TenantScope| {
        let replaced = destinations::replace_signing_secret(conn, scope, &key, id, Some(&own), until)?;
        Ok::<_, ApiError>((replaced, pause_of(conn, scope, id)?))
    };
    let (destination, pause) = caller.run(replace).await?;
    let version = destination.version;
    Ok(Reply::ok(DestinationWithSecret::new(destination, pause, Some(&secret))).version(version))
}

/// Remove the signing secret of a destination
///
/// Calls are not signed any more, from the next one on.
#[utoipa::path(tag = "destinations", operation_id = "removeSigningSecret",
    security(("bearer" = ["destinations:write"])),
    responses((status = 204, description = "It is gone"), (status = 412, description = "precondition_failed")))]
#[delete("/destinations/{id}/signing-secret")]
async fn remove_secret(
    caller: Guarded<DestinationsWrite>,
    Path((id,)): Path<(DestinationId,)>,
    if_match: IfMatch,
) -> ApiResult<NoContent> {
    let key = caller.state().master_key.clone();
    caller
        .run(move |conn, scope| {
            if_match.check(destinations::read_for_change(conn, scope, id)?.version)?;
            destinations::replace_signing_secret(conn, scope, &key, id, None, None)?;
            Ok::<_, ApiError>(NoContent)
        })
        .await
}
