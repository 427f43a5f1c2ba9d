//! Compiles the templates of a revision and gathers everything that cannot work on the way.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;

use serde_json::Value;

use super::check::{Context, Problem, ProblemCode};
use super::template::{Escape, ExpressionTemplate, JsonTemplate, TemplateError, TextTemplate};
use super::variables::{REQUEST_VARIABLES, SECRETS_VARIABLE};
use crate::ids::{DestinationId, SecretId};

pub(super) struct Compiler<'a> {
    /// `None` when a revision is compiled that was checked before: what it needs may be gone, which its runs will say.
    pub context: Option<Context<'a>>,
    pub problems: Vec<Problem>,
    /// The steps whose results can be used at the place that is being compiled, and `error`.
    pub known: Vec<String>,
    /// How many templates there are so far.
    pub templates: usize,
    /// All steps' names, for a better explanation.
    pub steps: Vec<String>,
    /// The words for the flow's secrets.
    pub secrets: BTreeSet<String>,
    /// Whether what is being compiled is sent to a destination, and to nobody else.
    pub can_send_secrets: bool,
}

impl Compiler<'_> {
    pub fn problem(&mut self, pointer: &str, code: ProblemCode, detail: impl Into<String>) {
        self.problems.push(Problem {
            pointer: pointer.to_owned(),
            code,
            detail: detail.into(),
        });
    }

    pub fn json(&mut self, pointer: &str, json: &Value) -> JsonTemplate {
        match JsonTemplate::compile(json) {
            Ok(template) => {
                for (place, roots) in template.roots() {
                    self.roots(&format!("{pointer}{place}"), &roots);
                }
                template
            }
            Err(errors) => {
                for found in errors {
                    self.template_problem(&format!("{pointer}{}", found.pointer), &found.error);
                }
                JsonTemplate::null()
            }
        }
    }

    pub fn text(&mut self, pointer: &str, source: &str, escape: Escape) -> Option<TextTemplate> {
        match TextTemplate::compile(source, escape) {
            Ok(template) => {
                self.roots(pointer, &template.roots());
                Some(template)
            }
            Err(error) => {
                self.template_problem(pointer, &error);
                None
            }
        }
    }

    pub fn expression(&mut self, pointer: &str, source: &str) -> Option<ExpressionTemplate> {
        match ExpressionTemplate::compile(source) {
            Ok(template) => {
                self.roots(pointer, &template.roots());
                Some(template)
            }
            Err(error) => {
                let whole = source.contains("{{");
                let code = if whole {
                    ProblemCode::InvalidTemplate
                } else {
                    ProblemCode::InvalidCondition
                };
                self.problem(pointer, code, error.to_string());
                None
            }
        }
    }

    fn template_problem(&mut self, pointer: &str, error: &TemplateError) {
        self.problem(pointer, ProblemCode::InvalidTemplate, error.to_string());
    }

    fn roots(&mut self, pointer: &str, roots: &BTreeSet<String>) {
        self.templates += 1;
        for root in roots {
            if REQUEST_VARIABLES.contains(&root.as_str()) || self.known.contains(root) {
                continue;
            }
            if root == SECRETS_VARIABLE {
                self.uses_secrets(pointer);
                continue;
            }
            let detail = if self.steps.contains(root) {
                format!("the step `{root}` has not run at this place")
            } else {
                let mut available: Vec<&str> = REQUEST_VARIABLES.to_vec();
                available.extend(self.known.iter().map(String::as_str));
                format!("there is no variable `{root}`; here are {}", available.join(", "))
            };
            self.problem(pointer, ProblemCode::UnknownVariable, detail);
        }
    }

    pub fn range<T: PartialOrd + Display>(&mut self, pointer: &str, value: T, bounds: &RangeInclusive<T>) {
        if !bounds.contains(&value) {
            let detail = format!("expected {} to {}, got {value}", bounds.start(), bounds.end());
            self.problem(pointer, ProblemCode::OutOfRange, detail);
        }
    }

    pub fn destination(&mut self, pointer: &str, id: DestinationId) {
        if self
            .context
            .is_some_and(|context| !context.destinations.contains(&id))
        {
            self.problem(
                pointer,
                ProblemCode::UnknownDestination,
                format!("there is no destination {id}"),
            );
        }
    }

    fn uses_secrets(&mut self, pointer: &str) {
        let detail = if !self.can_send_secrets {
            "`secrets` can stand in the path, the headers and the body of `http` and `callback` steps, and nowhere else"
        } else if self.secrets.is_empty() {
            "the flow has no secrets: name them in `flow.secrets`"
        } else {
            return;
        };
        self.problem(pointer, ProblemCode::UnknownVariable, detail);
    }

    pub fn secret(&mut self, pointer: &str, id: SecretId) {
        if self.context.is_some_and(|context| !context.secrets.contains(&id)) {
            self.problem(
                pointer,
                ProblemCode::UnknownSecret,
                format!("there is no secret {id}"),
            );
        }
    }

    pub fn collection(&mut self, pointer: &str, name: &str) {
        if self
            .context
            .is_some_and(|context| !context.collections.contains(name))
        {
            let detail = format!("there is no collection {name:?}");
            self.problem(pointer, ProblemCode::UnknownCollection, detail);
        }
    }

    /// A field name of RFC 9110, section 5.1, that is not Hookgate's own.
    pub fn header_name(&mut self, pointer: &str, name: &str, taken: &[&str]) {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || name.len() > 128 || !name.bytes().all(is_token) {
            self.bad_header(
                pointer,
                "a header's name is of letters, digits and a few signs such as `-`",
            );
        } else if taken.contains(&name.to_ascii_lowercase().as_str()) {
            self.bad_header(pointer, "Hookgate sets this header itself");
        }
    }

    pub fn bad_header(&mut self, pointer: &str, detail: &str) {
        self.problem(pointer, ProblemCode::InvalidHeader, detail);
    }
}
