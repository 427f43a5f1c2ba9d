//! What an authentication refers to: secrets that must be the tenant's own, and of the form that the settings say.

use hookgate_domain::crypto::MasterKey;
use hookgate_domain::database::PgConnection;
use hookgate_domain::scope::TenantScope;
use hookgate_domain::secrets;
use hookgate_model::authentication::{Authentication, Material, Problem, ProblemCode, Verifier};
use hookgate_model::senders::Handshake;

use crate::error::{ApiError, ApiResult, FieldCode, FieldError};

/// A problem of an authentication as one of a field.
pub fn field_error(problem: Problem) -> FieldError {
    FieldError {
        pointer: problem.pointer,
        code: match problem.code {
            ProblemCode::Required => FieldCode::Required,
            ProblemCode::TooShort => FieldCode::TooShort,
            ProblemCode::TooLong => FieldCode::TooLong,
            ProblemCode::OutOfRange => FieldCode::OutOfRange,
            ProblemCode::NotFound => FieldCode::NotFound,
            ProblemCode::Invalid => FieldCode::Invalid,
        },
        detail: problem.detail,
    }
}

/// Every secret of a webhook's own handshake must be there, and can then not be deleted until the transaction ends.
pub fn require_handshake(
    conn: &mut PgConnection,
    scope: &TenantScope,
    handshake: Option<&Handshake>,
) -> ApiResult<()> {
    let wanted = handshake.map_or(&[][..], Handshake::secret_ids);
    let existing = secrets::existing(conn, scope, wanted)?;
    let missing = (wanted.iter().enumerate()).filter(|(_, id)| !existing.contains(id));
    let missing: Vec<FieldError> = missing
        .map(|(place, _)| not_there(format!("/handshake/secrets/{place}")))
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(ApiError::fields(missing))
    }
}

fn not_there(pointer: String) -> FieldError {
    FieldError {
        pointer,
        code: FieldCode::NotFound,
        detail: "the tenant has no secret with this id".to_owned(),
    }
}

/// Every secret must be there, and can then not be deleted until the transaction ends; and a verifier can be made.
pub fn require_usable(
    conn: &mut PgConnection,
    scope: &TenantScope,
    key: &MasterKey,
    authentication: &Authentication,
) -> ApiResult<()> {
    let wanted = authentication.secret_ids();
    let existing = secrets::existing(conn, scope, &wanted)?;
    let missing: Vec<FieldError> = authentication
        .secret_places()
        .into_iter()
        .filter(|(_, id)| !existing.contains(id))
        .map(|(pointer, _)| not_there(format!("/authentication{pointer}")))
        .collect();
    if !missing.is_empty() {
        return Err(ApiError::fields(missing));
    }
    let material = Material {
        secrets: secrets::open(conn, scope, key, &wanted)?,
        ..Material::default()
    };
    match Verifier::compile(authentication, &material) {
        Ok(_) => Ok(()),
        Err(problem) => Err(ApiError::fields(vec![field_error(
            problem.below("/authentication"),
        )])),
    }
}
