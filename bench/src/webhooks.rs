//! The webhooks of the contestants, and the requests that they accept.

use std::fmt::Write;

use hmac::{Hmac, KeyInit, Mac};
use hookgate_domain::clock;
use hookgate_domain::crypto::MasterKey;
use hookgate_model::authentication::api_key;
use hookgate_model::expected_data::{Mode, infer};
use hookgate_model::ids::{AllowlistId, ApiKeyId, SecretId, TenantId};
use hookgate_testkit::TestDatabase;
use hookgate_testkit::fixtures::{NewWebhook, Webhook as Made};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::contestant::Name;
use crate::learning;
use crate::load::Request;

/// The networks of the allowlist; the load generator's address is in one of them.
const NETWORKS: u32 = 10_000;
const SIGNING_SECRET: &[u8] = b"a signing secret of 32 characters";

/// The key that seals the signing secret; the ingress gets the same.
pub fn master_key() -> MasterKey {
    MasterKey::from_bytes(&[7; 32])
}

/// A webhook, with what its sender presents.
pub struct Webhook {
    path: String,
    /// The paths for bodies that are expected as they are.
    expecting: Vec<(Vec<u8>, String)>,
    key: Option<String>,
    is_signed: bool,
    has_id: bool,
}

impl Webhook {
    /// Makes the webhook of a contestant; one for each body, where it is to expect what it gets.
    pub fn make(
        database: &TestDatabase,
        tenant: TenantId,
        name: Name,
        bodies: &[(String, Vec<u8>)],
    ) -> anyhow::Result<Self> {
        let mode = match name {
            Name::Warn => Some(Mode::Warn),
            Name::Enforce => Some(Mode::Enforce),
            _ => None,
        };
        let expecting = mode.into_iter().flat_map(|mode| {
            bodies.iter().map(move |(_, body)| {
                let mut expected_data = infer(&[learning::request(body)]);
                expected_data.mode = mode;
                let revision = json!({ "expected_data": expected_data });
                let made = database.webhook(
                    tenant,
                    NewWebhook {
                        revision,
                        ..NewWebhook::default()
                    },
                );
                (body.clone(), made.production.path)
            })
        });
        let has_key = matches!(name, Name::ApiKey | Name::Admission);
        let is_signed = matches!(name, Name::Signature | Name::Admission);
        let has_allowlist = matches!(name, Name::Allowlist | Name::Admission);
        let has_id = name == Name::Deduplication;
        let mut checks = Vec::new();
        if has_key {
            checks.push(json!({ "kind": "api_key" }));
        }
        if is_signed {
            checks.push(signature_of(make_secret(database, tenant)?));
        }
        let authentication = match checks.len() {
            0 => json!({ "kind": "none" }),
            1 => checks.remove(0),
            _ => json!({ "kind": "all_of", "of": checks }),
        };
        let revision = if name == Name::IngressJob {
            json!({ "flow": { "steps": [{ "name": "a", "kind": "set", "values": { "b": 1 } }] } })
        } else {
            json!({})
        };
        let new = NewWebhook {
            authentication,
            revision,
            ..NewWebhook::default()
        };
        let made = database.webhook(tenant, new);
        if has_allowlist {
            attach_allowlist(database, &made, name);
        }
        if has_id {
            let deduplication = json!({ "key": "{{ headers['x-delivery-id'] }}", "remember_hours": 168 });
            database.execute(&format!(
                "UPDATE webhooks SET deduplication = '{}' WHERE id = '{}'",
                deduplication.to_string().replace('\'', "''"),
                made.id.uuid()
            ));
        }
        Ok(Self {
            key: has_key.then(|| make_key(database, &made)),
            expecting: expecting.collect(),
            path: made.production.path,
            is_signed,
            has_id,
        })
    }

    /// A request that it accepts.
    pub fn request(&self, body: &[u8]) -> Request {
        let mut headers = String::new();
        if let Some(key) = &self.key {
            headers.push_str(&format!("x-api-key: {key}\r\n"));
        }
        if self.is_signed {
            headers.push_str(&format!("x-hub-signature-256: sha256={}\r\n", sign(body)));
        }
        let expecting = self.expecting.iter().find(|(known, _)| known == body);
        let path = expecting.map_or(&self.path, |(_, path)| path);
        Request::new(path, &headers, self.has_id, body)
    }
}

/// The authentication of a sender that signs as GitHub does.
fn signature_of(secret: SecretId) -> Value {
    json!({ "kind": "hmac", "hash": "sha256", "content": [{ "part": "body" }], "secrets": [secret.to_string()],
        "signature": { "at": { "in": "header", "name": "x-hub-signature-256" }, "prefix": "sha256=" } })
}

fn sign(body: &[u8]) -> String {
    let signed = Hmac::<Sha256>::new_from_slice(SIGNING_SECRET).map(|mac| mac.chain_update(body).finalize());
    signed.map_or_else(|_| String::new(), |code| hex(&code.into_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn make_secret(database: &TestDatabase, tenant: TenantId) -> anyhow::Result<SecretId> {
    let id: SecretId = clock::new_id();
    let sealed = master_key().seal(&format!("secrets/{tenant}/{id}"), SIGNING_SECRET)?;
    database.execute(&format!(
        "INSERT INTO secrets (tenant_id, id, name, value) VALUES ('{}', '{}', '{id}', '\\x{}')",
        tenant.uuid(),
        id.uuid(),
        hex(&sealed)
    ));
    Ok(id)
}

fn make_key(database: &TestDatabase, webhook: &Made) -> String {
    let text = api_key::text([9; 32]);
    let id: ApiKeyId = clock::new_id();
    database.execute(&format!(
        "INSERT INTO api_keys (tenant_id, id, webhook_id, name, digest, hint) VALUES ('{}', '{}', '{}', 'k', '\\x{}', 'x')",
        webhook.tenant.uuid(),
        id.uuid(),
        webhook.id.uuid(),
        hex(&api_key::digest(text.as_bytes()))
    ));
    text
}

/// Networks of 64 addresses with as many between them, so that none can be joined with its neighbour; the last is this
/// machine's.
fn attach_allowlist(database: &TestDatabase, webhook: &Made, name: Name) {
    let id: AllowlistId = clock::new_id();
    let (tenant, list) = (webhook.tenant.uuid(), id.uuid());
    database.execute(&format!(
        "INSERT INTO allowlists (tenant_id, id, name) VALUES ('{tenant}', '{list}', '{}');
         INSERT INTO allowlist_entries (tenant_id, id, allowlist_id, network)
           SELECT '{tenant}', gen_random_uuid(), '{list}', set_masklen('10.0.0.0'::inet + number * 128, 26)::cidr
           FROM generate_series(1, {}) AS number;
         INSERT INTO allowlist_entries (tenant_id, id, allowlist_id, network)
           VALUES ('{tenant}', gen_random_uuid(), '{list}', '127.0.0.1/32');
         INSERT INTO webhook_allowlists (tenant_id, webhook_id, allowlist_id) VALUES ('{tenant}', '{}', '{list}')",
        name.as_str(),
        NETWORKS - 1,
        webhook.id.uuid()
    ));
}
