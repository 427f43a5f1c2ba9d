//! What a webhook makes of bodies, as the API takes it.

use hookgate_model::webhook::MalformedBodies;
use serde::Serialize;
use utoipa::ToSchema;

use crate::fields::{Fields, FromFields, json};

/// What a webhook makes of bodies.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = WebhookBodies, example = json!({"malformed": "accept"}))]
pub struct BodiesBody {
    /// What becomes of a request whose body is not what its content type or content encoding says, or that has a name
    /// twice in one object of JSON. `accept`: it becomes an event all the same, and `body.error` of the event says what is
    /// wrong. `refuse`: it gets 400, 413 when it decodes to too much, 415 for an encoding or charset that nobody knows.
    #[schema(required = false, default = "accept")]
    pub malformed: MalformedBodies,
}

impl Default for BodiesBody {
    fn default() -> Self {
        Self {
            malformed: MalformedBodies::Accept,
        }
    }
}

impl FromFields for BodiesBody {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let malformed = fields.or("malformed", MalformedBodies::Accept, json);
        Some(Self {
            malformed: malformed?,
        })
    }
}
