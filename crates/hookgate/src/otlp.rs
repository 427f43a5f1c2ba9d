//! Sends the spans of traces to an OpenTelemetry collector, over OTLP (HTTP, protobuf), if one is set.
//!
//! The SDK batches them on a thread of its own and drops what its queue has no room for: a collector that is slow or away
//! costs nobody anything else.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use hookgate_domain::trace::{self, Kind, Span};
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanData, SpanEvents, SpanLinks, SpanProcessor};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use url::Url;

use crate::services::Role;

/// How long the collector may take for a batch.
const WITHIN: Duration = Duration::from_secs(10);

/// Traces over OTLP.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Section {
    /// Where the collector takes OTLP over HTTP, such as `http://127.0.0.1:4318`; none: nothing is recorded.
    pub endpoint: Option<Url>,
    /// The share of the traces that begin here, 0 to 1. Whether others are recorded, their `traceparent` says.
    /// Default 1.
    pub sample_ratio: f64,
}

impl Default for Section {
    fn default() -> Self {
        Self {
            endpoint: None,
            sample_ratio: 1.0,
        }
    }
}

/// The export of spans; what is left of them is sent when it is stopped.
pub struct Export(Arc<BatchSpanProcessor>);

/// Starts it, if a collector is set, on the running runtime.
///
/// # Errors
/// When the settings cannot be.
pub fn start(settings: &Section, roles: &[Role]) -> Result<Option<Export>> {
    if !(0.0..=1.0).contains(&settings.sample_ratio) {
        bail!("otlp.sample_ratio (HOOKGATE_OTLP__SAMPLE_RATIO): it is a share, from 0 to 1");
    }
    let Some(endpoint) = &settings.endpoint else {
        return Ok(None);
    };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Collector::new()?)
        .with_endpoint(format!("{}/v1/traces", endpoint.as_str().trim_end_matches('/')))
        .with_timeout(WITHIN)
        .build()
        .context("otlp.endpoint (HOOKGATE_OTLP__ENDPOINT)")?;
    let mut processor = BatchSpanProcessor::builder(exporter).build();
    let roles: Vec<String> = roles.iter().map(ToString::to_string).collect();
    let resource = Resource::builder_empty()
        .with_service_name(format!("hookgate-{}", roles.join("-")))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    processor.set_resource(&resource);
    let processor = Arc::new(processor);
    let taking = Arc::clone(&processor);
    let scope = InstrumentationScope::builder("hookgate").build();
    trace::record_to(settings.sample_ratio, move |span| {
        taking.on_end(exported(span, scope.clone()));
    });
    Ok(Some(Export(processor)))
}

impl Export {
    /// Sends what is left.
    pub async fn stop(self) {
        // It blocks, and its requests need the runtime.
        let stopped = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(WITHIN));
        if !matches!(stopped.await, Ok(Ok(()))) {
            tracing::warn!("the last spans were not taken by the collector");
        }
    }
}

fn exported(span: Span, instrumentation_scope: InstrumentationScope) -> SpanData {
    let trace_id = TraceId::from_bytes(span.context.trace_id.to_bytes());
    let span_id = |id: u64| SpanId::from_bytes(id.to_be_bytes());
    SpanData {
        span_context: SpanContext::new(
            trace_id,
            span_id(span.context.span_id),
            TraceFlags::SAMPLED,
            false,
            TraceState::NONE,
        ),
        parent_span_id: span.parent.map_or(SpanId::INVALID, span_id),
        parent_span_is_remote: span.kind != Kind::Client && span.parent.is_some(),
        span_kind: match span.kind {
            Kind::Server => SpanKind::Server,
            Kind::Client => SpanKind::Client,
            Kind::Consumer => SpanKind::Consumer,
        },
        name: span.name,
        start_time: span.started_at,
        end_time: span.ended_at,
        attributes: span
            .attributes
            .into_iter()
            .map(|(name, value)| KeyValue::new(name, value))
            .collect(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: if span.is_error {
            Status::error("")
        } else {
            Status::Unset
        },
        instrumentation_scope,
    }
}

/// Our HTTP client, for the SDK's thread, which runs no task.
struct Collector {
    client: reqwest::Client,
    runtime: Handle,
}

impl Collector {
    fn new() -> Result<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().timeout(WITHIN).build();
        Ok(Self {
            client: client.context("making an HTTP client")?,
            runtime: Handle::current(),
        })
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Collector")
    }
}

impl HttpClient for Collector {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        let (client, runtime) = (self.client.clone(), self.runtime.clone());
        Box::pin(async move {
            let sending = runtime.spawn(async move {
                let answer = client.execute(request.try_into()?).await?;
                let status = answer.status();
                Ok::<_, reqwest::Error>((status, answer.bytes().await?))
            });
            let (status, body) = sending.await??;
            Ok(Response::builder().status(status).body(body)?)
        })
    }
}
