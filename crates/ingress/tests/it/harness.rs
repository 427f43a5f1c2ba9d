//! A running ingress with a tenant, and what tests look at.

use std::net::SocketAddr;
use std::sync::Arc;

use diesel::sql_types::{BigInt, Binary, Integer, Nullable, SmallInt, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, RunQueryDsl, sql_query};
use hookgate_domain::body;
use hookgate_domain::crypto::MasterKey;
use hookgate_ingress::{Ingress, Settings};
use hookgate_model::ids::{EventId, SecretId, TenantId};
use hookgate_testkit::TestDatabase;
use hookgate_testkit::fixtures::{NewWebhook, PublicUrl, Webhook};
use hookgate_worker::Worker;
use reqwest::{Client, Method, RequestBuilder};
use uuid::Uuid;

/// What seals the secrets of these tests.
pub fn master_key() -> MasterKey {
    MasterKey::from_bytes(&[7; 32])
}

/// An ingress, its database and a tenant in it.
pub struct Harness {
    pub database: Arc<TestDatabase>,
    pub tenant: TenantId,
    pub client: Client,
    pub address: SocketAddr,
    /// Where proxies connect, or the same when they do not.
    pub proxies_address: SocketAddr,
    ingress: Option<Ingress>,
}

impl Harness {
    pub async fn start() -> Self {
        Self::with(Settings::default()).await
    }

    pub async fn with(settings: Settings) -> Self {
        Self::on(TestDatabase::create(), settings).await
    }

    pub async fn on(database: TestDatabase, settings: Settings) -> Self {
        let redis = database.redis();
        Self::on_redis(database, settings, redis).await
    }

    pub async fn on_redis(
        database: TestDatabase,
        settings: Settings,
        redis: hookgate_domain::redis::Redis,
    ) -> Self {
        Self::calling(database, settings, redis, hookgate_egress::Settings::default()).await
    }

    /// One that may call these.
    pub async fn calling(
        database: TestDatabase,
        settings: Settings,
        redis: hookgate_domain::redis::Redis,
        egress: hookgate_egress::Settings,
    ) -> Self {
        let tenant = database.tenant("Ingress");
        let ingress = Self::node(&database, settings, redis, &egress).await;
        let addresses = ingress.addresses();
        let (address, proxies_address) = (addresses[0], addresses[addresses.len() - 1]);
        Self {
            database: Arc::new(database),
            tenant,
            client: hookgate_testkit::http_client(),
            address,
            proxies_address,
            ingress: Some(ingress),
        }
    }

    /// One more node of the same installation.
    pub async fn beside(&self) -> Self {
        let (settings, redis) = (Settings::default(), self.database.redis());
        let egress = hookgate_egress::Settings::default();
        let ingress = Self::node(&self.database, settings, redis, &egress).await;
        let address = ingress.addresses()[0];
        Self {
            database: Arc::clone(&self.database),
            tenant: self.tenant,
            client: self.client.clone(),
            address,
            proxies_address: address,
            ingress: Some(ingress),
        }
    }

    /// One more ingress on a database.
    pub async fn node(
        database: &TestDatabase,
        settings: Settings,
        redis: hookgate_domain::redis::Redis,
        egress: &hookgate_egress::Settings,
    ) -> Ingress {
        let settings = Settings {
            listen: ([127, 0, 0, 1], 0).into(),
            threads: 2,
            ..settings
        };
        let connection = database.settings(database.ingress_url());
        let egress = hookgate_egress::Client::new(egress).expect("a client");
        hookgate_ingress::start(settings, &connection, redis, master_key(), egress)
            .await
            .expect("an ingress")
    }

    /// Stops the ingress, which writes what is waiting.
    pub async fn stop(&mut self) {
        if let Some(ingress) = self.ingress.take() {
            ingress.stop().await;
        }
    }

    pub fn webhook(&self, new: NewWebhook) -> Webhook {
        self.database.webhook(self.tenant, new)
    }

    pub fn secret(&self, value: &str) -> SecretId {
        self.database.secret(self.tenant, &master_key(), value)
    }

    pub fn post(&self, url: &PublicUrl) -> RequestBuilder {
        self.request(Method::POST, &url.path)
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("http://{}{path}", self.address))
    }

    /// A worker on the same database, which may call this machine.
    pub fn worker(&self) -> Worker {
        let egress = hookgate_egress::Client::new(&hookgate_egress::Settings {
            allowed_private_networks: vec!["127.0.0.0/8".parse().expect("a network")],
            ..Default::default()
        });
        hookgate_worker::start(
            hookgate_worker::Settings::default(),
            self.database.worker(),
            self.database.redis(),
            master_key(),
            egress.expect("a client"),
        )
    }

    /// A destination of the tenant, whose calls are not signed.
    pub fn destination(&self, base_url: &str) -> Uuid {
        let id = Uuid::now_v7();
        sql_query("INSERT INTO destinations (tenant_id, id, name, base_url) VALUES ($1, $2, 'receiver', $3)")
            .bind::<SqlUuid, _>(self.tenant.uuid())
            .bind::<SqlUuid, _>(id)
            .bind::<Text, _>(base_url)
            .execute(&mut self.database.superuser())
            .expect("a destination");
        id
    }

    /// The stored events of a webhook, oldest first.
    pub fn events(&self, webhook: &Webhook) -> Vec<StoredEvent> {
        sql_query("SELECT * FROM events WHERE webhook_id = $1 ORDER BY id")
            .bind::<SqlUuid, _>(webhook.id.uuid())
            .load(&mut self.database.superuser())
            .expect("the events")
    }

    /// The reasons of a webhook's refusals, oldest first.
    pub fn refusals(&self, webhook: &Webhook) -> Vec<StoredRefusal> {
        sql_query(
            "SELECT id, reason, detail, status, query, headers, body_preview, request FROM refusals WHERE webhook_id = $1 ORDER BY id",
        )
        .bind::<SqlUuid, _>(webhook.id.uuid())
        .load(&mut self.database.superuser())
        .expect("the refusals")
    }

    pub fn count(&self, query: &str) -> i64 {
        #[derive(QueryableByName)]
        struct Count {
            #[diesel(sql_type = BigInt)]
            count: i64,
        }
        let count: Count = sql_query(query)
            .get_result(&mut self.database.superuser())
            .expect("a count");
        count.count
    }

    pub fn execute(&self, statement: &str) {
        sql_query(statement)
            .execute(&mut self.database.superuser())
            .expect(statement);
    }
}

#[derive(Debug, QueryableByName)]
pub struct StoredEvent {
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub revision_id: Option<Uuid>,
    #[diesel(sql_type = Text)]
    pub environment: String,
    #[diesel(sql_type = Text)]
    pub method: String,
    #[diesel(sql_type = Text)]
    pub path: String,
    #[diesel(sql_type = Text)]
    pub query: String,
    #[diesel(sql_type = Binary)]
    pub headers: Vec<u8>,
    #[diesel(sql_type = SmallInt)]
    body_codec: i16,
    #[diesel(sql_type = Integer)]
    body_bytes: i32,
    #[diesel(sql_type = Binary)]
    body: Vec<u8>,
}

impl StoredEvent {
    pub fn body(&self) -> Vec<u8> {
        body::read(self.body_codec, self.body_bytes, &self.body)
            .expect("a readable body")
            .into_owned()
    }

    pub fn event_id(&self) -> String {
        EventId::from(self.id).to_string()
    }
}

#[derive(Debug, QueryableByName)]
pub struct StoredRefusal {
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    #[diesel(sql_type = Text)]
    pub detail: String,
    #[diesel(sql_type = Text)]
    pub query: String,
    #[diesel(sql_type = Nullable<Binary>)]
    pub request: Option<Vec<u8>>,
    #[diesel(sql_type = Text)]
    pub reason: String,
    #[diesel(sql_type = SmallInt)]
    pub status: i16,
    #[diesel(sql_type = Binary)]
    pub headers: Vec<u8>,
    #[diesel(sql_type = Binary)]
    pub body_preview: Vec<u8>,
}
