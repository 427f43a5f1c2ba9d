//! Calls to destinations: signed, without redirects, under one deadline, to allowed addresses only.

use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, Utc};
use hookgate_domain::clock;
use hookgate_domain::trace::{self, Kind, Span, TraceContext};
use hookgate_egress::{Client, Failed, Timing, read_body, timed};
use hookgate_model::egress;
use hookgate_model::flow::secrets::FlowSecrets;
use hookgate_model::flow::step::http::{HttpCall, HttpFailure, HttpOutcome, MAX_RESPONSE_BYTES};
use hookgate_model::outbound_authentication::{Credentials, TokenRequest};
use hookgate_model::outbound_signature::{ID_HEADER, SIGNATURE_HEADER, SigningSecret, TIMESTAMP_HEADER};
use hookgate_model::retry::Verdict;
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Method, Request, Response, StatusCode};
use serde_json::json;
use url::Url;

use super::target::Target;
use super::tokens::Tokens;

/// The most headers of a response that a flow can use.
const MAX_RESPONSE_HEADERS: usize = 100;

/// Makes calls. Connections are kept and used again.
pub struct HttpClient {
    plain: Client,
    tokens: Tokens,
}

/// A call that was made, or tried.
#[derive(Debug, Clone)]
pub struct Made {
    /// What it came to.
    pub outcome: HttpOutcome,
    /// The URL without its query.
    pub url: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// How long it took.
    pub duration: Duration,
    /// How long its parts took.
    pub timing: serde_json::Value,
}

impl HttpClient {
    /// Makes calls with a client.
    pub fn new(plain: Client) -> Self {
        Self {
            plain,
            tokens: Tokens::new(),
        }
    }

    /// The client without a certificate of its own.
    pub const fn plain(&self) -> &Client {
        &self.plain
    }

    /// Makes a call, once, as an operation of its own in the trace.
    pub async fn call(&self, call: &HttpCall, target: &Target) -> Made {
        let Some(parent) = trace::current() else {
            return self.call_within(call, target).await;
        };
        let (context, started_at) = (parent.child(rand::random()), SystemTime::now());
        let made = trace::scope(context, self.call_within(call, target)).await;
        trace::record(context, || span(context, parent, started_at, call, &made));
        made
    }

    async fn call_within(&self, call: &HttpCall, target: &Target) -> Made {
        let (started_at, started) = (clock::now(), Instant::now());
        let timeout = Duration::from_millis(call.timeout_ms.into());
        let mut first_byte = None;
        let (url, (outcome, parts)) = match egress::join(&target.base_url, &call.path) {
            Err(detail) => (target.base_url.clone(), (refused(detail), Timing::default())),
            Ok(url) => {
                let shown = without_query(&url);
                let exchange = self.exchange(call, target, url, started_at, &mut first_byte);
                let (exchanged, parts) = timed(tokio::time::timeout(timeout, exchange)).await;
                let outcome = exchanged.unwrap_or_else(|_| {
                    let detail = format!("no complete answer within {} ms", call.timeout_ms);
                    failed(HttpFailure::Timeout, detail)
                });
                (shown, (outcome, parts))
            }
        };
        let (outcome_name, duration) = (name(&outcome), started.elapsed());
        metrics::histogram!("hookgate_call_seconds", "outcome" => outcome_name)
            .record(duration.as_secs_f64());
        Made {
            outcome,
            url,
            started_at,
            duration,
            timing: json!({
                "dns_us": parts.dns.map(micros),
                "connect_us": parts.connect.map(micros),
                "first_byte_us": first_byte.map(|at: Instant| micros(at.duration_since(started))),
            }),
        }
    }

    async fn exchange(
        &self,
        call: &HttpCall,
        target: &Target,
        url: Url,
        now: DateTime<Utc>,
        first_byte: &mut Option<Instant>,
    ) -> HttpOutcome {
        let exchanged = async {
            let mut request = request(call, target, url, now).map_err(Failed::refused)?;
            let mut response = match &target.credentials {
                Credentials::Token(wanted) => self.send_with_token(request, target, wanted).await?,
                Credentials::Header { name, value } => {
                    put(&mut request, name, value).map_err(Failed::refused)?;
                    target.client.send(request).await?
                }
                Credentials::None => target.client.send(request).await?,
            };
            *first_byte = Some(Instant::now());
            read(&mut response).await
        };
        exchanged
            .await
            .unwrap_or_else(|Failed { failure, detail }| failed(failure, detail))
    }

    /// Presents the token that is kept; once more a new one, if that is not taken.
    async fn send_with_token(
        &self,
        mut request: Request,
        target: &Target,
        wanted: &TokenRequest,
    ) -> Result<Response, Failed> {
        let token = self.tokens.get(target.key, wanted, &self.plain, None).await?;
        put(&mut request, "authorization", token.header()).map_err(Failed::refused)?;
        let again = request.try_clone();
        let response = target.client.send(request).await?;
        let Some(mut again) = again.filter(|_| response.status() == StatusCode::UNAUTHORIZED) else {
            return Ok(response);
        };
        drop(response);
        let token = self
            .tokens
            .get(target.key, wanted, &self.plain, Some(&token))
            .await?;
        put(&mut again, "authorization", token.header()).map_err(Failed::refused)?;
        target.client.send(again).await
    }
}

/// What a call came to, as a label: the class of the status, or why there was none.
fn name(outcome: &HttpOutcome) -> &'static str {
    match outcome {
        HttpOutcome::Response { status, .. } => match status / 100 {
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            5 => "5xx",
            _ => "other",
        },
        HttpOutcome::Failed { failure, .. } => failure.as_str(),
    }
}

/// A call as it is traced: without the path, which can hold what a flow put into it.
fn span(
    context: TraceContext,
    parent: TraceContext,
    started_at: SystemTime,
    call: &HttpCall,
    made: &Made,
) -> Span {
    let mut attributes = vec![
        ("http.request.method", call.method.as_str().to_owned()),
        ("hookgate.destination", call.destination.to_string()),
        ("hookgate.step", call.step.clone()),
        (
            "http.request.resend_count",
            call.attempt.saturating_sub(1).to_string(),
        ),
    ];
    match &made.outcome {
        HttpOutcome::Response { status, .. } => {
            attributes.push(("http.response.status_code", status.to_string()));
        }
        HttpOutcome::Failed { failure, .. } => attributes.push(("error.type", failure.as_str().to_owned())),
    }
    Span {
        context,
        parent: Some(parent.span_id),
        kind: Kind::Client,
        name: call.method.as_str().into(),
        started_at,
        ended_at: SystemTime::now(),
        attributes,
        is_error: made.outcome.verdict() != Verdict::Success,
    }
}

fn request(call: &HttpCall, target: &Target, url: Url, now: DateTime<Utc>) -> Result<Request, String> {
    let method = Method::from_bytes(call.method.as_str().as_bytes()).map_err(|error| error.to_string())?;
    let mut request = Request::new(method, url);
    for (name, value) in &call.headers {
        put(&mut request, name, value)?;
    }
    if let Some(context) = trace::current()
        && !request.headers().contains_key(trace::HEADER)
    {
        put(&mut request, trace::HEADER, &context.header())?;
    }
    put(&mut request, "idempotency-key", &call.idempotency_key)?;
    put(&mut request, ID_HEADER, &call.idempotency_key)?;
    put(&mut request, TIMESTAMP_HEADER, &now.timestamp().to_string())?;
    let sign = |secret: &SigningSecret| secret.sign(&call.idempotency_key, now, &call.body);
    let signatures: Vec<String> = target.signing.iter().map(sign).collect();
    if !signatures.is_empty() {
        put(&mut request, SIGNATURE_HEADER, &signatures.join(" "))?;
    }
    if !call.body.is_empty() {
        *request.body_mut() = Some(call.body.clone().into());
    }
    Ok(request)
}

fn put(request: &mut Request, name: &str, value: &str) -> Result<(), String> {
    let name =
        HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("{name:?} is no header's name"))?;
    let value = HeaderValue::from_bytes(value.as_bytes())
        .map_err(|_| format!("the value of {name} is no header's value"))?;
    request.headers_mut().insert(name, value);
    Ok(())
}

/// Reads a response up to the bound of its body.
async fn read(response: &mut Response) -> Result<HttpOutcome, Failed> {
    let status = response.status().as_u16();
    let headers = response
        .headers()
        .iter()
        .take(MAX_RESPONSE_HEADERS)
        .map(|(name, value)| {
            (
                name.as_str().to_owned(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect();
    let (body, is_cut) = read_body(response, MAX_RESPONSE_BYTES).await?;
    Ok(HttpOutcome::Response {
        status,
        headers,
        body,
        is_cut,
    })
}

fn refused(detail: String) -> HttpOutcome {
    failed(HttpFailure::Refused, detail)
}

fn failed(failure: HttpFailure, detail: String) -> HttpOutcome {
    HttpOutcome::Failed { failure, detail }
}

fn without_query(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.to_string()
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

impl Made {
    /// It without the secrets that were sent, wherever they turn up in it.
    #[must_use]
    pub fn hide(self, sent: &FlowSecrets) -> Self {
        if sent.is_empty() {
            return self;
        }
        Self {
            url: sent.hide_text(&self.url),
            outcome: sent.hide(self.outcome),
            ..self
        }
    }

    /// How long it took, as it is stored.
    pub fn duration_us(&self) -> i64 {
        micros(self.duration)
    }
}
