//! The trace that the code at hand works for: log lines show its id, outgoing calls carry it on.
//!
//! It is kept beside the task, not in `tracing` spans, as a span for each request costs the ingress more than all else that it
//! does to admit one. Operations are recorded as [`Span`]s only when somebody takes them ([`record_to`]).

use std::borrow::Cow;
use std::sync::OnceLock;
use std::time::SystemTime;

pub use hookgate_model::trace_context::{HEADER, TraceContext, TraceId};

tokio::task_local! {
    static CURRENT: TraceContext;
}

/// The context of what is going on, if it belongs to a trace.
pub fn current() -> Option<TraceContext> {
    CURRENT.try_with(|context| *context).ok()
}

/// Runs a future within a trace.
pub fn scope<F: Future>(context: TraceContext, future: F) -> impl Future<Output = F::Output> {
    CURRENT.scope(context, future)
}

/// Does something within a trace, if there is one, on a thread that runs no task.
pub fn within<T>(context: Option<TraceContext>, work: impl FnOnce() -> T) -> T {
    match context {
        Some(context) => CURRENT.sync_scope(context, work),
        None => work(),
    }
}

/// What an operation is to the one that caused it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It answers a request.
    Server,
    /// It calls somebody.
    Client,
    /// It works at what was stored.
    Consumer,
}

/// An operation that is over.
#[derive(Debug, Clone)]
pub struct Span {
    /// The trace, and the operation's own id.
    pub context: TraceContext,
    /// The operation that caused it.
    pub parent: Option<u64>,
    /// What it is to that one.
    pub kind: Kind,
    /// Of few different ones.
    pub name: Cow<'static, str>,
    /// When it began.
    pub started_at: SystemTime,
    /// When it ended.
    pub ended_at: SystemTime,
    /// By their names in OpenTelemetry's semantic conventions, or `hookgate.…`; nothing secret.
    pub attributes: Vec<(&'static str, String)>,
    /// Whether it failed.
    pub is_error: bool,
}

/// Who takes spans.
struct Sink {
    ratio: f64,
    take: Box<dyn Fn(Span) + Send + Sync>,
}

static SINK: OnceLock<Sink> = OnceLock::new();

/// Gives spans to somebody from now on, of the given share of the traces that begin here and of all that are sampled elsewhere.
/// The first one counts.
pub fn record_to(ratio: f64, take: impl Fn(Span) + Send + Sync + 'static) {
    let _ = SINK.set(Sink {
        ratio,
        take: Box::new(take),
    });
}

/// The share of the traces which begin here that is sampled.
pub fn ratio() -> f64 {
    SINK.get().map_or(0.0, |sink| sink.ratio)
}

/// Whether spans of a trace are wanted.
pub fn is_recorded(context: TraceContext) -> bool {
    context.is_sampled && SINK.get().is_some()
}

/// Records an operation, if its trace is. It is made only then.
pub fn record(context: TraceContext, span: impl FnOnce() -> Span) {
    if let Some(sink) = SINK.get().filter(|_| context.is_sampled) {
        (sink.take)(span());
    }
}
