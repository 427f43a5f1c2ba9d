//! How long the parts of a call take. The parts note their time in a task-local value of the call that they belong to; a
//! connection that is made aside, or used again, notes nothing.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tower_layer::Layer;
use tower_service::Service;

/// How long the parts of a call took; `None` for what was not needed, or did not come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timing {
    /// Resolving the name.
    pub dns: Option<Duration>,
    /// Making the connection, with its TLS and without the resolution.
    pub connect: Option<Duration>,
}

tokio::task_local! {
    static TIMING: Arc<Mutex<Timing>>;
}

/// Runs a call and measures its parts.
pub async fn timed<T>(call: impl Future<Output = T>) -> (T, Timing) {
    let timing = Arc::<Mutex<Timing>>::default();
    let result = TIMING.scope(Arc::clone(&timing), call).await;
    let measured = *timing.lock();
    (result, measured)
}

pub(crate) fn note_dns(took: Duration) {
    let _ = TIMING.try_with(|timing| timing.lock().dns = Some(took));
}

fn note_connected(took: Duration) {
    let _ = TIMING.try_with(|timing| {
        let mut timing = timing.lock();
        timing.connect = Some(took.saturating_sub(timing.dns.unwrap_or_default()));
    });
}

/// Measures how long connections take.
#[derive(Clone)]
pub(crate) struct ConnectTimer;

impl<S> Layer<S> for ConnectTimer {
    type Service = TimedConnector<S>;
    fn layer(&self, connector: S) -> TimedConnector<S> {
        TimedConnector(connector)
    }
}

/// A connector whose time is measured.
#[derive(Clone)]
pub(crate) struct TimedConnector<S>(S);

impl<S, R> Service<R> for TimedConnector<S>
where
    S: Service<R>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, to: R) -> Self::Future {
        let started = Instant::now();
        let connecting = self.0.call(to);
        Box::pin(async move {
            let connected = connecting.await?;
            note_connected(started.elapsed());
            Ok(connected)
        })
    }
}
