use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::flow::variables::Request;
use crate::flow::variables::tests::event;

fn sample(body: &Value) -> Arc<Request> {
    event("application/json", &body.to_string())
}

fn learnt(bodies: &[Value]) -> ExpectedData {
    let samples: Vec<_> = bodies.iter().map(sample).collect();
    infer(&samples)
}

fn field<'a>(expected: &'a ExpectedData, path: &str) -> &'a Field {
    let mut fields = expected.body.iter();
    fields
        .find(|field| field.path.to_string() == path)
        .unwrap_or_else(|| panic!("{path}: {expected:?}"))
}

fn violations(expected: &Value, body: &Value) -> Vec<(String, &'static str)> {
    let expected: ExpectedData = serde_json::from_value(expected.clone()).expect("a structure");
    let found = Matcher::compile(&expected).check(&sample(body));
    found
        .into_iter()
        .map(|one| (one.path, one.code.as_str()))
        .collect()
}

#[test]
fn types_are_learnt_from_one_and_from_many_samples() {
    let one = json!({"id": 1, "price": 1.5, "paid": true, "note": null, "at": "2026-11-21T12:00:00Z", "mail": "ada@example.com",
        "link": "https://example.com/", "key": "72d3162e-cc78-11e3-81ab-4c9367dc0958", "name": "Ada",
        "items": [{"sku": "a", "n": 1}, {"sku": "b"}], "tags": [], "more": {}});
    let expected = learnt(std::slice::from_ref(&one));
    for (path, field_type, required, nullable) in [
        ("id", FieldType::Integer, true, false),
        ("price", FieldType::Number, true, false),
        ("paid", FieldType::Boolean, true, false),
        ("note", FieldType::Any, true, false),
        ("at", FieldType::DateTime, true, false),
        ("mail", FieldType::Email, true, false),
        ("link", FieldType::Uri, true, false),
        ("key", FieldType::Uuid, true, false),
        ("name", FieldType::String, true, false),
        ("items", FieldType::Array, true, false),
        ("items[]", FieldType::Object, false, false),
        ("items[].sku", FieldType::String, true, false),
        ("items[].n", FieldType::Integer, false, false),
        ("tags", FieldType::Array, true, false),
        ("more", FieldType::Object, true, false),
    ] {
        let field = field(&expected, path);
        assert_eq!(
            (field.field_type, field.required, field.nullable),
            (field_type, required, nullable),
            "{path}"
        );
        assert!(field.inferred);
    }
    assert_eq!(field(&expected, "id").example, 1);
    let many = learnt(&[
        json!({"a": 1, "b": 1, "c": 1}),
        json!({"a": 2.5, "b": null}),
        json!({"a": 3, "b": "x"}),
    ]);
    assert_eq!(field(&many, "a").field_type, FieldType::Number);
    assert_eq!(
        (field(&many, "b").field_type, field(&many, "b").nullable),
        (FieldType::Any, false)
    );
    assert!(!field(&many, "c").required);
}

#[test]
fn few_texts_that_come_often_are_an_enumeration() {
    let bodies: Vec<Value> = (0..40)
        .map(|n| json!({"state": if n % 2 == 0 { "open" } else { "closed" }, "title": format!("issue {n}")}))
        .collect();
    let expected = learnt(&bodies);
    assert_eq!(field(&expected, "state").values, [json!("closed"), json!("open")]);
    assert!(field(&expected, "title").values.is_empty());
    assert!(
        field(&learnt(&bodies[..10]), "state").values.is_empty(),
        "too few to tell"
    );
}

#[test]
fn of_masked_values_it_is_learnt_that_they_are_there() {
    let expected = learnt(&[
        json!({"card": {"number": "[masked]"}, "id": 1}),
        json!({"card": {"number": 4}}),
    ]);
    let number = field(&expected, "card.number");
    assert_eq!(
        (number.field_type, number.required, &number.example),
        (FieldType::Any, true, &Value::Null)
    );
}

#[test]
fn a_table_is_not_taken_for_fields() {
    let table: serde_json::Map<String, Value> = (0..300).map(|n| (format!("k{n}"), json!(n))).collect();
    let expected = learnt(&[json!({"prices": table, "id": 1})]);
    assert_eq!(expected.body.len(), 2, "{expected:?}");
    assert_eq!(field(&expected, "prices").field_type, FieldType::Object);
}

#[test]
fn what_is_missing_or_wrong_is_told_all_at_once() {
    let expected = json!({"body": [
        {"path": "order.id", "type": "integer", "required": true},
        {"path": "order.lines[].sku", "type": "string", "required": true},
        {"path": "state", "type": "string", "values": ["open", "closed"]},
        {"path": "at", "type": "date-time", "nullable": true},
        {"path": "customer.address.city", "type": "string", "required": true},
    ], "at_least_one_of": [["text", "data"]]});
    let good = json!({"order": {"id": 1, "lines": [{"sku": "a"}], "more": true}, "state": "open", "at": null,
        "customer": {"address": {"city": "Berlin"}}, "data": {"a": 1}});
    assert_eq!(violations(&expected, &good), []);
    let bad = json!({"order": {"id": "1", "lines": [{"sku": "a"}, {}, {"sku": 3}]}, "state": "gone", "at": "today", "text": " "});
    assert_eq!(
        violations(&expected, &bad),
        [
            ("at".to_owned(), "wrong_type"),
            ("customer.address.city".to_owned(), "missing"),
            ("order.id".to_owned(), "wrong_type"),
            ("order.lines[1].sku".to_owned(), "missing"),
            ("order.lines[2].sku".to_owned(), "wrong_type"),
            ("state".to_owned(), "wrong_value"),
            ("text,data".to_owned(), "none_of_group"),
        ]
    );
    assert_eq!(
        violations(&expected, &json!([])),
        [
            (String::new(), "wrong_type"),
            ("text,data".to_owned(), "none_of_group")
        ]
    );
    let nothing: ExpectedData = serde_json::from_value(expected).expect("a structure");
    let found = Matcher::compile(&nothing).check(&event("application/json", ""));
    let missing: Vec<_> = found
        .iter()
        .map(|one| (one.path.as_str(), one.msg.as_str()))
        .collect();
    assert_eq!(
        missing[..2],
        [
            ("customer.address.city", "Missing required parameter"),
            ("order.id", "Missing required parameter")
        ]
    );
}

#[test]
fn texts_of_forms_are_checked_for_what_they_read_as() {
    let expected: ExpectedData = serde_json::from_value(
        json!({"body": [{"path": "n", "type": "integer", "required": true},
        {"path": "yes", "type": "boolean"}]}),
    )
    .expect("a structure");
    let check =
        |body: &str| Matcher::compile(&expected).check(&event("application/x-www-form-urlencoded", body));
    assert_eq!(check("n=5&yes=true"), []);
    assert_eq!(check("n=x&yes=maybe").len(), 2);
    assert_eq!(check("yes=true")[0].code, ViolationCode::Missing);
}

#[test]
fn the_order_of_fields_does_not_matter() {
    let expected = learnt(&[json!({"a": 1, "b": {"c": "x", "d": true}, "e": [1]})]);
    let matcher = Matcher::compile(&expected);
    for (body, differs) in [
        (r#"{"a": 1, "b": {"c": "x", "d": true}, "e": [1]}"#, vec![]),
        (
            r#"{"e": [1], "more": 0, "b": {"d": true, "c": "x"}, "a": 1}"#,
            vec![],
        ),
        (r#"{"b": {"d": 1}, "e": [1], "a": 1}"#, vec!["b.c", "b.d"]),
        (r#"{"a": 1, "b": {"c": "x", "d": true}, "e": [1]}"#, vec![]),
        ("{}", vec!["a", "b.c", "b.d", "e"]),
    ] {
        let found = matcher.check(&event("application/json", body));
        let paths: Vec<&str> = found.iter().map(|one| one.path.as_str()).collect();
        assert_eq!(paths, differs, "{body}");
    }
}

#[test]
fn a_bound_holds_for_what_is_told() {
    let expected = json!({"body": [{"path": "[].id", "type": "integer", "required": true}]});
    let many: Vec<Value> = (0..10_000).map(|_| json!({})).collect();
    assert_eq!(violations(&expected, &json!(many)).len(), 100);
}

#[test]
fn what_is_written_by_hand_stays() {
    let mut written = learnt(&[json!({"a": 1, "b": "x", "gone": 1})]);
    let by_hand = |expected: &mut ExpectedData, path: &str, field_type| {
        let field = expected
            .body
            .iter_mut()
            .find(|field| field.path.to_string() == path)
            .expect("a field");
        field.field_type = field_type;
        field.inferred = false;
    };
    by_hand(&mut written, "a", FieldType::String);
    written.mode = Mode::Enforce;
    let merged = merge(&written, learnt(&[json!({"a": 1, "b": 2, "c": true})]));
    assert_eq!(merged.expected.mode, Mode::Enforce);
    assert_eq!(field(&merged.expected, "a").field_type, FieldType::String);
    assert_eq!(field(&merged.expected, "b").field_type, FieldType::Integer);
    assert!(field(&merged.expected, "c").required && !field(&merged.expected, "gone").required);
    let conflicts: Vec<_> = merged
        .conflicts
        .iter()
        .map(|one| one.written.path.to_string())
        .collect();
    assert_eq!(conflicts, ["a"]);
}

#[test]
fn a_structure_is_told_as_a_schema_and_read_back() {
    let written: ExpectedData = serde_json::from_value(json!({
        "headers": [{"path": "x-event", "type": "string", "required": true, "values": ["a", "b"]}],
        "query": [{"path": "page", "type": "integer"}],
        "body": [{"path": "order", "type": "object", "required": true}, {"path": "order.at", "type": "date-time", "nullable": true, "example": "2026-11-21T12:00:00Z"},
            {"path": "order.lines", "type": "array"}, {"path": "order.lines[]", "type": "object"}, {"path": "order.lines[].sku", "type": "string", "required": true}],
        "at_least_one_of": [["text", "data"]]})).expect("a structure");
    let schema = to_json_schema(&written);
    assert_eq!(
        schema["properties"]["body"]["properties"]["order"]["properties"]["at"]["type"],
        json!(["string", "null"])
    );
    assert_eq!(schema["properties"]["headers"]["required"], json!(["x-event"]));
    let mut read = from_json_schema(&schema).expect("it is read");
    read.body.sort_by(|a, b| a.path.cmp(&b.path));
    assert_eq!(read, written);
}

#[test]
fn a_schema_from_elsewhere_is_taken_as_far_as_it_goes() {
    let schema = json!({"$defs": {"money": {"type": "object", "properties": {"amount": {"type": "integer", "minimum": 0}}, "required": ["amount"]}},
        "type": "object", "required": ["total"], "properties": {"total": {"$ref": "#/$defs/money"}, "kind": {"oneOf": [{"type": "string"}, {"type": "integer"}]},
        "list": {"type": "array", "items": {"$ref": "#/$defs/money"}}}});
    let read = from_json_schema(&schema).expect("it is read");
    assert_eq!(
        (
            field(&read, "total.amount").field_type,
            field(&read, "total.amount").required
        ),
        (FieldType::Integer, true)
    );
    assert_eq!(field(&read, "kind").field_type, FieldType::Any);
    assert_eq!(field(&read, "list[].amount").field_type, FieldType::Integer);
    for (schema, expected) in [
        (json!([]), SchemaError::NotASchema),
        (
            json!({"$ref": "https://example.com/"}),
            SchemaError::Reference("https://example.com/".into()),
        ),
        (json!({"$ref": "#"}), SchemaError::Reference("#".into())),
    ] {
        assert_eq!(from_json_schema(&schema), Err(expected));
    }
    let endless = json!({"type": "object", "properties": {"next": {"$ref": "#"}}});
    assert!(from_json_schema(&endless).is_err());
}

#[test]
fn a_made_up_request_fits_the_structure() {
    let expected = learnt(&[
        json!({"order": {"id": 7, "mail": "ada@example.com"}, "lines": [{"sku": "a"}], "note": null}),
    ]);
    let body = made_up(&expected).body.expect("a body");
    assert_eq!(body["order"], json!({"id": 7, "mail": "ada@example.com"}));
    let by_hand: ExpectedData = serde_json::from_value(json!({"query": [{"path": "page", "type": "integer"}],
        "body": [{"path": "customer.email", "type": "string", "required": true}, {"path": "lines[].price", "type": "number", "required": true}],
        "at_least_one_of": [["text", "data"]]})).expect("a structure");
    let made = made_up(&by_hand);
    assert_eq!(made.query, [("page".to_owned(), "42".to_owned())]);
    let body = made.body.expect("a body");
    assert_eq!(Matcher::compile(&by_hand).check(&sample(&body)), [], "{body}");
    assert_eq!(body["customer"]["email"], "ada@example.com");
}

#[test]
fn a_structure_is_widened_to_what_came() {
    let expected: ExpectedData = serde_json::from_value(json!({"body": [
        {"path": "order.id", "type": "integer", "required": true},
        {"path": "order.at", "type": "date-time", "required": true},
        {"path": "state", "type": "string", "values": ["open"]},
        {"path": "lines[].sku", "type": "string", "required": true},
    ], "at_least_one_of": [["text", "data"]]}))
    .expect("a structure");
    let came = [
        json!({"order": {"id": 1.5, "at": "today"}, "state": "closed", "lines": [{"sku": "a"}, {}]}),
        json!({"order": null, "lines": "none"}),
    ];
    let requests: Vec<_> = came.iter().map(sample).collect();
    let widened = widen(&expected, &requests);
    for request in &requests {
        assert_eq!(Matcher::compile(&widened).check(request), [], "{widened:?}");
    }
    assert_eq!(field(&widened, "order.id").field_type, FieldType::Number);
    assert_eq!(field(&widened, "order.at").field_type, FieldType::String);
    assert_eq!(field(&widened, "state").values, [json!("open"), json!("closed")]);
    let violation = |path: &str| Violation {
        place: Place::Body,
        path: path.to_owned(),
        code: ViolationCode::Missing,
        msg: String::new(),
    };
    for (path, expected) in [
        ("order.lines[12].sku", "order.lines[].sku"),
        ("[0][3].a", "[][].a"),
        ("a[\"b.c\"][1]", "a[\"b.c\"][]"),
    ] {
        assert_eq!(violation(path).path_in_structure(), expected);
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9f64).prop_map(Value::from),
        "[a-z@:/.-]{0,12}".prop_map(Value::from),
        Just(json!("2026-11-21T12:00:00Z")),
        Just(json!("ada@example.com")),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map("[a-d.]{1,2}", inner, 0..5)
                .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

proptest! {
    #[test]
    fn what_was_learnt_accepts_every_sample(bodies in proptest::collection::vec(any_json(), 1..6), has_none in any::<bool>()) {
        let mut samples: Vec<_> = bodies.iter().map(sample).collect();
        samples.extend(has_none.then(|| event("application/json", "")));
        let expected = infer(&samples);
        let matcher = Matcher::compile(&expected);
        for sample in &samples {
            prop_assert_eq!(matcher.check(sample), vec![], "{:?} of {:?}", sample.event().body, expected);
        }
    }

    #[test]
    fn structure_schema_structure_is_stable(bodies in proptest::collection::vec(any_json(), 1..4)) {
        let mut expected = learnt(&bodies);
        for list in [&mut expected.headers, &mut expected.query, &mut expected.path, &mut expected.body] {
            list.iter_mut().for_each(|field| field.inferred = false);
            list.sort_by(|a, b| a.path.cmp(&b.path));
        }
        let schema = to_json_schema(&expected);
        let mut read = from_json_schema(&schema).expect("it is read");
        read.body.sort_by(|a, b| a.path.cmp(&b.path));
        prop_assert_eq!(to_json_schema(&read), schema);
        prop_assert_eq!(read.body, expected.body);
    }

    #[test]
    fn what_was_widened_accepts(first in any_json(), second in any_json()) {
        let request = sample(&second);
        let widened = widen(&learnt(&[first]), std::slice::from_ref(&request));
        prop_assert_eq!(Matcher::compile(&widened).check(&request), vec![]);
    }

    #[test]
    fn nothing_panics(schema in any_json(), body in any_json()) {
        if let Ok(expected) = from_json_schema(&schema) {
            Matcher::compile(&expected).check(&sample(&body));
            let _ = made_up(&expected);
        }
    }
}
