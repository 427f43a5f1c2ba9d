//! What the tests share: a tenant with a webhook, events with their job, and what became of them.

use std::time::Duration;

use diesel::sql_types::{Array, Bytea, Integer, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query};
use hookgate_domain::clock;
use hookgate_domain::crypto::MasterKey;
use hookgate_domain::destinations::{self, DestinationSettings};
use hookgate_domain::jobs::{self, Claimed, ClaimedJob, Claims};
use hookgate_domain::scope::TenantScope;
use hookgate_domain::secrets;
use hookgate_model::answer::Answer;
use hookgate_model::base_url::BaseUrl;
use hookgate_model::flow::state::StepRecord;
use hookgate_model::ids::{DestinationId, EventId, SecretId, TenantId};
use hookgate_model::outbound_signature::SigningSecret;
use hookgate_testkit::fixtures::{NewWebhook, Webhook};
use hookgate_testkit::{TestDatabase, eventually};
use hookgate_worker::{Settings, Worker};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use uuid::Uuid;

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

pub struct Stage {
    pub database: TestDatabase,
    pub tenant: TenantId,
    scope: OnceCell<TenantScope>,
}

pub struct Run {
    pub outcome: String,
    pub error: Option<String>,
    pub steps: Vec<StepRecord>,
    pub answer: Option<Answer>,
}

#[derive(QueryableByName, Debug)]
pub struct Attempt {
    #[diesel(sql_type = Integer)]
    pub number: i32,
    #[diesel(sql_type = Text)]
    pub outcome: String,
    #[diesel(sql_type = Nullable<SmallInt>)]
    pub status: Option<i16>,
    #[diesel(sql_type = Nullable<Text>)]
    pub error: Option<String>,
    #[diesel(sql_type = Text)]
    pub url: String,
    #[diesel(sql_type = Nullable<Bytea>)]
    pub response_preview: Option<Vec<u8>>,
}

impl Stage {
    pub fn new() -> Self {
        let database = TestDatabase::create();
        let tenant = database.tenant("Acme");
        let scope = OnceCell::new();
        Self {
            database,
            tenant,
            scope,
        }
    }

    pub fn webhook(&self, revision: Value) -> Webhook {
        self.webhook_of(self.tenant, revision)
    }

    pub fn webhook_of(&self, tenant: TenantId, revision: Value) -> Webhook {
        self.database.webhook(
            tenant,
            NewWebhook {
                revision,
                suffix: "orders/{order_id}".into(),
                ..NewWebhook::default()
            },
        )
    }

    /// A destination, whose calls are signed.
    pub async fn destination(&self, base_url: &str) -> DestinationId {
        let base = BaseUrl::parse(base_url).expect("a base URL");
        self.destination_with(DestinationSettings::new(base_url, base))
            .await
    }

    /// A destination with these settings, whose calls are signed.
    pub async fn destination_with(&self, settings: DestinationSettings) -> DestinationId {
        let secret = SigningSecret::parse(SECRET).expect("a secret");
        self.manage(move |conn, scope| {
            destinations::create(conn, scope, &master_key(), &settings, Some(&secret)).map(|made| made.id)
        })
        .await
    }

    /// A destination that is presented with something.
    pub async fn destination_presented(&self, base_url: &str, authentication: Value) -> DestinationId {
        let base = BaseUrl::parse(base_url).expect("a base URL");
        self.destination_with(DestinationSettings {
            authentication: serde_json::from_value(authentication).expect("an authentication"),
            ..DestinationSettings::new(base_url, base)
        })
        .await
    }

    /// A secret with this value.
    pub async fn secret(&self, value: &str) -> SecretId {
        let value = value.to_owned();
        let name = Uuid::new_v4().to_string();
        self.manage(move |conn, scope| {
            secrets::create(conn, scope, &master_key(), &name, value.as_bytes()).map(|made| made.id)
        })
        .await
    }

    /// Does something as the management service does it; for the first time before there is a worker.
    pub async fn manage<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut PgConnection, &TenantScope) -> hookgate_domain::Result<T> + Send + 'static,
    ) -> T {
        let prove = || scope_of(&self.database, self.tenant);
        let scope = *self.scope.get_or_init(prove).await;
        let change = move |conn: &mut PgConnection| scope.transaction(conn, |conn| change(conn, &scope));
        self.database.management().run(change).await.expect("a change")
    }

    /// Stores events with one job, as the ingress does: in the order in which their bodies were complete, not of their ids.
    pub fn events(&self, webhook: &Webhook, bodies: &[Value], answer_to: Option<&str>) -> Vec<EventId> {
        self.events_with("", webhook, bodies, answer_to)
    }

    /// The same, with further headers.
    fn events_with(
        &self,
        headers: &str,
        webhook: &Webhook,
        bodies: &[Value],
        answer_to: Option<&str>,
    ) -> Vec<EventId> {
        let headers = format!("content-type: application/json\r\n{headers}");
        let conn = &mut self.database.superuser();
        let mut ids: Vec<EventId> = bodies.iter().map(|_| clock::new_id()).collect();
        ids.sort();
        for (id, body) in ids.iter().zip(bodies) {
            let body = body.to_string().into_bytes();
            sql_query(
                "INSERT INTO events (tenant_id, id, webhook_id, url_id, revision_id, environment, method, suffix, path, query,
                   headers, body_codec, body_bytes, body) VALUES ($1, $2, $3, $4, $5, 'production', 'POST',
                   'orders/{order_id}', 'orders/o-1', 'q=1', $6, 0, $7, $8)",
            )
            .bind::<SqlUuid, _>(webhook.tenant.uuid())
            .bind::<SqlUuid, _>(id.uuid())
            .bind::<SqlUuid, _>(webhook.id.uuid())
            .bind::<SqlUuid, _>(webhook.production.id.uuid())
            .bind::<SqlUuid, _>(webhook.revision.uuid())
            .bind::<Bytea, _>(headers.as_bytes())
            .bind::<Integer, _>(i32::try_from(body.len()).expect("short"))
            .bind::<Bytea, _>(body)
            .execute(conn)
            .expect("an event");
        }
        sql_query("INSERT INTO jobs (tenant_id, id, webhook_id, revision_id, event_ids, answer_to) VALUES ($1, $2, $3, $4, $5, $6)")
            .bind::<SqlUuid, _>(webhook.tenant.uuid())
            .bind::<SqlUuid, _>(ids[0].uuid())
            .bind::<SqlUuid, _>(webhook.id.uuid())
            .bind::<SqlUuid, _>(webhook.revision.uuid())
            .bind::<Array<SqlUuid>, _>(ids.iter().rev().map(|id| id.uuid()).collect::<Vec<_>>())
            .bind::<Nullable<Text>, _>(answer_to)
            .execute(conn)
            .expect("a job");
        ids
    }

    pub fn event(&self, webhook: &Webhook, body: Value) -> EventId {
        self.events(webhook, &[body], None)[0]
    }

    /// An event with a further header.
    pub fn event_with(&self, name: &str, value: &str, webhook: &Webhook, body: Value) -> EventId {
        self.events_with(&format!("{name}: {value}\r\n"), webhook, &[body], None)[0]
    }

    /// A worker that may call local receivers.
    pub fn worker(&self, settings: Settings) -> Worker {
        self.worker_calling(settings, &["127.0.0.0/8"])
    }

    /// A worker that may call these networks beside public addresses.
    pub fn worker_calling(&self, settings: Settings, allowed: &[&str]) -> Worker {
        let networks = allowed.iter().map(|network| network.parse().expect("a network"));
        let egress = hookgate_egress::Settings {
            allowed_private_networks: networks.collect(),
            ..Default::default()
        };
        self.worker_with(settings, &egress)
    }

    /// A worker with these settings of outgoing calls.
    pub fn worker_with(&self, settings: Settings, egress: &hookgate_egress::Settings) -> Worker {
        let egress = hookgate_egress::Client::new(egress);
        hookgate_worker::start(
            settings,
            self.database.worker(),
            self.database.redis(),
            master_key(),
            egress.expect("a client"),
        )
    }

    pub fn find_run(&self, event: EventId) -> Option<Run> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Text)]
            outcome: String,
            #[diesel(sql_type = Nullable<Text>)]
            error: Option<String>,
            #[diesel(sql_type = Bytea)]
            steps: Vec<u8>,
            #[diesel(sql_type = Nullable<Bytea>)]
            answer: Option<Vec<u8>>,
        }
        let row: Row = sql_query("SELECT outcome, error, steps, answer FROM runs WHERE id = $1")
            .bind::<SqlUuid, _>(event.uuid())
            .load(&mut self.database.superuser())
            .expect("runs")
            .pop()?;
        Some(Run {
            outcome: row.outcome,
            error: row.error,
            steps: serde_json::from_slice(&row.steps).expect("steps"),
            answer: row
                .answer
                .map(|answer| Answer::decode(&answer).expect("an answer")),
        })
    }

    pub async fn run_of(&self, event: EventId) -> Run {
        eventually(PATIENCE, "the run is over", async || self.find_run(event)).await
    }

    pub fn attempts(&self, event: EventId) -> Vec<Attempt> {
        sql_query("SELECT number, outcome, status, error, url, response_preview FROM attempts WHERE run_id = $1 ORDER BY id")
            .bind::<SqlUuid, _>(event.uuid())
            .load(&mut self.database.superuser())
            .expect("attempts")
    }

    /// A number that a query gives.
    pub fn number(&self, query: &str) -> i64 {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = diesel::sql_types::BigInt)]
            number: i64,
        }
        let rows: Vec<Row> = sql_query(query)
            .load(&mut self.database.superuser())
            .expect(query);
        rows[0].number
    }

    pub fn jobs(&self) -> i64 {
        self.number("SELECT count(*) AS number FROM jobs")
    }

    pub fn execute(&self, statement: &str) {
        sql_query(statement)
            .execute(&mut self.database.superuser())
            .expect(statement);
    }

    pub fn due_at(&self, event: EventId) -> Option<chrono::DateTime<chrono::Utc>> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Timestamptz)]
            due_at: chrono::DateTime<chrono::Utc>,
        }
        let rows: Vec<Row> = sql_query("SELECT due_at FROM jobs WHERE id = $1 AND is_retry")
            .bind::<SqlUuid, _>(event.uuid())
            .load(&mut self.database.superuser())
            .expect("jobs");
        rows.first().map(|row| row.due_at)
    }

    /// Claims as a worker does, without working.
    pub async fn claim(&self, jobs: i64, lease: Duration) -> Vec<ClaimedJob> {
        self.claim_after(Uuid::nil(), jobs, lease).await.jobs
    }

    /// Claims of the tenants after one.
    pub async fn claim_after(&self, after: Uuid, jobs: i64, lease: Duration) -> Claimed {
        let claims = Claims {
            jobs,
            per_tenant: 4,
            not_of: Vec::new(),
            lease,
        };
        let claim = move |conn: &mut PgConnection| jobs::claim(conn, &claims, after);
        self.database.worker().run(claim).await.expect("claims")
    }
}

/// A scope, which a claim proves.
pub async fn scope_of(database: &TestDatabase, tenant: TenantId) -> TenantScope {
    let statement = "INSERT INTO jobs (tenant_id, id, webhook_id, revision_id, event_ids)
        VALUES ($1, gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), '{}')";
    sql_query(statement)
        .bind::<SqlUuid, _>(tenant.uuid())
        .execute(&mut database.superuser())
        .expect("a job");
    let claims = Claims {
        jobs: 100,
        per_tenant: 100,
        not_of: Vec::new(),
        lease: Duration::from_secs(60),
    };
    let claimed = database
        .worker()
        .run(move |conn| jobs::claim(conn, &claims, Uuid::nil()))
        .await
        .expect("claims");
    for undo in [
        "DELETE FROM jobs WHERE event_ids = '{}'",
        "UPDATE jobs SET leased_until = NULL, attempt = 0",
    ] {
        sql_query(undo).execute(&mut database.superuser()).expect(undo);
    }
    claimed
        .jobs
        .iter()
        .map(|job| job.lease.scope)
        .find(|scope| scope.tenant() == tenant)
        .expect("a scope")
}

pub fn master_key() -> MasterKey {
    MasterKey::from_bytes(&[7; 32])
}

/// Settings for tests: nothing waits for long.
pub fn settings() -> Settings {
    Settings {
        stop_timeout_ms: 5_000,
        ..Settings::default()
    }
}

/// A step that calls a destination, with changes.
pub fn http_step(destination: DestinationId, changes: Value) -> Value {
    let mut step = json!({ "name": "crm", "kind": "http", "destination": destination, "path": "/in",
        "body": { "n": "{{ body.n }}" }, "retry": { "attempts": 3, "initial_delay_ms": 100, "max_delay_ms": 1000 } });
    for (key, value) in changes.as_object().expect("an object") {
        step[key] = value.clone();
    }
    step
}

pub fn set_only() -> Value {
    json!({ "flow": { "steps": [{ "name": "a", "kind": "set", "values": { "n": "{{ body.n }}" } }] } })
}
