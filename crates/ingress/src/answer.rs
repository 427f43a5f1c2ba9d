//! Answers to accepted requests.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use bytes::Bytes;
use hookgate_model::answer::Answer;
use hookgate_model::ids::{EventId, SampleId};

/// The header that tells a caller its event's id.
const EVENT_ID: HeaderName = HeaderName::from_static("hookgate-event-id");

/// The header that tells a caller its sample's id.
const SAMPLE_ID: HeaderName = HeaderName::from_static("hookgate-sample-id");

/// An answer in the form in which it is sent, so that a constant one is made once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
}

impl From<&Answer> for Prepared {
    /// Headers that HTTP cannot carry are left out.
    fn from(answer: &Answer) -> Self {
        let headers = answer.headers.iter().filter_map(|(name, value)| {
            Some((
                HeaderName::from_bytes(name.as_bytes()).ok()?,
                HeaderValue::from_str(value).ok()?,
            ))
        });
        Self {
            status: StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK),
            headers: headers.collect(),
            body: Bytes::copy_from_slice(&answer.body),
        }
    }
}

impl Prepared {
    /// An answer without a body.
    pub const fn empty(status: StatusCode, headers: Vec<(HeaderName, HeaderValue)>) -> Self {
        Self {
            status,
            headers,
            body: Bytes::new(),
        }
    }

    /// Its status.
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The answer to the request of an event.
    pub fn send(&self, event: EventId) -> HttpResponse {
        let mut response = self.send_without_event();
        if let Ok(value) = HeaderValue::from_str(&event.to_string()) {
            response.headers_mut().insert(EVENT_ID, value);
        }
        response
    }

    /// The answer to a request that became a sample.
    pub fn send_as_sample(&self, sample: SampleId) -> HttpResponse {
        let mut response = self.send_without_event();
        if let Ok(value) = HeaderValue::from_str(&sample.to_string()) {
            response.headers_mut().insert(SAMPLE_ID, value);
        }
        response
    }

    /// The answer to a request that became no event.
    pub fn send_without_event(&self) -> HttpResponse {
        let mut response = HttpResponse::with_body(self.status, self.body.clone());
        let headers = response.headers_mut();
        for (name, value) in &self.headers {
            headers.append(name.clone(), value.clone());
        }
        response.map_into_boxed_body()
    }
}
