//! Calls to destinations: signed, without redirects, under one deadline, to allowed addresses only.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use hookgate_domain::clock;
use hookgate_egress::{Client, Failed, read_body};
use hookgate_model::egress;
use hookgate_model::flow::step::http::{HttpCall, HttpFailure, HttpOutcome, MAX_RESPONSE_BYTES};
use hookgate_model::outbound_signature::{ID_HEADER, SIGNATURE_HEADER, SigningSecret, TIMESTAMP_HEADER};
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Method, Request, Response};
use serde_json::json;
use url::Url;

/// The most headers of a response that a flow can use.
const MAX_RESPONSE_HEADERS: usize = 100;

/// Makes calls. Connections are kept and used again.
#[derive(Clone)]
pub struct HttpClient(Client);

/// Where a call goes, and what signs it.
pub struct Target {
    /// What the URL begins with.
    pub base_url: String,
    /// The destination's secret.
    pub secret: Option<SigningSecret>,
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
    pub const fn new(client: Client) -> Self {
        Self(client)
    }

    /// Makes a call, once.
    pub async fn call(&self, call: &HttpCall, target: &Target) -> Made {
        let (started_at, started) = (clock::now(), Instant::now());
        let timeout = Duration::from_millis(call.timeout_ms.into());
        let mut first_byte = None;
        let (url, outcome) = match egress::join(&target.base_url, &call.path) {
            Err(detail) => (target.base_url.clone(), refused(detail)),
            Ok(url) => {
                let shown = without_query(&url);
                let exchange = self.exchange(call, target, url, started_at, &mut first_byte);
                let outcome = tokio::time::timeout(timeout, exchange).await.unwrap_or_else(|_| {
                    let detail = format!("no complete answer within {} ms", call.timeout_ms);
                    failed(HttpFailure::Timeout, detail)
                });
                (shown, outcome)
            }
        };
        let timing =
            json!({ "first_byte_us": first_byte.map(|at: Instant| micros(at.duration_since(started))) });
        Made {
            outcome,
            url,
            started_at,
            duration: started.elapsed(),
            timing,
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
        let request = match request(call, target, url, now) {
            Ok(request) => request,
            Err(detail) => return refused(detail),
        };
        let exchanged = async {
            let response = self.0.send(request).await?;
            *first_byte = Some(Instant::now());
            read(response).await
        };
        exchanged
            .await
            .unwrap_or_else(|Failed { failure, detail }| failed(failure, detail))
    }
}

fn request(call: &HttpCall, target: &Target, url: Url, now: DateTime<Utc>) -> Result<Request, String> {
    let method = Method::from_bytes(call.method.as_str().as_bytes()).map_err(|error| error.to_string())?;
    let mut request = Request::new(method, url);
    let mut put = |name: &str, value: &str| {
        let name =
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("{name:?} is no header's name"))?;
        let value = HeaderValue::from_bytes(value.as_bytes())
            .map_err(|_| format!("the value of {name} is no header's value"))?;
        request.headers_mut().insert(name, value);
        Ok::<_, String>(())
    };
    for (name, value) in &call.headers {
        put(name, value)?;
    }
    put("idempotency-key", &call.idempotency_key)?;
    put(ID_HEADER, &call.idempotency_key)?;
    put(TIMESTAMP_HEADER, &now.timestamp().to_string())?;
    if let Some(secret) = &target.secret {
        put(
            SIGNATURE_HEADER,
            &secret.sign(&call.idempotency_key, now, &call.body),
        )?;
    }
    if !call.body.is_empty() {
        *request.body_mut() = Some(call.body.clone().into());
    }
    Ok(request)
}

/// Reads a response up to the bound of its body.
async fn read(mut response: Response) -> Result<HttpOutcome, Failed> {
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
    let (body, is_cut) = read_body(&mut response, MAX_RESPONSE_BYTES).await?;
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
    /// How long it took, as it is stored.
    pub fn duration_us(&self) -> i64 {
        micros(self.duration)
    }
}
