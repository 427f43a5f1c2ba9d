//! People, of whom the operator helps those who cannot help themselves.

use actix_web::post;
use hookgate_domain::{operator as domain, users};
use hookgate_model::ids::UserId;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::admin::{self, Operator};
use crate::body::Reply;
use crate::error::{ApiError, ApiResult, ErrorCode};
use crate::path::Path;

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config.service(remove_second_factor);
}

/// A person.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"id": "usr_01k9z3v8e5f2q8r7w6t5y4x3m2", "email": "ada@example.com", "name": "Ada"}))]
pub struct Person {
    id: UserId,
    email: String,
    name: String,
}

impl From<users::User> for Person {
    fn from(user: users::User) -> Self {
        Self {
            id: user.id,
            email: user.email,
            name: user.name,
        }
    }
}

/// Remove a person's second factor
///
/// For somebody who has lost their authenticator app and their recovery codes, and whom you know to be who they say they are. Their
/// logins end, a mail tells them, and the next login asks for the password alone.
#[utoipa::path(tag = "people", operation_id = "removeSecondFactor", security(("operator" = [])),
    params(("user" = String, Path, description = "The person's id, or the e-mail address of their account.", example = "ada@example.com")),
    responses((status = 200, description = "The person", body = Person),
              (status = 409, description = "wrong_state")))]
#[post("/users/{user}/remove-second-factor")]
async fn remove_second_factor(
    operator: Operator,
    Path((user,)): Path<(String,)>,
) -> ApiResult<Reply<Person>> {
    let (person, outbox) = (domain::Person::parse(&user), operator.state().outbox());
    let removed = operator
        .run(move |conn| admin::remove_second_factor(conn, outbox.as_ref(), &person))
        .await?;
    operator.state().mail.posted();
    let user =
        removed.ok_or_else(|| ApiError::new(ErrorCode::WrongState, "the person has no second factor"))?;
    Ok(Reply::ok(user.into()))
}
