//! The template that a new webhook is made of, and what is chosen of it.

use hookgate_domain::database::PgConnection;
use hookgate_domain::scope::TenantScope;
use hookgate_domain::secrets;
use hookgate_model::flow::definition::RevisionDocument;
use hookgate_model::ids::SecretId;
use hookgate_model::senders;
use hookgate_model::webhook_templates::{self, Given, ParameterKind, WebhookTemplate};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::authentication::field_error;
use crate::error::{ApiError, ApiResult, FieldCode, FieldError};
use crate::fields::{Fields, FromFields, json, text};
use crate::routes::revisions;

/// Where it stands in the body.
const POINTER: &str = "/template";

/// A ready-made webhook, and what is chosen of it.
#[derive(Serialize, ToSchema)]
#[schema(as = TemplateChoice, example = json!({"name": "github-events",
    "parameters": {"secret": "sec_01k9z3v8e5f2q8r7w6t5y4x3m2", "destination": "dst_01k9z3v8e5f2q8r7w6t5y4x3m2"}}))]
pub struct TemplateBody {
    /// The name of a template of kind `webhook`.
    #[schema(example = "github-events")]
    name: String,
    /// The template's parameters by name. Those that have a default may be left out.
    #[schema(required = false)]
    parameters: Given,
}

/// The same, read: what the webhook gets of it.
pub struct Chosen {
    template: &'static WebhookTemplate,
    given: Given,
    pub settings: Map<String, Value>,
    pub revision: RevisionDocument,
}

impl FromFields for Chosen {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let name = fields.required("name", text(1..=100));
        let given = fields.or("parameters", Given::new(), json);
        let (name, given) = (name?, given?);
        let Some(template) = webhook_templates::find(&name) else {
            let detail = match senders::find(&name) {
                Some(_) => format!(
                    "`{name}` is a sender and no webhook: GET /v1/templates/{name} shows the `authentication` to set"
                ),
                None => format!("there is no template `{name}`; GET /v1/templates?kind=webhook lists them"),
            };
            fields.error("/name", FieldCode::NotFound, detail);
            return None;
        };
        match template.fill(&given) {
            Ok(filled) => Some(Self {
                template,
                given,
                settings: filled.webhook,
                revision: filled.revision,
            }),
            Err(problems) => {
                for problem in problems {
                    let FieldError {
                        pointer,
                        code,
                        detail,
                    } = field_error(problem.below("/parameters"));
                    fields.error(pointer, code, detail);
                }
                None
            }
        }
    }
}

impl Chosen {
    /// Everything that the parameters name must be the tenant's, and the texts must work as templates.
    pub fn require_usable(&self, conn: &mut PgConnection, scope: &TenantScope) -> ApiResult<()> {
        let parameters = self.template.parameters.iter();
        let named: Vec<(&str, SecretId)> = parameters
            .filter(|parameter| parameter.kind == ParameterKind::Secret)
            .filter_map(|parameter| {
                let id = self.given.get(&parameter.name)?.parse().ok()?;
                Some((parameter.name.as_str(), id))
            })
            .collect();
        let wanted: Vec<SecretId> = named.iter().map(|(_, id)| *id).collect();
        let existing = secrets::existing(conn, scope, &wanted)?;
        let missing = named.iter().filter(|(_, id)| !existing.contains(id));
        let mut errors: Vec<FieldError> = missing
            .map(|(name, _)| FieldError {
                pointer: format!("{POINTER}/parameters/{name}"),
                code: FieldCode::NotFound,
                detail: "the tenant has no secret with this id; POST /v1/secrets makes one".to_owned(),
            })
            .collect();
        for problem in revisions::problems(conn, scope, &self.revision)? {
            let mut error = FieldError::from(problem);
            error.pointer = match self.template.parameter_at(&error.pointer) {
                Some(parameter) => format!("{POINTER}/parameters/{}", parameter.name),
                None => POINTER.to_owned(),
            };
            errors.push(error);
        }
        // A value may stand in several places.
        errors.dedup();
        if errors.is_empty() {
            Ok(())
        } else {
            Err(ApiError::fields(errors))
        }
    }
}
