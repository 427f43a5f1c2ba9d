//! The condition under which nothing of a request is stored.

use std::sync::Arc;

use serde_json::Value;

use crate::flow::template::{ExpressionTemplate, TemplateError};
use crate::flow::variables::{REQUEST_VARIABLES, Request, Variables};

/// A compiled `sensitive_if`.
#[derive(Debug)]
pub struct Condition {
    /// `None` for one that always holds.
    template: Option<ExpressionTemplate>,
    needs_body: bool,
}

impl Condition {
    /// Compiles an expression.
    ///
    /// # Errors
    /// What is wrong with it, for the tenant.
    pub fn compile(source: &str) -> Result<Self, String> {
        let template =
            ExpressionTemplate::compile(source).map_err(|error: TemplateError| error.to_string())?;
        let roots = template.roots();
        let unknown = roots
            .iter()
            .find(|root| !REQUEST_VARIABLES.contains(&root.as_str()));
        match unknown {
            None => Ok(Self {
                needs_body: roots.contains("body"),
                template: Some(template),
            }),
            Some(root) => Err(format!(
                "there is no variable `{root}`; here are {}",
                REQUEST_VARIABLES.join(", ")
            )),
        }
    }

    /// One that always holds.
    pub(super) fn always() -> Self {
        Self {
            template: None,
            needs_body: false,
        }
    }

    /// Whether a request is sensitive: unless the expression says clearly that it is not, about a body that can be read.
    /// Takes CPU time, bounded by the templates' fuel.
    pub fn holds(&self, request: &Arc<Request>) -> bool {
        let Some(template) = &self.template else {
            return true;
        };
        if self.needs_body && request.has_unreadable_body() {
            return true;
        }
        match template.value(&Variables::of_request(request).root()) {
            Ok(Value::Null | Value::Bool(false)) => false,
            Ok(Value::Number(number)) => number.as_f64() != Some(0.0),
            Ok(Value::String(text)) => {
                let text = text.trim();
                !["", "0", "false", "no", "off", "none", "null"]
                    .iter()
                    .any(|word| text.eq_ignore_ascii_case(word))
            }
            Ok(_) | Err(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::variables::tests::event;

    #[test]
    fn whatever_does_not_say_no_is_sensitive() {
        for (body, expected) in [
            (r#"{"s": true}"#, true),
            (r#"{"s": "true"}"#, true),
            (r#"{"s": "TRUE"}"#, true),
            (r#"{"s": 1}"#, true),
            (r#"{"s": "please"}"#, true),
            (r#"{"s": {}}"#, true),
            (r#"{"s": []}"#, true),
            (r#"{"s": false}"#, false),
            (r#"{"s": " False "}"#, false),
            (r#"{"s": 0}"#, false),
            (r#"{"s": 0.0}"#, false),
            (r#"{"s": "0"}"#, false),
            (r#"{"s": ""}"#, false),
            (r#"{"s": null}"#, false),
            ("{}", false),
        ] {
            let condition = Condition::compile("{{ body.s }}").expect("compiled");
            assert_eq!(
                condition.holds(&event("application/json", body)),
                expected,
                "{body}"
            );
        }
    }

    #[test]
    fn an_expression_that_fails_is_sensitive() {
        let condition = Condition::compile("{{ body.s }}").expect("compiled");
        assert!(condition.holds(&event("application/json", r#"{"s": false"#)));
        assert!(!condition.holds(&event("application/json", "")));
        assert!(!condition.holds(&event("application/json", "null")));
        let request = event("application/json", r#"{"s": "x"}"#);
        for source in [
            "{{ body.s | int > 3 }}",
            "{{ body.a.b.c }}",
            "{{ range(100000) | list | length and range(100000) | list | length }}",
        ] {
            assert!(
                Condition::compile(source).expect("compiled").holds(&request),
                "{source}"
            );
        }
        assert!(
            !Condition::compile("{{ 'x' in body_text and false }}")
                .expect("compiled")
                .holds(&request)
        );
    }

    #[test]
    fn what_cannot_be_evaluated_ever_is_refused() {
        for source in ["body.s", "{{ body. }}", "{{ crm.status }}", "{{ secrets.x }}"] {
            assert!(Condition::compile(source).is_err(), "{source}");
        }
        let error = Condition::compile("{{ crm.status }}").expect_err("unknown");
        assert!(
            error.contains("`crm`") && error.contains("headers, query"),
            "{error}"
        );
    }
}
