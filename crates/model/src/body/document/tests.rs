use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::body::json;
use crate::flow::template::{ExpressionTemplate, JsonTemplate};

fn document(json: &str) -> Arc<Document> {
    Arc::new(json::read(json.as_bytes()).expect(json))
}

/// Evaluates a template with the document as `body`.
fn evaluate(document: &Arc<Document>, template: &str) -> Value {
    let root = minijinja::Value::from_pairs([("body", document.variable())]);
    let template = JsonTemplate::compile(&json!(template)).expect(template);
    template.evaluate(&root).expect("a value")
}

#[test]
fn pointers_lead_to_values() {
    let document = document(r#"{"a": [1, {"b/c": "x", "d~e": true}], "": {"": null}, "0": 7}"#);
    for (pointer, expected) in [
        ("/a/0", Some(json!(1))),
        ("/a/1/b~1c", Some(json!("x"))),
        ("/a/1/d~0e", Some(json!(true))),
        ("//", Some(json!(null))),
        ("/0", Some(json!(7))),
        ("/a/2", None),
        ("/a/01", None),
        ("/a/+1", None),
        ("/a/-1", None),
        ("/a/x", None),
        ("/a/0/x", None),
        ("a", None),
    ] {
        let found = document.root().pointer(pointer).map(ValueRef::to_json);
        assert_eq!(found, expected, "{pointer}");
    }
    assert_eq!(
        document.root().pointer("").map(ValueRef::kind),
        Some(ValueKind::Object)
    );
}

#[test]
fn templates_see_a_document_as_they_see_json() {
    let document = document(
        r#"{"id": 18446744073709551615, "n": -1.5, "t": "x", "yes": true, "no": null,
            "items": [{"q": 1}, {"q": 2}, {"q": 3}], "empty": [], "nested": {"a": {"b": []}}}"#,
    );
    for (template, expected) in [
        ("{{ body.id }}", json!(18_446_744_073_709_551_615_u64)),
        ("{{ body.n + 1 }}", json!(-0.5)),
        ("{{ body.items[1].q }}", json!(2)),
        ("{{ body.items | length }}", json!(3)),
        ("{{ body.items | sum(attribute='q') }}", json!(6)),
        ("{{ body.items | map(attribute='q') | list }}", json!([1, 2, 3])),
        (
            "{% for item in body.items %}{{ item.q }},{% endfor %}",
            json!("1,2,3,"),
        ),
        ("{{ body.items | last }}", json!({"q": 3})),
        ("{{ body['t'] }}{{ body.yes }}", json!("xtrue")),
        ("{{ 'items' in body and 'x' not in body }}", json!(true)),
        ("{{ body.no is none and body.x is undefined }}", json!(true)),
        ("{{ body.nested }}", json!({"a": {"b": []}})),
        ("nested: {{ body.nested }}", json!("nested: {\"a\":{\"b\":[]}}")),
        ("{{ body.nested | tojson }}", json!("{\"a\":{\"b\":[]}}")),
        ("{{ [body.nested, 1] }}", json!([{"a": {"b": []}}, 1])),
        ("{{ body | items | list | length }}", json!(8)),
        ("{{ body.nested == {'a': {'b': []}} }}", json!(true)),
        ("{{ 'empty' if not body.empty else 'full' }}", json!("empty")),
    ] {
        assert_eq!(evaluate(&document, template), expected, "{template}");
    }
    assert_eq!(evaluate(&document, "{{ body }}"), document.root().to_json());
    let root = minijinja::Value::from_pairs([("body", document.variable())]);
    let absent = ExpressionTemplate::compile("{{ body.x.y }}").expect("a template");
    assert!(!absent.holds(&root).unwrap_or(false));
}

#[test]
fn what_a_template_gives_is_bounded() {
    let text = "x".repeat(1 << 20);
    let document = document(&json!({ "a": vec![text; 9] }).to_string());
    let root = minijinja::Value::from_pairs([("body", document.variable())]);
    let template = JsonTemplate::compile(&json!("{{ body }}")).expect("a template");
    let error = template.evaluate(&root).expect_err("too large").to_string();
    assert!(error.contains("larger than"), "{error}");
}

#[test]
fn fields_are_found_in_objects_of_any_size() {
    for count in [0, 1, 2, 127, 128, 129, 130, 5_000] {
        let fields: Vec<String> = (0..count).rev().map(|n| format!(r#""k{n}": {n}"#)).collect();
        let document = document(&format!("{{{}}}", fields.join(",")));
        for n in 0..count {
            let found = document.root().get(&format!("k{n}")).map(ValueRef::to_json);
            assert_eq!(found, Some(json!(n)), "{n} of {count}");
        }
        assert!(document.root().get("k").is_none() && document.root().get("k99999").is_none());
        let names: Vec<&str> = document.root().fields().map(|(name, _)| name).collect();
        assert_eq!(names.len(), count);
        assert!(document.repeated_name().is_none());
    }
}

#[test]
fn of_a_repeated_name_the_last_value_counts() {
    for others in [0, 200] {
        let filling: String = (0..others).map(|n| format!(r#""k{n}": {n},"#)).collect();
        let document = document(&format!(r#"{{"a": 1, {filling} "b": 2, "a": 3, "\u0061": [4]}}"#));
        assert_eq!(document.repeated_name(), Some("a"));
        assert_eq!(document.root().get("a").map(ValueRef::to_json), Some(json!([4])));
        assert_eq!(document.root().fields().len(), others + 2);
        assert_eq!(document.root().fields().next().map(|(name, _)| name), Some("a"));
    }
    let deep = document(r#"{"x": [{"y": 1, "y": 2}], "y": 1}"#);
    assert_eq!(deep.repeated_name(), Some("y"));
}

#[test]
fn similar_names_are_not_taken_for_one() {
    let names = [
        "",
        "a",
        "aa",
        "aaaaaaaa",
        "aaaaaaaab",
        "baaaaaaaa",
        "aaaaaaaaa",
        "\0",
        "\0\0",
    ];
    let object: Map<String, Value> = names
        .iter()
        .map(|name| ((*name).to_owned(), json!(name)))
        .collect();
    let document = document(&Value::Object(object).to_string());
    assert!(document.repeated_name().is_none());
    for name in names {
        assert_eq!(document.root().get(name).and_then(ValueRef::as_str), Some(name));
    }
}
