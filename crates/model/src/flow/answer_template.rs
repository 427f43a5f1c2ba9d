//! The template of an answer: a status that may be overridden, headers, and a body.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::check::ProblemCode;
use super::compiler::Compiler;
use super::definition::{ANSWER_STATUS, BodyEncoding, MAX_HEADERS, OutcomeAnswer};
use super::template::{Escape, ExpressionTemplate, JsonTemplate, TextTemplate};
use super::variables::Variables;
use crate::answer::Answer;

/// A compiled answer.
#[derive(Debug)]
pub struct AnswerTemplate {
    status: u16,
    status_override: Option<ExpressionTemplate>,
    headers: HeaderTemplates,
    body: BodyTemplate,
    /// The answer itself, when nothing in it depends on the event.
    constant: Option<Answer>,
}

/// Headers whose values are templates.
pub(super) type HeaderTemplates = Vec<(String, TextTemplate)>;

/// Headers of an answer that belong to the server.
const ANSWER_HEADERS_TAKEN: [&str; 8] = [
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl AnswerTemplate {
    pub(super) fn compile(compiler: &mut Compiler<'_>, pointer: &str, definition: &OutcomeAnswer) -> Self {
        compiler.range(&format!("{pointer}/status"), definition.status, &ANSWER_STATUS);
        let mut template = Self {
            status: definition.status,
            status_override: definition
                .status_override
                .as_deref()
                .and_then(|source| compiler.expression(&format!("{pointer}/status_override"), source)),
            headers: compile_headers(compiler, pointer, &definition.headers, &ANSWER_HEADERS_TAKEN),
            body: BodyTemplate::compile(compiler, pointer, &definition.body, definition.body_encoding),
            constant: None,
        };
        let is_constant = template.status_override.is_none()
            && template.body.is_constant()
            && template
                .headers
                .iter()
                .all(|(_, value)| value.literal().is_some());
        if is_constant {
            template.constant = template.evaluate(&Variables::empty()).ok();
        }
        template
    }

    /// The answer itself, when nothing in it depends on the event.
    pub fn constant(&self) -> Option<&Answer> {
        self.constant.as_ref()
    }

    /// Evaluates it.
    ///
    /// # Errors
    /// What is wrong, for the tenant.
    pub fn evaluate(&self, variables: &Variables) -> Result<Answer, String> {
        if let Some(answer) = &self.constant {
            return Ok(answer.clone());
        }
        let root = variables.root();
        let status = match &self.status_override {
            None => self.status,
            Some(expression) => match expression.value(&root).map_err(|error| error.to_string())? {
                Value::Null => self.status,
                value => status(&value)?,
            },
        };
        let headers = evaluate_headers(&self.headers, &root)?;
        let body = self.body.evaluate(&root)?;
        Ok(answer(status, headers, body))
    }
}

fn status(value: &Value) -> Result<u16, String> {
    let number = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok());
    number
        .and_then(|number| u16::try_from(number).ok())
        .filter(|number| ANSWER_STATUS.contains(number))
        .ok_or_else(|| format!("status_override gave {value}, which is no status from 200 to 599"))
}

/// Puts an answer together; 204, 205 and 304 have no body (RFC 9110, sections 15.3.5, 15.3.6, 15.4.5).
pub(super) fn answer(status: u16, mut headers: Vec<(String, String)>, body: Option<EncodedBody>) -> Answer {
    let Some((content_type, body)) = body.filter(|_| !matches!(status, 204 | 205 | 304)) else {
        return Answer {
            status,
            headers,
            body: Vec::new(),
        };
    };
    if !headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
    {
        headers.push(("content-type".into(), content_type.into()));
    }
    Answer {
        status,
        headers,
        body,
    }
}

/// The template of a body, and what becomes of its text.
#[derive(Debug)]
pub(super) struct BodyTemplate {
    template: JsonTemplate,
    encoding: BodyEncoding,
}

/// A body's media type, unless a header tells it, and its bytes.
pub(super) type EncodedBody = (&'static str, Vec<u8>);

impl BodyTemplate {
    pub fn compile(compiler: &mut Compiler<'_>, pointer: &str, body: &Value, encoding: BodyEncoding) -> Self {
        let template = compiler.json(&format!("{pointer}/body"), body);
        if let Some(Err(detail)) = template.constant().cloned().map(|body| encode(body, encoding)) {
            compiler.problem(&format!("{pointer}/body"), ProblemCode::InvalidBody, detail);
        }
        Self { template, encoding }
    }

    fn is_constant(&self) -> bool {
        self.template.constant().is_some()
    }

    /// `None` for a body that is not there.
    pub fn evaluate(&self, root: &minijinja::Value) -> Result<Option<EncodedBody>, String> {
        let body = self.template.evaluate(root).map_err(|error| error.to_string())?;
        encode(body, self.encoding)
    }
}

fn encode(body: Value, encoding: BodyEncoding) -> Result<Option<EncodedBody>, String> {
    match (encoding, body) {
        (BodyEncoding::Text, body) => Ok(encode_body(body)),
        (BodyEncoding::Base64, Value::Null) => Ok(None),
        (BodyEncoding::Base64, Value::String(text)) => STANDARD
            .decode(text.trim())
            .map(|bytes| Some(("application/octet-stream", bytes)))
            .map_err(|error| format!("the body is not base64: {error}")),
        (BodyEncoding::Base64, _) => {
            Err("the body must be text in base64, as `body_encoding` says".to_owned())
        }
    }
}

/// The bytes of an evaluated body, with their media type: text as it is, `null` as nothing, anything else as JSON.
pub(super) fn encode_body(body: Value) -> Option<EncodedBody> {
    match body {
        Value::Null => None,
        Value::String(text) => Some(("text/plain; charset=utf-8", text.into_bytes())),
        json => Some(("application/json", serde_json::to_vec(&json).unwrap_or_default())),
    }
}

pub(super) fn compile_headers(
    compiler: &mut Compiler<'_>,
    pointer: &str,
    headers: &BTreeMap<String, String>,
    taken: &[&str],
) -> HeaderTemplates {
    compiler.range(&format!("{pointer}/headers"), headers.len(), &(0..=MAX_HEADERS));
    let mut compiled = Vec::with_capacity(headers.len());
    for (name, value) in headers {
        let pointer = format!("{pointer}/headers/{}", name.replace('~', "~0").replace('/', "~1"));
        compiler.header_name(&pointer, name, taken);
        if let Some(template) = compiler.text(&pointer, value, Escape::None) {
            if template.literal().is_some_and(|value| !is_header_value(value)) {
                compiler.bad_header(&pointer, "a header's value holds no control characters");
            }
            compiled.push((name.to_ascii_lowercase(), template));
        }
    }
    compiled
}

pub(super) fn evaluate_headers(
    headers: &HeaderTemplates,
    root: &minijinja::Value,
) -> Result<Vec<(String, String)>, String> {
    headers
        .iter()
        .map(|(name, template)| {
            let value = template.evaluate(root).map_err(|error| error.to_string())?;
            if is_header_value(&value) {
                Ok((name.clone(), value))
            } else {
                Err(format!(
                    "the value of the header {name} holds a control character"
                ))
            }
        })
        .collect()
}

/// RFC 9110, section 5.5: no control character but the tab, so that a value cannot begin another header.
fn is_header_value(value: &str) -> bool {
    value
        .bytes()
        .all(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
}
