//! One trace per request, the caller's by its W3C `traceparent` or one made here. Its id is in every answer, every error body and
//! every log line of the request.

use std::borrow::Cow;
use std::sync::atomic::Ordering;
use std::time::{Instant, SystemTime};

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::ConnectionType;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;
use hookgate_domain::trace::{self, Kind, Span, TraceContext};
use tracing::Instrument;
use uuid::Uuid;

use crate::state::State;

const X_TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");
const TRACEPARENT: HeaderName = HeaderName::from_static(trace::HEADER);

/// The trace id of the request that is being worked on: 32 hexadecimal digits.
pub fn current() -> Option<String> {
    trace::current().map(|context| context.trace_id.to_string())
}

/// Runs a future that outlives the request's own as part of the same trace.
pub fn carry<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let context = trace::current().unwrap_or_else(begun);
    trace::scope(context, future.in_current_span())
}

/// A trace that begins here.
fn begun() -> TraceContext {
    TraceContext::of_event(None, Uuid::from_u128(rand::random()), trace::ratio())
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
    let told = request
        .headers()
        .get(TRACEPARENT)
        .and_then(|value| value.to_str().ok());
    let told = told.and_then(TraceContext::parse);
    let context = told.unwrap_or_else(begun).child(rand::random());
    let span =
        tracing::info_span!("request", method = %request.method(), path = shown(request.path()).as_ref());
    let answered = async {
        let (started, started_at) = (Instant::now(), SystemTime::now());
        let method = request.method().to_string();
        let state = request.app_data::<Data<State>>().cloned();
        let mut response = next.call(request).await?;
        let is_draining = state.is_some_and(|state| state.is_draining.load(Ordering::Relaxed));
        let route = response
            .request()
            .match_pattern()
            .unwrap_or_else(|| "none".to_owned());
        let status = response.status().as_u16();
        let elapsed = started.elapsed();
        trace::record(context, || Span {
            context,
            parent: told.map(|parent| parent.span_id),
            kind: Kind::Server,
            name: format!("{method} {route}").into(),
            started_at,
            ended_at: SystemTime::now(),
            attributes: vec![
                ("http.request.method", method.clone()),
                ("http.route", route.clone()),
                ("http.response.status_code", status.to_string()),
            ],
            is_error: status >= 500,
        });
        metrics::histogram!("hookgate_management_request_seconds",
            "method" => known(&method), "route" => route, "status" => status.to_string())
        .record(elapsed.as_secs_f64());
        tracing::info!(
            status,
            duration_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
            "answered"
        );
        if is_draining {
            response
                .response_mut()
                .head_mut()
                .set_connection_type(ConnectionType::Close);
        }
        let headers = response.headers_mut();
        for (name, value) in [
            (X_TRACE_ID, context.trace_id.to_string()),
            (TRACEPARENT, context.header()),
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
    trace::scope(context, answered.instrument(span)).await
}

/// The method as a label: one that callers make up is `other`.
fn known(method: &str) -> &'static str {
    const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    METHODS
        .into_iter()
        .find(|known| *known == method)
        .unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;

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
