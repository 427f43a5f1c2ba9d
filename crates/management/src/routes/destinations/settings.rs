//! What a tenant chooses of a destination, as the API takes it.

use hookgate_domain::crypto::MasterKey;
use hookgate_domain::database::PgConnection;
use hookgate_domain::destinations::{Destination, DestinationSettings};
use hookgate_domain::scope::TenantScope;
use hookgate_domain::{limits, secrets};
use hookgate_egress::check_identity;
use hookgate_model::authentication::Problem;
use hookgate_model::base_url::{self, BaseUrl};
use hookgate_model::ids::SecretId;
use hookgate_model::outbound_authentication::{ClientCertificate, OutboundAuthentication};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::error::{ApiError, ApiResult, FieldCode, FieldError};
use crate::fields::{Fields, FromFields, Read, boolean, integer, json, object, text, wrong};
use crate::routes::webhooks::authentication::field_error;

/// The greatest limit.
const MOST_CALLS: i64 = 1_000;

/// What can be changed of a destination.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DestinationSettings, example = json!({"name": "CRM", "base_url": "https://crm.example.com/api",
    "authentication": {"kind": "bearer", "token": "sec_01k9z3v8e5f2q8r7w6t5y4x3m2"}, "client_certificate": null,
    "limits": {"calls_per_second": 10, "calls_at_once": 4}, "pauses_on_gone": true}))]
pub struct SettingsBody {
    /// A name, unique in the tenant.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// What the URL of every call begins with: http or https, without credentials, query and fragment.
    #[schema(max_length = 2000)]
    base_url: String,
    /// What is presented with every call; by default nothing.
    #[schema(required = false)]
    authentication: OutboundAuthentication,
    /// The certificate that is presented when a connection is made (mTLS), beside any authentication.
    #[schema(required = false)]
    client_certificate: Option<ClientCertificate>,
    /// How much it takes; what is over waits.
    #[schema(required = false)]
    limits: CallLimits,
    /// Whether an answer of 410 Gone pauses it: no call goes there until somebody resumes it. By default it does.
    #[schema(required = false, default = true)]
    pauses_on_gone: bool,
}

/// How much a destination takes; null is no limit of its own.
#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
#[schema(as = DestinationLimits, example = json!({"calls_per_second": 10, "calls_at_once": null}))]
pub struct CallLimits {
    /// Calls in a second, at most so many at once.
    #[schema(minimum = 1, maximum = 1000)]
    pub calls_per_second: Option<i32>,
    /// Calls at the same time; by default what the operator allows.
    #[schema(minimum = 1, maximum = 1000)]
    pub calls_at_once: Option<i32>,
}

impl FromFields for CallLimits {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let calls_per_second = fields.optional("calls_per_second", integer(1..=MOST_CALLS));
        let calls_at_once = fields.optional("calls_at_once", integer(1..=MOST_CALLS));
        Some(Self {
            calls_per_second: calls_per_second?,
            calls_at_once: calls_at_once?,
        })
    }
}

impl From<&Destination> for CallLimits {
    fn from(destination: &Destination) -> Self {
        Self {
            calls_per_second: destination.calls_per_second,
            calls_at_once: destination.calls_at_once,
        }
    }
}

impl From<Destination> for SettingsBody {
    fn from(destination: Destination) -> Self {
        Self {
            limits: CallLimits::from(&destination),
            pauses_on_gone: destination.pauses_on_gone,
            name: destination.name,
            base_url: destination.base_url,
            authentication: destination.authentication,
            client_certificate: destination.client_certificate,
        }
    }
}

/// The settings, read and valid.
pub struct Settings(pub DestinationSettings);

impl FromFields for Settings {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let name = fields.required("name", text(1..=limits::NAME_CHARACTERS));
        let base_url = fields.required("base_url", base_url);
        let authentication = fields.or(
            "authentication",
            OutboundAuthentication::default(),
            authentication,
        );
        let client_certificate = fields.optional("client_certificate", client_certificate);
        let limits = fields.or("limits", CallLimits::default(), object);
        let pauses_on_gone = fields.or("pauses_on_gone", true, boolean);
        let limits = limits?;
        Some(Self(DestinationSettings {
            name: name?,
            base_url: base_url?,
            authentication: authentication?,
            client_certificate: client_certificate?,
            calls_per_second: limits.calls_per_second,
            calls_at_once: limits.calls_at_once,
            pauses_on_gone: pauses_on_gone?,
        }))
    }
}

fn base_url(value: Value) -> Read<BaseUrl> {
    let written = text(1..=base_url::MAX_LENGTH)(value)?;
    BaseUrl::parse(&written).or_else(|error| wrong(FieldCode::Invalid, error.to_string()))
}

fn authentication(value: Value) -> Read<OutboundAuthentication> {
    let read: OutboundAuthentication = json(value)?;
    let problems = read.problems();
    checked(read, problems)
}

fn client_certificate(value: Value) -> Read<ClientCertificate> {
    let read: ClientCertificate = json(value)?;
    let problems = read.problems();
    checked(read, problems)
}

fn checked<T>(read: T, problems: Vec<Problem>) -> Read<T> {
    if problems.is_empty() {
        Ok(read)
    } else {
        Err(problems.into_iter().map(field_error).collect())
    }
}

/// Every secret that the settings name must be there, and can then not be deleted until the transaction ends; and its value
/// must be of use.
pub fn require_usable(
    conn: &mut PgConnection,
    scope: &TenantScope,
    key: &MasterKey,
    authentication: &OutboundAuthentication,
    certificate: Option<&ClientCertificate>,
) -> ApiResult<()> {
    let places = authentication.secret_places().into_iter();
    let places: Vec<(String, SecretId)> = places
        .map(|(at, id)| (format!("/authentication{at}"), id))
        .chain(certificate.map(|own| ("/client_certificate/private_key".to_owned(), own.private_key)))
        .collect();
    let wanted: Vec<SecretId> = places.iter().map(|(_, id)| *id).collect();
    let existing = secrets::existing(conn, scope, &wanted)?;
    let missing: Vec<FieldError> = (places.into_iter())
        .filter(|(_, id)| !existing.contains(id))
        .map(|(pointer, _)| FieldError {
            pointer,
            code: FieldCode::NotFound,
            detail: "the tenant has no secret with this id".to_owned(),
        })
        .collect();
    if !missing.is_empty() {
        return Err(ApiError::fields(missing));
    }
    let values = secrets::open(conn, scope, key, &wanted)?;
    let unusable = |problem: Problem| ApiError::fields(vec![field_error(problem)]);
    authentication
        .credentials(&values)
        .map_err(|problem| unusable(problem.below("/authentication")))?;
    if let Some(certificate) = certificate {
        let identity = certificate.identity(&values);
        let identity = identity.map_err(|problem| unusable(problem.below("/client_certificate")))?;
        check_identity(&identity).map_err(|reason| {
            let detail = format!("the certificate and the private key cannot be used together: {reason}");
            ApiError::field("/client_certificate", FieldCode::Invalid, detail)
        })?;
    }
    Ok(())
}
