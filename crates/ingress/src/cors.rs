//! What browsers are told: OPTIONS, and the headers by which a page may read an answer.

use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, HeaderMap,
    HeaderName, HeaderValue, VARY,
};
use hookgate_model::cors::Cors;
use hookgate_model::methods::MethodSet;

use crate::answer::Prepared;
use crate::request::Request;

/// The answer to OPTIONS: the methods, and to a page that may call the webhook what its browser wants to know.
pub fn options(methods: MethodSet, cors: Option<&Cors>, request: &Request<'_>) -> Prepared {
    let mut headers = vec![(ALLOW, text(&methods.allow()))];
    let Some(cors) = cors else {
        return Prepared::empty(StatusCode::NO_CONTENT, headers);
    };
    // Nothing else depends on what is asked.
    headers.push((VARY, HeaderValue::from_static("access-control-request-headers")));
    let may_call = origin(request).is_some_and(|origin| cors.allowed_origin(origin).is_some());
    if may_call && request.header("access-control-request-method").is_some() {
        let asked = request
            .header("access-control-request-headers")
            .unwrap_or_default();
        headers.push((ACCESS_CONTROL_ALLOW_METHODS, text(&methods.to_string())));
        headers.push((ACCESS_CONTROL_ALLOW_HEADERS, text(&cors.headers_for(asked))));
        headers.push((ACCESS_CONTROL_MAX_AGE, HeaderValue::from(cors.max_age_seconds)));
    }
    Prepared::empty(StatusCode::NO_CONTENT, headers)
}

/// Lets the page that sent a request read its answer, if it may. What the webhook's own answer says of that counts no more.
pub fn let_read(cors: &Cors, request: &Request<'_>, answer: &mut HeaderMap) {
    for name in [
        ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_ALLOW_CREDENTIALS,
        ACCESS_CONTROL_EXPOSE_HEADERS,
    ] {
        answer.remove(&name);
    }
    if !cors.is_for_everybody() {
        answer.append(VARY, HeaderValue::from_static("origin"));
    }
    let Some(allowed) = origin(request).and_then(|origin| cors.allowed_origin(origin)) else {
        return;
    };
    let mut set = |name: HeaderName, value: &str| answer.insert(name, text(value));
    set(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
    if cors.allow_credentials {
        set(ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
    }
    if !cors.exposed_headers.is_empty() {
        set(ACCESS_CONTROL_EXPOSE_HEADERS, &cors.exposed());
    }
}

fn origin<'a>(request: &Request<'a>) -> Option<&'a str> {
    request.header("origin")
}

/// All texts here are of ASCII without control characters: they were checked, or compared with what was.
fn text(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).unwrap_or(HeaderValue::from_static(""))
}
