//! Outgoing calls: signed, repeated, recorded, and kept away from where they may not go.

use hookgate_model::outbound_signature::SigningSecret;
use hookgate_testkit::Receiver;
use hookgate_testkit::receiver::{Received, Reply};
use hookgate_worker::Settings;
use serde_json::json;

use crate::stage::{PATIENCE, SECRET, Stage, http_step, settings};

fn assert_signed(received: &Received) {
    let id = received.header("webhook-id").expect("an id");
    let seconds = received
        .header("webhook-timestamp")
        .expect("a time")
        .parse()
        .expect("seconds");
    let time = chrono::DateTime::from_timestamp(seconds, 0).expect("a time");
    let expected = SigningSecret::parse(SECRET)
        .expect("a secret")
        .sign(id, time, &received.body);
    assert_eq!(received.header("webhook-signature"), Some(expected.as_str()));
    assert_eq!(received.header("idempotency-key"), Some(id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_repeated_with_the_same_id_until_it_succeeds() {
    let (stage, receiver) = (Stage::new(), Receiver::start().await);
    receiver.script([
        Reply::status(503).with_header("retry-after", "1"),
        Reply::json(200, &json!({ "id": 9 })),
    ]);
    let destination = stage.destination(&receiver.url()).await;
    let webhook = stage.webhook(json!({ "flow": { "steps": [
        http_step(destination, json!({ "path": "/in/{{ path.order_id }}?q={{ query.q }}" })),
        { "name": "after", "kind": "set", "values": { "id": "{{ crm.body.id }}" } },
    ] } }));
    let event = stage.event(&webhook, json!({ "n": 5 }));
    let worker = stage.worker(settings());
    let run = stage.run_of(event).await;
    assert_eq!((run.outcome.as_str(), run.error), ("succeeded", None));
    assert_eq!(run.steps[0].attempts, Some(2));
    assert_eq!(run.steps[1].result, json!({ "id": 9 }));

    let received = receiver.received();
    assert_eq!(received.len(), 2);
    assert!(
        received
            .iter()
            .all(|request| request.target == "/in/o-1?q=1" && request.body == br#"{"n":5}"#)
    );
    assert_eq!(received[0].header("webhook-id"), received[1].header("webhook-id"));
    assert!(
        received[1].at - received[0].at >= std::time::Duration::from_millis(900),
        "Retry-After is honoured"
    );
    received.iter().for_each(assert_signed);

    let attempts = stage.attempts(event);
    let facts: Vec<_> = attempts
        .iter()
        .map(|a| (a.number, a.outcome.as_str(), a.status))
        .collect();
    assert_eq!(facts, [(1, "failed", Some(503)), (2, "succeeded", Some(200))]);
    assert_eq!(attempts[1].url, format!("{}/in/o-1", receiver.url()));
    assert_eq!(
        attempts[1].response_preview.as_deref(),
        Some(br#"{"id":9}"#.as_slice())
    );
    assert_eq!(stage.jobs(), 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed() {
    let (stage, receiver, elsewhere) = (Stage::new(), Receiver::start().await, Receiver::start().await);
    receiver.otherwise(Reply::status(302).with_header("location", &elsewhere.url()));
    let destination = stage.destination(&receiver.url()).await;
    let webhook = stage.webhook(json!({ "flow": { "steps": [http_step(destination, json!({}))] } }));
    let event = stage.event(&webhook, json!({ "n": 1 }));
    let worker = stage.worker(settings());
    let run = stage.run_of(event).await;
    assert_eq!(run.outcome, "failed");
    assert!(
        run.error
            .expect("an error")
            .contains("redirects are not followed")
    );
    assert_eq!((receiver.received().len(), elsewhere.received().len()), (1, 0));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_not_public_is_refused() {
    let (stage, receiver) = (Stage::new(), Receiver::start().await);
    let port = receiver.address().port();
    let mut events = Vec::new();
    for host in [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "2130706433",
        "0x7f.1",
        "169.254.169.254",
    ] {
        let destination = stage
            .destination(&format!("http://{host}:{port}/{}", events.len()))
            .await;
        let webhook = stage.webhook(json!({ "flow": { "steps": [http_step(destination, json!({}))] } }));
        events.push((host, stage.event(&webhook, json!({ "n": 1 }))));
    }
    let worker = stage.worker_calling(Settings::default(), &[]);
    for (host, event) in events {
        let run = stage.run_of(event).await;
        assert_eq!(
            run.error.as_deref(),
            Some("crm: the destination's address is not public"),
            "{host}"
        );
        let attempts = stage.attempts(event);
        assert_eq!(attempts.len(), 1, "{host}: it is not tried again");
        assert_eq!(
            attempts[0].error.as_deref(),
            Some("refused: the destination's address is not public")
        );
    }
    assert!(receiver.received().is_empty());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_of_the_network_are_told_apart() {
    let (stage, receiver) = (Stage::new(), Receiver::start().await);
    receiver.otherwise(Reply::status(200).after(std::time::Duration::from_secs(30)));
    let hang_up = Receiver::start().await;
    hang_up.otherwise(Reply::hang_up());
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        format!("http://{}", listener.local_addr().expect("an address"))
    };
    let once = json!({ "timeout_ms": 300, "retry": { "attempts": 1 } });
    let mut events = Vec::new();
    for (url, expected) in [
        (receiver.url(), "timeout: no complete answer within 300 ms"),
        (hang_up.url(), "protocol: "),
        (closed, "connect: "),
    ] {
        let destination = stage.destination(&url).await;
        let webhook = stage.webhook(json!({ "flow": { "steps": [http_step(destination, once.clone())] } }));
        events.push((stage.event(&webhook, json!({ "n": 1 })), expected));
    }
    let worker = stage.worker(settings());
    for (event, expected) in events {
        assert_eq!(stage.run_of(event).await.outcome, "failed");
        let error = stage.attempts(event)[0].error.clone().expect("an error");
        assert!(error.starts_with(expected), "{error}");
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_split_where_events_need_a_retry() {
    let (stage, receiver) = (Stage::new(), Receiver::start().await);
    let destination = stage.destination(&receiver.url()).await;
    let step = json!({ "when": "{{ body.n % 40 == 7 }}", "retry": { "attempts": 2, "initial_delay_ms": 3600000, "max_delay_ms": 3600000 } });
    let webhook = stage.webhook(json!({ "flow": { "steps": [http_step(destination, step)] } }));
    receiver.otherwise(Reply::status(500));
    let bodies: Vec<_> = (0..100).map(|n| json!({ "n": n })).collect();
    let events = stage.events(&webhook, &bodies, None);
    let worker = stage.worker(settings());
    let (retried, done): (Vec<_>, Vec<_>) = events.iter().enumerate().partition(|(n, _)| n % 40 == 7);
    for (_, event) in done {
        assert_eq!(stage.run_of(*event).await.outcome, "succeeded");
    }
    assert_eq!(receiver.wait_for(3, PATIENCE).await.len(), 3);
    assert_eq!(stage.jobs(), 3);
    assert_eq!(stage.number("SELECT count(*) AS number FROM runs"), 97);
    assert_eq!(stage.number("SELECT count(*) AS number FROM attempts"), 3);
    for (_, event) in &retried {
        assert!(stage.due_at(**event).is_some(), "a job of its own, for later");
    }
    // Later comes.
    receiver.otherwise(Reply::status(200));
    stage.execute("UPDATE jobs SET due_at = now()");
    for (_, event) in retried {
        let run = stage.run_of(*event).await;
        assert_eq!(
            (run.outcome.as_str(), run.steps[0].attempts),
            ("succeeded", Some(2))
        );
    }
    assert_eq!(stage.jobs(), 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_body_is_read_again_after_a_call() {
    let (stage, receiver) = (Stage::new(), Receiver::start().await);
    let destination = stage.destination(&receiver.url()).await;
    let webhook = stage.webhook(json!({ "flow": { "steps": [
        http_step(destination, json!({ "body": { "n": "{{ body.n }}" } })),
        { "name": "after", "kind": "set", "values": { "nul": "{{ body.nul }}", "length": "{{ body.filling | length }}" } },
    ] } }));
    let event = stage.event(
        &webhook,
        json!({ "n": 5, "nul": "a\0b", "filling": "x".repeat(3_000_000) }),
    );
    let other = stage.event(&webhook, json!({ "n": 6, "nul": "\0", "filling": "" }));
    let worker = stage.worker(Settings {
        body_memory_bytes: 1,
        ..settings()
    });
    for (event, nul, length) in [(event, "a\0b", 3_000_000), (other, "\0", 0)] {
        let run = stage.run_of(event).await;
        assert_eq!((run.outcome.as_str(), run.error), ("succeeded", None));
        assert_eq!(run.steps[1].result, json!({ "nul": nul, "length": length }));
    }
    worker.stop().await;
}
