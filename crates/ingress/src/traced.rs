//! A request as an operation in a trace, and in the metrics.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime};

use actix_web::http::StatusCode;
use hookgate_domain::trace::{self, Kind, Span, TraceContext};
use hookgate_model::ids::EventId;
use metrics::Histogram;

use crate::request::Request;

/// An operation that goes on.
pub struct Traced {
    /// What it is in its trace.
    pub context: TraceContext,
    parent: Option<u64>,
    event: EventId,
    started: Instant,
}

impl Traced {
    /// Goes on with the sender's trace, or begins that of the event.
    pub fn begin(request: &Request<'_>) -> Self {
        let told = request.header(trace::HEADER).and_then(TraceContext::parse);
        let event = request.event_id.uuid();
        let context = match told {
            Some(told) => told.child(TraceContext::span_of(event)),
            None => TraceContext::of_event(None, event, trace::ratio()),
        };
        Self {
            context,
            parent: told.map(|parent| parent.span_id),
            event: request.event_id,
            started: Instant::now(),
        }
    }

    /// Records it.
    pub fn end(self, method: &str, status: StatusCode) {
        let elapsed = self.started.elapsed();
        durations(status).record(elapsed.as_secs_f64());
        trace::record(self.context, || {
            let ended_at = SystemTime::now();
            Span {
                context: self.context,
                parent: self.parent,
                kind: Kind::Server,
                // Neither the token nor the path: the one is secret, the other of many different ones.
                name: "receive".into(),
                started_at: ended_at.checked_sub(elapsed).unwrap_or(ended_at),
                ended_at,
                attributes: vec![
                    ("http.request.method", method.to_owned()),
                    ("http.response.status_code", status.as_u16().to_string()),
                    ("hookgate.event", self.event.to_string()),
                ],
                is_error: status.is_server_error(),
            }
        });
    }
}

/// The histogram of a class of statuses, looked up once: a look-up costs more than what is recorded.
fn durations(status: StatusCode) -> &'static Histogram {
    static CLASSES: [OnceLock<Histogram>; 5] = [const { OnceLock::new() }; 5];
    const NAMES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
    let class = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
    CLASSES[class]
        .get_or_init(|| metrics::histogram!("hookgate_ingress_request_seconds", "status" => NAMES[class]))
}
