//! `Idempotency-Key`.

use std::time::Duration;

use hookgate_testkit::eventually;
use hookgate_testkit::eventually::eventually_blocking;
use serde_json::json;

use crate::service::Service;

const PATH: &str = "/v1/management-keys";

#[tokio::test]
async fn a_repeated_request_gets_the_first_answer_and_is_done_once() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let body = json!({"name": "a", "scopes": ["tenant:read"]});
    let once = owner.with("idempotency-key", "order-42");
    let first = once.post(PATH, body.clone()).await;
    let second = once.post(PATH, body.clone()).await;
    assert_eq!(first.is(201), second.is(201));
    assert!(first.json()["key"].is_string());
    assert_eq!(
        (
            first.header("idempotency-replayed"),
            second.header("idempotency-replayed")
        ),
        ("", "true")
    );
    assert_eq!(second.header("content-type"), first.header("content-type"));
    assert_ne!(second.header("x-trace-id"), first.header("x-trace-id"));
    assert_eq!(
        owner.get(PATH).await.is(200)["data"].as_array().map(Vec::len),
        Some(1)
    );
    // The secret in the kept answer is sealed.
    let stored = service
        .database
        .query_text("SELECT encode(answer, 'escape') FROM idempotency_keys");
    assert_eq!(stored.len(), 1);
    assert!(!stored[0].contains("hgm_"));

    once.post(PATH, json!({"name": "b", "scopes": ["tenant:read"]}))
        .await
        .is_problem(422, "idempotency_key_reused");
    once.post(&format!("{PATH}?x=1"), body.clone())
        .await
        .is_problem(422, "idempotency_key_reused");
    owner
        .with("idempotency-key", "order-43")
        .post(PATH, body.clone())
        .await
        .is(201);
    owner.post(PATH, body).await.is(201);
}

#[tokio::test]
async fn keys_of_different_callers_have_nothing_to_do_with_each_other() {
    let service = Service::start().await;
    let body = json!({"name": "a", "scopes": ["tenant:read"]});
    let ada = service.register("ada@example.com").await;
    let machine = ada.key(&["management_keys:write", "tenant:read"]).await;
    let eve = service.register("eve@example.com").await;
    let mut ids = Vec::new();
    for caller in [ada, machine, eve] {
        let answer = caller
            .with("idempotency-key", "same")
            .post(PATH, body.clone())
            .await;
        ids.push(answer.is(201)["id"].to_string());
    }
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

#[tokio::test]
async fn of_simultaneous_requests_one_is_done() {
    let service = Service::start_with(|settings| settings.threads = 2).await;
    let owner = service.register("ada@example.com").await;
    let once = owner.with("idempotency-key", "race");
    let body = json!({"name": "a", "scopes": ["tenant:read"]});
    let answers = futures_util::future::join_all((0..8).map(|_| once.post(PATH, body.clone()))).await;
    for answer in &answers {
        match answer.status.as_u16() {
            201 => {}
            409 => drop(answer.is_problem(409, "idempotency_in_flight")),
            other => panic!("{other}: {}", answer.text),
        }
    }
    assert!(answers.iter().any(|answer| answer.status == 201));
    assert_eq!(
        owner.get(PATH).await.is(200)["data"].as_array().map(Vec::len),
        Some(1)
    );
}

#[tokio::test]
async fn a_claim_blocks_while_it_may_be_worked_on_and_not_for_ever() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let once = owner.with("idempotency-key", "crashed");
    let body = json!({"name": "a", "scopes": ["tenant:read"]});
    once.post(PATH, body.clone()).await.is(201);
    // As if the process had died before it could keep the answer.
    service
        .database
        .execute("UPDATE idempotency_keys SET answer = NULL, answer_status = NULL");
    once.post(PATH, body.clone())
        .await
        .is_problem(409, "idempotency_in_flight");
    service
        .database
        .execute("UPDATE idempotency_keys SET created_at = now() - interval '61 seconds'");
    let done = once.post(PATH, body.clone()).await;
    done.is(201);
    assert_eq!(done.header("idempotency-replayed"), "");
    assert_eq!(
        once.post(PATH, body.clone()).await.header("idempotency-replayed"),
        "true"
    );
    // After a day the key is free again.
    service
        .database
        .execute("UPDATE idempotency_keys SET created_at = now() - interval '25 hours'");
    let anew = once
        .post(PATH, json!({"name": "b", "scopes": ["tenant:read"]}))
        .await;
    assert_eq!(anew.is(201)["name"], "b");
}

#[tokio::test]
async fn a_wrong_request_is_kept_but_not_a_refused_caller() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let wrong = owner.with("idempotency-key", "wrong");
    wrong
        .post(PATH, json!({"name": 7}))
        .await
        .is_problem(400, "invalid_request");
    let again = wrong.post(PATH, json!({"name": 7})).await;
    again.is(400);
    assert_eq!(again.header("idempotency-replayed"), "true");

    let machine = owner
        .key(&["tenant:read"])
        .await
        .with("idempotency-key", "refused");
    let body = json!({"name": "a", "scopes": ["tenant:read"]});
    machine
        .post(PATH, body.clone())
        .await
        .is_problem(403, "forbidden");
    let again = machine.post(PATH, body).await;
    again.is_problem(403, "forbidden");
    assert_eq!(again.header("idempotency-replayed"), "");
}

#[tokio::test]
async fn a_key_must_be_one_short_text() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let body = json!({"name": "a", "scopes": ["tenant:read"]});
    for key in ["", &"x".repeat(256)] {
        owner
            .with("idempotency-key", key)
            .post(PATH, body.clone())
            .await
            .is_problem(400, "invalid_header");
    }
    let twice = owner.with("idempotency-key", "a").with("idempotency-key", "b");
    twice
        .post(PATH, body.clone())
        .await
        .is_problem(400, "invalid_header");
    let stranger = service.stranger().with("idempotency-key", "a");
    stranger.post(PATH, body).await.is_problem(401, "unauthenticated");
}

#[tokio::test]
async fn a_fault_of_the_service_is_not_kept() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let once = owner.with("idempotency-key", "faulty");
    let body = json!({"name": "a", "scopes": ["tenant:read"]});
    service
        .database
        .execute("REVOKE INSERT ON management_keys FROM hookgate_management");
    let problem = once.post(PATH, body.clone()).await.is_problem(500, "internal");
    assert!(
        !problem.to_string().contains("permission denied"),
        "nothing internal is echoed: {problem}"
    );
    service
        .database
        .execute("GRANT INSERT ON management_keys TO hookgate_management");
    let done = once.post(PATH, body).await;
    done.is(201);
    assert_eq!(done.header("idempotency-replayed"), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_hangs_up_finds_the_answer_later() {
    let service = Service::start().await;
    let owner = service.register("ada@example.com").await;
    let once = owner.with("idempotency-key", "impatient");
    let body = json!({"name": "a", "scopes": ["tenant:read"]});
    let database = &service.database;
    std::thread::scope(|threads| {
        // The work waits for this lock while the caller loses patience.
        threads.spawn(|| {
            database.execute("BEGIN; LOCK TABLE management_keys; SELECT pg_sleep(2); COMMIT");
        });
        eventually_blocking(Duration::from_secs(5), "the table is locked", || {
            let locks = "SELECT mode FROM pg_locks WHERE relation = 'management_keys'::regclass AND granted \
                AND mode = 'AccessExclusiveLock'";
            database.query_text(locks).pop()
        });
        tokio::task::block_in_place(|| {
            let impatient = tokio::time::timeout(Duration::from_millis(300), once.post(PATH, body.clone()));
            let hung_up = tokio::runtime::Handle::current().block_on(impatient);
            assert!(hung_up.is_err(), "the request was to be given up");
        });
    });
    let answer = eventually(Duration::from_secs(10), "the work is done", async || {
        let answer = once.post(PATH, body.clone()).await;
        (answer.status != 409).then_some(answer)
    })
    .await;
    answer.is(201);
    assert_eq!(answer.header("idempotency-replayed"), "true");
    assert_eq!(
        owner.get(PATH).await.is(200)["data"].as_array().map(Vec::len),
        Some(1)
    );
}
