//! A secret that a sender brings is installed once, and only while the webhook is open for pairing.

use std::collections::BTreeMap;

use diesel::sql_types::{Binary, Uuid as SqlUuid};
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, sql_query};
use hmac::{Hmac, KeyInit, Mac};
use hookgate_domain::crypto::MasterKey;
use hookgate_testkit::fixtures::{NewWebhook, Webhook};
use reqwest::Response;
use serde_json::json;
use sha2::Sha256;

use crate::harness::{Harness, master_key};

const TOKEN: &str = "secret_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl";

fn webhook_of(harness: &Harness, sender: &str) -> Webhook {
    harness.webhook(NewWebhook {
        authentication: json!({ "kind": "sender", "sender": sender }),
        ..NewWebhook::default()
    })
}

fn open(harness: &Harness, webhook: &Webhook, sender: &str, until: &str) {
    harness.execute(&format!(
        "INSERT INTO pairings (tenant_id, webhook_id, sender, expires_at) VALUES ('{}', '{}', '{sender}', now() + interval '{until}')",
        webhook.tenant.uuid(),
        webhook.id.uuid()
    ));
}

async fn offer_to_notion(harness: &Harness, webhook: &Webhook, token: &str) -> Response {
    let request = harness
        .post(&webhook.production)
        .json(&json!({ "verification_token": token }));
    request.send().await.expect("an answer")
}

async fn signed_by_notion(harness: &Harness, webhook: &Webhook, token: &str) -> Response {
    let body = r#"{"id":"n-1","type":"page.created"}"#;
    let mac = Hmac::<Sha256>::new_from_slice(token.as_bytes()).expect("a key");
    let signature = base16ct::lower::encode_string(&mac.chain_update(body).finalize().into_bytes());
    let request = harness
        .post(&webhook.production)
        .header("x-notion-signature", format!("sha256={signature}"))
        .body(body);
    request.send().await.expect("an answer")
}

/// The values of the tenant's secrets, opened.
fn secrets(harness: &Harness, key: &MasterKey) -> Vec<String> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = SqlUuid)]
        id: uuid::Uuid,
        #[diesel(sql_type = Binary)]
        value: Vec<u8>,
    }
    let rows: Vec<Row> = sql_query("SELECT id, value FROM secrets ORDER BY id")
        .load(&mut harness.database.superuser())
        .expect("the secrets");
    let open = |row: Row| {
        let context = hookgate_domain::secrets::context(harness.tenant, row.id.into());
        let value = key
            .open(&context, &row.value)
            .expect("sealed with the master key");
        String::from_utf8(value.to_vec()).expect("text")
    };
    rows.into_iter().map(open).collect()
}

#[tokio::test]
async fn notions_token_becomes_the_secret() {
    let mut harness = Harness::start().await;
    let webhook = webhook_of(&harness, "notion");
    // Not open, so nothing is installed, and what it brought is not kept.
    assert_eq!(offer_to_notion(&harness, &webhook, TOKEN).await.status(), 401);
    assert_eq!(signed_by_notion(&harness, &webhook, TOKEN).await.status(), 401);
    let webhook = webhook_of(&harness, "notion");
    open(&harness, &webhook, "notion", "10 minutes");
    assert_eq!(offer_to_notion(&harness, &webhook, "short").await.status(), 400);
    // An unsigned request that brings no secret is refused as ever.
    let unsigned = harness
        .post(&webhook.production)
        .json(&json!({ "type": "page.created" }));
    assert_eq!(unsigned.send().await.expect("an answer").status(), 401);

    assert_eq!(offer_to_notion(&harness, &webhook, TOKEN).await.status(), 200);
    assert_eq!(secrets(&harness, &master_key()), [TOKEN]);
    // At once, and with that secret alone.
    assert_eq!(signed_by_notion(&harness, &webhook, TOKEN).await.status(), 200);
    assert_eq!(
        signed_by_notion(&harness, &webhook, "another-secret-of-16")
            .await
            .status(),
        401
    );
    // It is closed now.
    assert_eq!(
        offer_to_notion(&harness, &webhook, "secret_of_somebody_else")
            .await
            .status(),
        401
    );
    assert_eq!(secrets(&harness, &master_key()).len(), 1);
    harness.stop().await;
    assert_eq!(harness.events(&webhook).len(), 1);
    let kept = "SELECT count(*) FROM refusals WHERE encode(body_preview, 'escape') LIKE '%secret%'";
    assert_eq!(harness.count(kept), 0);
    let installed = format!(
        "SELECT count(*) FROM webhooks w JOIN pairings p ON p.webhook_id = w.id WHERE w.id = '{}' AND p.completed_at IS NOT NULL \
         AND jsonb_array_length(w.authentication -> 'secrets') = 1 AND w.version = 2",
        webhook.id.uuid()
    );
    assert_eq!(harness.count(&installed), 1);
}

#[tokio::test]
async fn asanas_secret_is_echoed_and_installed() {
    let mut harness = Harness::start().await;
    let webhook = webhook_of(&harness, "asana");
    open(&harness, &webhook, "asana", "10 minutes");
    let secret = "b537207f20cbfa02357cf448134da559";
    let request = harness
        .post(&webhook.production)
        .header("X-Hook-Secret", secret)
        .body("{}");
    let answer = request.send().await.expect("an answer");
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["x-hook-secret"]),
        (200, &secret.parse().expect("a value"))
    );
    assert_eq!(secrets(&harness, &master_key()), [secret]);
    harness.stop().await;
}

#[tokio::test]
async fn an_expired_or_foreign_pairing_installs_nothing() {
    let mut harness = Harness::start().await;
    let expired = webhook_of(&harness, "notion");
    open(&harness, &expired, "notion", "-1 second");
    assert_eq!(offer_to_notion(&harness, &expired, TOKEN).await.status(), 401);
    // The webhook has another sender by now than the pairing was opened for.
    let other = webhook_of(&harness, "notion");
    open(&harness, &other, "asana", "10 minutes");
    assert_eq!(offer_to_notion(&harness, &other, TOKEN).await.status(), 401);
    assert!(secrets(&harness, &master_key()).is_empty());
    harness.stop().await;
    let kept = "SELECT count(*) FROM refusals WHERE length(body_preview) > 0";
    assert_eq!(harness.count(kept), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_offers_one_is_taken() {
    let mut harness = Harness::start().await;
    let webhook = webhook_of(&harness, "notion");
    open(&harness, &webhook, "notion", "10 minutes");
    let offers = (0..40).map(|number| {
        let token = format!("secret_number_{number:04}");
        let request = harness
            .post(&webhook.production)
            .json(&json!({ "verification_token": token }))
            .send();
        tokio::spawn(async move { (token, request.await.expect("an answer").status().as_u16()) })
    });
    let mut taken = Vec::new();
    let mut statuses = BTreeMap::new();
    for offer in offers.collect::<Vec<_>>() {
        let (token, status) = offer.await.expect("an outcome");
        *statuses.entry(status).or_insert(0) += 1;
        if status == 200 {
            taken.push(token);
        }
    }
    assert_eq!(statuses, BTreeMap::from([(200, 1), (401, 39)]));
    assert_eq!(secrets(&harness, &master_key()), taken);
    assert_eq!(
        signed_by_notion(&harness, &webhook, &taken[0]).await.status(),
        200
    );
    harness.stop().await;
}

#[tokio::test]
async fn the_ingress_can_install_a_secret_in_no_other_way() {
    let harness = Harness::start().await;
    let webhook = webhook_of(&harness, "notion");
    open(&harness, &webhook, "notion", "10 minutes");
    let mut ingress = PgConnection::establish(&harness.database.ingress_url()).expect("a connection");
    for statement in [
        "UPDATE webhooks SET authentication = '{\"kind\": \"none\"}'",
        "UPDATE pairings SET expires_at = now() + interval '1 hour'",
        "INSERT INTO secrets (tenant_id, id, name, value) SELECT tenant_id, id, 'x', 'x' FROM webhooks",
        "SELECT secret_id FROM pairings",
    ] {
        let refused = sql_query(statement).execute(&mut ingress).expect_err(statement);
        assert!(
            refused.to_string().contains("permission denied"),
            "{statement}: {refused}"
        );
    }
}
