//! Logs go to standard error, through `tracing`. Every line that belongs to a trace names it.

use std::fmt;
use std::io::IsTerminal;

use anyhow::{Result, anyhow};
use hookgate_domain::trace;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Json, JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, fmt as logs};

use crate::settings::{LogFormat, LogSection};

/// Starts logging, for the whole process.
///
/// # Errors
/// When the filter cannot be read.
pub fn start(settings: &LogSection) -> Result<()> {
    let filter = EnvFilter::try_new(&settings.filter).map_err(|error| {
        anyhow!("log.filter (HOOKGATE_LOG__FILTER): {error}; it looks like info,hookgate_worker=debug")
    })?;
    let logs = logs().with_env_filter(filter).with_writer(std::io::stderr);
    match settings.format {
        LogFormat::Json => logs
            .json()
            .event_format(TracedJson(logs::format().json().flatten_event(true)))
            .fmt_fields(JsonFields::new())
            .init(),
        LogFormat::Text => logs
            .with_ansi(std::io::stderr().is_terminal())
            .event_format(TracedText(logs::format().with_target(false).compact()))
            .init(),
    }
    Ok(())
}

/// JSON lines that begin with the trace's id, if there is one.
struct TracedJson(Format<Json>);

impl<S, N> FormatEvent<S, N> for TracedJson
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        match (trace::current(), line.strip_prefix('{')) {
            (Some(of), Some(rest)) => write!(writer, r#"{{"trace_id":"{}",{rest}"#, of.trace_id),
            _ => writer.write_str(&line),
        }
    }
}

/// Lines for people, with the trace's id before them, if there is one.
struct TracedText(Format<logs::format::Compact>);

impl<S, N> FormatEvent<S, N> for TracedText
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if let Some(of) = trace::current() {
            write!(writer, "{} ", of.trace_id)?;
        }
        self.0.format_event(context, writer, event)
    }
}
