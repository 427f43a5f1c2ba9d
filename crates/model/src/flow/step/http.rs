//! `http`, and the call of a `callback`. What the call is, is decided here; the worker makes it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::egress;
use crate::flow::answer_template::{BodyTemplate, HeaderTemplates, compile_headers, evaluate_headers};
use crate::flow::check::ProblemCode;
use crate::flow::compiler::Compiler;
use crate::flow::definition::{
    HTTP_TIMEOUT_MS, HttpMethod, RETRY_ATTEMPTS, RETRY_DELAY_SECONDS, RETRY_DELAYS, RETRY_INITIAL_DELAY_MS,
    RETRY_MAX_DELAY_MS, Retry, Step,
};
use crate::flow::template::{Escape, TextTemplate};
use crate::flow::variables::Variables;
use crate::ids::{DestinationId, EventId};
use crate::retry::{Verdict, classify};

/// The most bytes of a response that a flow can use; the worker reads no further.
pub const MAX_RESPONSE_BYTES: usize = 256 * 1024;

/// Stands for any destination where a path is checked before it is called.
const ANY_BASE: &str = "https://destination.example";

/// Headers that are part of the connection, or that Hookgate sets.
pub(crate) const CALL_HEADERS_TAKEN: [&str; 15] = [
    "connection",
    "content-length",
    "expect",
    crate::notification::HEADER,
    "host",
    "idempotency-key",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
];

#[derive(Debug)]
pub(in crate::flow) struct HttpStep {
    destination: DestinationId,
    method: HttpMethod,
    path: Option<TextTemplate>,
    headers: HeaderTemplates,
    body: BodyTemplate,
    timeout_ms: u32,
    pub retry: Retry,
}

/// A call to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpCall {
    /// The step's name.
    pub step: String,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Where to.
    pub destination: DestinationId,
    /// The method.
    pub method: HttpMethod,
    /// What follows the destination's base URL; may end in a query.
    pub path: String,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body's bytes.
    #[serde(with = "base64_bytes")]
    pub body: Vec<u8>,
    /// How long the attempt may take, in milliseconds.
    pub timeout_ms: u32,
    /// The same for every attempt of this step for this event.
    pub idempotency_key: String,
}

/// Bytes as base64, where JSON would have a list of numbers.
mod base64_bytes {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD_NO_PAD;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD_NO_PAD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD_NO_PAD.decode(text).map_err(de::Error::custom)
    }
}

/// What an attempt came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpOutcome {
    /// The destination answered.
    Response {
        /// The status code.
        status: u16,
        /// Names in lower case, and values.
        headers: Vec<(String, String)>,
        /// The body, at most [`MAX_RESPONSE_BYTES`].
        body: Vec<u8>,
        /// Whether the body went on.
        is_cut: bool,
    },
    /// It did not.
    Failed {
        /// In what way.
        failure: HttpFailure,
        /// What happened, for the tenant.
        detail: String,
    },
}

/// Why there is no response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpFailure {
    /// The name was not resolved.
    Resolve,
    /// No connection, or it broke.
    Connect,
    /// The time was over.
    Timeout,
    /// The connection is not secure: a certificate that cannot be trusted, for example.
    Tls,
    /// The response is no HTTP, or broke off.
    Protocol,
    /// No token to present could be fetched.
    Authorize,
    /// Hookgate does not make the call: the address is not public, the URL is none, the destination is gone.
    Refused,
    /// A fault on Hookgate's side.
    Internal,
}

impl HttpFailure {
    /// As it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Tls => "tls",
            Self::Protocol => "protocol",
            Self::Authorize => "authorize",
            Self::Refused => "refused",
            Self::Internal => "internal",
        }
    }
}

impl HttpOutcome {
    /// Whether it is done, may work later, or will not.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Response { status, .. } => classify(*status),
            Self::Failed {
                failure: HttpFailure::Refused,
                ..
            } => Verdict::Final,
            Self::Failed { .. } => Verdict::Retryable,
        }
    }

    /// A response's header.
    pub fn header(&self, wanted: &str) -> Option<&str> {
        let Self::Response { headers, .. } = self else {
            return None;
        };
        headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value.as_str())
    }

    /// What is wrong, for the tenant.
    pub fn error(&self) -> String {
        match self {
            Self::Response {
                status: status @ 300..=399,
                ..
            } => {
                format!("the destination answered {status}; redirects are not followed")
            }
            Self::Response { status, .. } => format!("the destination answered {status}"),
            Self::Failed { detail, .. } => detail.clone(),
        }
    }

    /// What later steps see under the step's name.
    pub(in crate::flow) fn result(&self) -> Value {
        match self {
            Self::Failed { .. } => {
                json!({ "status": null, "headers": {}, "body": null, "error": self.error() })
            }
            Self::Response {
                status,
                headers,
                body,
                is_cut,
            } => {
                let error = (self.verdict() != Verdict::Success).then(|| self.error());
                json!({ "status": status, "headers": join(headers), "body": parse(body, *is_cut), "error": error })
            }
        }
    }
}

fn join(headers: &[(String, String)]) -> Map<String, Value> {
    let mut joined = BTreeMap::<String, String>::new();
    for (name, value) in headers {
        joined
            .entry(name.to_ascii_lowercase())
            .and_modify(|values| {
                values.push_str(", ");
                values.push_str(value);
            })
            .or_insert_with(|| value.clone());
    }
    joined
        .into_iter()
        .map(|(name, value)| (name, Value::String(value)))
        .collect()
}

fn parse(body: &[u8], is_cut: bool) -> Value {
    if body.is_empty() {
        return Value::Null;
    }
    let json = if is_cut {
        None
    } else {
        serde_json::from_slice(body).ok()
    };
    json.unwrap_or_else(|| Value::String(String::from_utf8_lossy(body).into_owned()))
}

/// A path without a template is known to be none before it is ever called.
fn compile_path(compiler: &mut Compiler<'_>, pointer: &str, path: &str) -> Option<TextTemplate> {
    let template = compiler.text(pointer, path, Escape::Url)?;
    if let Some(Err(detail)) = template.literal().map(|path| egress::join(ANY_BASE, path)) {
        compiler.problem(pointer, ProblemCode::InvalidPath, detail);
    }
    Some(template)
}

/// Notes what is out of its bounds in a retry policy.
pub(in crate::flow) fn check_retry(compiler: &mut Compiler<'_>, pointer: &str, retry: &Retry) {
    let (first, most) = (retry.initial_delay_ms, retry.max_delay_ms);
    compiler.range(&format!("{pointer}/attempts"), retry.attempts, &RETRY_ATTEMPTS);
    compiler.range(
        &format!("{pointer}/initial_delay_ms"),
        first,
        &RETRY_INITIAL_DELAY_MS,
    );
    compiler.range(&format!("{pointer}/max_delay_ms"), most, &RETRY_MAX_DELAY_MS);
    if let Some(delays) = &retry.delays_seconds {
        let pointer = format!("{pointer}/delays_seconds");
        compiler.range(&pointer, delays.len(), &RETRY_DELAYS);
        for (index, delay) in delays.iter().enumerate() {
            compiler.range(&format!("{pointer}/{index}"), *delay, &RETRY_DELAY_SECONDS);
        }
    }
}

impl HttpStep {
    pub fn compile(compiler: &mut Compiler<'_>, pointer: &str, step: &Step) -> Self {
        let (Step::Http {
            destination,
            method,
            path,
            headers,
            body,
            body_encoding,
            timeout_ms,
            retry,
            ..
        }
        | Step::Callback {
            destination,
            method,
            path,
            headers,
            body,
            body_encoding,
            timeout_ms,
            retry,
            ..
        }) = step
        else {
            unreachable!("the caller matched the kind")
        };
        compiler.destination(&format!("{pointer}/destination"), *destination);
        compiler.range(&format!("{pointer}/timeout_ms"), *timeout_ms, &HTTP_TIMEOUT_MS);
        check_retry(compiler, &format!("{pointer}/retry"), retry);
        compiler.can_send_secrets = true;
        let step = Self {
            destination: *destination,
            method: *method,
            path: compile_path(compiler, &format!("{pointer}/path"), path),
            headers: compile_headers(compiler, pointer, headers, &CALL_HEADERS_TAKEN),
            body: BodyTemplate::compile(compiler, pointer, body, *body_encoding),
            timeout_ms: *timeout_ms,
            retry: retry.clone(),
        };
        compiler.can_send_secrets = false;
        step
    }

    pub fn call(
        &self,
        step: &str,
        event: EventId,
        attempt: u32,
        variables: &Variables,
    ) -> Result<HttpCall, String> {
        let root = variables.root();
        let text = |error: crate::flow::template::TemplateError| error.to_string();
        let path = self
            .path
            .as_ref()
            .map(|path| path.evaluate(&root))
            .transpose()
            .map_err(text)?;
        let mut headers = evaluate_headers(&self.headers, &root)?;
        let body = self.body.evaluate(&root)?;
        if let Some((content_type, _)) = &body
            && !headers.iter().any(|(name, _)| name == "content-type")
        {
            headers.push(("content-type".into(), (*content_type).into()));
        }
        Ok(HttpCall {
            step: step.to_owned(),
            attempt,
            destination: self.destination,
            method: self.method,
            path: path.unwrap_or_default(),
            headers,
            body: body.map(|(_, body)| body).unwrap_or_default(),
            timeout_ms: self.timeout_ms,
            idempotency_key: idempotency_key(event, step),
        })
    }
}

/// `msg_<the event's id without its prefix>_<step>`: stable over attempts, crashes and workers.
pub fn idempotency_key(event: EventId, step: &str) -> String {
    format!("msg_{}_{step}", crate::base32::to_string(event.uuid().as_u128()))
}
