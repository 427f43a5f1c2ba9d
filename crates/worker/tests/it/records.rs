//! What flows write into collections: once, with the progress of the run.

use hookgate_domain::collections;
use hookgate_model::limits::CollectionLimits;
use hookgate_testkit::receiver::Reply;
use hookgate_testkit::{Receiver, eventually};
use hookgate_worker::Settings;
use serde_json::{Value, json};

use crate::stage::{PATIENCE, Stage, http_step, scope_of, settings};

impl Stage {
    pub async fn collection(&self, schema: Option<Value>) {
        let scope = scope_of(&self.database, self.tenant).await;
        let create = move |conn: &mut diesel::PgConnection| {
            scope.transaction(conn, |conn| {
                collections::create(conn, &scope, "orders", schema.as_ref())
            })
        };
        self.database
            .management()
            .run(create)
            .await
            .expect("a collection");
    }

    fn records(&self) -> i64 {
        self.number("SELECT count(*) AS number FROM records")
    }
}

fn step(operation: &str, changes: Value) -> Value {
    let mut step = json!({ "name": "save", "kind": "record", "collection": "orders", "operation": operation,
        "key": "{{ body.key }}", "data": { "n": "{{ body.n }}", "m": { "x": "{{ body.n }}" } } });
    if operation == "delete" {
        step.as_object_mut().expect("an object").remove("data");
    }
    for (key, value) in changes.as_object().expect("an object") {
        step[key] = value.clone();
    }
    step
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_inserted_changed_and_deleted() {
    let stage = Stage::new();
    stage
        .collection(Some(json!({ "properties": { "n": { "maximum": 100 } } })))
        .await;
    let worker = stage.worker(Settings {
        collections: CollectionLimits {
            records: 2,
            record_bytes: 1_000,
        },
        ..settings()
    });
    let run = async |operation: &str, key: &str, body: Value| {
        let changes = if operation == "update" {
            json!({ "data": body })
        } else {
            json!({})
        };
        let webhook = stage.webhook(json!({ "flow": { "steps": [step(operation, changes)] } }));
        let mut event = json!({ "key": key });
        for (name, value) in body.as_object().expect("an object") {
            event[name] = value.clone();
        }
        let run = stage.run_of(stage.event(&webhook, event)).await;
        let change = run.steps[0].result["change"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        (change, run.error.unwrap_or_default())
    };
    let ok = |change: &str| (change.to_owned(), String::new());
    assert_eq!(run("insert", "a", json!({ "n": 1 })).await, ok("created"));
    let (_, error) = run("insert", "a", json!({ "n": 2 })).await;
    assert_eq!(error, "save: orders has a record a already");
    assert_eq!(run("upsert", "a", json!({ "n": 3 })).await, ok("updated"));
    assert_eq!(
        run("update", "a", json!({ "m": { "y": 4 } })).await,
        ok("updated")
    );
    let merged = stage.number(
        "SELECT count(*) AS number FROM records WHERE data = '{\"n\": 3, \"m\": {\"x\": 3, \"y\": 4}}'",
    );
    assert_eq!(merged, 1);
    let (_, error) = run("update", "b", json!({ "n": 4 })).await;
    assert_eq!(error, "save: orders has no record b");
    let (_, error) = run("upsert", "b", json!({ "n": 101 })).await;
    assert!(error.contains("/n") && error.contains("100"), "{error}");
    assert_eq!(run("upsert", "b", json!({ "n": 5 })).await, ok("created"));
    let (_, error) = run("upsert", "c", json!({ "n": 5 })).await;
    assert_eq!(error, "save: orders is full: it has 2 records");
    let (_, error) = run("upsert", "a", json!({ "n": "x".repeat(1_000) })).await;
    assert!(error.contains("1000 bytes"), "{error}");
    assert_eq!(run("delete", "b", json!({})).await, ok("deleted"));
    assert_eq!(run("delete", "b", json!({})).await, ok("absent"));
    assert_eq!(stage.records(), 1);
    stage.execute("DELETE FROM collections");
    let (_, error) = run("upsert", "a", json!({ "n": 1 })).await;
    assert_eq!(error, "save: there is no collection orders");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_flows_write_one_row_at_the_same_time() {
    let stage = Stage::new();
    stage.collection(None).await;
    let webhook = stage.webhook(json!({ "flow": { "steps": [step("upsert", json!({}))] } }));
    let bodies: Vec<Value> = (0..40)
        .map(|n| json!({ "key": format!("k{}", n % 4), "n": n }))
        .collect();
    // In one job, as an older program may have stored them: it is taken apart.
    let events = stage.events(&webhook, &bodies, None);
    let (first, second) = (stage.worker(settings()), stage.worker(settings()));
    for event in events {
        let run = stage.run_of(event).await;
        assert_eq!((run.outcome.as_str(), run.error), ("succeeded", None));
    }
    assert_eq!(stage.records(), 4);
    assert_eq!(
        stage.number("SELECT sum(version)::bigint AS number FROM records"),
        40
    );
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_not_written_again_when_another_worker_goes_on() {
    let (stage, receiver) = (Stage::new(), Receiver::start().await);
    stage.collection(None).await;
    receiver.otherwise(Reply::status(503));
    let destination = stage.destination(&receiver.url()).await;
    let later = json!({ "retry": { "attempts": 2, "initial_delay_ms": 3600000, "max_delay_ms": 3600000 } });
    let webhook = stage
        .webhook(json!({ "flow": { "steps": [step("insert", json!({})), http_step(destination, later)] } }));
    let event = stage.event(&webhook, json!({ "key": "a", "n": 1 }));
    let worker = stage.worker(settings());
    eventually(PATIENCE, "the call is put off", async || stage.due_at(event)).await;
    worker.stop().await;
    // Whoever held it died in between: the row is there, and its step is over.
    stage.execute("UPDATE jobs SET due_at = now()");
    receiver.otherwise(Reply::status(200));
    let worker = stage.worker(settings());
    let run = stage.run_of(event).await;
    assert_eq!((run.outcome.as_str(), run.error), ("succeeded", None));
    assert_eq!(
        stage.number("SELECT sum(version)::bigint AS number FROM records"),
        1
    );
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_lease_a_worker_writes_nothing() {
    let stage = Stage::new();
    stage.collection(None).await;
    let webhook = stage.webhook(json!({ "flow": { "steps": [step("insert", json!({}))] } }));
    // Another worker has taken the job over by the time the row is there.
    stage.execute(
        "CREATE FUNCTION take_over() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
         BEGIN UPDATE jobs SET lease_token = lease_token + 1, leased_until = now() + interval '1 hour'; RETURN NEW; END $$",
    );
    stage.execute(
        "CREATE TRIGGER take_over AFTER INSERT ON records FOR EACH ROW EXECUTE FUNCTION take_over()",
    );
    let event = stage.event(&webhook, json!({ "key": "a", "n": 1 }));
    let worker = stage.worker(settings());
    let claimed = async || (stage.number("SELECT max(lease_token) AS number FROM jobs") == 1).then_some(());
    eventually(PATIENCE, "it is claimed", claimed).await;
    worker.stop().await;
    assert_eq!((stage.records(), stage.find_run(event).is_some()), (0, false));
}
