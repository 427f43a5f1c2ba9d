//! Leases, fairness, crashes and stopping.

use std::time::Duration;

use diesel::PgConnection;
use hookgate_domain::jobs::{self, Completion, FinishedRun, JobResult, Waits};
use hookgate_domain::jobs::{Claimed, ClaimedJob};
use hookgate_domain::notifications::Notifier;
use hookgate_domain::{clock, jobs::Again};
use hookgate_model::flow::advance::RunOutcome;
use hookgate_testkit::receiver::Reply;
use hookgate_testkit::{Receiver, eventually};
use hookgate_worker::Settings;
use serde_json::json;
use uuid::Uuid;

use crate::stage::{PATIENCE, Stage, http_step, master_key, set_only, settings};

fn result(claimed: &ClaimedJob) -> JobResult {
    let run = |event| FinishedRun {
        state: None,
        event_id: event,
        outcome: RunOutcome::Succeeded,
        error: None,
        started_at: clock::now(),
        finished_at: clock::now(),
        steps: b"[]".to_vec(),
        answer: None,
    };
    JobResult {
        lease: claimed.lease,
        webhook_id: claimed.webhook_id,
        revision_id: claimed.revision_id,
        answer_to: None,
        session_id: None,
        session: None,
        finished: claimed.event_ids.iter().copied().map(run).collect(),
        attempts: Vec::new(),
        again: Vec::new(),
        callbacks: Vec::new(),
        is_callback: false,
        failed_callback: None,
        notices: Vec::new(),
    }
}

async fn complete(stage: &Stage, results: Vec<JobResult>) -> Vec<Completion> {
    let notifier = Notifier {
        master_key: master_key(),
        per_minute: 0,
    };
    stage
        .database
        .worker()
        .run(move |conn: &mut PgConnection| jobs::complete(conn, &notifier, &results))
        .await
        .expect("completed")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_ran_out_is_taken_over_and_the_old_holder_writes_nothing() {
    let stage = Stage::new();
    let event = stage.event(&stage.webhook(set_only()), json!({ "n": 1 }));
    let first = stage.claim(10, Duration::from_millis(50)).await.remove(0);
    let second = eventually(PATIENCE, "the lease runs out", async || {
        stage.claim(10, PATIENCE).await.pop()
    })
    .await;
    assert_eq!((second.lease.job, second.claims), (first.lease.job, 2));
    assert_eq!(
        complete(&stage, vec![result(&first)]).await,
        [Completion::LeaseLost]
    );
    assert!(stage.find_run(event).is_none());

    let database = stage.database.worker();
    let leases = [first.lease, second.lease];
    let lost = database
        .run(move |conn| jobs::extend(conn, &leases, PATIENCE))
        .await
        .expect("extended");
    assert_eq!(lost, [first.lease]);
    assert_eq!(
        complete(&stage, vec![result(&second)]).await,
        [Completion::Written]
    );
    assert_eq!(
        complete(&stage, vec![result(&second)]).await,
        [Completion::LeaseLost]
    );
    assert_eq!(stage.find_run(event).expect("a run").outcome, "succeeded");
    assert_eq!(stage.jobs(), 0);
}

/// The worker loads a job's events piece by piece, by their ids: out of order, some would be taken for done.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_has_its_events_in_the_order_of_their_receipt() {
    let stage = Stage::new();
    let bodies: Vec<_> = (0..20).map(|n| json!({ "n": n })).collect();
    let events = stage.events(&stage.webhook(set_only()), &bodies, None);
    let claimed = stage.claim(10, PATIENCE).await.remove(0);
    assert_eq!(claimed.event_ids, events);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_lease_does_not_fit_what_was_put_off() {
    let stage = Stage::new();
    let event = stage.event(&stage.webhook(set_only()), json!({ "n": 1 }));
    let first = stage.claim(10, PATIENCE).await.remove(0);
    let again = Again {
        event_ids: vec![event],
        due_at: clock::now(),
        state: Some(b"{}".to_vec()),
        claims: 0,
        is_retry: true,
        waits: Waits::Nothing,
    };
    let put_off = JobResult {
        finished: Vec::new(),
        again: vec![again],
        ..result(&first)
    };
    assert_eq!(complete(&stage, vec![put_off]).await, [Completion::Written]);
    assert_eq!(
        complete(&stage, vec![result(&first)]).await,
        [Completion::LeaseLost]
    );
    let second = stage.claim(10, PATIENCE).await.remove(0);
    assert_eq!(
        (second.claims, second.state.as_deref()),
        (1, Some(b"{}".as_slice()))
    );
    assert_eq!(
        complete(&stage, vec![result(&first), result(&second)]).await,
        [Completion::LeaseLost, Completion::Written]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_are_fair_between_tenants_and_between_firsts_and_retries() {
    let stage = Stage::new();
    let others = [stage.database.tenant("B"), stage.database.tenant("C")];
    let loud = stage.webhook(set_only());
    for n in 0..30 {
        stage.event(&loud, json!({ "n": n }));
    }
    stage.execute("UPDATE jobs SET is_retry = true, due_at = now() - interval '1 day' WHERE id IN (SELECT id FROM jobs LIMIT 20)");
    for tenant in others {
        stage.event(&stage.webhook_of(tenant, set_only()), json!({ "n": 1 }));
    }
    let claimed = stage.claim(6, PATIENCE).await;
    assert_eq!(claimed.len(), 6);
    for tenant in others {
        let count = claimed
            .iter()
            .filter(|job| job.lease.scope.tenant() == tenant)
            .count();
        assert_eq!(count, 1, "a quiet tenant's job is in the first batch");
    }
    let retries = stage.number("SELECT count(*) AS number FROM jobs WHERE is_retry AND lease_token > 0");
    assert_eq!(retries, 2, "half of the loud tenant's");
}

/// The last has only what is tried again, of which there is little: so it is found when nothing else has been of those before it.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_passes_over_nobody() {
    let stage = Stage::new();
    let mut tenants = ["A", "B", "C"].map(|name| stage.database.tenant(name));
    tenants.sort();
    for (tenant, jobs) in tenants.into_iter().zip([10, 1, 1]) {
        let webhook = stage.webhook_of(tenant, set_only());
        for n in 0..jobs {
            stage.event(&webhook, json!({ "n": n }));
        }
    }
    let last = tenants[2].uuid();
    stage.execute(&format!(
        "UPDATE jobs SET is_retry = true WHERE tenant_id = '{last}'"
    ));
    let of =
        |claimed: &Claimed| -> Vec<_> { claimed.jobs.iter().map(|job| job.lease.scope.tenant()).collect() };
    let first = stage.claim_after(Uuid::nil(), 4, PATIENCE).await;
    assert_eq!(of(&first), [tenants[0]; 4]);
    let next = first.next.expect("there are more");
    let second = stage.claim_after(next, 4, PATIENCE).await;
    assert_eq!(of(&second), tenants[1..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_behind_many_with_nothing_due_has_its_turn() {
    let stage = Stage::new();
    stage.execute(
        "INSERT INTO jobs (tenant_id, id, webhook_id, revision_id, event_ids, due_at)
         SELECT ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, gen_random_uuid(), gen_random_uuid(),
           gen_random_uuid(), '{}', now() + interval '1 hour' FROM generate_series(1, 1200) AS n",
    );
    let event = stage.event(&stage.webhook(set_only()), json!({ "n": 1 }));
    let worker = stage.worker(settings());
    assert_eq!(stage.run_of(event).await.outcome, "succeeded");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_calls_of_one_tenant_do_not_hold_up_another() {
    let (stage, slow) = (Stage::new(), Receiver::start().await);
    slow.otherwise(Reply::status(200).after(Duration::from_secs(60)));
    let destination = stage.destination(&slow.url()).await;
    let loud = stage
        .webhook(json!({ "flow": { "steps": [http_step(destination, json!({ "timeout_ms": 60000 }))] } }));
    for n in 0..40 {
        stage.event(&loud, json!({ "n": n }));
    }
    // One claim may pass the bound by what it takes at once.
    let few = Settings {
        jobs: 20,
        jobs_per_tenant: 4,
        stop_timeout_ms: 100,
        ..settings()
    };
    let worker = stage.worker(few);
    slow.wait_for(4, PATIENCE).await;
    let quiet = stage.event(
        &stage.webhook_of(stage.database.tenant("Quiet"), set_only()),
        json!({ "n": 1 }),
    );
    assert_eq!(stage.run_of(quiet).await.outcome, "succeeded");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_many_tenants_are_run_and_completed_together() {
    let stage = Stage::new();
    let mut events = Vec::new();
    for n in 0..5 {
        let webhook = stage.webhook_of(stage.database.tenant(&n.to_string()), set_only());
        events.extend(stage.events(
            &webhook,
            &(0..200).map(|n| json!({ "n": n })).collect::<Vec<_>>(),
            None,
        ));
    }
    let worker = stage.worker(settings());
    eventually(PATIENCE, "every job is over", async || {
        (stage.jobs() == 0).then_some(())
    })
    .await;
    assert_eq!(
        stage.number("SELECT count(*) AS number FROM runs WHERE outcome = 'succeeded'"),
        1000
    );
    assert_eq!(
        stage.find_run(events[7]).expect("a run").steps[0].result,
        json!({ "n": 7 })
    );
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_no_worker_survives_is_taken_apart_and_given_up() {
    let stage = Stage::new();
    let webhook = stage.webhook(json!({ "flow": { "steps": [] }, "response": { "mode": "wait", "on": { "failed": { "status": 503 } } } }));
    let events = stage.events(&webhook, &[json!({ "n": 1 }), json!({ "n": 2 })], None);
    // Workers that claim and die.
    stage.execute("UPDATE jobs SET attempt = 2");
    let worker = stage.worker(settings());
    for event in events {
        assert_eq!(
            stage.run_of(event).await.outcome,
            "succeeded",
            "taken apart, each event runs"
        );
    }
    worker.stop().await;
    let event = stage.event(&webhook, json!({ "n": 3 }));
    stage.execute("UPDATE jobs SET attempt = 5");
    let worker = stage.worker(settings());
    let run = stage.run_of(event).await;
    assert_eq!(
        (run.outcome.as_str(), run.answer.map(|answer| answer.status)),
        ("crashed", Some(500))
    );
    assert!(run.error.expect("an error").contains("5 tries"));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_run_ends_as_failed() {
    let stage = Stage::new();
    let broken = stage.webhook(json!({ "flow": { "steps": [{ "name": "a", "kind": "teleport" }] } }));
    let unchecked = stage.webhook(
        json!({ "flow": { "steps": [{ "name": "a", "kind": "set", "values": { "x": "{{ nope }}" } }] } }),
    );
    let events = [&broken, &unchecked].map(|webhook| stage.event(webhook, json!({ "n": 1 })));
    let worker = stage.worker(settings());
    for (event, part) in events
        .into_iter()
        .zip(["cannot be read", "there is no variable `nope`"])
    {
        let run = stage.run_of(event).await;
        assert_eq!(run.outcome, "failed");
        assert!(
            run.error.as_deref().expect("an error").contains(part),
            "{:?}",
            run.error
        );
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_stops_gracefully() {
    let (stage, receiver) = (Stage::new(), Receiver::start().await);
    let destination = stage.destination(&receiver.url()).await;
    let webhook = stage.webhook(json!({ "flow": { "steps": [http_step(destination, json!({}))] } }));
    // One call is answered while the worker stops; the other takes longer than the worker's patience.
    receiver.script([Reply::status(200).after(Duration::from_millis(300))]);
    let quick = stage.event(&webhook, json!({ "n": 1 }));
    let worker = stage.worker(Settings {
        stop_timeout_ms: 1_500,
        ..settings()
    });
    receiver.wait_for(1, PATIENCE).await;
    receiver.otherwise(Reply::status(200).after(Duration::from_secs(60)));
    let slow = stage.event(&webhook, json!({ "n": 2 }));
    receiver.wait_for(2, PATIENCE).await;
    worker.stop().await;
    assert_eq!(stage.find_run(quick).expect("finished").outcome, "succeeded");
    assert!(stage.find_run(slow).is_none());
    let due =
        "SELECT count(*) AS number FROM jobs WHERE greatest(due_at, leased_until) <= now() AND attempt = 0";
    assert_eq!(
        stage.number(due),
        1,
        "given back at once, without waiting for its lease"
    );
    receiver.otherwise(Reply::status(200));
    let worker = stage.worker(settings());
    assert_eq!(stage.run_of(slow).await.outcome, "succeeded");
    let ids: Vec<_> = receiver.received()[1..]
        .iter()
        .map(|r| r.header("webhook-id").map(str::to_owned))
        .collect();
    assert_eq!(ids[0], ids[1]);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_call_keeps_its_lease() {
    let (stage, receiver) = (Stage::new(), Receiver::start().await);
    receiver.otherwise(Reply::status(200).after(Duration::from_secs(2)));
    let destination = stage.destination(&receiver.url()).await;
    let webhook = stage.webhook(json!({ "flow": { "steps": [http_step(destination, json!({}))] } }));
    let event = stage.event(&webhook, json!({ "n": 1 }));
    let short = Settings {
        lease_ms: 600,
        ..settings()
    };
    let workers = [stage.worker(short.clone()), stage.worker(short)];
    assert_eq!(stage.run_of(event).await.outcome, "succeeded");
    assert_eq!(receiver.received().len(), 1, "nobody else took it up");
    for worker in workers {
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_tenants_flows_are_held_and_then_run() {
    let stage = Stage::new();
    let other = stage.database.tenant("Other");
    let held = stage.event(&stage.webhook(set_only()), json!({ "n": 1 }));
    let free = stage.event(&stage.webhook_of(other, set_only()), json!({ "n": 2 }));
    let suspended = stage.tenant.uuid();
    stage.execute(&format!(
        "UPDATE tenants SET status = 'suspended' WHERE id = '{suspended}'"
    ));
    let worker = stage.worker(settings());
    stage.run_of(free).await;
    assert!(stage.find_run(held).is_none() && stage.jobs() == 1);
    stage.execute("UPDATE tenants SET status = 'active'");
    stage.run_of(held).await;
    worker.stop().await;
    assert_eq!(stage.jobs(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn work_of_a_tenant_that_is_gone_ends() {
    let stage = Stage::new();
    stage.event(&stage.webhook(set_only()), json!({ "n": 1 }));
    stage.event(&stage.webhook(set_only()), json!({ "n": 2 }));
    stage.execute("UPDATE jobs SET is_held = true WHERE id = (SELECT min(id::text)::uuid FROM jobs)");
    stage.execute("DELETE FROM tenants");
    let worker = stage.worker(settings());
    eventually(PATIENCE, "nothing is left", async || {
        (stage.jobs() == 0).then_some(())
    })
    .await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_that_computes_for_too_long_fails_and_holds_nobody_up() {
    let stage = Stage::new();
    let long =
        "{% for i in range(9999) %}{% set x = body.text | upper | lower | upper | lower %}{% endfor %}";
    let slow = stage
        .webhook(json!({ "flow": { "steps": [{ "name": "a", "kind": "set", "values": { "x": long } }] } }));
    let webhook = stage.webhook(set_only());
    let worker = stage.worker(Settings {
        template_timeout_ms: 50,
        ..settings()
    });
    let text = json!({ "text": "a".repeat(200_000) });
    let stuck = stage.event(&slow, text);
    let quick = stage.event(&webhook, json!({ "n": 1 }));
    assert_eq!(stage.run_of(quick).await.outcome, "succeeded");
    let run = stage.run_of(stuck).await;
    assert_eq!(run.outcome, "failed");
    let error = run.error.expect("an error");
    assert!(error.contains("taken too long"), "{error}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_job_is_taken_up_before_the_database_has_the_migrations_of_the_workers_version() {
    let stage = Stage::new();
    let webhook = stage.webhook(set_only());
    stage.execute(
        "UPDATE __diesel_schema_migrations SET version = 'x' || version
         WHERE version = (SELECT max(version) FROM __diesel_schema_migrations)",
    );
    let event = stage.event(&webhook, json!({ "n": 1 }));
    let worker = stage.worker(settings());
    // Long enough for a worker that does not wait: its maintenance has been through.
    let last_day = "SELECT count(*) AS number FROM pg_class
        WHERE relname = 'attempts_' || to_char((now() AT TIME ZONE 'UTC')::date + 7, 'YYYYMMDD')";
    eventually(PATIENCE, "the maintenance makes days", async || {
        (stage.number(last_day) == 1).then_some(())
    })
    .await;
    assert_eq!(stage.jobs(), 1);
    stage.execute(
        "UPDATE __diesel_schema_migrations SET version = substr(version, 2) WHERE version LIKE 'x%'",
    );
    assert_eq!(stage.run_of(event).await.outcome, "succeeded");
    worker.stop().await;
}
