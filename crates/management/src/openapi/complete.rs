//! What every operation has because of what it is: errors, headers, and examples taken from the schemas.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, Required, ResponseBuilder};

use super::examples::{Schemas, without_schema_of_bytes};
use crate::error::ErrorCode;
use crate::idempotency::UNKEPT;

const PROBLEM_JSON: &str = "application/problem+json";

pub(super) fn complete(document: &mut OpenApi) {
    let schemas = document
        .components
        .as_ref()
        .map(|components| serde_json::to_value(&components.schemas));
    let schemas = Schemas(schemas.and_then(Result::ok).unwrap_or_default());
    for (path, item) in &mut document.paths.paths {
        let operations = [
            (Kind::Read, &mut item.get),
            (Kind::Write, &mut item.put),
            (Kind::Post, &mut item.post),
            (Kind::Patch, &mut item.patch),
            (Kind::Write, &mut item.delete),
        ];
        for (kind, operation) in operations {
            if let Some(operation) = operation {
                operation_of(path, kind, operation, &schemas);
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
    Post,
    Patch,
}

fn operation_of(path: &str, kind: Kind, operation: &mut Operation, schemas: &Schemas) {
    let guarded = operation
        .security
        .as_ref()
        .is_some_and(|security| !security.is_empty());
    if !guarded {
        operation.security = Some(Vec::new());
    }
    let mut codes = stated_codes(operation);
    let is_operators = path.starts_with("/admin/");
    if path.starts_with("/v1/") || is_operators {
        codes.extend([ErrorCode::Unavailable, ErrorCode::Internal]);
    }
    if guarded {
        codes.extend([ErrorCode::Unauthenticated, ErrorCode::TooManyRequests]);
        if !is_operators {
            codes.push(ErrorCode::TokenExpired);
        }
        if names_scope(operation) {
            codes.extend([
                ErrorCode::Forbidden,
                ErrorCode::TenantSuspended,
                ErrorCode::TenantDeleted,
            ]);
        }
    }
    if path.contains('{') {
        codes.push(ErrorCode::NotFound);
    }
    if operation.request_body.is_some() {
        codes.extend([
            ErrorCode::MalformedJson,
            ErrorCode::InvalidRequest,
            ErrorCode::BodyTooLarge,
            ErrorCode::UnsupportedMediaType,
        ]);
    }
    let has_query = |parameter: &Parameter| parameter.parameter_in == ParameterIn::Query;
    if operation
        .parameters
        .iter()
        .flatten()
        .any(|parameter| match parameter {
            RefOr::T(parameter) => has_query(parameter),
            RefOr::Ref(_) => false,
        })
    {
        codes.extend([ErrorCode::InvalidRequest, ErrorCode::InvalidCursor]);
    }
    let is_kept = !is_operators && !UNKEPT.iter().any(|prefix| path.starts_with(prefix));
    if guarded && kind == Kind::Post && is_kept {
        codes.extend([
            ErrorCode::InvalidHeader,
            ErrorCode::IdempotencyInFlight,
            ErrorCode::IdempotencyKeyReused,
        ]);
        add_header(
            operation,
            "Idempotency-Key",
            "Makes repeating the request safe: for 24 hours the same key and body get the first answer.",
            "4f0c6b1e-order-42",
        );
    }
    if kind == Kind::Patch || codes.contains(&ErrorCode::PreconditionFailed) {
        codes.extend([ErrorCode::InvalidHeader, ErrorCode::PreconditionFailed]);
        add_header(
            operation,
            "If-Match",
            "The ETag of the version that the change is based on; the change is refused when there is a newer one.",
            "\"3\"",
        );
    }
    codes.sort();
    codes.dedup();
    add_errors(operation, &codes);
    add_examples(operation, schemas);
    describe_parameters(operation);
}

/// The codes that an operation states as descriptions of its error responses; those responses are made anew.
fn stated_codes(operation: &mut Operation) -> Vec<ErrorCode> {
    let mut codes = Vec::new();
    operation.responses.responses.retain(|_, response| {
        let RefOr::T(response) = response else { return true };
        let stated: Option<Vec<ErrorCode>> = response
            .description
            .split(',')
            .map(|code| code.trim().parse().ok())
            .collect();
        let is_stated = response.content.is_empty() && stated.is_some();
        codes.extend(stated.filter(|_| is_stated).unwrap_or_default());
        !is_stated
    });
    codes
}

fn names_scope(operation: &Operation) -> bool {
    let security = serde_json::to_value(&operation.security).unwrap_or_default();
    security
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|requirement| requirement.get("bearer")?.as_array())
        .any(|scopes| !scopes.is_empty())
}

fn add_header(operation: &mut Operation, name: &str, description: &str, example: &str) {
    let header = ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .example(Some(json!(example)))
        .build();
    operation
        .parameters
        .get_or_insert_default()
        .push(RefOr::T(header));
}

fn add_errors(operation: &mut Operation, codes: &[ErrorCode]) {
    let mut by_status: BTreeMap<String, Vec<ErrorCode>> = BTreeMap::new();
    for code in codes {
        by_status
            .entry(code.status().as_u16().to_string())
            .or_default()
            .push(*code);
    }
    for (status, codes) in by_status {
        let described: Vec<String> = codes
            .iter()
            .map(|code| format!("`{}`: {}", code.as_str(), code.title()))
            .collect();
        let examples = codes.iter().map(|code| {
            let example = ExampleBuilder::new().value(Some(problem(*code))).build();
            (code.as_str().to_owned(), RefOr::T(example))
        });
        let mut content = ContentBuilder::new()
            .schema(Some(Ref::from_schema_name("Problem")))
            .build();
        content.examples = examples.collect();
        let mut response = ResponseBuilder::new()
            .description(described.join("; "))
            .content(PROBLEM_JSON, content);
        if matches!(status.as_str(), "429" | "503") {
            let seconds = ObjectBuilder::new().schema_type(Type::Integer);
            let header = HeaderBuilder::new()
                .schema(Some(seconds))
                .description(Some("Seconds after which to try again."))
                .build();
            response = response.header("Retry-After", header);
        }
        if status == "429" {
            for (name, description) in RATE_HEADERS {
                let header = HeaderBuilder::new()
                    .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
                    .description(Some(description))
                    .build();
                response = response.header(name, header);
            }
        }
        operation
            .responses
            .responses
            .entry(status)
            .or_insert(RefOr::T(response.build()));
    }
}

/// Of an answer to more requests than a tenant's rate allows.
const RATE_HEADERS: [(&str, &str); 2] = [
    (
        "RateLimit-Policy",
        "The rate, when it is the tenant's rate of requests that is exceeded.",
    ),
    ("RateLimit", "What is left of it, likewise."),
];

fn problem(code: ErrorCode) -> Value {
    let errors = if code == ErrorCode::InvalidRequest {
        json!([{"pointer": "/name", "code": "required", "detail": "must be given"}])
    } else {
        json!([])
    };
    let detail = if code == ErrorCode::InvalidRequest {
        "/name: must be given"
    } else {
        code.title()
    };
    json!({
        "type": format!("urn:hookgate:problem:{}", code.as_str()),
        "title": code.title(),
        "status": code.status().as_u16(),
        "detail": detail,
        "code": code.as_str(),
        "errors": errors,
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
    })
}

fn add_examples(operation: &mut Operation, schemas: &Schemas) {
    let body = match &mut operation.request_body {
        Some(RefOr::T(body)) => Some(body),
        _ => None,
    };
    let of_request = body.into_iter().flat_map(|body| body.content.iter_mut());
    let answers = operation
        .responses
        .responses
        .values_mut()
        .filter_map(|response| match response {
            RefOr::T(response) => Some(response),
            RefOr::Ref(_) => None,
        });
    let of_answers = answers.flat_map(|response| response.content.iter_mut());
    for (media_type, content) in of_request.chain(of_answers) {
        without_schema_of_bytes(media_type, content);
        if let RefOr::T(content) = content {
            schemas.add_example(content);
        }
    }
}

/// An id in a path says what it is by its type.
fn describe_parameters(operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter
            && parameter.parameter_in == ParameterIn::Path
            && parameter.description.is_none()
        {
            parameter.description = Some("The id of the object.".to_owned());
        }
    }
}
