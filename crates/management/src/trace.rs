//! One id per request, from the caller's W3C `traceparent` or made here. It is in every answer, every error body and
//! every log line of the request.

use std::borrow::Cow;

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use tracing::Instrument;

tokio::task_local! {
    static TRACE_ID: String;
}

const X_TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The trace id of the request that is being worked on: 32 hexadecimal digits.
pub fn current() -> Option<String> {
    TRACE_ID.try_with(Clone::clone).ok()
}

/// Runs a future that outlives the request's own as part of the same trace.
pub fn carry<F: Future>(future: F) -> impl Future<Output = F::Output> {
    TRACE_ID.scope(current().unwrap_or_default(), future.in_current_span())
}

/// A path as it is logged: without the token of a link.
fn shown(path: &str) -> Cow<'_, str> {
    let Some(rest) = path.strip_prefix("/public-api/") else {
        return path.into();
    };
    let (_, file) = rest.split_once('/').unwrap_or((rest, ""));
    format!("/public-api/{{token}}/{file}").into()
}

/// The middleware, outermost: everything that answers, also for unknown paths, passes it.
pub async fn middleware(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let (trace_id, flags) = request
        .headers()
        .get(TRACEPARENT)
        .and_then(|value| value.to_str().ok())
        .and_then(parse)
        .unwrap_or_else(|| (hex(&rand::random::<[u8; 16]>()), "01".to_owned()));
    let parent_id = hex(&rand::random::<[u8; 8]>());
    let span = tracing::info_span!("request", %trace_id, method = %request.method(), path = shown(request.path()).as_ref());
    let answered = async {
        let started = std::time::Instant::now();
        let mut response = next.call(request).await?;
        let route = response
            .request()
            .match_pattern()
            .unwrap_or_else(|| "none".to_owned());
        let status = response.status().as_u16();
        let elapsed = started.elapsed();
        metrics::histogram!("hookgate_management_request_seconds", "route" => route, "status" => status.to_string())
            .record(elapsed.as_secs_f64());
        tracing::info!(
            status,
            duration_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
            "answered"
        );
        let headers = response.headers_mut();
        for (name, value) in [
            (X_TRACE_ID, current().unwrap_or_default()),
            (
                TRACEPARENT,
                format!("00-{}-{parent_id}-{flags}", current().unwrap_or_default()),
            ),
        ] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        if !headers.contains_key(header::CACHE_CONTROL) {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        Ok(response)
    };
    TRACE_ID.scope(trace_id, answered.instrument(span)).await
}

/// The trace id and flags of a `traceparent` (W3C Trace Context, section 3.2).
fn parse(text: &str) -> Option<(String, String)> {
    let mut parts = text.split('-');
    let (version, trace_id, parent_id, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |part: &str, length| {
        part.len() == length
            && part
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let all_zero = |part: &str| part.bytes().all(|b| b == b'0');
    let fits = is_hex(version, 2)
        && version != "ff"
        && (version != "00" || parts.next().is_none())
        && is_hex(trace_id, 32)
        && !all_zero(trace_id)
        && is_hex(parent_id, 16)
        && !all_zero(parent_id)
        && is_hex(flags, 2);
    fits.then(|| (trace_id.to_owned(), flags.to_owned()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_well_formed_traceparent_is_taken_over() {
        let id = "0af7651916cd43dd8448eb211c80319c";
        assert_eq!(
            parse(&format!("00-{id}-b7ad6b7169203331-01")),
            Some((id.to_owned(), "01".to_owned()))
        );
        for wrong in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn tokens_of_links_are_not_logged() {
        for (path, logged) in [
            ("/v1/webhooks", "/v1/webhooks"),
            (
                "/public-api/hgl_secret/openapi.json",
                "/public-api/{token}/openapi.json",
            ),
            ("/public-api/hgl_secret", "/public-api/{token}/"),
            (
                "/public-api/hgl_secret/docs/index.css",
                "/public-api/{token}/docs/index.css",
            ),
        ] {
            assert_eq!(shown(path), logged);
        }
    }
}
