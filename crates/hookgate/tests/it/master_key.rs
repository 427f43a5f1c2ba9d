//! A rotation of the master key, from one key alone over both to the other alone, while everything goes on.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use diesel::Connection;
use diesel::connection::SimpleConnection;
use hookgate_domain::crypto::MasterKey;
use hookgate_domain::idempotency;
use hookgate_domain::sealed::Column;
use hookgate_testkit::receiver::Reply;
use hookgate_testkit::{Receiver, TestDatabase, eventually, http_client};
use serde_json::{Value, json};

use crate::installation::{Api, Installation, Service, Storage};
use crate::process::{Background, hookgate, run};

const PATIENCE: Duration = Duration::from_secs(30);
/// The key of [`Installation`], and the one that takes over.
const OLD: [u8; 32] = [7; 32];
const NEW: [u8; 32] = [8; 32];

fn environment(database: &TestDatabase, key: [u8; 32], previous: &[[u8; 32]]) -> Vec<(String, String)> {
    let previous: Vec<String> = previous.iter().map(|key| STANDARD.encode(key)).collect();
    [
        ("HOOKGATE_DATABASE__OWNER_URL", database.owner_url()),
        ("HOOKGATE_MASTER_KEY", STANDARD.encode(key)),
        ("HOOKGATE_PREVIOUS_MASTER_KEYS", json!(previous).to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// Runs `hookgate master-key`, and gives what it prints.
fn master_key(action: &str, environment: &[(String, String)]) -> String {
    let output = run(["master-key", action], environment);
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{text}");
    for key in [OLD, NEW] {
        assert!(!text.contains(&STANDARD.encode(key)), "a key is printed: {text}");
    }
    text
}

/// What the tenant has made before the rotation.
struct Made {
    receiver: Receiver,
    /// Its sender shows a token, and it calls the receiver.
    guarded: String,
    /// Remembers deliveries.
    once: String,
    first_event: String,
    refusal: String,
    /// The request and the answer of a POST with an `Idempotency-Key`.
    repeated: (Value, Value),
    failed_run: String,
}

const TOKEN: &str = "hush hush";
const DELIVERY: &str = r#"{"id": "d-1"}"#;

async fn idempotent(installation: &Installation, body: &Value) -> Value {
    let request = http_client()
        .post(format!("{}/v1/secrets", installation.api.url()))
        .bearer_auth(installation.api.token())
        .header("idempotency-key", "once")
        .json(body);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 201);
    answer.json().await.unwrap()
}

async fn send(url: &str, token: &str, body: &str) -> reqwest::Response {
    let request = http_client().post(url).header("x-token", token);
    let request = request.header("content-type", "application/json");
    request.body(body.to_owned()).send().await.unwrap()
}

fn event_of(answer: &reqwest::Response) -> String {
    answer.headers()["hookgate-event-id"].to_str().unwrap().to_owned()
}

/// Leaves something in every column of sealed values.
/// Gives the person who owns the tenant a secret for codes, which no login asks for until it is confirmed.
async fn begin_with_a_second_factor(api: &Api) {
    let credentials = json!({ "email": "ada@example.com", "password": "three plain words" });
    let tokens = api.post("/auth/login", &credentials).await;
    let enrolled = http_client()
        .post(format!("{}/v1/me/totp", api.url()))
        .bearer_auth(tokens["access_token"].as_str().unwrap())
        .json(&json!({ "password": "three plain words" }))
        .send();
    assert_eq!(enrolled.await.unwrap().status(), 201);
}

async fn make(installation: &Installation) -> Made {
    let api = &installation.api;
    begin_with_a_second_factor(api).await;
    let receiver = Receiver::start().await;
    let secret = api
        .post("/secrets", &json!({ "name": "token", "value": TOKEN }))
        .await;
    let destination = json!({ "name": "Receiver", "base_url": receiver.url() });
    let destination = api.post("/destinations", &destination).await["id"].clone();
    let id = destination.as_str().unwrap();
    api.post(
        &format!("/destinations/{id}/rotate-secret"),
        &json!({ "grace_seconds": 86_400 }),
    )
    .await;

    let calls = json!({ "flow": { "steps": [{ "name": "call", "kind": "http", "destination": destination,
        "method": "POST", "path": "/called" }] } });
    let authentication = json!({ "kind": "static_token", "at": { "in": "header", "name": "x-token" },
        "secrets": [secret["id"]] });
    let guarded = json!({ "name": "Guarded", "authentication": authentication });
    let guarded = api.webhook(&guarded, Some(&calls)).await;
    assert_eq!(send(&guarded, "wrong", "{}").await.status(), 401);
    let refused = async || {
        api.get("/refusals").await["data"][0]["id"]
            .as_str()
            .map(str::to_owned)
    };
    let refusal = eventually(PATIENCE, "the refusal is kept", refused).await;

    let once = json!({ "name": "Once", "deduplication": { "key": "{{ body.id }}", "remember_hours": 1 } });
    let once = api.webhook(&once, None).await;
    let first_event = event_of(&send(&once, "", DELIVERY).await);

    // A callback that did not arrive, one that is yet to come, and a masked event that waits in a paused webhook.
    let calls_back = json!({ "flow": { "steps": [{ "name": "back", "kind": "callback", "destination": destination,
        "body": { "n": "{{ body.n }}" }, "retry": { "delays_seconds": [3600] } }] } });
    let back = api.webhook(&json!({ "name": "Back" }), Some(&calls_back)).await;
    receiver.script([Reply::status(400), Reply::status(503)]);
    let failed_run = event_of(&send(&back, "", r#"{"n": "failed"}"#).await).replace("evt_", "run_");
    receiver.wait_for(1, PATIENCE).await;
    send(&back, "", r#"{"n": "pending"}"#).await;
    receiver.wait_for(2, PATIENCE).await;
    let forwards = json!({ "flow": { "steps": [{ "name": "call", "kind": "http", "destination": destination,
        "method": "POST", "path": "/masked", "body": { "card": "{{ body.card }}" } }] } });
    let masked = json!({ "name": "Masked", "data_protection": { "mask": ["body.card"] } });
    let masked = api.webhook(&masked, Some(&forwards)).await;
    let listed = api.get("/webhooks?q=Masked").await;
    let id = listed["data"][0]["id"].as_str().unwrap();
    api.post(&format!("/webhooks/{id}/pause"), &json!({})).await;
    send(&masked, "", r#"{"card": "4111"}"#).await;

    let repeated = json!({ "name": "made once", "value": "v" });
    let answer = idempotent(installation, &repeated).await;
    Made {
        receiver,
        guarded,
        once,
        first_event,
        refusal,
        repeated: (repeated, answer),
        failed_run,
    }
}

/// Uses everything that can be used again and again.
async fn assert_everything_opens(installation: &Installation, made: &Made) {
    let api = &installation.api;
    let login = json!({ "email": "ada@example.com", "password": "three plain words" });
    let tokens = api.post("/auth/login", &login).await;
    let me = http_client()
        .get(format!("{}/v1/me", api.url()))
        .bearer_auth(tokens["access_token"].as_str().unwrap());
    assert_eq!(me.send().await.unwrap().status(), 200, "the signing key opens");

    let before = made.receiver.received().len();
    assert_eq!(
        send(&made.guarded, TOKEN, "{}").await.status(),
        200,
        "the secret opens"
    );
    assert_eq!(send(&made.guarded, "wrong", "{}").await.status(), 401);
    let calls = made.receiver.wait_for(before + 1, PATIENCE).await;
    let signature = calls[before].header("webhook-signature").expect("signed");
    assert_eq!(signature.split(' ').count(), 2, "both signing secrets open");

    assert_eq!(
        event_of(&send(&made.once, "", DELIVERY).await),
        made.first_event,
        "the delivery is recognised"
    );
    assert_eq!(idempotent(installation, &made.repeated.0).await, made.repeated.1);
    let judged = api
        .post(&format!("/refusals/{}/recheck", made.refusal), &json!({}))
        .await;
    assert_eq!(
        judged["verification"]["accepted"], false,
        "the refused request opens"
    );
}

/// Uses what is over when it is used.
async fn assert_what_waits_opens(installation: &Installation, made: &Made, database: &TestDatabase) {
    let api = &installation.api;
    let before = made.receiver.received().len();
    let listed = api.get("/webhooks?q=Masked").await;
    let id = listed["data"][0]["id"].as_str().unwrap();
    api.post(&format!("/webhooks/{id}/activate"), &json!({})).await;
    api.post(
        &format!("/runs/{}/callbacks/back/retry", made.failed_run),
        &json!({}),
    )
    .await;
    database.execute("UPDATE jobs SET due_at = now() WHERE is_callback");
    let bodies = [r#"{"card":"4111"}"#, r#"{"n":"failed"}"#, r#"{"n":"pending"}"#];
    let all = async || {
        let received = made.receiver.received();
        let has = |body: &str| received[before..].iter().any(|call| call.body == body.as_bytes());
        bodies.into_iter().all(has).then_some(())
    };
    eventually(PATIENCE, "the masked event runs, and the callbacks arrive", all).await;
}

async fn restart(installation: &mut Installation, key: [u8; 32], previous: &[[u8; 32]]) {
    let previous: Vec<String> = previous.iter().map(|key| STANDARD.encode(key)).collect();
    let (key, previous) = (STANDARD.encode(key), json!(previous).to_string());
    let Installation {
        ingress,
        management,
        worker,
        ..
    } = installation;
    let services: [&mut Service; 3] = [ingress, management, worker];
    for service in services {
        service.stop();
        service.start_with(&[
            ("HOOKGATE_MASTER_KEY", &key),
            ("HOOKGATE_PREVIOUS_MASTER_KEYS", &previous),
        ]);
        service.ready().await;
    }
}

fn values_under(status: &str, column: Column, kind: &str) -> bool {
    let name = format!("{}.{}: ", column.table(), column.name());
    status
        .lines()
        .any(|line| line.starts_with(&name) && line.ends_with(kind))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_opens_before_during_and_after_a_rotation() {
    let database = TestDatabase::create();
    let private = [("HOOKGATE_EGRESS__ALLOWED_PRIVATE_NETWORKS", r#"["127.0.0.0/8"]"#)];
    // Nobody takes mails there, so they wait.
    let no_mail = [("HOOKGATE_MAIL__SMTP_URL", "smtp://127.0.0.1:1")];
    let mut installation = Installation::start_with(&Storage::of(&database), &no_mail, &private).await;
    let made = make(&installation).await;
    let everything = async || {
        let status = master_key("status", &environment(&database, OLD, &[]));
        let filled = |column: &Column| values_under(&status, *column, "the current key");
        Column::ALL.iter().all(filled).then_some(())
    };
    eventually(PATIENCE, "every column holds something", everything).await;
    assert_everything_opens(&installation, &made).await;

    restart(&mut installation, NEW, &[OLD]).await;
    assert_everything_opens(&installation, &made).await;
    let audited = || {
        database
            .query_text("SELECT count(*)::text FROM audit_log WHERE object_kind IN ('secret', 'destination')")
    };
    let (before, rotation) = (audited(), environment(&database, NEW, &[OLD]));
    let reseal = tokio::task::spawn_blocking({
        let rotation = rotation.clone();
        move || master_key("reseal", &rotation)
    });
    let mut changes = 0;
    while !reseal.is_finished() {
        let secret = json!({ "name": format!("meanwhile {changes}"), "value": TOKEN });
        installation.api.post("/secrets", &secret).await;
        changes += 1;
    }
    let done = reseal.await.unwrap();
    assert!(
        done.ends_with("0 values are not under the current key\n"),
        "{done}"
    );
    let after = before[0].parse::<u64>().unwrap() + changes;
    assert_eq!(
        audited(),
        [after.to_string()],
        "a rotation is no change of a tenant's"
    );

    restart(&mut installation, NEW, &[]).await;
    let status = master_key("status", &environment(&database, NEW, &[]));
    assert!(
        status.ends_with("0 values are not under the current key\n"),
        "{status}"
    );
    // The delivery, too: it came again while there were both keys.
    assert_everything_opens(&installation, &made).await;
    assert_what_waits_opens(&installation, &made, &database).await;
    installation.stop();
}

#[test]
fn a_rotation_that_was_killed_goes_on_and_one_without_the_key_says_so() {
    let database = TestDatabase::create();
    let tenant = database.tenant("Analytical Engines");
    let old = MasterKey::from_bytes(&OLD);
    for number in 0..250 {
        database.secret(tenant, &old, &format!("value {number}"));
    }
    let answer = old.seal(&idempotency::context(tenant, "a", "k"), b"{}").unwrap();
    let hex: String = answer.iter().map(|byte| format!("{byte:02x}")).collect();
    database.execute(&format!(
        "INSERT INTO idempotency_keys (tenant_id, actor, key, request_digest, answer) VALUES ('{}', 'a', 'k', '', '\\x{hex}')",
        tenant.uuid()
    ));
    let rotation = environment(&database, NEW, &[OLD]);
    let mut blocker = database.superuser();
    blocker
        .transaction::<_, diesel::result::Error, _>(|conn| {
            // Whoever comes to the destinations waits here, with the secrets behind.
            conn.batch_execute("LOCK TABLE destinations IN ACCESS EXCLUSIVE MODE")?;
            let mut command = hookgate(&std::env::temp_dir(), &rotation);
            command.args(["master-key", "reseal"]);
            let mut process = Background::start(command);
            process.wait_for("secrets.value: 100 sealed anew", PATIENCE);
            process.kill();
            Ok(())
        })
        .unwrap();
    let status = master_key("status", &rotation);
    assert!(
        values_under(&status, Column::Secret, "the current key"),
        "{status}"
    );

    assert!(
        values_under(&status, Column::IdempotentAnswer, "a previous key"),
        "{status}"
    );

    let unknown = run(["master-key", "reseal"], &environment(&database, NEW, &[]));
    let says = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(
        !unknown.status.success() && says.contains("HOOKGATE_PREVIOUS_MASTER_KEYS"),
        "{says}"
    );
    let done = master_key("reseal", &rotation);
    assert!(
        done.ends_with("0 values are not under the current key\n"),
        "{done}"
    );
    assert!(done.contains("secrets.value: 250 under"), "{done}");
}
