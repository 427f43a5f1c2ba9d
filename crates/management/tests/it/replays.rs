//! Stored events that run again.

use hookgate_domain::database::connect;
use hookgate_domain::replays;
use hookgate_model::limits::TenantLimits;
use serde_json::{Value, json};

use crate::service::{Caller, Service};
use crate::stored::{self, NewEvent};
use crate::webhooks::{create, path_of};

fn texts(service: &Service, sql: &str) -> Vec<String> {
    service.database.query_text(sql)
}

/// What the worker does with replays, as often as there is something to do now.
fn work(service: &Service) -> usize {
    let mut worker =
        connect(&service.database.settings(service.database.worker_url())).expect("a connection");
    let mut parts = 0;
    while replays::advance(&mut worker, TenantLimits::NONE).expect("it goes on") {
        parts += 1;
        service.database.execute("UPDATE replays SET due_at = now()");
    }
    parts
}

/// Publishes a draft that has something to do.
async fn with_flow(owner: &Caller, webhook: &Value) -> String {
    let flow = json!({"flow": {"steps": [{"name": "keep", "kind": "set", "values": {"n": 1}}]}});
    let path = path_of(webhook);
    let saved = owner
        .send(
            reqwest::Method::PUT,
            &format!("{path}/draft"),
            Some(flow.to_string()),
        )
        .await
        .is(200);
    owner.post(&format!("{path}/publish"), json!({})).await.is(200);
    saved["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn one_event_runs_again_on_the_current_or_the_original_revision() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    let event = stored::event(&service, &webhook, &NewEvent::default());
    let current = with_flow(&owner, &webhook).await;
    let path = format!("/v1/events/{event}/replay");
    for (body, revision, status) in [
        (json!({}), &json!(current), "pending"),
        (
            json!({"revision": "original"}),
            &webhook["draft_revision_id"],
            "received",
        ),
    ] {
        let copy = owner.post(&path, body).await.is(201)["event_id"].clone();
        let copy = owner
            .get(&format!("/v1/events/{}", copy.as_str().expect("an id")))
            .await
            .is(200);
        assert_eq!(
            (&copy["replay_of"], &copy["revision_id"], &copy["status"]),
            (&json!(event), revision, &json!(status))
        );
        let first = owner.get(&format!("/v1/events/{event}")).await.is(200);
        for same in [
            "method",
            "path",
            "query",
            "address",
            "headers",
            "body",
            "delivery_id",
            "url_id",
        ] {
            assert_eq!(copy[same], first[same], "{same}");
        }
    }
    assert_eq!(texts(&service, "SELECT count(*)::text FROM jobs"), ["1"]);
    assert_eq!(texts(&service, "SELECT sum(events)::text FROM usage"), ["2"]);
}

#[tokio::test]
async fn what_cannot_run_again_says_why() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    let event = stored::event(&service, &webhook, &NewEvent::default());
    let path = format!("/v1/events/{event}/replay");
    owner
        .post(&path, json!({"revision": "newest"}))
        .await
        .is_invalid(&[("/revision", "invalid")]);
    owner
        .post(&format!("{}/disable", path_of(&webhook)), json!({}))
        .await
        .is(200);
    owner.post(&path, json!({})).await.is_problem(409, "wrong_state");
    owner
        .post(&format!("{}/activate", path_of(&webhook)), json!({}))
        .await
        .is(200);
    service
        .database
        .execute(r#"UPDATE events SET masked = '{"sensitive": true, "paths": [], "body_removed": null}'"#);
    owner
        .post(&path, json!({}))
        .await
        .is_problem(409, "data_protected");
    owner.delete(&path_of(&webhook)).await.is(204);
    owner.post(&path, json!({})).await.is_problem(409, "wrong_state");
    assert_eq!(texts(&service, "SELECT count(*)::text FROM events"), ["1"]);
}

#[tokio::test]
async fn many_run_again_from_the_oldest_on_and_none_twice() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    with_flow(&owner, &webhook).await;
    let other = create(&owner, json!({"name": "Others"})).await;
    let mut failed = Vec::new();
    for n in 0..25 {
        let event = stored::event(&service, &webhook, &NewEvent::default());
        stored::run(
            &service,
            &webhook,
            &event,
            if n % 5 == 0 { "succeeded" } else { "failed" },
        );
        if n % 5 != 0 {
            failed.push(event);
        }
    }
    let masked = r#"{"sensitive": true, "paths": [], "body_removed": null}"#;
    service.database.execute(&format!(
        "UPDATE events SET masked = '{masked}' WHERE id = '{}'",
        stored::uuid(&json!(failed[3]))
    ));
    stored::event(&service, &other, &NewEvent::default());
    let filter = json!({"webhook_id": webhook["id"], "status": "failed"});
    let preview = owner.post("/v1/replays/preview", filter.clone()).await.is(200);
    assert_eq!(preview["matched"], 20);
    let replay = owner
        .post("/v1/replays", json!({"filter": filter, "events_per_second": 7}))
        .await
        .is(201);
    assert_eq!(
        (&replay["status"], &replay["matched"], &replay["filter"]["status"]),
        (&json!("running"), &json!(20), &json!("failed"))
    );
    // It fails now itself, and is not part of the replay.
    let late = stored::event(&service, &webhook, &NewEvent::default());
    stored::run(&service, &webhook, &late, "failed");

    assert_eq!(work(&service), 3, "20 events, 7 at a time");
    let path = format!("/v1/replays/{}", replay["id"].as_str().expect("an id"));
    let ended = owner.get(&path).await.is(200);
    assert_eq!(
        (&ended["status"], &ended["replayed"], &ended["skipped"]),
        (&json!("finished"), &json!(19), &json!(1))
    );
    assert!(ended["finished_at"].is_string());
    let copies = owner
        .get(&format!(
            "/v1/events?replay_id={}&limit=200",
            replay["id"].as_str().expect("an id")
        ))
        .await
        .is(200);
    let repeated: Vec<&str> = copies["data"]
        .as_array()
        .expect("a list")
        .iter()
        .rev()
        .map(|copy| copy["replay_of"].as_str().expect("an id"))
        .collect();
    failed.remove(3);
    assert_eq!(repeated, failed);
    assert_eq!(texts(&service, "SELECT count(*)::text FROM jobs"), ["19"]);
    assert_eq!(work(&service), 0);
}

#[tokio::test]
async fn a_replay_looks_through_many_events_part_by_part() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    let before = stored::event(&service, &webhook, &NewEvent::default());
    let others = 7_000;
    service.database.execute(&format!(
        "INSERT INTO events SELECT (jsonb_populate_record(events, jsonb_build_object('id',
           overlay(gen_random_uuid()::text PLACING left(id::text, 15) FROM 1 FOR 15)))).*
         FROM events, generate_series(1, {others}) WHERE id = '{}'",
        stored::uuid(&json!(before))
    ));
    let wanted = NewEvent {
        event_type: Some("order.paid"),
        ..NewEvent::default()
    };
    let paid: Vec<String> = (0..3)
        .map(|_| stored::event(&service, &webhook, &wanted))
        .collect();
    let filter = json!({"event_type": "order.paid"});
    let replay = owner
        .post("/v1/replays", json!({ "filter": filter }))
        .await
        .is(201);
    assert!(work(&service) > 1, "one part does not come to the end");
    let id = replay["id"].as_str().expect("an id");
    let ended = owner.get(&format!("/v1/replays/{id}")).await.is(200);
    assert_eq!(
        (&ended["status"], &ended["replayed"]),
        (&json!("finished"), &json!(3))
    );
    let copies = owner.get(&format!("/v1/events?replay_id={id}")).await.is(200);
    let copies = copies["data"].as_array().expect("a list");
    let of: Vec<&Value> = copies.iter().rev().map(|copy| &copy["replay_of"]).collect();
    assert_eq!(of, paid.iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_replay_that_cannot_go_on_holds_up_no_other() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    stored::event(&service, &webhook, &NewEvent::default());
    let new = json!({"filter": {"webhook_id": webhook["id"]}});
    let mut ids = Vec::new();
    for _ in 0..2 {
        let replay = owner.post("/v1/replays", new.clone()).await.is(201);
        ids.push(replay["id"].as_str().expect("an id").to_owned());
    }
    service.database.execute(&format!(
        "CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
         CREATE TRIGGER fails BEFORE INSERT ON events FOR EACH ROW WHEN (NEW.replay_id = '{}') EXECUTE FUNCTION fails()",
        stored::uuid(&json!(ids[0]))
    ));
    // Each has its turn once: the first is put off.
    let mut worker =
        connect(&service.database.settings(service.database.worker_url())).expect("a connection");
    while replays::advance(&mut worker, TenantLimits::NONE).expect("it goes on") {}
    let status = async |id: &str| owner.get(&format!("/v1/replays/{id}")).await.is(200)["status"].clone();
    assert_eq!(
        (status(&ids[0]).await, status(&ids[1]).await),
        (json!("running"), json!("finished"))
    );
    service
        .database
        .execute("DROP TRIGGER fails ON events; UPDATE replays SET due_at = now()");
    work(&service);
    assert_eq!(status(&ids[0]).await, "finished");
}

#[tokio::test]
async fn a_replay_makes_no_more_events_than_the_month_has_left() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    let mut events = Vec::new();
    for _ in 0..5 {
        events.push(stored::event(&service, &webhook, &NewEvent::default()));
    }
    let new = json!({"filter": {"webhook_id": webhook["id"]}, "events_per_second": 1});
    let replay = owner.post("/v1/replays", new.clone()).await.is(201);
    let limit = |limits: &str| {
        service
            .database
            .execute(&format!("UPDATE tenants SET limits = '{limits}'"))
    };
    let mut worker =
        connect(&service.database.settings(service.database.worker_url())).expect("a connection");
    let mut part = || {
        replays::advance(&mut worker, TenantLimits::NONE).expect("it goes on");
        service.database.execute("UPDATE replays SET due_at = now()");
    };
    limit(r#"{"events_per_month": 3}"#);
    (0..10).for_each(|_| part());
    let path = format!("/v1/replays/{}", replay["id"].as_str().expect("an id"));
    let waits = owner.get(&path).await.is(200);
    assert_eq!(
        (&waits["status"], &waits["replayed"]),
        (&json!("running"), &json!(3))
    );
    owner
        .post("/v1/replays", new)
        .await
        .is_problem(409, "limit_reached");
    owner
        .post(&format!("/v1/events/{}/replay", events[0]), json!({}))
        .await
        .is_problem(409, "limit_reached");
    limit(r#"{"body_bytes_per_month": 1000}"#);
    (0..10).for_each(|_| part());
    let ended = owner.get(&path).await.is(200);
    assert_eq!(
        (&ended["status"], &ended["replayed"]),
        (&json!("finished"), &json!(5))
    );
}

#[tokio::test]
async fn a_cancelled_replay_goes_no_further() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    stored::event(&service, &webhook, &NewEvent::default());
    owner
        .post("/v1/replays", json!({"filter": {}}))
        .await
        .is_invalid(&[("/filter", "required")]);
    let new = json!({"filter": {"webhook_id": webhook["id"]}, "events_per_second": 0});
    owner
        .post("/v1/replays", new)
        .await
        .is_invalid(&[("/events_per_second", "out_of_range")]);
    let new = json!({"filter": {"webhook_id": webhook["id"]}});
    let replay = owner.post("/v1/replays", new).await.is(201);
    let path = format!("/v1/replays/{}", replay["id"].as_str().expect("an id"));
    let cancelled = owner.post(&format!("{path}/cancel"), json!({})).await.is(200);
    assert_eq!(cancelled["status"], "cancelled");
    assert_eq!(work(&service), 0);
    assert_eq!(
        owner.post(&format!("{path}/cancel"), json!({})).await.is(200),
        cancelled
    );
    let list = owner.get("/v1/replays").await.is(200);
    assert_eq!(list["data"], json!([cancelled]));
}

#[tokio::test]
async fn a_suspended_tenants_replays_wait() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let webhook = create(&owner, json!({"name": "Orders"})).await;
    stored::event(&service, &webhook, &NewEvent::default());
    owner
        .post("/v1/replays", json!({"filter": {"webhook_id": webhook["id"]}}))
        .await
        .is(201);
    service
        .database
        .execute("UPDATE tenants SET status = 'suspended'");
    assert_eq!(work(&service), 0);
    service.database.execute("UPDATE tenants SET status = 'active'");
    assert_eq!(work(&service), 1);
}
