//! What a request can be refused with: one [`ErrorCode`] per reason, whose exhaustive match gives the status and the
//! title; RFC 9457 problem details as the body. Nothing internal is echoed: the log has it under the trace id.

use std::fmt;
use std::str::FromStr;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use hookgate_model::rate::Rate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{request_rate, trace};

macro_rules! error_codes {
    ($($(#[$doc:meta])* $variant:ident = $name:tt, $status:ident, $title:tt;)*) => {
        /// A stable name for why a request was refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
        pub enum ErrorCode { $($(#[$doc])* #[serde(rename = $name)] $variant,)* }
        impl ErrorCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
            /// As it is written in JSON.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
            /// The status that goes with it.
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)* }
            }
            /// What it says to a person, the same every time.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}

error_codes! {
    /// The body is not JSON.
    MalformedJson = "malformed_json", BAD_REQUEST, "The body is not valid JSON";
    /// One or more fields of the body or the query are absent, unknown or wrong; `errors` lists all of them.
    InvalidRequest = "invalid_request", BAD_REQUEST, "The request has invalid fields";
    /// The cursor was not given out for this list, query and tenant.
    InvalidCursor = "invalid_cursor", BAD_REQUEST, "The cursor does not belong to this list";
    /// A header of the request cannot be read.
    InvalidHeader = "invalid_header", BAD_REQUEST, "A header of the request is invalid";
    /// There is no credential, or it does not work.
    Unauthenticated = "unauthenticated", UNAUTHORIZED, "A valid credential is required";
    /// The access token has expired: refresh it.
    TokenExpired = "token_expired", UNAUTHORIZED, "The access token has expired";
    /// No person has this e-mail address and password.
    InvalidCredentials = "invalid_credentials", UNAUTHORIZED, "The e-mail address or the password is wrong";
    /// The refresh token does not work (any more): log in again.
    InvalidRefreshToken = "invalid_refresh_token", UNAUTHORIZED, "The refresh token does not work";
    /// The token of a mail does not work (any more).
    InvalidToken = "invalid_token", UNAUTHORIZED, "The token does not work";
    /// The account has a second factor: show a code of it, too.
    TotpRequired = "totp_required", UNAUTHORIZED, "A code of the second factor is required";
    /// The code of the second factor is wrong, or was used.
    InvalidTotpCode = "invalid_totp_code", UNAUTHORIZED, "The code of the second factor does not work";
    /// The address of the account has to be verified before it can log in.
    EmailNotVerified = "email_not_verified", FORBIDDEN, "The e-mail address is not verified";
    /// The caller's role or scopes do not allow this.
    Forbidden = "forbidden", FORBIDDEN, "The caller may not do this";
    /// The operator has suspended the tenant; only who calls and their other tenants can be read.
    TenantSuspended = "tenant_suspended", FORBIDDEN, "The tenant is suspended";
    /// An owner has deleted the tenant; until it is erased, an owner can restore it.
    TenantDeleted = "tenant_deleted", FORBIDDEN, "The tenant is deleted";
    /// There is no such object in the caller's tenant.
    NotFound = "not_found", NOT_FOUND, "There is no such object";
    /// There is no such path.
    RouteNotFound = "route_not_found", NOT_FOUND, "There is no such path";
    /// The path exists, but not with this method.
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, "The path does not take this method";
    /// The e-mail address is registered already.
    EmailTaken = "email_taken", CONFLICT, "The e-mail address is registered already";
    /// Another object of the tenant has this name.
    NameTaken = "name_taken", CONFLICT, "The name is taken";
    /// The object is there already.
    AlreadyExists = "already_exists", CONFLICT, "The object exists already";
    /// Other objects refer to the object.
    InUse = "in_use", CONFLICT, "The object is in use";
    /// Data protection left out of the stored request what this would need.
    DataProtected = "data_protected", CONFLICT, "Data protection keeps nothing that this could work with";
    /// The object's state does not allow this.
    WrongState = "wrong_state", CONFLICT, "The object's state does not allow this";
    /// A tenant has at least one owner: make somebody else one first.
    LastOwner = "last_owner", CONFLICT, "The tenant would have no owner";
    /// The tenant has as many objects of this kind as it may have.
    LimitReached = "limit_reached", CONFLICT, "There are as many objects as there may be";
    /// A request with this Idempotency-Key is being worked on.
    IdempotencyInFlight = "idempotency_in_flight", CONFLICT, "The same request is still being worked on";
    /// The object was changed since the caller read it.
    PreconditionFailed = "precondition_failed", PRECONDITION_FAILED, "The object was changed in the meantime";
    /// The body is longer than this service reads.
    BodyTooLarge = "body_too_large", PAYLOAD_TOO_LARGE, "The body is too long";
    /// The body is not of a type that this operation reads.
    UnsupportedMediaType = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, "The body must be JSON";
    /// The body of a stored request cannot be decoded, which `detail` explains. It can be had as it was sent.
    UnreadableBody = "unreadable_body", UNPROCESSABLE_ENTITY, "The stored body cannot be decoded";
    /// The Idempotency-Key was used for another request.
    IdempotencyKeyReused = "idempotency_key_reused", UNPROCESSABLE_ENTITY, "The Idempotency-Key was used for another request";
    /// Too many requests: wait as long as `Retry-After` says.
    TooManyRequests = "too_many_requests", TOO_MANY_REQUESTS, "Too many requests";
    /// A fault of the service. The trace id finds it in the log.
    Internal = "internal", INTERNAL_SERVER_ERROR, "The service failed";
    /// The operation needs to send a mail, and this installation sends none.
    MailUnavailable = "mail_unavailable", SERVICE_UNAVAILABLE, "This installation sends no mail";
    /// The service cannot reach what it needs: wait as long as `Retry-After` says.
    Unavailable = "unavailable", SERVICE_UNAVAILABLE, "The service is unavailable";
}

impl FromStr for ErrorCode {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL
            .iter()
            .copied()
            .find(|code| code.as_str() == text)
            .ok_or(())
    }
}

/// What is wrong with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FieldCode {
    /// It must be there.
    Required,
    /// There is no such field.
    Unknown,
    /// It has another JSON type.
    WrongType,
    /// It is shorter than it may be.
    TooShort,
    /// It is longer than it may be.
    TooLong,
    /// It is smaller or greater than it may be.
    OutOfRange,
    /// It names an object that is not there.
    NotFound,
    /// It is a template that cannot be read.
    InvalidTemplate,
    /// It is a template that names a variable which is not there.
    UnknownVariable,
    /// It has the right type and is wrong in another way, which `detail` says.
    Invalid,
}

/// One thing that is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// Where it is: a JSON Pointer (RFC 6901) into the body, or the query parameter after `?`.
    #[schema(example = "/suffix")]
    pub pointer: String,
    /// What is wrong, for programs.
    pub code: FieldCode,
    /// What is wrong, for people.
    #[schema(example = "may not hold a space: try \"item-updated\"")]
    pub detail: String,
}

/// The body of every error: RFC 9457 problem details.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Names the kind of problem; goes with `code`.
    #[serde(rename = "type")]
    #[schema(example = "urn:hookgate:problem:invalid_request")]
    pub kind: String,
    /// The kind of problem in words, the same every time.
    #[schema(example = "The request has invalid fields")]
    pub title: String,
    /// The HTTP status.
    #[schema(example = 400)]
    pub status: u16,
    /// What happened this time.
    #[schema(example = "1 field is invalid")]
    pub detail: String,
    /// The kind of problem, for programs.
    pub code: ErrorCode,
    /// Every field that is wrong; empty unless the code is `invalid_request`.
    pub errors: Vec<FieldError>,
    /// Finds the request in the service's log.
    #[schema(example = "0af7651916cd43dd8448eb211c80319c")]
    pub trace_id: String,
}

/// A refused request.
#[derive(Debug, Clone)]
pub struct ApiError {
    code: ErrorCode,
    detail: String,
    errors: Vec<FieldError>,
    /// Seconds after which trying again makes sense.
    retry_after: Option<u64>,
    /// The rate that was exceeded.
    rate: Option<Rate>,
    /// The methods that the path takes.
    allow: Option<String>,
}

/// The result of a handler.
pub type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    /// An error with what happened this time, which the caller reads.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        let retry_after = matches!(code, ErrorCode::Unavailable).then_some(1);
        Self {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after,
            rate: None,
            allow: None,
        }
    }

    /// Every field that is wrong, at once.
    pub fn fields(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [only] if only.pointer.is_empty() => format!("the body {}", only.detail),
            [only] => format!("{}: {}", only.pointer, only.detail),
            several => format!("{} fields are invalid", several.len()),
        };
        Self {
            errors,
            ..Self::new(ErrorCode::InvalidRequest, detail)
        }
    }

    /// One field that is wrong, found out after the body was read (such as a reference to nothing).
    pub fn field(pointer: impl Into<String>, code: FieldCode, detail: impl Into<String>) -> Self {
        Self::fields(vec![FieldError {
            pointer: pointer.into(),
            code,
            detail: detail.into(),
        }])
    }

    /// No such object in the caller's tenant, whether there is none or it is another's.
    pub fn not_found() -> Self {
        Self::new(ErrorCode::NotFound, "no object of this tenant has this id")
    }

    /// A fault of this program; the reason goes to the log alone.
    pub fn internal(reason: impl fmt::Display) -> Self {
        tracing::error!(%reason, "a request failed");
        Self::new(
            ErrorCode::Internal,
            "the request failed; the log has the reason under the trace id",
        )
    }

    /// Too many requests: try again after some seconds.
    pub fn too_many(detail: impl Into<String>, retry_after: u64) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(ErrorCode::TooManyRequests, detail)
        }
    }

    /// More requests come than the tenant's rate allows.
    pub fn rate_limited(rate: Rate, retry_after: u64) -> Self {
        let Rate { per_second, burst } = rate;
        let detail = format!(
            "a tenant may send {per_second} requests per second, and {burst} at once; wait {retry_after} s"
        );
        Self {
            rate: Some(rate),
            ..Self::too_many(detail, retry_after)
        }
    }

    /// The path takes only these methods.
    pub fn method_not_allowed(allow: String) -> Self {
        Self {
            allow: Some(allow),
            ..Self::new(ErrorCode::MethodNotAllowed, "see the Allow header")
        }
    }

    /// Why.
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// What happened this time.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    fn problem(&self) -> Problem {
        Problem {
            kind: format!("urn:hookgate:problem:{}", self.code.as_str()),
            title: self.code.title().to_owned(),
            status: self.code.status().as_u16(),
            detail: self.detail.clone(),
            code: self.code,
            errors: self.errors.clone(),
            trace_id: trace::current().unwrap_or_default(),
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.detail)
    }
}

impl std::error::Error for ApiError {}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.code.status()
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.code.status());
        if let Some(seconds) = self.retry_after {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        if let (Some(rate), Some(seconds)) = (self.rate, self.retry_after) {
            let name = request_rate::NAME;
            response.insert_header(("ratelimit-policy", rate.policy(name)));
            response.insert_header(("ratelimit", format!("\"{name}\";r=0;t={seconds}")));
        }
        if let Some(allow) = &self.allow {
            response.insert_header((header::ALLOW, allow.as_str()));
        }
        if self.code.status() == StatusCode::UNAUTHORIZED {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer realm=\"hookgate\""));
        }
        response
            .insert_header((
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/problem+json"),
            ))
            .body(serde_json::to_vec(&self.problem()).unwrap_or_default())
    }
}

impl From<hookgate_domain::Error> for ApiError {
    fn from(error: hookgate_domain::Error) -> Self {
        use hookgate_domain::Error;
        match error {
            Error::NotFound => Self::not_found(),
            Error::Constraint(name) => from_constraint(&name),
            Error::VersionMismatch => Self::new(
                ErrorCode::PreconditionFailed,
                "read the object again, and send its ETag as If-Match",
            ),
            Error::LimitReached { what, most } => Self::new(
                ErrorCode::LimitReached,
                format!("there may be at most {most} {what}"),
            ),
            Error::Unavailable(reason) => {
                tracing::warn!(reason, "storage is unavailable");
                Self::new(ErrorCode::Unavailable, "the storage is unavailable; try again")
            }
            Error::NoSuchPlan(_) => Self::internal(format!(
                "management.plan_of_new_tenants: {error}; make it, or correct the setting"
            )),
            Error::Unreadable { .. } | Error::Query(_) => Self::internal(error),
        }
    }
}

/// What a broken rule of the schema means to the caller, when it means the same wherever it is broken. Where it does
/// not, the handler says so with [`OnConstraint::on_constraint`].
fn from_constraint(name: &str) -> ApiError {
    let named = |what: &str| {
        ApiError::new(
            ErrorCode::NameTaken,
            format!("another {what} of this tenant has this name"),
        )
    };
    match name {
        "users_email_key" => ApiError::new(ErrorCode::EmailTaken, "log in, or register another address"),
        // The person was deleted meanwhile, having left their last tenant.
        "memberships_user_id_fkey" => ApiError::not_found(),
        "invitations_email_key" => ApiError::new(
            ErrorCode::AlreadyExists,
            "there is an invitation for this address: send it again, or take it back",
        ),
        "memberships_pkey" => ApiError::new(ErrorCode::AlreadyExists, "the person is a member already"),
        "allowlists_name_key" => named("allowlist"),
        "destinations_name_key" => named("destination"),
        "collections_name_key" => named("collection"),
        "secrets_name_key" => named("secret"),
        "allowlist_entries_network_key" => {
            ApiError::new(ErrorCode::AlreadyExists, "the allowlist has this network already")
        }
        unexpected => ApiError::internal(format!("constraint {unexpected} would be broken")),
    }
}

/// Gives a broken rule of the schema its meaning in one place.
pub trait OnConstraint<T> {
    /// Turns the breaking of the named constraint into another error.
    ///
    /// # Errors
    /// That error, or the original one as [`ApiError`].
    fn on_constraint(self, name: &str, meaning: impl FnOnce() -> ApiError) -> ApiResult<T>;
}

impl<T> OnConstraint<T> for hookgate_domain::Result<T> {
    fn on_constraint(self, name: &str, meaning: impl FnOnce() -> ApiError) -> ApiResult<T> {
        self.map_err(|error| match error {
            hookgate_domain::Error::Constraint(broken) if broken == name => meaning(),
            other => other.into(),
        })
    }
}
