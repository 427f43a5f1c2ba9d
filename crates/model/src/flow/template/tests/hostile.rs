//! Templates that try to take very much: each is refused, or ends within its bounds with a clear error.

use std::cell::Cell;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::evaluate;
use crate::flow::template::{ExpressionTemplate, JsonTemplate, until};
use crate::flow::variables::{Variables, tests::event};

#[test]
fn what_could_grow_without_bound_is_refused_when_it_is_compiled() {
    let doubling = |times| {
        "{% set a = body.name %}".to_owned() + &"{% set a = a ~ a %}".repeat(times) + "{{ a | length }}"
    };
    assert_eq!(evaluate(json!(doubling(8))), Ok(json!("1792")));
    for template in [
        doubling(9),
        doubling(60),
        "{% set a = 'x' %}".to_owned() + &"{% set a = a + a %}".repeat(40) + "{{ a }}",
        "{% set a = 1 %}".to_owned() + &"{% set a = a ~ a %}".repeat(40) + "{{ a }}",
        "{% set a = [1] %}".to_owned() + &"{% set a = [a, a] %}".repeat(40) + "{{ a == a }}",
        "{% set a = {'x': 1} %}".to_owned() + &"{% set a = {'x': a, 'y': a} %}".repeat(40) + "{{ a }}",
        "{% set a = [1] %}".to_owned() + &"{% set a = a | zip(a) | list %}".repeat(40) + "{{ a }}",
        "{% set a = body.name %}".to_owned()
            + &"{% set a %}{{ a }}{{ a }}{% endset %}".repeat(40)
            + "{{ a }}",
        "{% set a %}{% for i in range(10000) %}{{ body.name }}{% endfor %}{% endset %}{{ a }}".to_owned(),
        "{% filter upper %}{% for i in range(10000) %}{{ body.name }}{% endfor %}{% endfilter %}".to_owned(),
        "{{ 'x' * 100000000 }}".to_owned(),
        "{{ body.name * body.order.id }}".to_owned(),
        "{{ body.name * 100000 }}".to_owned(),
        "{{ [body.name] * (body.order.id | int) }}".to_owned(),
        "{% for x in [1] recursive %}{{ loop([1, 1]) }}{% endfor %}".to_owned(),
        "{{ body.name | regex_match('a{1000}{1000}') }}".to_owned(),
        "{{ body.name | regex_match('(') }}".to_owned(),
    ] {
        let started = Instant::now();
        let error = JsonTemplate::compile(&json!(template)).expect_err(&template);
        assert!(started.elapsed() < Duration::from_secs(1), "{template}");
        let error = error[0].error.to_string();
        let clear = [
            "times as large",
            "a loop cannot",
            "repeat a text",
            "regular expression",
        ];
        assert!(
            clear.iter().any(|part| error.contains(part)),
            "{template}: {error}"
        );
    }
    assert!(ExpressionTemplate::compile("{{ body.a * body.b }}").is_err());
}

/// The parser calls itself for each of these, and a stack has an end.
#[test]
fn what_is_too_deep_for_the_parser_is_refused() {
    let braces = |inner: String| format!("{{{{ {inner} }}}}");
    for template in [
        braces("[".repeat(2_000) + "1" + &"]".repeat(2_000)),
        braces("-".repeat(8_000) + "1"),
        braces("not ".repeat(4_000) + "1"),
        braces("1".to_owned() + &"+1".repeat(8_000)),
        braces("1".to_owned() + &" and 1".repeat(2_000)),
        braces("1".to_owned() + &" if 1 else 1".repeat(1_000)),
        braces("body".to_owned() + &".a".repeat(8_000)),
        braces("body".to_owned() + &"[0]".repeat(5_000)),
        braces("body".to_owned() + &"()".repeat(8_000)),
        braces("body".to_owned() + &"|e".repeat(8_000)),
        braces("body".to_owned() + &" is odd".repeat(2_000)),
        "{% if 1 %}".to_owned() + &"{% elif 1 %}".repeat(1_300) + "{% endif %}",
        "{% if 1 %}".repeat(500) + &"{% endif %}".repeat(500),
    ] {
        let error = JsonTemplate::compile(&json!(template)).expect_err(&template);
        let error = error[0].error.to_string();
        let clear = ["at most", "recursion limit"];
        assert!(clear.iter().any(|part| error.contains(part)), "{error}");
        let inner = template.clone();
        assert!(ExpressionTemplate::compile(&inner).is_err());
    }
    // What is long without being deep is none of this.
    let list = "body.order.id, 'text', 3, ".repeat(40);
    assert!(evaluate(json!(format!("{{{{ [{list}] }}}}"))).is_ok());
}

#[test]
fn what_multiplies_numbers_is_not() {
    for (template, expected) in [
        ("{{ body.order.id * 1.19 }}", json!(49.98)),
        ("{{ body.order.total | float * body.order.id }}", json!(525.0)),
        ("{{ (body.order.id | int) * (body.order.id | int) }}", json!(1764)),
        ("{{ body.order.id * 100 }}", json!(4200)),
        (
            "{{ (body.order.id - 2) * (body.order.lines | length) }}",
            json!(120),
        ),
        ("{{ '=' * 20 }}", json!("====================")),
    ] {
        assert_eq!(evaluate(json!(template)), Ok(expected), "{template}");
    }
}

#[test]
fn what_filters_make_is_bounded() {
    let chain = |filter: &str, times: usize| {
        format!(
            "{{{{ body.name | {} | length }}}}",
            [filter].repeat(times).join(" | ")
        )
    };
    let wide = |inner: &str| format!("{{{{ (body.name * 200) | {inner} }}}}");
    for template in [
        chain("hexencode", 40),
        chain("b64encode", 100),
        chain("tojson", 60),
        chain("replace('x', 'xxxxxxxxxxxxxxxxxxxx')", 60),
        chain("regex_replace('x', 'xxxxxxxxxxxxxxxxxxxx')", 60),
        wide("replace('A', body.name * 200) | replace('A', body.name * 200) | replace('A', body.name * 200)"),
        wide("list | join(body.name * 200) | list | join(body.name * 200)"),
        "{{ range(1000000) | list }}".to_owned(),
        "{{ range(0, 1000000, 2) | list }}".to_owned(),
        format!("{{{{ '{}' | fromjson }}}}", "[".repeat(10_000)),
        "{{ 1.5 | format_number(1000000000) }}".to_owned(),
        "{{ body | get('a".to_owned() + &".a".repeat(1_000) + "') }}",
        "{{ '2026-01-01' | date_add(days=9223372036854775807) }}".to_owned(),
        "{{ '2026-01-01' | date_format('%Q%!') }}".to_owned(),
    ] {
        let started = Instant::now();
        let result = evaluate(json!(template));
        assert!(
            result.is_err(),
            "{}: {result:?}",
            &template[..template.len().min(80)]
        );
        assert!(started.elapsed() < Duration::from_secs(5), "{template}");
    }
}

#[test]
fn a_catastrophic_pattern_is_quick() {
    let text = "a".repeat(200_000);
    let root = Variables::of_request(&event("application/json", &json!(text).to_string())).root();
    for pattern in ["(a+)+$x", "(a|aa)+b", "(.*)*=.*", "(?:a?){30}a{30}b"] {
        let template = JsonTemplate::compile(&json!(format!("{{{{ body | regex_match('{pattern}') }}}}")));
        let started = Instant::now();
        assert_eq!(
            template.expect("compiled").evaluate(&root),
            Ok(Value::from(false)),
            "{pattern}"
        );
        assert!(started.elapsed() < Duration::from_secs(10), "{pattern}");
    }
}

#[test]
fn an_evaluation_ends_when_its_time_is_over() {
    let text = "a".repeat(1_000_000);
    let root = Variables::of_request(&event("application/json", &json!(text).to_string())).root();
    for template in [
        "{% for i in range(10000) %}{% for j in range(10000) %}{{ i }}{% endfor %}{% endfor %}",
        "{% set b = body %}{% for i in range(9999) %}{% set x = b | upper %}{% endfor %}",
        "{% for i in range(9999) %}{% set x = body %}{% endfor %}",
        "{{ range(10000) | select('in', range(10000)) | list }}",
    ] {
        let template = JsonTemplate::compile(&json!(template)).expect("compiled");
        // Not at once, but after it has been asked some times.
        let asked = Cell::new(0);
        let is_over = move || asked.replace(asked.get() + 1) > 5;
        let error = until(is_over, || template.evaluate(&root)).expect_err("ended");
        assert!(error.to_string().contains("taken too long"), "{error}");
        assert!(
            evaluate(json!("{{ body.name }}")).is_ok(),
            "what comes later is not ended"
        );
    }
}
