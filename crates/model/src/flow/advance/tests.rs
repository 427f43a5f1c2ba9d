use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::flow::definition::RecordOperation;
use crate::flow::definition::RevisionDocument;
use crate::flow::step::http::HttpFailure;
use crate::flow::step::record::RecordChange;
use crate::flow::variables::tests::event;
use crate::ids::RecordId;

fn revision(document: Value) -> CompiledRevision {
    let document: RevisionDocument = serde_json::from_value(document).expect("a document");
    CompiledRevision::compile(&document).expect("compiled")
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_228_800, 0).expect("a time")
}

fn request() -> Arc<Request> {
    event(
        "application/json",
        r#"{"email": "a@b.c", "total": 12, "id": "../x"}"#,
    )
}

fn response(status: u16, headers: &[(&str, &str)], body: &str) -> Outcome {
    Outcome::Called(HttpOutcome::Response {
        status,
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect(),
        body: body.into(),
        is_cut: false,
    })
}

fn go(revision: &CompiledRevision, state: &mut State, outcome: Outcome) -> Decision {
    // Each step must be the same for a worker that takes over: the state goes through its stored form every time.
    *state = State::decode(&state.encode()).expect("a state");
    advance(
        revision,
        &request(),
        &FlowSecrets::default(),
        state,
        outcome,
        now(),
        0.5,
    )
}

fn begin(revision: &CompiledRevision) -> (State, Decision) {
    let mut state = State::new(now());
    let decision = go(revision, &mut state, Outcome::Begin);
    (state, decision)
}

fn done(decision: Decision) -> Finished {
    match decision {
        Decision::Done(finished) => finished,
        other => panic!("expected the end, got {other:?}"),
    }
}

fn text(answer: &Answer) -> (u16, String) {
    (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
}

const DESTINATION: &str = "dst_01k9z3v8e5f2q8r7w6t5y4x3m2";

#[test]
fn values_pass_from_step_to_step_and_into_the_answer() {
    let revision = revision(json!({
        "flow": { "steps": [
            { "name": "a", "kind": "set", "values": { "total": "{{ body.total * 2 }}" } },
            { "name": "b", "kind": "set", "when": "{{ a.total > 100 }}", "values": { "big": true } },
            { "name": "c", "kind": "set", "values": { "text": "{{ a.total }} {{ b }}" } },
        ] },
        "response": { "mode": "wait", "status": 201, "headers": { "X-Total": "{{ a.total }}" }, "body": { "c": "{{ c.text }}" } },
    }));
    let (state, decision) = begin(&revision);
    let finished = done(decision);
    assert_eq!((finished.outcome, finished.error), (RunOutcome::Succeeded, None));
    let answer = finished.answer.expect("an answer");
    assert_eq!(text(&answer), (201, r#"{"c":"24 null"}"#.into()));
    assert_eq!(
        answer.headers,
        [
            ("x-total".into(), "24".into()),
            ("content-type".into(), "application/json".into())
        ]
    );
    let outcomes: Vec<_> = state.records().iter().map(|record| record.outcome).collect();
    assert_eq!(
        outcomes,
        [
            StepOutcome::Succeeded,
            StepOutcome::Skipped,
            StepOutcome::Succeeded
        ]
    );
}

#[test]
fn a_filtered_event_runs_nothing() {
    let document = |only_if: &str| {
        revision(
            json!({ "flow": { "only_if": only_if, "steps": [{ "name": "a", "kind": "set", "values": {} }] },
            "response": { "mode": "wait", "on": { "filtered": { "status": 204, "body": "unseen" } } } }),
        )
    };
    let finished = done(begin(&document("{{ body.kind == 'x' }}")).1);
    assert_eq!(finished.outcome, RunOutcome::Filtered);
    assert_eq!(finished.answer.as_ref().map(text), Some((204, String::new())));
    assert_eq!(
        done(begin(&document("{{ body.total == 12 }}")).1).outcome,
        RunOutcome::Succeeded
    );
    let failed = done(begin(&document("{{ body.kind.deeper }}")).1);
    assert_eq!(failed.outcome, RunOutcome::Failed);
    assert!(failed.error.expect("an error").starts_with("only_if: "));
}

#[test]
fn a_filter_step_ends_the_run_with_its_own_answer() {
    let document = |filter: Value, before: Value| {
        let mut step = json!({ "name": "paid", "kind": "filter", "condition": "{{ a.total > 20 }}" });
        for (key, value) in filter.as_object().expect("an object") {
            step[key] = value.clone();
        }
        let mut steps =
            vec![json!({ "name": "a", "kind": "set", "values": { "total": "{{ body.total }}" } })];
        steps.extend(before.as_array().expect("steps").iter().cloned());
        steps.push(step);
        steps.push(json!({ "name": "after", "kind": "set", "values": {} }));
        revision(
            json!({ "flow": { "steps": steps }, "response": { "mode": "wait", "on": { "filtered": { "status": 202 } } } }),
        )
    };
    let own = json!({ "answer": { "status": 200, "status_override": "{{ 299 if a.total == 12 else none }}", "body": "only {{ a.total }}" } });
    let given = json!([{ "name": "r", "kind": "respond", "status": 201 }]);
    for (filter, before, outcome, steps, status, body) in [
        (json!({}), json!([]), RunOutcome::Filtered, 2, 202, ""),
        (own.clone(), json!([]), RunOutcome::Filtered, 2, 299, "only 12"),
        (own, given, RunOutcome::Filtered, 3, 201, ""),
        (
            json!({ "condition": "{{ a.total == 12 }}" }),
            json!([]),
            RunOutcome::Succeeded,
            3,
            200,
            r#"{"status":"accepted"}"#,
        ),
        (
            json!({ "when": "{{ body.absent }}" }),
            json!([]),
            RunOutcome::Succeeded,
            3,
            200,
            r#"{"status":"accepted"}"#,
        ),
        (
            json!({ "condition": "{{ body.absent.deeper }}" }),
            json!([]),
            RunOutcome::Failed,
            2,
            500,
            r#"{"status":"failed"}"#,
        ),
        (
            json!({ "condition": "{{ body.absent.deeper }}", "on_error": "continue" }),
            json!([]),
            RunOutcome::Succeeded,
            3,
            200,
            r#"{"status":"accepted"}"#,
        ),
        (
            json!({ "answer": { "status": 200, "body": "{{ body.absent }}" } }),
            json!([]),
            RunOutcome::Filtered,
            2,
            500,
            r#"{"status":"failed"}"#,
        ),
    ] {
        let revision = document(filter.clone(), before);
        let (mut state, mut decision) = begin(&revision);
        if let Decision::Answer(_) = decision {
            decision = go(&revision, &mut state, Outcome::Answered);
        }
        let finished = done(decision);
        assert_eq!(
            (finished.outcome, state.records().len()),
            (outcome, steps),
            "{filter}"
        );
        let answer = finished.answer.as_ref().map(text).expect("an answer");
        assert_eq!((answer.0, answer.1.as_str()), (status, body), "{filter}");
    }
}

#[test]
fn the_status_of_any_answer_can_be_overridden() {
    let revision = revision(json!({
        "flow": { "steps": [{ "name": "a", "kind": "set", "values": { "x": "{{ body.total if body.total < 20 else body.absent }}" } }] },
        "response": { "mode": "wait", "status_override": "{{ 201 if a.x == 12 else none }}", "on": {
            "failed": { "status": 500, "status_override": "{{ 422 if error.step == 'a' else none }}" } } },
    }));
    let answer = |body: &str| {
        let request = event("application/json", body);
        let mut state = State::new(now());
        done(advance(
            &revision,
            &request,
            &FlowSecrets::default(),
            &mut state,
            Outcome::Begin,
            now(),
            0.5,
        ))
        .answer
        .map(|answer| answer.status)
    };
    assert_eq!(answer(r#"{"total": 12}"#), Some(201));
    assert_eq!(answer(r#"{"total": 13}"#), Some(200));
    assert_eq!(answer(r#"{"total": 99}"#), Some(422));
}

#[test]
fn a_call_is_repeated_with_the_same_key_until_it_succeeds() {
    let revision = revision(json!({
        "flow": { "steps": [{ "name": "crm", "kind": "http", "destination": DESTINATION, "path": "/c/{{ body.id }}",
            "headers": { "x-a": "{{ body.total }}" }, "body": { "email": "{{ body.email }}" }, "retry": { "attempts": 3 } }] },
        "response": { "mode": "wait", "body": "{{ crm.body.id }}" },
    }));
    let (mut state, decision) = begin(&revision);
    let Decision::Call(first) = decision else {
        panic!("{decision:?}")
    };
    assert_eq!(first.path, "/c/..%2Fx");
    assert_eq!(first.body, br#"{"email":"a@b.c"}"#);
    assert_eq!(
        first.headers,
        [
            ("x-a".into(), "12".into()),
            ("content-type".into(), "application/json".into())
        ]
    );
    assert_eq!(first.idempotency_key, "msg_01j8000000e008000000000001_crm");

    let retry = go(&revision, &mut state, response(503, &[("retry-after", "9")], ""));
    assert_eq!(
        retry,
        Decision::Retry {
            due_at: now() + TimeDelta::seconds(9)
        }
    );
    let again = go(&revision, &mut state, Outcome::Begin);
    assert_eq!(again, Decision::Call(HttpCall { attempt: 2, ..first }));
    let finished = done(go(&revision, &mut state, response(200, &[], r#"{"id": 7}"#)));
    assert_eq!(finished.answer.as_ref().map(text), Some((200, "7".into())));
    assert_eq!(state.records()[0].attempts, Some(2));
}

#[test]
fn a_call_that_fails_ends_the_run_or_goes_on() {
    let document = |on_error: &str, attempts: u32| {
        revision(json!({
            "flow": { "steps": [
                { "name": "crm", "kind": "http", "destination": DESTINATION, "retry": { "attempts": attempts }, "on_error": on_error },
                { "name": "after", "kind": "set", "values": { "status": "{{ crm.status }}", "error": "{{ crm.error }}" } },
            ] },
            "response": { "mode": "wait", "body": "{{ after }}", "on": { "failed": { "status": 502, "body": "{{ error.step }}: {{ error.message }}" } } },
        }))
    };
    let network = Outcome::Called(HttpOutcome::Failed {
        failure: HttpFailure::Connect,
        detail: "no connection".into(),
    });
    let refused = Outcome::Called(HttpOutcome::Failed {
        failure: HttpFailure::Refused,
        detail: "not public".into(),
    });
    for (on_error, attempts, outcome, expected) in [
        (
            "fail",
            8,
            response(404, &[], ""),
            (502, "crm: the destination answered 404"),
        ),
        (
            "fail",
            8,
            response(302, &[], ""),
            (
                502,
                "crm: the destination answered 302; redirects are not followed",
            ),
        ),
        (
            "fail",
            1,
            response(503, &[], ""),
            (502, "crm: the destination answered 503"),
        ),
        ("fail", 1, network.clone(), (502, "crm: no connection")),
        ("fail", 8, refused, (502, "crm: not public")),
        (
            "continue",
            8,
            response(404, &[], ""),
            (200, r#"{"status":404,"error":"the destination answered 404"}"#),
        ),
        (
            "continue",
            1,
            network,
            (200, r#"{"status":null,"error":"no connection"}"#),
        ),
    ] {
        let revision = document(on_error, attempts);
        let (mut state, _) = begin(&revision);
        let finished = done(go(&revision, &mut state, outcome));
        let answer = finished.answer.as_ref().map(text).expect("an answer");
        assert_eq!((answer.0, answer.1.as_str()), expected);
        assert_eq!(finished.outcome == RunOutcome::Failed, on_error == "fail");
    }
}

#[test]
fn the_answer_is_given_in_the_middle_and_kept_whatever_follows() {
    let revision = revision(json!({
        "flow": { "steps": [
            { "name": "no", "kind": "respond", "when": "{{ body.total > 100 }}", "status": 400 },
            { "name": "reply", "kind": "respond", "status": 201, "status_override": "{{ 202 if body.total == 12 else none }}", "body": "{{ body.total }}" },
            { "name": "boom", "kind": "set", "values": { "x": "{{ body.absent }}" } },
        ] },
        "response": { "mode": "wait" },
    }));
    let (mut state, decision) = begin(&revision);
    let Decision::Answer(answer) = decision else {
        panic!("{decision:?}")
    };
    assert_eq!(text(&answer), (202, "12".into()));
    assert_eq!(State::answer_in(&state.encode()), Some(answer.clone()));
    let finished = done(go(&revision, &mut state, Outcome::Answered));
    assert_eq!(
        (finished.outcome, finished.answer),
        (RunOutcome::Failed, Some(answer))
    );
    assert!(finished.error.expect("an error").contains("body.absent"));
}

#[test]
fn an_answer_that_cannot_be_made_is_a_failure() {
    for (field, value) in [
        ("body", json!("{{ body.absent }}")),
        ("headers", json!({ "x": "{{ 'a\nb' }}" })),
    ] {
        let mut document = json!({ "response": { "mode": "wait" } });
        document["response"][field] = value;
        let finished = done(begin(&revision(document)).1);
        assert_eq!(finished.outcome, RunOutcome::Failed);
        assert_eq!(finished.answer.as_ref(), Some(failed_by_default()));
    }
}

#[test]
fn answers_outside_a_run() {
    let revision = revision(json!({ "response": { "body": { "got": "{{ body.total }}" } } }));
    assert!(revision.is_idle());
    assert_eq!(
        text(&revision.immediate_answer(&request())),
        (200, r#"{"got":12}"#.into())
    );
    let timed_out = revision.timed_out_answer(&request(), Some("https://x/status/y"));
    let (status, body) = text(&timed_out);
    assert_eq!(
        (status, body.as_str()),
        (
            202,
            r#"{"status":"processing","event_id":"evt_01j8000000e008000000000001","status_url":"https://x/status/y"}"#
        )
    );
    assert_eq!(
        timed_out.headers[0],
        ("location".into(), "https://x/status/y".into())
    );
    assert_eq!(revision.duplicate_answer(&request()), None);
    assert!(done(begin(&revision).1).answer.is_none());
    let waiting =
        self::revision(json!({ "response": { "mode": "wait", "on": { "failed": { "status": 503 } } } }));
    let finished = give_up(&waiting, Some(&request()), &State::new(now()), "crashed 5 times");
    assert_eq!(
        (finished.outcome, finished.answer.map(|answer| answer.status)),
        (RunOutcome::Crashed, Some(503))
    );
}

fn row(write: &RecordWrite) -> RecordWritten {
    RecordWritten {
        id: Some(RecordId::from(uuid::Uuid::from_u128(7))),
        key: write.key.clone(),
        change: RecordChange::Created,
        data: Value::Object(write.data.clone()),
    }
}

#[test]
fn a_record_is_written_with_the_progress_and_its_result_goes_on() {
    let document = |on_error: &str| {
        revision(json!({
            "flow": { "steps": [
                { "name": "save", "kind": "record", "collection": "orders", "key": "{{ body.email }}", "data": { "total": "{{ body.total }}" }, "on_error": on_error },
                { "name": "after", "kind": "set", "values": { "change": "{{ save.change | default(none) }}", "error": "{{ save.error | default(none) }}" } },
            ] },
            "response": { "mode": "wait", "body": "{{ after }}" },
        }))
    };
    let revision = document("continue");
    assert!(revision.keeps_progress());
    let (state, decision) = begin(&revision);
    let Decision::Write(write) = decision else {
        panic!("{decision:?}")
    };
    assert_eq!(
        (write.key.as_str(), write.operation),
        ("a@b.c", RecordOperation::Upsert)
    );
    assert_eq!(Value::Object(write.data.clone()), json!({ "total": 12 }));

    let mut after = state.clone();
    written(&revision, &mut after, &row(&write), now());
    let finished = done(go(&revision, &mut after, Outcome::Begin));
    let answer = finished.answer.as_ref().map(text);
    assert_eq!(answer, Some((200, r#"{"change":"created","error":null}"#.into())));
    assert_eq!(after.records()[0].result["change"], "created");
    assert_eq!(after.records()[0].result.get("data"), None);

    let finished = done(go(
        &revision,
        &mut state.clone(),
        Outcome::NotWritten("full".into()),
    ));
    let answer = finished.answer.as_ref().map(text);
    assert_eq!(answer, Some((200, r#"{"change":null,"error":"full"}"#.into())));
    let revision = document("fail");
    let finished = done(go(
        &revision,
        &mut state.clone(),
        Outcome::NotWritten("full".into()),
    ));
    assert_eq!(finished.error.as_deref(), Some("save: full"));
}

#[test]
fn a_record_needs_a_key() {
    let revision = revision(json!({ "flow": { "steps": [
        { "name": "save", "kind": "record", "collection": "orders", "key": "{{ body.absent | default('') }}", "data": {} },
    ] } }));
    let finished = done(begin(&revision).1);
    assert!(finished.error.expect("an error").contains("256 characters"));
}

const SECRET: &str = "sec_01k9z3v8e5f2q8r7w6t5y4x3m2";

#[test]
fn calls_send_secrets_and_the_progress_holds_none() {
    let revision = revision(json!({ "flow": { "secrets": { "erp": SECRET }, "steps": [
        { "name": "a", "kind": "callback", "destination": DESTINATION, "headers": { "x-key": "{{ secrets.erp }}" } },
        { "name": "b", "kind": "http", "destination": DESTINATION, "path": "/x?key={{ secrets.erp }}",
          "headers": { "authorization": "Basic {{ ('me:' ~ secrets.erp) | b64encode }}" }, "body": "{{ secrets.erp }}" },
    ] } }));
    let secrets: FlowSecrets = [("erp".to_owned(), "hush/hush".to_owned())].into_iter().collect();
    let mut state = State::new(now());
    let advanced =
        |state: &mut State| advance(&revision, &request(), &secrets, state, Outcome::Begin, now(), 0.5);
    let call = match advanced(&mut state) {
        Decision::Call(call) => call,
        other => panic!("expected a call, got {other:?}"),
    };
    assert_eq!(call.path, "/x?key=hush%2Fhush");
    assert_eq!(call.body, b"hush/hush");
    assert_eq!(call.headers[0].1, "Basic bWU6aHVzaC9odXNo");
    let [callback] = &state.take_callbacks()[..] else {
        panic!("a callback")
    };
    assert_eq!(
        callback.call.headers[0],
        ("x-key".to_owned(), "hush/hush".to_owned())
    );
    assert!(!String::from_utf8_lossy(&state.encode()).contains("hush"));
    let wrong = self::revision(json!({ "flow": { "secrets": { "erp": SECRET }, "steps": [
        { "name": "a", "kind": "http", "destination": DESTINATION, "body": "{{ secrets.erp | number }}" } ] } }));
    let mut failing = State::new(now());
    let finished = done(advance(
        &wrong,
        &request(),
        &secrets,
        &mut failing,
        Outcome::Begin,
        now(),
        0.5,
    ));
    assert!(!finished.error.expect("an error").contains("hush"));
    let mut without = State::new(now());
    let finished = done(advance(
        &revision,
        &request(),
        &FlowSecrets::default(),
        &mut without,
        Outcome::Begin,
        now(),
        0.5,
    ));
    assert_eq!(
        finished.error.as_deref(),
        Some(
            "a: `secrets` is undefined, in `{{ secrets.erp }}`; `| default(…)` gives a value for what may be absent"
        )
    );
}

#[test]
fn a_body_can_be_bytes() {
    let revision = revision(json!({ "flow": { "steps": [
        { "name": "image", "kind": "set", "values": { "png": "iVBORw0KGgo=" } },
        { "name": "upload", "kind": "http", "destination": DESTINATION, "body": "{{ image.png }}", "body_encoding": "base64" },
        { "name": "reply", "kind": "respond", "headers": { "content-type": "image/png" }, "body": "{{ upload.body }}",
          "body_encoding": "base64" },
    ] }, "response": { "mode": "wait" } }));
    let png = b"\x89PNG\r\n\x1a\n";
    let (state, decision) = begin(&revision);
    let Decision::Call(call) = decision else {
        panic!("a call")
    };
    assert_eq!(call.body, png);
    assert_eq!(
        call.headers,
        [("content-type".to_owned(), "application/octet-stream".to_owned())]
    );
    let finished = done(go(
        &revision,
        &mut state.clone(),
        response(200, &[], "iVBORw0KGgo="),
    ));
    let answer = finished.answer.expect("an answer");
    assert_eq!(
        (answer.headers, answer.body),
        (
            vec![("content-type".to_owned(), "image/png".to_owned())],
            png.to_vec()
        )
    );
    let finished = done(go(
        &revision,
        &mut state.clone(),
        response(200, &[], "no base64!"),
    ));
    assert!(
        finished
            .error
            .expect("an error")
            .starts_with("reply: the body is not base64")
    );
}

proptest! {
    /// Whatever destinations answer, a run ends, calls at most as often as it may, and always with the same key.
    #[test]
    fn a_run_ends(passes in any::<bool>(), statuses in proptest::collection::vec(100u16..700, 64), attempts in 1u32..6, random in 0.0f64..=1.0) {
        let revision = revision(json!({ "flow": { "steps": [
            { "name": "a", "kind": "http", "destination": DESTINATION, "retry": { "attempts": attempts }, "on_error": "continue" },
            { "name": "r", "kind": "respond" },
            { "name": "w", "kind": "record", "collection": "orders", "key": "{{ a.status }}", "data": {}, "on_error": "continue" },
            { "name": "f", "kind": "filter", "condition": if passes { "{{ true }}" } else { "{{ a.status == 204 }}" } },
            { "name": "b", "kind": "http", "destination": DESTINATION, "retry": { "attempts": attempts } },
        ] }, "response": { "mode": "wait" } }));
        let request = request();
        let mut state = State::new(now());
        let mut outcome = Outcome::Begin;
        let mut statuses = statuses.into_iter();
        let mut calls = Vec::new();
        let mut writes = 0;
        loop {
            state = State::decode(&state.encode()).expect("a state");
            outcome = match advance(&revision, &request, &FlowSecrets::default(), &mut state, outcome, now(), random) {
                Decision::Call(call) => {
                    calls.push((call.step, call.attempt, call.idempotency_key));
                    response(statuses.next().expect("it ends before"), &[], "x")
                }
                Decision::Answer(_) => Outcome::Answered,
                Decision::Write(write) => {
                    writes += 1;
                    if random < 0.5 {
                        written(&revision, &mut state, &row(&write), now());
                        Outcome::Begin
                    } else {
                        Outcome::NotWritten("full".into())
                    }
                }
                Decision::Retry { due_at } => {
                    prop_assert!(due_at >= now());
                    Outcome::Begin
                }
                Decision::Done(finished) => {
                    let is_filtered = finished.outcome == RunOutcome::Filtered;
                    prop_assert_eq!(is_filtered, calls.iter().all(|(name, _, _)| name != "b"));
                    prop_assert_eq!(finished.answer.map(|answer| answer.status), Some(200));
                    break;
                }
            };
        }
        prop_assert_eq!(writes, 1);
        for step in ["a", "b"] {
            let mine: Vec<_> = calls.iter().filter(|(name, _, _)| name == step).collect();
            prop_assert!(mine.len() <= attempts as usize);
            prop_assert!(mine.iter().enumerate().all(|(index, (_, attempt, _))| *attempt as usize == index + 1));
            prop_assert!(mine.windows(2).all(|pair| pair[0].2 == pair[1].2));
            let its_own = |key: &str| key.rsplit_once('_').is_some_and(|(_, name)| name == step);
            prop_assert!(calls.iter().all(|(name, _, key)| (name == step) == its_own(key)));
        }
    }
}
