use proptest::prelude::*;
use serde_json::json;

use super::*;

mod hostile;
mod page;

fn variables() -> Variable {
    Variable::from(minijinja::value::Serde(json!({
        "body": { "order": { "id": 42, "total": "12.50", "lines": [1, 2, 3] }, "name": "Ada \"x\"", "none": null, "yes": true },
        "path": { "id": "a/../b c" },
        "headers": { "content-type": "application/json" },
    })))
}

fn evaluate(template: Value) -> Result<Value, String> {
    JsonTemplate::compile(&template)
        .map_err(|errors| errors[0].error.to_string())?
        .evaluate(&variables())
        .map_err(|error| error.to_string())
}

#[test]
fn a_tree_keeps_types_and_structure() {
    for (template, expected) in [
        (json!("plain"), json!("plain")),
        (json!("{{ body.order.id }}"), json!(42)),
        (json!("{{- body.order.id -}}"), json!(42)),
        (json!("no {{ body.order.id }}"), json!("no 42")),
        (json!("{{ body.order.id }}{{ body.order.id }}"), json!("4242")),
        (
            json!("{{ body.order }}"),
            json!({ "id": 42, "total": "12.50", "lines": [1, 2, 3] }),
        ),
        (json!("{{ body.order.total | float }}"), json!(12.5)),
        (json!("{{ body.none }}"), json!(null)),
        (
            json!("is {{ body.none }} and {{ body.order.lines }} and {{ body.yes }}"),
            json!("is null and [1,2,3] and true"),
        ),
        (json!("{{ body.absent | default('x') }}"), json!("x")),
        (
            json!("{{ {'a': {'b': body.order.id}} }}"),
            json!({ "a": { "b": 42 } }),
        ),
        (json!("{{ ' }} {{ ' }}"), json!(" }} {{ ")),
        (json!("{% if body.yes %}y{% else %}n{% endif %}"), json!("y")),
        (json!("{% if body.absent %}y{% else %}n{% endif %}"), json!("n")),
        (
            json!({ "a": ["{{ body.name }}", 1, null], "b": { "{{ x }}": "{{ body.yes }}" } }),
            json!({ "a": ["Ada \"x\"", 1, null], "b": { "{{ x }}": true } }),
        ),
        (json!("{{ '{\"k\": [1]}' | fromjson }}"), json!({ "k": [1] })),
        (json!("{{ body.order.lines | tojson }}"), json!("[1,2,3]")),
        (json!("{{ body.name | upper | length }}"), json!(7)),
        (json!("{{ headers['content-type'] }}"), json!("application/json")),
        (json!("{{ body.order.lines | sum }}"), json!(6)),
        (json!("{{ 'a&b' | urlencode }}"), json!("a%26b")),
        (
            json!("{{ 'a' | sha256 }}"),
            json!("ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"),
        ),
    ] {
        assert_eq!(evaluate(template.clone()), Ok(expected), "{template}");
    }
}

#[test]
fn what_is_wrong_is_said() {
    for (template, part) in [
        ("{{ body.absent }}", "body.absent"),
        ("x {{ body.absent }}", "body.absent"),
        ("{{ body.absent.deeper }}", "default("),
        ("{{ body.order.id", "syntax error"),
        ("{{ body.order.id | nope }}", "nope"),
        ("{% include 'x' %}", "syntax error"),
        ("{% macro m() %}{% endmacro %}", "syntax error"),
        (
            "{% for i in range(9999) %}{% for j in range(9999) %}x{% endfor %}{% endfor %}",
            "too long",
        ),
        ("{{ 'x' | fromjson }}", "no JSON"),
        ("{{ body.order.lines * body.order.id }}", "repeat a text"),
        ("{{ body.name | regex_replace('(', '') }}", "regular expression"),
        ("{{ 'x' | b64decode | sha1(encoding='oct') }}", "base64"),
        ("{{ 'a' | sha1(encoding='oct') }}", "oct"),
        ("{{ 'tomorrow' | date }}", "no time of a known form"),
        ("{{ body.order.lines | nope }}", "there is no filter `nope`"),
        ("{{ body.order.id is nope }}", "there is no test `nope`"),
        ("{{ body.name.upper() }}", "there is no method `upper`"),
        ("{{ body.order.id / 0 }}", "unable to calculate"),
    ] {
        let error = evaluate(json!(template)).expect_err(template);
        assert!(error.contains(part), "{template}: {error}");
    }
    let errors =
        JsonTemplate::compile(&json!({ "a/b": ["ok", "{{ x"], "c": "{% x %}" })).expect_err("errors");
    let pointers: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
    assert_eq!(pointers, ["/a~1b/1", "/c"]);
}

#[test]
fn conditions_are_lenient_about_what_is_absent() {
    let holds =
        |source: &str| ExpressionTemplate::compile(source).map(|condition| condition.holds(&variables()));
    for (source, expected) in [
        ("{{ body.order.id > 40 }}", true),
        ("{{ body.absent }}", false),
        ("{{ body.absent == 'x' }}", false),
        ("{{ not body.absent }}", true),
        ("{{ 'x' in body.name and body.order.lines }}", true),
    ] {
        assert_eq!(holds(source), Ok(Ok(expected)), "{source}");
    }
    assert!(holds("body.order.id > 40").is_err());
    assert!(holds("yes: {{ body.yes }}").is_err());
    assert!(holds("{{ body.absent.deeper }}").expect("compiled").is_err());
}

#[test]
fn a_value_stays_within_its_place_in_a_url() {
    let path = |source: &str| {
        TextTemplate::compile(source, Escape::Url)
            .expect("compiled")
            .evaluate(&variables())
            .expect("a path")
    };
    assert_eq!(
        path("/c/{{ path.id }}?n={{ body.order.id }}"),
        "/c/a%2F..%2Fb%20c?n=42"
    );
    assert_eq!(path("{{ path.id }}"), "a%2F..%2Fb%20c");
    assert_eq!(path("/c/{{ path.id | safe }}"), "/c/a/../b c");
}

#[test]
fn roots_are_found() {
    let template = JsonTemplate::compile(
        &json!({ "a": "{{ body.x + crm.y }}", "b": "{% for i in range(3) %}{{ i }}{{ z }}{% endfor %}" }),
    );
    let roots = template.expect("compiled").roots();
    assert_eq!(
        roots[0],
        ("/a".into(), ["body".to_owned(), "crm".to_owned()].into())
    );
    assert_eq!(roots[1], ("/b".into(), ["z".to_owned()].into()));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::hash_map(".{0,8}", inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Whatever a sender puts into a value, it comes out as that value, in its place.
    #[test]
    fn a_value_cannot_inject_structure(value in any_json()) {
        let variables = Variable::from(minijinja::value::Serde(json!({ "body": value })));
        let template = JsonTemplate::compile(&json!({ "whole": "{{ body }}", "text": "<{{ body }}>", "n": 1 })).expect("compiled");
        let result = template.evaluate(&variables).expect("a value");
        prop_assert_eq!(&result["whole"], &value);
        prop_assert!(result["text"].is_string());
        prop_assert_eq!(result.as_object().expect("an object").len(), 3);
    }

    #[test]
    fn any_text_compiles_or_is_refused_without_panic(source in "[{}%#a-z \"'|.()0-9-]{0,40}") {
        if let Ok(template) = JsonTemplate::compile(&json!(source)) {
            let _ = template.roots();
            let _ = template.evaluate(&variables());
        }
    }
}
