//! No tenant sees or touches another's objects: every operation of the OpenAPI document is called as another tenant, as a
//! viewer, and without a credential. An operation that these tests do not know how to call fails them, and so does a new
//! reference to an object in a body or a query.

use std::collections::BTreeSet;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::service::{Answer, Caller, PASSWORD, Service};
use crate::stored::{self, NewEvent, uuid};

/// Is in the name of everything that is Ada's.
pub const MARK: &str = "belongs to Ada";

/// Is in what came in at Ada's webhook, besides.
pub const RECEIVED: &str = "belongs to Ada, who received it";

/// One of everything that a tenant can have.
pub struct World {
    pub caller: Caller,
    tenant: String,
    member: String,
    /// Another login of whoever calls.
    login: String,
    invitation: String,
    key: String,
    webhook: String,
    url: String,
    public_url: String,
    api_key: String,
    revision: String,
    allowlist: String,
    entry: String,
    destination: String,
    secret: String,
    collection: String,
    record: String,
    session: String,
    event: String,
    file: String,
    run: String,
    attempt: String,
    refusal: String,
    replay: String,
    link: String,
    sample: String,
}

fn id(value: &Value) -> String {
    value["id"].as_str().expect("an id").to_owned()
}

impl World {
    pub async fn of(service: &Service, email: &str) -> Self {
        let account = service.register_account(email).await;
        let caller = service.caller(account["tokens"]["access_token"].as_str().expect("a token"));
        let make = async |path: &str, body: Value| caller.post(path, body).await.is(201);
        let list = json!({"name": MARK, "entries": [{"network": "203.0.113.0/24", "note": MARK}]});
        let allowlist = id(&make("/v1/allowlists", list).await);
        let entries = caller
            .get(&format!("/v1/allowlists/{allowlist}/entries"))
            .await
            .is(200);
        let body = json!({"name": MARK, "suffix": "orders/{order_id}", "allowlists": [allowlist],
            "authentication": {"kind": "sender", "sender": "notion"}});
        let webhook = make("/v1/webhooks", body).await;
        let own = format!("/v1/webhooks/{}", id(&webhook));
        let url = make(&format!("{own}/urls"), json!({"name": MARK})).await;
        make(&format!("{own}/pairing"), json!({})).await;
        stored::paired_secret(service, &webhook, MARK);
        let stored = stored::one_of_each(service, &webhook);
        // A name of a file is unique to its event here, as ids are.
        let file = format!("file-{}", stored.event);
        let body = format!(
            "--b\r\ncontent-disposition: form-data; name={file}; filename=a\r\n\r\n{RECEIVED}\r\n--b--"
        );
        let headers = "content-type: multipart/form-data; boundary=b\r\n";
        let event = NewEvent {
            headers,
            body: body.as_bytes(),
            ..NewEvent::default()
        };
        let event = stored::event(service, &webhook, &event);
        // Names are a tenant's own; these two are unique, as ids are.
        let collection = format!("orders-{}", uuid(&account["tenant"]["id"]));
        let record = format!("of {collection}");
        let schema = json!({"title": MARK});
        make("/v1/collections", json!({"name": collection, "schema": schema})).await;
        let path = format!("/v1/collections/{collection}/records/{record}");
        caller.put(&path, json!({"data": {"note": MARK}})).await.is(200);
        let sample = make(&format!("{own}/samples/from-json"), json!({"json": RECEIVED})).await;
        let member = service.register_account(&format!("member-of-{email}")).await;
        stored::membership(service, &account["tenant"]["id"], &member["user"]["id"], "editor");
        let invited = json!({"email": format!("invited-by-{email}"), "role": "editor"});
        let session = format!("chat of {collection}");
        stored::session(service, &webhook, &session, RECEIVED);
        Self {
            session,
            sample: id(&sample),
            collection,
            record,
            tenant: id(&account["tenant"]),
            member: id(&member["user"]),
            login: {
                let credentials = json!({"email": email, "password": PASSWORD});
                service
                    .stranger()
                    .post("/v1/auth/login", credentials)
                    .await
                    .is(200);
                id(&caller.get("/v1/me/sessions").await.is(200)["data"][0])
            },
            invitation: id(&make("/v1/invitations", invited).await),
            key: id(&make(
                "/v1/management-keys",
                json!({"name": MARK, "scopes": ["webhooks:read"]}),
            )
            .await),
            api_key: id(&make(&format!("{own}/api-keys"), json!({"name": MARK})).await),
            destination: id(&make(
                "/v1/destinations",
                json!({"name": MARK, "base_url": "https://ada.example.com"}),
            )
            .await),
            secret: id(&make("/v1/secrets", json!({"name": MARK, "value": MARK})).await),
            revision: webhook["draft_revision_id"].as_str().expect("an id").to_owned(),
            url: id(&url),
            public_url: url["public_url"].as_str().expect("a URL").to_owned(),
            webhook: id(&webhook),
            entry: id(&entries["data"][0]),
            allowlist,
            event,
            file,
            run: stored.run,
            attempt: stored.attempt,
            refusal: stored.refusal,
            replay: id(&make("/v1/replays", json!({"filter": {"event_type": MARK}})).await),
            link: id(&make("/v1/public-api/links", json!({"name": MARK})).await),
            caller,
        }
    }

    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    pub fn webhook(&self) -> &str {
        &self.webhook
    }

    pub fn public_url(&self) -> &str {
        &self.public_url
    }

    /// The object that stands in a path after this segment.
    pub fn object(&self, after: &str) -> &str {
        match after {
            "tenants" => &self.tenant,
            "members" => &self.member,
            "invitations" => &self.invitation,
            "management-keys" => &self.key,
            "webhooks" => &self.webhook,
            "urls" => &self.url,
            "api-keys" => &self.api_key,
            "revisions" | "compare" => &self.revision,
            "allowlists" => &self.allowlist,
            "entries" => &self.entry,
            "destinations" => &self.destination,
            "secrets" => &self.secret,
            "collections" => &self.collection,
            "records" => &self.record,
            "sessions" => &self.session,
            "templates" => "stripe",
            "events" => &self.event,
            "files" => &self.file,
            "runs" => &self.run,
            "callbacks" => stored::CALLBACK,
            "attempts" => &self.attempt,
            "refusals" => &self.refusal,
            "replays" => &self.replay,
            "links" => &self.link,
            "samples" => &self.sample,
            unknown => panic!("isolation is not tested for ids after /{unknown}/: add one to `World`"),
        }
    }

    /// A path of the document with this world's objects; the first id comes from `parent`, when that is given.
    pub fn path(&self, template: &str, parent: Option<&Self>) -> String {
        if template == "/v1/me/sessions/{id}" {
            return format!("/v1/me/sessions/{}", self.login);
        }
        let mut parents = parent;
        let mut before = "";
        let mut path = String::new();
        for part in template.split('/').skip(1) {
            path.push('/');
            path.push_str(if part.starts_with('{') {
                parents.take().unwrap_or(self).object(before)
            } else {
                part
            });
            before = part;
        }
        path
    }
}

/// What an operation with an id in its path is called with, so that it works for the owner.
fn body(operation: &str, of: &World) -> Value {
    match operation {
        "createSampleFromEvent" => json!({"event_id": of.event}),
        "createUrl" | "createApiKey" => json!({"name": "new"}),
        "addAllowlistEntry" => json!({"network": "2001:db8::/32"}),
        "updateWebhook" | "updateUrl" | "updateApiKey" | "updateAllowlist" | "updateDestination"
        | "updateSecret" => {
            json!({"name": "changed"})
        }
        "updateMember" => json!({"role": "viewer"}),
        "replaceCollection" => json!({"schema": {"title": MARK}}),
        "putRecord" => json!({"data": {"note": "changed"}}),
        "saveDraft" => json!({"response": {"status": 202}}),
        "rotateUrl" => json!({"grace_seconds": 60}),
        "inferExpectedData" => json!({"requests": [{"json": {"order": 1}}]}),
        "takeJsonSchema" => json!({"schema": {"type": "object"}}),
        "createSampleFromJson" => json!({"json": {"order": 1}}),
        "createSampleFromPairs" => json!({"pairs": [{"name": "order", "value": "1"}]}),
        "createSample"
        | "openCapture"
        | "rotateSigningSecret"
        | "openPairing"
        | "recheckRefusal"
        | "replayEvent"
        | "simulateFlow" => {
            json!({})
        }
        "verifyRequest" => {
            json!({"request": {"method": "POST", "url": "/5x3k9z3v8e5f2q8r7w6t5y4x3m/orders"}})
        }
        unknown => panic!("isolation is not tested for {unknown}: say what its body is"),
    }
}

pub struct Operation {
    pub id: String,
    pub path: String,
    method: Method,
    pub value: Value,
}

impl Operation {
    fn has_parameters(&self) -> bool {
        self.path.contains('{')
    }

    /// Whether it names an object of a tenant. Templates are everybody's.
    pub fn has_ids(&self) -> bool {
        self.has_parameters() && !self.path.starts_with("/v1/templates/")
    }

    /// A query or body that the operation cannot do without.
    fn request(&self, of: &World) -> (String, Option<String>) {
        let query = if self.id == "checkAddress" {
            "?address=203.0.113.7"
        } else {
            ""
        };
        let has_body = self.value["requestBody"].is_object();
        (query.to_owned(), has_body.then(|| body(&self.id, of).to_string()))
    }

    /// Calls it with what is the world's.
    pub async fn call(&self, of: &World, caller: &Caller, path: &str) -> Answer {
        let (query, body) = self.request(of);
        caller
            .send(self.method.clone(), &format!("{path}{query}"), body)
            .await
    }

    /// What comes late is what takes objects away.
    fn order(&self) -> (u8, std::cmp::Reverse<usize>) {
        let lateness = match self.method {
            Method::DELETE if self.path == "/v1/webhooks/{id}" => 2,
            Method::DELETE if self.path.contains("webhooks") => 1,
            Method::DELETE => 3,
            // A run that is retried is away until it ends again.
            _ => u8::from(self.id.starts_with("revoke") || self.id == "retryRun"),
        };
        (lateness, std::cmp::Reverse(self.path.len()))
    }
}

pub async fn document(service: &Service) -> Value {
    service.stranger().get("/openapi.json").await.is(200)
}

/// The operations of tenants, in an order in which an owner can call all of them.
pub fn operations(document: &Value) -> Vec<Operation> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, value) in item.as_object().expect("operations") {
            operations.push(Operation {
                id: value["operationId"].as_str().expect("an operationId").to_owned(),
                path: path.clone(),
                method: method.to_uppercase().parse().expect("a method"),
                value: value.clone(),
            });
        }
    }
    operations.retain(|operation| operation.path.starts_with("/v1/"));
    operations.sort_by_key(Operation::order);
    assert!(operations.iter().filter(|operation| operation.has_ids()).count() > 30);
    operations
}

#[track_caller]
fn tells_nothing(answer: &Answer, what: &str) {
    assert!(
        !answer.text.contains(MARK),
        "{what} tells of another tenant: {}",
        answer.text
    );
}

#[tokio::test]
async fn another_tenants_objects_are_as_if_they_were_not_there() {
    foreign_objects_are_absent(&Service::start_with_short_streams().await).await;
}

/// Whatever the role, a foreign object cannot be told from one that is not there, not even with its own ETag.
#[tokio::test]
async fn no_role_tells_foreign_from_absent() {
    let service = Service::start_with_short_streams().await;
    let ada = World::of(&service, "ada@example.com").await;
    let eve = service.register_account("eve@example.com").await;
    let operations = operations(&document(&service).await);
    for role in ["viewer", "editor", "admin", "owner"] {
        service.database.execute(&format!(
            "UPDATE memberships SET role = '{role}' WHERE user_id = '{}'",
            uuid(&eve["user"]["id"])
        ));
        let login = json!({"email": "eve@example.com", "password": PASSWORD});
        let tokens = service.stranger().post("/v1/auth/login", login).await.is(200);
        let caller = service.caller(tokens["access_token"].as_str().expect("a token"));
        let caller = caller.with("if-match", "\"1\"");
        for operation in operations.iter().filter(|operation| operation.has_ids()) {
            let foreign = operation
                .call(&ada, &caller, &ada.path(&operation.path, None))
                .await;
            let absent = operation
                .call(&ada, &caller, &operation.path.replace("{id}", "none"))
                .await;
            let is_refused = [StatusCode::NOT_FOUND, StatusCode::FORBIDDEN].contains(&foreign.status);
            assert!(is_refused, "{role}, {}: {}", operation.id, foreign.text);
            let told = |answer: &Answer| {
                ["status", "code", "detail", "errors"].map(|field| answer.json()[field].clone())
            };
            assert_eq!(told(&foreign), told(&absent), "{role}, {}", operation.id);
            tells_nothing(&foreign, &operation.id);
        }
    }
}

/// Row-level security is the second wall: the queries alone must hold.
#[tokio::test]
async fn the_queries_alone_keep_tenants_apart() {
    let service = Service::start_with_short_streams().await;
    switch_row_level_security_off(&service);
    foreign_objects_are_absent(&service).await;
    lists_hold_only_the_callers_own(&service).await;
}

/// And the queries are the second wall of row-level security: with a filter that lets everything of Ada's through, it must hold alone.
#[tokio::test]
async fn row_level_security_alone_keeps_tenants_apart() {
    let service = Service::start_with_short_streams().await;
    let (ada, eve, operations) = with_a_wrong_filter(&service).await;
    let mut refused = 0;
    for operation in &operations {
        let path = ada.path(&operation.path, None);
        let answer = operation.call(&ada, &eve.caller, &path).await;
        tells_nothing(&answer, &operation.id);
        // A row that would be Ada's cannot be written: that the filter is wrong is no caller's fault.
        let is_refused = [StatusCode::NOT_FOUND, StatusCode::INTERNAL_SERVER_ERROR].contains(&answer.status);
        let is_empty = operation.method == Method::GET && answer.status == 200;
        assert!(
            is_refused || is_empty || !operation.has_ids(),
            "{}: {}",
            operation.id,
            answer.text
        );
        refused += usize::from(is_refused);
    }
    assert!(refused > 60, "only {refused} operations were refused");
    for operation in operations
        .iter()
        .filter(|operation| operation.method == Method::GET)
    {
        let path = ada.path(&operation.path, None);
        let own = operation.call(&ada, &ada.caller, &path).await;
        assert_eq!(
            own.status, 200,
            "{}: what Eve has not seen is still there",
            operation.id
        );
    }
}

/// The test above can fail: without row-level security the same filter shows what is Ada's.
#[tokio::test]
async fn a_wrong_filter_without_row_level_security_shows_everything() {
    let service = Service::start_with_short_streams().await;
    switch_row_level_security_off(&service);
    let (ada, eve, operations) = with_a_wrong_filter(&service).await;
    let mut shown = 0;
    for operation in operations
        .iter()
        .filter(|operation| operation.method == Method::GET)
    {
        let path = ada.path(&operation.path, None);
        let answer = operation.call(&ada, &eve.caller, &path).await;
        shown += usize::from(answer.status == 200 && answer.text.contains(MARK));
    }
    assert!(shown > 20, "only {shown} operations tell of another tenant");
}

/// Ada, Eve, whose queries filter by Ada's tenant, and the operations on what is a tenant's.
async fn with_a_wrong_filter(service: &Service) -> (World, World, Vec<Operation>) {
    let ada = World::of(service, "ada@example.com").await;
    let eve = World::of(service, "eve@example.com").await;
    let tenant = |world: &World| world.tenant.parse().expect("an id");
    hookgate_domain::scope::mutants::mistake(tenant(&eve), tenant(&ada));
    let mut operations = operations(&document(service).await);
    operations.retain(|operation| operation.has_ids() || operation.method == Method::GET);
    (ada, eve, operations)
}

fn switch_row_level_security_off(service: &Service) {
    service.database.execute(
        "DO $$ DECLARE name text; BEGIN
           FOR name IN SELECT relname FROM pg_class WHERE relrowsecurity LOOP
             EXECUTE format('ALTER TABLE %I DISABLE ROW LEVEL SECURITY', name);
           END LOOP;
         END $$",
    );
}

async fn foreign_objects_are_absent(service: &Service) {
    let ada = World::of(service, "ada@example.com").await;
    let eve = World::of(service, "eve@example.com").await;
    let operations = operations(&document(service).await);
    let with_ids = || operations.iter().filter(|operation| operation.has_ids());
    for operation in with_ids() {
        let foreign = operation
            .call(&ada, &eve.caller, &ada.path(&operation.path, None))
            .await;
        foreign.is_problem(404, "not_found");
        tells_nothing(&foreign, &operation.id);
        let absent = operation
            .call(&ada, &eve.caller, &operation.path.replace("{id}", "none"))
            .await;
        assert_eq!(
            foreign.json()["detail"],
            absent.json()["detail"],
            "{}: the two can be told apart",
            operation.id
        );
        // A key and a step's name are no ids: below an object of one's own they are one's own, whoever uses them as well.
        let names_the_own = ["putRecord", "retryCallback"].contains(&operation.id.as_str());
        if operation.path.matches('{').count() > 1 && !names_the_own {
            let below_own = operation
                .call(&ada, &eve.caller, &ada.path(&operation.path, Some(&eve)))
                .await;
            below_own.is_problem(404, "not_found");
            tells_nothing(&below_own, &operation.id);
        }
    }
    // The same requests work for the owner: what was refused was refused for being foreign.
    // Those that failed can be retried.
    service
        .database
        .execute("UPDATE runs SET outcome = 'failed', state = '{}'");
    for operation in with_ids() {
        let path = ada.path(&operation.path, None);
        let answer = operation.call(&ada, &ada.caller, &path).await;
        assert!(
            answer.status.is_success(),
            "{} {path}: {}",
            operation.id,
            answer.text
        );
    }
}

#[tokio::test]
async fn lists_hold_the_callers_own_alone() {
    lists_hold_only_the_callers_own(&Service::start_with_short_streams().await).await;
}

async fn lists_hold_only_the_callers_own(service: &Service) {
    let ada = World::of(service, "ann@example.com").await;
    let eve = service.register("eva@example.com").await;
    let operations = operations(&document(service).await);
    let lists = operations
        .iter()
        .filter(|operation| operation.method == Method::GET && !operation.has_parameters());
    for list in lists {
        let answer = eve.get(&list.path).await;
        assert_eq!(answer.status, 200, "{}: {}", list.id, answer.text);
        tells_nothing(&answer, &list.id);
        // A stream begins now; `streams.rs` looks at what it tells.
        let without = [
            "/v1/me",
            "/v1/me/totp",
            "/v1/tenant",
            "/v1/tenant/notifications",
            "/v1/tenants",
            "/v1/events/stream",
        ];
        if !without.contains(&list.path.as_str()) {
            let own = ada.caller.get(&list.path).await;
            assert!(
                own.status == 200 && (own.text.contains(MARK) || own.json()["data"][0].is_object()),
                "{}: there is nothing of Ada's to hide",
                list.id
            );
        }
        for (parameter, value) in query_references(list, &ada) {
            let answer = eve.get(&format!("{}?{parameter}={value}", list.path)).await;
            assert_eq!(answer.status, 200, "{}?{parameter}", list.id);
            tells_nothing(&answer, &list.id);
            assert!(
                !answer.text.contains(value),
                "{}?{parameter}: {}",
                list.id,
                answer.text
            );
        }
    }
    for query in [&ada.webhook, &ada.url, &ada.public_url] {
        let found = eve.get(&format!("/v1/webhooks?q={query}")).await.is(200);
        assert_eq!(found["data"], json!([]), "{query}");
    }
}

/// The query parameters of a list that name an object, each with Ada's.
fn query_references<'a>(list: &Operation, ada: &'a World) -> Vec<(String, &'a str)> {
    let parameters = list.value["parameters"].as_array().into_iter().flatten();
    let queries = parameters.filter(|parameter| parameter["in"] == "query");
    let names = queries.map(|parameter| parameter["name"].as_str().expect("a name").to_owned());
    names
        .filter(|name| name.ends_with("_id"))
        .map(|name| {
            let value = match name.as_str() {
                // A sender's own id, which may be the same in any tenant.
                "delivery_id" => stored::DELIVERY,
                _ => ada.object(&format!("{}s", name.trim_end_matches("_id"))),
            };
            (name, value)
        })
        .collect()
}

#[tokio::test]
async fn a_cursor_of_another_tenant_does_not_work() {
    let service = Service::start().await;
    let ada = World::of(&service, "ada@example.com").await;
    let eve = service.register("eve@example.com").await;
    ada.caller
        .post("/v1/webhooks", json!({"name": "second"}))
        .await
        .is(201);
    let page = ada.caller.get("/v1/webhooks?limit=1").await.is(200);
    let cursor = page["next_cursor"].as_str().expect("a cursor");
    let path = format!("/v1/webhooks?limit=1&cursor={cursor}");
    ada.caller.get(&path).await.is(200);
    eve.get(&path).await.is_problem(400, "invalid_cursor");
}

#[tokio::test]
async fn an_idempotency_key_of_another_tenant_gives_nothing_away() {
    let service = Service::start().await;
    let ada = service
        .register("ada@example.com")
        .await
        .with("idempotency-key", "one");
    let eve = service
        .register("eve@example.com")
        .await
        .with("idempotency-key", "one");
    let body = json!({"name": "CRM", "base_url": "https://example.com"});
    let first = ada.post("/v1/destinations", body.clone()).await.is(201);
    let second = eve.post("/v1/destinations", body).await.is(201);
    assert_ne!(first["id"], second["id"]);
    assert_ne!(first["signing_secret"], second["signing_secret"]);
}

/// Every place in a request body that holds an id, as `operation pointer`, with `*` for an index.
pub fn body_references(document: &Value, operations: &[Operation]) -> BTreeSet<String> {
    let mut references = BTreeSet::new();
    for operation in operations {
        let content = operation.value["requestBody"]["content"].as_object();
        for schema in content
            .into_iter()
            .flatten()
            .map(|(_, content)| &content["schema"])
        {
            collect(document, schema, &operation.id, &mut Vec::new(), &mut references);
        }
    }
    references
}

fn collect<'a>(
    document: &'a Value,
    schema: &'a Value,
    place: &str,
    path: &mut Vec<&'a str>,
    references: &mut BTreeSet<String>,
) {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().expect("a name");
        if !path.contains(&name) {
            path.push(name);
            collect(
                document,
                &document["components"]["schemas"][name],
                place,
                path,
                references,
            );
            path.pop();
        }
        return;
    }
    let is_id = schema["pattern"]
        .as_str()
        .is_some_and(|pattern| pattern.ends_with("_[0-7][0-9a-hjkmnp-tv-z]{25}$"));
    if is_id {
        references.insert(place.to_owned());
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        collect(document, property, &format!("{place}/{name}"), path, references);
    }
    if schema["items"].is_object() {
        collect(
            document,
            &schema["items"],
            &format!("{place}/*"),
            path,
            references,
        );
    }
    for form in ["oneOf", "anyOf", "allOf"] {
        for alternative in schema[form].as_array().into_iter().flatten() {
            collect(document, alternative, place, path, references);
        }
    }
}

#[tokio::test]
async fn what_a_body_refers_to_must_be_the_callers_own() {
    let service = Service::start().await;
    let ada = World::of(&service, "ada@example.com").await;
    let eve = World::of(&service, "eve@example.com").await;
    let document = document(&service).await;
    let expected = [
        "createWebhook/allowlists/*",
        "updateWebhook/allowlists/*",
        "saveDraft/flow/steps/*/destination",
        "login/tenant_id",
        "switchTenant/tenant_id",
        "transferOwnership/user_id",
        "verifyRequest/event_id",
        "simulateFlow/event_id",
        "inferExpectedData/event_ids/*",
        "inferExpectedData/sample_ids/*",
        "simulateFlow/sample_id",
        "openCapture/url_id",
        "createSampleFromEvent/event_id",
        "simulateFlow/revision_id",
        "simulateFlow/document/flow/steps/*/destination",
        "createReplay/filter/webhook_id",
        "createReplay/filter/url_id",
        "previewReplay/webhook_id",
        "retryRuns/webhook_id",
        "retryCallbacks/webhook_id",
        "retryCallbacks/destination_id",
        "setNotifications/destination_id",
        "previewReplay/url_id",
        "createWebhook/handshake/secrets/*",
        "updateWebhook/handshake/secrets/*",
    ];
    let secrets = [
        "secrets/*",
        "keys/secrets/*",
        "pairs/*/signs/*",
        "users/*/passwords/*",
    ];
    let in_webhooks = secrets.map(|place| {
        ["createWebhook", "updateWebhook"].map(|operation| format!("{operation}/authentication/{place}"))
    });
    let presented = [
        "authentication/password",
        "authentication/token",
        "authentication/value",
        "authentication/client_secret",
        "client_certificate/private_key",
    ];
    let in_destinations = presented.map(|place| {
        ["createDestination", "updateDestination"].map(|operation| format!("{operation}/{place}"))
    });
    let expected: Vec<&str> = expected
        .into_iter()
        .chain(in_destinations.as_flattened().iter().map(String::as_str))
        .chain(in_webhooks.as_flattened().iter().map(String::as_str))
        .collect();
    let references = body_references(&document, &operations(&document));
    let unknown: Vec<_> = references
        .iter()
        .filter(|reference| !expected.contains(&reference.as_str()))
        .collect();
    assert!(
        unknown.is_empty(),
        "isolation is not tested for these references: {unknown:?}"
    );
    assert!(references.len() >= 3, "{references:?}");

    // A filter finds none of another tenant's.
    service
        .database
        .execute("UPDATE runs SET outcome = 'failed', state = '{}'");
    let retries = json!({"webhook_id": ada.webhook});
    let retried = eve.caller.post("/v1/runs/retry", retries).await.is(200);
    assert_eq!(retried, json!({"matched": 0, "retried": 0}));
    let retries = json!({"webhook_id": ada.webhook});
    let retried = eve
        .caller
        .post("/v1/failed-callbacks/retry", retries)
        .await
        .is(200);
    assert_eq!(retried, json!({"matched": 0, "retried": 0}));
    for filter in [json!({"webhook_id": ada.webhook}), json!({"url_id": ada.url})] {
        let own = ada
            .caller
            .post("/v1/replays/preview", filter.clone())
            .await
            .is(200);
        assert_eq!(own["matched"] == 0, filter.get("url_id").is_some(), "{filter}");
        let preview = eve
            .caller
            .post("/v1/replays/preview", filter.clone())
            .await
            .is(200);
        let made = eve
            .caller
            .post("/v1/replays", json!({"filter": filter}))
            .await
            .is(201);
        assert_eq!((&preview["matched"], &made["matched"]), (&json!(0), &json!(0)));
    }
    let webhook = format!("/v1/webhooks/{}", eve.webhook);
    let not_found = |answer: Answer, pointer: &str| {
        answer.is_invalid(&[(pointer, "not_found")]);
        tells_nothing(&answer, pointer);
    };
    let body = json!({"name": "mine", "allowlists": [eve.allowlist, ada.allowlist]});
    not_found(eve.caller.post("/v1/webhooks", body).await, "/allowlists/1");
    not_found(
        eve.caller
            .patch(&webhook, json!({"allowlists": [ada.allowlist]}))
            .await,
        "/allowlists/0",
    );
    let signature = json!({"at": {"in": "header", "name": "x-signature"}});
    for (authentication, pointer) in [
        (
            json!({"kind": "hmac", "signature": signature, "secrets": [eve.secret, ada.secret]}),
            "/secrets/1",
        ),
        (
            json!({"kind": "sender", "sender": "github", "secrets": [ada.secret]}),
            "/secrets/0",
        ),
        (
            json!({"kind": "basic", "users": [{"name": "a", "passwords": [ada.secret]}]}),
            "/users/0/passwords/0",
        ),
        (
            json!({"kind": "app_key_sign", "pairs": [{"app_key": "a", "signs": [ada.secret]}]}),
            "/pairs/0/signs/0",
        ),
        (
            json!({"kind": "jwt", "algorithms": ["HS256"], "keys": {"from": "secrets", "secrets": [ada.secret]}}),
            "/keys/secrets/0",
        ),
        (
            json!({"kind": "any_of", "of": [{"kind": "none"}, {"kind": "hmac", "signature": signature, "secrets": [ada.secret]}]}),
            "/of/1/secrets/0",
        ),
    ] {
        let pointer = format!("/authentication{pointer}");
        let body = json!({"name": "mine", "authentication": authentication});
        not_found(eve.caller.post("/v1/webhooks", body).await, &pointer);
        let change = json!({"authentication": authentication, "deduplication": null});
        not_found(eve.caller.patch(&webhook, change).await, &pointer);
    }
    let handshake = json!({"handshake": {"kind": "meta", "secrets": [ada.secret]}});
    not_found(
        eve.caller.patch(&webhook, handshake).await,
        "/handshake/secrets/0",
    );
    let destination = format!("/v1/destinations/{}", eve.destination);
    for (presented, pointer) in [
        (
            json!({"authentication": {"kind": "basic", "username": "a", "password": ada.secret}}),
            "/authentication/password",
        ),
        (
            json!({"authentication": {"kind": "bearer", "token": ada.secret}}),
            "/authentication/token",
        ),
        (
            json!({"authentication": {"kind": "api_key", "header": "x-key", "value": ada.secret}}),
            "/authentication/value",
        ),
        (
            json!({"authentication": {"kind": "oauth2", "token_url": "https://a.example.com/token", "client_id": "a",
                "client_secret": ada.secret}}),
            "/authentication/client_secret",
        ),
        (
            json!({"client_certificate": {"certificate": "a", "private_key": ada.secret}}),
            "/client_certificate/private_key",
        ),
    ] {
        let mut body = presented.clone();
        body["name"] = json!("mine");
        body["base_url"] = json!("https://a.example.com");
        not_found(eve.caller.post("/v1/destinations", body).await, pointer);
        not_found(eve.caller.patch(&destination, presented).await, pointer);
    }
    let draft = json!({"flow": {"steps": [{"name": "a", "kind": "http", "destination": ada.destination}]}})
        .to_string();
    let saved = eve
        .caller
        .send(Method::PUT, &format!("{webhook}/draft"), Some(draft))
        .await;
    not_found(saved, "/flow/steps/0/destination");
    let notified = json!({"destination_id": ada.destination});
    let notified = eve.caller.put("/v1/tenant/notifications", notified).await;
    not_found(notified, "/destination_id");
    let transferred = json!({"user_id": ada.member});
    not_found(
        eve.caller
            .post("/v1/tenant/transfer-ownership", transferred)
            .await,
        "/user_id",
    );
    let verified = eve
        .caller
        .post(&format!("{webhook}/verify"), json!({"event_id": ada.event}))
        .await;
    not_found(verified, "/event_id");
    let learnt = json!({"event_ids": [eve.event, ada.event]});
    not_found(
        eve.caller.post(&format!("{webhook}/infer"), learnt).await,
        "/event_ids/1",
    );
    let learnt = json!({"sample_ids": [eve.sample, ada.sample]});
    not_found(
        eve.caller.post(&format!("{webhook}/infer"), learnt).await,
        "/sample_ids/1",
    );
    let captured = json!({"url_id": ada.url});
    not_found(
        eve.caller.post(&format!("{webhook}/capture"), captured).await,
        "/url_id",
    );
    let sampled = format!("{webhook}/samples/from-event");
    not_found(
        eve.caller.post(&sampled, json!({"event_id": ada.event})).await,
        "/event_id",
    );
    for operation in ["json-schema", "made-up-request"] {
        let path = format!("{webhook}/{operation}?revision_id={}", ada.revision);
        not_found(eve.caller.get(&path).await, "/revision_id");
    }
    let simulated = format!("{webhook}/simulate");
    for (question, pointer) in [
        (json!({"sample_id": ada.sample}), "/sample_id"),
        (json!({"event_id": ada.event}), "/event_id"),
        (json!({"revision_id": ada.revision}), "/revision_id"),
        (
            json!({"document": {"flow": {"steps": [{"name": "a", "kind": "http", "destination": ada.destination}]}}}),
            "/document/flow/steps/0/destination",
        ),
    ] {
        not_found(eve.caller.post(&simulated, question).await, pointer);
    }
    let login = json!({"email": "eve@example.com", "password": PASSWORD, "tenant_id": ada.tenant});
    service
        .stranger()
        .post("/v1/auth/login", login)
        .await
        .is_problem(401, "invalid_credentials");
}

#[tokio::test]
async fn a_viewer_sees_and_changes_nothing() {
    let service = Service::start().await;
    let ada = World::of(&service, "ada@example.com").await;
    let vera = service.register_account("vera@example.com").await;
    stored::membership(
        &service,
        &ada.tenant.as_str().into(),
        &vera["user"]["id"],
        "viewer",
    );
    let login = json!({"email": "vera@example.com", "password": PASSWORD, "tenant_id": ada.tenant});
    let tokens = service.stranger().post("/v1/auth/login", login).await.is(200);
    let viewer = service.caller(tokens["access_token"].as_str().expect("a token"));
    for operation in operations(&document(&service).await)
        .iter()
        .filter(|operation| operation.has_ids())
    {
        let answer = operation
            .call(&ada, &viewer, &ada.path(&operation.path, None))
            .await;
        let is_for_admins = operation.path.contains("management-keys");
        // Their own logins are theirs, whatever they may do in the tenant.
        if operation.id == "endLogin" {
            answer.is_problem(404, "not_found");
            continue;
        }
        let is_allowed = operation.method == Method::GET && !is_for_admins || operation.id == "switchTenant";
        if is_allowed {
            assert!(answer.status.is_success(), "{}: {}", operation.id, answer.text);
        } else {
            answer.is_problem(403, "forbidden");
            tells_nothing(&answer, &operation.id);
        }
    }
}

#[tokio::test]
async fn a_stranger_gets_nothing() {
    let service = Service::start().await;
    let ada = World::of(&service, "ada@example.com").await;
    let mut open = Vec::new();
    for operation in operations(&document(&service).await) {
        if operation.path.starts_with("/v1/auth/") {
            open.push(operation.id);
            continue;
        }
        let path = ada.path(&operation.path, None);
        for caller in [
            service.stranger(),
            service.caller("hgm_unknown"),
            service.caller(&ada.public_url),
        ] {
            // The credential is looked at before anything else, so any body does.
            let answer = caller
                .send(operation.method.clone(), &path, Some("{}".to_owned()))
                .await;
            answer.is_problem(401, "unauthenticated");
            tells_nothing(&answer, &operation.id);
        }
    }
    assert_eq!(open.len(), 9, "operations without a credential: {open:?}");
}
