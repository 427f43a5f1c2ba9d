//! Rows that tests begin with, inserted as the superuser: a test of one service need not run the others.

use diesel::sql_types::{Array, Bytea, Json, Jsonb, Nullable, SmallInt, Text, Uuid as SqlUuid};
use diesel::{PgConnection, RunQueryDsl, sql_query};
use hookgate_domain::clock;
use hookgate_domain::crypto::MasterKey;
use hookgate_model::ids::{RevisionId, SecretId, TenantId, UrlId, UserId, WebhookId};
use hookgate_model::token::UrlToken;
use serde_json::{Value, json};

use crate::TestDatabase;

/// A webhook to make. The default has no flow, needs no credential, and answers at once.
#[derive(Debug, Clone)]
pub struct NewWebhook {
    /// Shown to people.
    pub name: String,
    /// `active`, `paused` or `disabled`.
    pub status: String,
    /// What follows the token in its URLs.
    pub suffix: String,
    /// The methods it takes.
    pub methods: Vec<String>,
    /// The `authentication` document of the API.
    pub authentication: Value,
    /// The `handshake` document of the API, if it has one of its own.
    pub handshake: Option<Value>,
    /// The longest body that it takes.
    pub body_limit_bytes: i32,
    /// The `data_protection` document of the API.
    pub data_protection: Value,
    /// The `cors` document of the API, or null.
    pub cors: Option<Value>,
    /// `accept` or `refuse`.
    pub malformed_bodies: String,
    /// The `deduplication` document of the API, if any.
    pub deduplication: Option<Value>,
    /// The revision document of the API: expected data, flow, response.
    pub revision: Value,
    /// Whether that revision is published, or only the draft.
    pub published: bool,
}

impl Default for NewWebhook {
    fn default() -> Self {
        Self {
            name: "Orders".to_owned(),
            status: "active".to_owned(),
            suffix: "orders".to_owned(),
            methods: vec!["POST".to_owned()],
            authentication: json!({ "kind": "none" }),
            handshake: None,
            body_limit_bytes: 1024 * 1024,
            data_protection: json!({}),
            cors: None,
            malformed_bodies: "accept".to_owned(),
            deduplication: None,
            revision: json!({}),
            published: true,
        }
    }
}

/// A webhook that was made.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// Its tenant.
    pub tenant: TenantId,
    /// Itself.
    pub id: WebhookId,
    /// The draft, which is also published if that was wanted.
    pub revision: RevisionId,
    /// Its production URL.
    pub production: PublicUrl,
    /// Its test URL.
    pub test: PublicUrl,
}

/// A public URL of a webhook.
#[derive(Debug, Clone)]
pub struct PublicUrl {
    /// Itself.
    pub id: UrlId,
    /// What makes it secret.
    pub token: UrlToken,
    /// `/{token}/{suffix}`, with path parameters left as they are.
    pub path: String,
}

impl TestDatabase {
    /// Makes a tenant.
    pub fn tenant(&self, name: &str) -> TenantId {
        let id = clock::new_id();
        let insert = sql_query("INSERT INTO tenants (id, name) VALUES ($1, $2)");
        execute(
            insert
                .bind::<SqlUuid, _>(TenantId::uuid(id))
                .bind::<Text, _>(name),
            &mut self.superuser(),
        );
        id
    }

    /// Makes a person with a role in a tenant. `password_hash` is stored as it is.
    pub fn user(&self, tenant: TenantId, email: &str, role: &str, password_hash: &str) -> UserId {
        let id: UserId = clock::new_id();
        let conn = &mut self.superuser();
        let insert = sql_query("INSERT INTO users (id, email, name, password_hash) VALUES ($1, $2, $2, $3)")
            .bind::<SqlUuid, _>(id.uuid())
            .bind::<Text, _>(email)
            .bind::<Text, _>(password_hash);
        execute(insert, conn);
        let insert = sql_query("INSERT INTO memberships (tenant_id, user_id, role) VALUES ($1, $2, $3)")
            .bind::<SqlUuid, _>(tenant.uuid())
            .bind::<SqlUuid, _>(id.uuid())
            .bind::<Text, _>(role);
        execute(insert, conn);
        id
    }

    /// Makes a secret.
    pub fn secret(&self, tenant: TenantId, key: &MasterKey, value: &str) -> SecretId {
        let id: SecretId = clock::new_id();
        let context = hookgate_domain::secrets::context(tenant, id);
        let sealed = key.seal(&context, value.as_bytes()).expect("a sealed value");
        let insert = sql_query("INSERT INTO secrets (tenant_id, id, name, value) VALUES ($1, $2, $3, $4)")
            .bind::<SqlUuid, _>(tenant.uuid())
            .bind::<SqlUuid, _>(id.uuid())
            .bind::<Text, _>(id.to_string())
            .bind::<Bytea, _>(sealed);
        execute(insert, &mut self.superuser());
        id
    }

    /// Makes a webhook with its revision and both URLs.
    pub fn webhook(&self, tenant: TenantId, new: NewWebhook) -> Webhook {
        let conn = &mut self.superuser();
        let (id, revision): (WebhookId, RevisionId) = (clock::new_id(), clock::new_id());
        let published = new.published.then(|| revision.uuid());
        let insert = sql_query(
            "INSERT INTO webhooks (tenant_id, id, name, status, suffix, methods, authentication, body_limit_bytes, \
             draft_revision_id, published_revision_id, data_protection, cors, malformed_bodies, deduplication, handshake) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
        )
        .bind::<SqlUuid, _>(tenant.uuid())
        .bind::<SqlUuid, _>(id.uuid())
        .bind::<Text, _>(&new.name)
        .bind::<Text, _>(&new.status)
        .bind::<Text, _>(&new.suffix)
        .bind::<Array<Text>, _>(&new.methods)
        .bind::<Jsonb, _>(&new.authentication)
        .bind::<diesel::sql_types::Integer, _>(new.body_limit_bytes)
        .bind::<SqlUuid, _>(revision.uuid())
        .bind::<Nullable<SqlUuid>, _>(published)
        .bind::<Jsonb, _>(&new.data_protection)
        .bind::<Nullable<Jsonb>, _>(&new.cors)
        .bind::<Text, _>(&new.malformed_bodies)
        .bind::<Nullable<Jsonb>, _>(&new.deduplication)
        .bind::<Nullable<Jsonb>, _>(&new.handshake);
        execute(insert, conn);
        let insert = sql_query(
            "INSERT INTO revisions (tenant_id, id, webhook_id, number, document, created_by, published_at) \
             VALUES ($1, $2, $3, $4, $5, 'the fixture', CASE WHEN $6 IS NULL THEN NULL ELSE now() END)",
        )
        .bind::<SqlUuid, _>(tenant.uuid())
        .bind::<SqlUuid, _>(revision.uuid())
        .bind::<SqlUuid, _>(id.uuid())
        .bind::<SmallInt, _>(1)
        .bind::<Json, _>(&new.revision)
        .bind::<Nullable<SqlUuid>, _>(published);
        execute(insert, conn);
        let url = |environment| self.url_of(tenant, id, environment, &new.suffix);
        let (production, test) = (url("production"), url("test"));
        Webhook {
            tenant,
            id,
            revision,
            production,
            test,
        }
    }

    /// Makes one more public URL of a webhook.
    pub fn url_of(&self, tenant: TenantId, webhook: WebhookId, environment: &str, suffix: &str) -> PublicUrl {
        let conn = &mut self.superuser();
        let (id, token): (UrlId, _) = (clock::new_id(), UrlToken::from_bytes(clock::secret_bytes()));
        let insert = sql_query(
            "INSERT INTO urls (tenant_id, id, webhook_id, name, environment, suffix) VALUES ($1, $2, $3, $4, $4, $5)",
        )
        .bind::<SqlUuid, _>(tenant.uuid())
        .bind::<SqlUuid, _>(id.uuid())
        .bind::<SqlUuid, _>(webhook.uuid())
        .bind::<Text, _>(environment)
        .bind::<Text, _>(suffix);
        execute(insert, conn);
        let insert = sql_query("INSERT INTO url_tokens (token, tenant_id, url_id) VALUES ($1, $2, $3)")
            .bind::<SqlUuid, _>(token.to_uuid())
            .bind::<SqlUuid, _>(tenant.uuid())
            .bind::<SqlUuid, _>(id.uuid());
        execute(insert, conn);
        let path = if suffix.is_empty() {
            format!("/{token}")
        } else {
            format!("/{token}/{suffix}")
        };
        PublicUrl { id, token, path }
    }
}

fn execute(
    insert: impl RunQueryDsl<PgConnection> + diesel::query_dsl::methods::ExecuteDsl<PgConnection>,
    conn: &mut PgConnection,
) {
    insert.execute(conn).expect("the fixture's row");
}
