//! The OpenAPI document: collected from the routes, then completed with what all operations have in common.

mod complete;
mod examples;
mod shapes;

use actix_web::App;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    ComponentsBuilder, ContactBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, ServerBuilder,
};
use utoipa::{PartialSchema, ToSchema};
use utoipa_actix_web::AppExt;

use hookgate_model::flow::advance::RunOutcome;

use crate::error::Problem;
use crate::routes;
use crate::routes::events::StatusName;

const DESCRIPTION: &str = "\
Webhooks of many tenants: configure them here, and read what came in and what became of it.

Send `Authorization: Bearer` with an access token (from logging in) or a management key. Lists are newest first and go on \
with `next_cursor`. Every POST but those of `/v1/auth` and `/v1/me`, `/v1/invitations/accept` and \
`/v1/tenants/{id}/switch` takes an `Idempotency-Key`; a PATCH is a JSON Merge Patch (RFC 7396) and honours `If-Match`. \
Errors are problem details (RFC 9457) with a stable `code`. Another tenant's object is 404, like one that does not exist.";

const TAGS: [(&str, &str); 19] = [
    ("authentication", "Registering, logging in and out"),
    ("account", "The caller and their tenants"),
    ("members", "Who belongs to the tenant, and who is invited"),
    ("management keys", "What machines call this API with"),
    ("webhooks", "Live settings, effective at once"),
    (
        "templates",
        "Webhooks ready to be made, one for each known sender",
    ),
    ("urls", "The public URLs that senders call"),
    ("api keys", "What senders present at a webhook that requires it"),
    (
        "revisions",
        "What a webhook does with its events: drafts, publishing, rolling back",
    ),
    (
        "public API",
        "The live webhooks as an API of their own, for those who send",
    ),
    (
        "samples",
        "Requests that show what a webhook's data is, captured or given",
    ),
    ("allowlists", "From which networks senders may come"),
    ("destinations", "Where flows call"),
    (
        "collections",
        "Named sets of records, which flows write and this API reads.",
    ),
    (
        "secrets",
        "Encrypted values that webhooks verify their senders with",
    ),
    ("events", "What came in, and what was refused"),
    ("runs", "What flows did, and every call that they made"),
    ("audit log", "Who changed what"),
    ("service", "Whether the service works"),
];

const OF_OPERATOR: &str = "\
For whoever runs this installation: what tenants may use, and whether.

It is on a listener of its own (`admin.listen`). Send `Authorization: Bearer` with one of `admin.tokens`; nothing else that opens \
the management API works here, and these tokens work nowhere else. Lists, errors, `ETag` and `If-Match` are as there. A POST takes no \
`Idempotency-Key`: done twice, each comes to the same.";

const TAGS_OF_OPERATOR: [(&str, &str); 4] = [
    ("tenants", "Who there is, what they may use, and whether"),
    ("plans", "Limits with a name"),
    ("people", "Who has to be helped"),
    ("audit log", "What was changed here"),
];

/// The document of the management API. The same every time.
pub fn document() -> OpenApi {
    let (_, collected) = App::new()
        .into_utoipa_app()
        .configure(routes::register)
        .split_for_parts();
    let credential = Credential {
        name: "bearer",
        description: "An access token (a JWT that works for 15 minutes), or a management key (`hgm_…`). An operation names the scope \
                      that a key needs for it; a person's role gives the same permissions.",
    };
    complete(
        "Hookgate management API",
        DESCRIPTION,
        &TAGS,
        &credential,
        collected,
    )
}

/// The document of the operator's API. The same every time.
pub fn admin_document() -> OpenApi {
    let (_, collected) = App::new()
        .into_utoipa_app()
        .configure(routes::admin::register)
        .split_for_parts();
    let credential = Credential {
        name: "operator",
        description: "One of the tokens of the setting `admin.tokens`.",
    };
    complete(
        "Hookgate operator's API",
        OF_OPERATOR,
        &TAGS_OF_OPERATOR,
        &credential,
        collected,
    )
}

/// What callers of an API present.
struct Credential {
    name: &'static str,
    description: &'static str,
}

/// Gives what was collected of an API all that its operations have in common.
fn complete(
    title: &str,
    description: &str,
    tags: &[(&str, &str)],
    credential: &Credential,
    collected: OpenApi,
) -> OpenApi {
    let mut components = collected.components.unwrap_or_default();
    let mut schemas = Vec::new();
    Problem::schemas(&mut schemas);
    components.schemas.extend(schemas);
    components
        .schemas
        .insert(Problem::name().into_owned(), Problem::schema());
    // Parameters refer to them, and bring no schemas along.
    components
        .schemas
        .insert(RunOutcome::name().into_owned(), RunOutcome::schema());
    components
        .schemas
        .insert(StatusName::name().into_owned(), StatusName::schema());
    shapes::name_variants(&mut components);
    shapes::open_objects(&mut components);
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(credential.description))
        .build();
    let components = ComponentsBuilder::from(components)
        .security_scheme(credential.name, SecurityScheme::Http(bearer))
        .build();
    let tags = tags.iter().map(|(name, description)| {
        TagBuilder::new()
            .name(*name)
            .description(Some(*description))
            .build()
    });
    let mut document = OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title(title)
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(description))
                .contact(Some(
                    ContactBuilder::new()
                        .name(Some("Hookgate"))
                        .url(Some(env!("CARGO_PKG_REPOSITORY")))
                        .build(),
                ))
                .license(Some(
                    LicenseBuilder::new()
                        .name("Apache-2.0")
                        .identifier(Some("Apache-2.0"))
                        .build(),
                ))
                .build(),
        )
        .servers(Some([ServerBuilder::new()
            .url("/")
            .description(Some("Where the document comes from."))
            .build()]))
        .paths(collected.paths)
        .components(Some(components))
        .tags(Some(tags))
        .build();
    complete::complete(&mut document);
    shapes::drop_unused(&mut document);
    document
}

/// A document as it is kept in `openapi/`.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn text(document: &OpenApi) -> Result<String, serde_json::Error> {
    Ok(serde_json::to_string_pretty(document)? + "\n")
}
