//! Rows that only the ingress and the worker write.

use serde_json::Value;
use uuid::Uuid;

use crate::service::{self, Service};

/// The UUID in an id of the API.
pub fn uuid(id: &Value) -> Uuid {
    let (_, text) = id.as_str().expect("an id").split_once('_').expect("an id");
    Uuid::from_u128(hookgate_model::base32::decode(text.as_bytes()).expect("an id"))
}

/// What came in at a webhook.
pub struct Stored {
    pub event: String,
    pub run: String,
    pub attempt: String,
    pub refusal: String,
}

/// The tenant of a webhook.
fn tenant(service: &Service, webhook: &Value) -> String {
    let sql = format!(
        "SELECT tenant_id::text FROM webhooks WHERE id = '{}'",
        uuid(&webhook["id"])
    );
    service.database.query_text(&sql).remove(0)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the sender calls the delivery of an event, if a test does not say otherwise.
pub const DELIVERY: &str = "72d3162e-cc78-11e3-81ab-4c9367dc0958";

/// An event to store.
pub struct NewEvent<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub headers: &'a str,
    pub body: &'a [u8],
    /// Whether it belongs to the draft, or to no revision.
    pub has_revision: bool,
    pub event_type: Option<&'a str>,
    pub delivery_id: Option<&'a str>,
    /// The event that was received just after it, if it is told later.
    pub before: Option<&'a str>,
}

impl Default for NewEvent<'_> {
    fn default() -> Self {
        let headers = "content-type: application/json\r\nx-api-key: hgk_secret\r\n";
        Self {
            method: "POST",
            path: "orders/42",
            headers,
            body: b"{\"id\":42}",
            has_revision: true,
            event_type: None,
            delivery_id: Some(DELIVERY),
            before: None,
        }
    }
}

/// Stores an event to the webhook's first URL, as the ingress does.
pub fn event(service: &Service, webhook: &Value, new: &NewEvent<'_>) -> String {
    let before = |other: &str| Uuid::from_u128(uuid(&other.into()).as_u128() - 1).into();
    let id: hookgate_model::ids::EventId = new.before.map_or_else(hookgate_domain::clock::new_id, before);
    let body = hookgate_domain::body::StoredBody::new(new.body.to_vec().into());
    let revision = if new.has_revision {
        format!("'{}'", uuid(&webhook["draft_revision_id"]))
    } else {
        "NULL".into()
    };
    let quoted = |text: Option<&str>| text.map_or("NULL".into(), |text| format!("'{text}'"));
    service.database.execute(&format!(
        "INSERT INTO events (tenant_id, id, webhook_id, url_id, revision_id, environment, method, suffix, path, query, address, \
         headers, body_codec, body_bytes, body, event_type, delivery_id) VALUES ('{}', '{}', '{}', '{}', {revision}, 'production', '{}', '{}', '{}', \
         'a=b', '203.0.113.7', '\\x{}', {}, {}, '\\x{}', {}, {})",
        tenant(service, webhook),
        id.uuid(),
        uuid(&webhook["id"]),
        uuid(&webhook["urls"][0]["id"]),
        new.method,
        webhook["suffix"].as_str().expect("a suffix"),
        new.path,
        hex(new.headers.as_bytes()),
        body.codec(),
        body.original_length(),
        hex(body.stored()),
        quoted(new.event_type),
        quoted(new.delivery_id),
    ));
    id.to_string()
}

/// Installs a secret that a sender has brought, as the ingress does. The webhook is open for pairing.
pub fn paired_secret(service: &Service, webhook: &Value, value: &str) -> String {
    let tenant: hookgate_model::ids::TenantId =
        Uuid::parse_str(&tenant(service, webhook)).expect("a UUID").into();
    let id: hookgate_model::ids::SecretId = hookgate_domain::clock::new_id();
    let context = hookgate_domain::secrets::context(tenant, id);
    let sealed = service::master_key()
        .seal(&context, value.as_bytes())
        .expect("sealed");
    let installed = service.database.query_text(&format!(
        "SELECT complete_pairing('{}', '{}', '{id}', '{id}', '\\x{}', 10)::text \
         FROM set_config('hookgate.tenant_id', '{}', false)",
        uuid(&webhook["id"]),
        id.uuid(),
        hex(&sealed),
        tenant.uuid(),
    ));
    assert_eq!(installed, ["true"]);
    id.to_string()
}

/// Stores the run of an event, as the worker does.
pub fn run(service: &Service, webhook: &Value, event: &str, outcome: &str) -> String {
    let id = uuid(&event.into());
    let answer = hookgate_model::answer::Answer {
        status: 201,
        headers: vec![("x-order".into(), "42".into())],
        body: b"made".to_vec(),
    };
    let steps = r#"[{"name":"crm","kind":"http","outcome":"succeeded","attempts":1,"result":201,"finished_at":"2026-11-21T12:00:00Z"}]"#;
    service.database.execute(&format!(
        "INSERT INTO runs (tenant_id, id, webhook_id, revision_id, outcome, error, started_at, finished_at, steps, answer) \
         VALUES ('{}', '{id}', '{}', '{}', '{outcome}', NULL, now(), now(), '\\x{}', '\\x{}')",
        tenant(service, webhook),
        uuid(&webhook["id"]),
        uuid(&webhook["draft_revision_id"]),
        hex(steps.as_bytes()),
        hex(&answer.encode()),
    ));
    hookgate_model::ids::RunId::from(id).to_string()
}

/// Stores an attempt of a run, as the worker does.
pub fn attempt(service: &Service, webhook: &Value, run: &str, outcome: &str) -> String {
    let id: hookgate_model::ids::AttemptId = hookgate_domain::clock::new_id();
    service.database.execute(&format!(
        "INSERT INTO attempts (tenant_id, id, run_id, webhook_id, destination_id, step, number, method, url, outcome, status, error, \
         started_at, duration_us, timing, response_preview) VALUES ('{}', '{}', '{}', '{}', '{}', 'crm', 1, 'POST', \
         'https://crm.example.com/', '{outcome}', 201, NULL, now(), 1500, '{{\"connect_us\": 3}}', 'made')",
        tenant(service, webhook),
        id.uuid(),
        uuid(&run.into()),
        uuid(&webhook["id"]),
        Uuid::from_u128(7),
    ));
    id.to_string()
}

/// Stores a refusal, as the ingress does.
pub fn refusal(service: &Service, webhook: &Value, reason: &str) -> String {
    refused(service, webhook, reason, "x-api-key: hush\r\n", b"{}")
}

/// Stores the refusal of a POST to the webhook's first URL, with the whole request.
pub fn refused(
    service: &Service,
    webhook: &Value,
    reason: &str,
    headers: &str,
    body: &'static [u8],
) -> String {
    let id: hookgate_model::ids::RefusalId = hookgate_domain::clock::new_id();
    let url = webhook["urls"][0]["public_url"].as_str().expect("a URL");
    let (_, target) = url.split_once("://").expect("a URL");
    let whole = hookgate_domain::refusals::RefusedRequest {
        target: format!("{}?a=b", &target[target.find('/').expect("a path")..]),
        headers: headers.into(),
        body: body.into(),
    };
    let owner = Uuid::parse_str(&tenant(service, webhook)).expect("a UUID").into();
    let sealed = whole.seal(&service::master_key(), owner, id).expect("sealed");
    service.database.execute(&format!(
        "INSERT INTO refusals (tenant_id, id, webhook_id, url_id, reason, detail, status, method, path, query, address, headers, \
         body_bytes, body_preview, request) VALUES ('{}', '{}', '{}', '{}', '{reason}', 'because', 405, 'POST', 'orders', '', \
         '203.0.113.7', '\\x{}', NULL, '', '\\x{}')",
        tenant(service, webhook),
        id.uuid(),
        uuid(&webhook["id"]),
        uuid(&webhook["urls"][0]["id"]),
        hex(b"user-agent: curl\r\n"),
        hex(&sealed),
    ));
    id.to_string()
}

/// The step whose callback did not arrive.
pub const CALLBACK: &str = "notify";

/// Keeps a callback of an event that did not arrive, as the worker does.
pub fn failed_callback(service: &Service, webhook: &Value, event: &str) {
    let event: hookgate_model::ids::EventId = event.parse().expect("an id");
    service.database.execute(&format!(
        "INSERT INTO failed_callbacks (tenant_id, id, webhook_id, revision_id, event_id, state, step, destination_id, attempt_id) \
         VALUES ('{}', '{}', '{}', '{}', '{}', 'sealed', '{CALLBACK}', gen_random_uuid(), uuidv7_floor(now()))",
        tenant(service, webhook),
        hookgate_domain::jobs::callback_id(event, CALLBACK).uuid(),
        uuid(&webhook["id"]),
        uuid(&webhook["draft_revision_id"]),
        event.uuid(),
    ));
}

/// Counts events of a webhook some days ago.
pub fn usage(service: &Service, webhook: &Value, days_ago: u32, events: u32) {
    service.database.execute(&format!(
        "INSERT INTO usage (tenant_id, day, webhook_id, events, body_bytes) \
         VALUES ('{}', (now() AT TIME ZONE 'UTC')::date - {days_ago}, '{}', {events}, {events} * 100)",
        tenant(service, webhook),
        uuid(&webhook["id"]),
    ));
    service.database.execute(&format!(
        "INSERT INTO outcomes (tenant_id, day, webhook_id, kind, name, count) \
         VALUES ('{}', (now() AT TIME ZONE 'UTC')::date - {days_ago}, '{}', 'refused', 'rate_limited', {events})",
        tenant(service, webhook),
        uuid(&webhook["id"]),
    ));
}

/// Stores one of each.
pub fn one_of_each(service: &Service, webhook: &Value) -> Stored {
    let event = event(service, webhook, &NewEvent::default());
    let run = run(service, webhook, &event, "succeeded");
    let attempt = attempt(service, webhook, &run, "succeeded");
    failed_callback(service, webhook, &event);
    let refusal = refusal(service, webhook, "method_not_allowed");
    usage(service, webhook, 0, 7);
    Stored {
        event,
        run,
        attempt,
        refusal,
    }
}

/// Stores work that is held while its webhook is paused.
pub fn held_job(service: &Service, webhook: &Value) {
    let id: hookgate_model::ids::EventId = hookgate_domain::clock::new_id();
    service.database.execute(&format!(
        "INSERT INTO jobs (tenant_id, id, webhook_id, revision_id, event_ids, is_held) \
         VALUES ('{}', '{id}', '{}', '{}', '{{{id}}}', true)",
        tenant(service, webhook),
        uuid(&webhook["id"]),
        uuid(&webhook["draft_revision_id"]),
        id = id.uuid(),
    ));
}

/// A session of a webhook.
pub fn session(service: &Service, webhook: &Value, key: &str, note: &str) {
    let id: hookgate_model::ids::WebhookId = webhook["id"].as_str().expect("an id").parse().expect("an id");
    service.database.execute(&format!(
        "INSERT INTO sessions (tenant_id, id, webhook_id, key, state, expires_at)
         SELECT tenant_id, '{}', id, '{key}', '{}', now() + interval '1 day' FROM webhooks WHERE id = '{}'",
        hookgate_model::flow::session::id(id, key),
        serde_json::json!({ "note": note }),
        id.uuid(),
    ));
}

/// Stores a sample of the open window, as the ingress does.
pub fn capture(service: &Service, webhook: &Value, number: i64, note: &str) -> String {
    let id: hookgate_model::ids::SampleId = hookgate_domain::clock::new_id();
    service.database.execute(&format!(
        "INSERT INTO samples (tenant_id, id, webhook_id, source, url_id, number, environment, method, suffix, path, query, headers, \
         body_codec, body_bytes, body, stored_bytes) VALUES ('{}', '{}', '{}', 'captured', '{}', {number}, 'test', 'POST', 'orders', \
         'orders', '', '', 0, {}, '{note}', 100)",
        tenant(service, webhook),
        id.uuid(),
        uuid(&webhook["id"]),
        uuid(&webhook["urls"][0]["id"]),
        note.len(),
    ));
    service.database.execute(&format!(
        "UPDATE captures SET taken = {number} WHERE webhook_id = '{}'",
        uuid(&webhook["id"])
    ));
    id.to_string()
}

/// Makes a person a member of a tenant.
pub fn membership(service: &Service, tenant: &Value, user: &Value, role: &str) {
    service.database.execute(&format!(
        "INSERT INTO memberships (tenant_id, user_id, role) VALUES ('{}', '{}', '{role}')",
        uuid(tenant),
        uuid(user),
    ));
}
