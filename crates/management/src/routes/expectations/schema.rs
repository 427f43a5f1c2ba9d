//! Structures told as JSON Schema, and taken from it.

use actix_web::{get, post};
use hookgate_model::expected_data::{ExpectedData, from_json_schema, to_json_schema};
use hookgate_model::ids::{RevisionId, WebhookId};
use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::view::LearntView;
use super::{draft, save_expected};
use crate::auth::Guarded;
use crate::auth::permissions::{WebhooksRead, WebhooksWrite};
use crate::body::{Json, Reply};
use crate::error::{ApiError, ApiResult, FieldCode};
use crate::fields::{Fields, FromFields, any, boolean, parsed};
use crate::path::Path;
use crate::query::Query;
use crate::routes::simulation::read_document;

/// Which revision is meant.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct OfRevision {
    /// A revision of the webhook; by default the draft.
    pub revision_id: Option<RevisionId>,
}

impl FromFields for OfRevision {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            revision_id: fields.optional("revision_id", parsed)?,
        })
    }
}

/// A JSON Schema (draft 2020-12).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = JsonSchema, value_type = Object, example = json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
    "properties": {"body": {"type": "object", "properties": {"order": {"type": "object"}}, "required": ["order"]}},
    "required": ["body"]}))]
pub struct JsonSchemaView(Value);

/// Read the structure as JSON Schema
///
/// An object with `headers`, `query`, `path` and `body`, as far as anything is expected there.
#[utoipa::path(tag = "revisions", operation_id = "getJsonSchema", security(("bearer" = ["webhooks:read"])), params(OfRevision),
    responses((status = 200, description = "The schema", body = JsonSchemaView)))]
#[get("/webhooks/{id}/json-schema")]
pub async fn export(
    caller: Guarded<WebhooksRead>,
    Path((webhook,)): Path<(WebhookId,)>,
    Query(OfRevision { revision_id }): Query<OfRevision>,
) -> ApiResult<Reply<JsonSchemaView>> {
    let document = caller
        .run(move |conn, scope| read_document(conn, scope, webhook, revision_id, None))
        .await?;
    let schema = to_json_schema(&document.expected_data);
    Ok(Reply::ok(JsonSchemaView(schema)))
}

/// A schema to take the structure from.
#[derive(ToSchema)]
#[schema(example = json!({"schema": {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}, "save": true}))]
pub struct SchemaImport {
    /// The schema of the body, or one with nothing but `headers`, `query`, `path` and `body` as its properties. References lead
    /// to places in itself.
    #[schema(value_type = Object)]
    schema: Value,
    /// Whether the draft is saved with it.
    #[schema(required = false, default = false)]
    save: bool,
}

impl FromFields for SchemaImport {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let schema = fields.required("schema", any);
        let save = fields.or("save", false, boolean);
        Some(Self {
            schema: schema?,
            save: save?,
        })
    }
}

/// Take the structure from a JSON Schema
///
/// It takes the place of the draft's; `mode` and `full_body` stay. What a structure cannot say, such as patterns, ranges and
/// alternatives, is left out, so that no less is accepted.
#[utoipa::path(tag = "revisions", operation_id = "takeJsonSchema", security(("bearer" = ["webhooks:write"])),
    request_body = SchemaImport,
    responses((status = 200, description = "The structure", body = LearntView), (status = 409, description = "wrong_state, limit_reached")))]
#[post("/webhooks/{id}/draft/expected-data/from-json-schema")]
pub async fn import(
    caller: Guarded<WebhooksWrite>,
    Path((webhook,)): Path<(WebhookId,)>,
    Json(SchemaImport { schema, save }): Json<SchemaImport>,
) -> ApiResult<Reply<LearntView>> {
    let existing = caller
        .run(move |conn, scope| draft(conn, scope, webhook))
        .await?
        .expected_data;
    let read = from_json_schema(&schema);
    let read = read.map_err(|error| ApiError::field("/schema", FieldCode::Invalid, error.to_string()))?;
    let expected = in_place_of(&existing, read);
    if save {
        let expected = expected.clone();
        save_expected(&caller, webhook, move |now| in_place_of(now, expected)).await?;
    }
    Ok(Reply::ok(LearntView {
        json_schema: to_json_schema(&expected),
        expected_data: expected,
        conflicts: Vec::new(),
    }))
}

/// A structure with what a schema does not say.
fn in_place_of(existing: &ExpectedData, read: ExpectedData) -> ExpectedData {
    ExpectedData {
        mode: existing.mode,
        full_body: existing.full_body,
        ..read
    }
}
