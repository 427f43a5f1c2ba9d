//! Starting and stopping the service.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ResourceDef, ServerHandle, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::{Next, from_fn};
use actix_web::web::Data;
use actix_web::{App, ResponseError};
use hookgate_domain::crypto::MasterKey;
use hookgate_domain::database::Database;
use hookgate_domain::redis::Redis;
use hookgate_egress::Client;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use utoipa::openapi::OpenApi;
use utoipa_actix_web::AppExt;

use crate::error::{ApiError, ErrorCode};
use crate::listener::{self, Listening};
use crate::mail::sender;
use crate::state::State;
use crate::{Settings, openapi, routes, trace};

/// How long a stop waits for a mail that is being sent.
const MAIL_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the service did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It cannot listen.
    #[error("{what} cannot listen on {address}: {reason}")]
    Listen {
        /// What.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why not.
        reason: io::Error,
    },
}

/// The running service.
pub struct Management {
    /// Where it listens.
    pub addresses: Vec<SocketAddr>,
    handle: ServerHandle,
    state: Data<State>,
    stopping: CancellationToken,
    sending_mails: JoinHandle<()>,
    server: JoinHandle<io::Result<()>>,
}

impl Management {
    /// Goes on, and lets go of those who would come again: probes hear that it is not ready, connections end with their next
    /// answer.
    pub fn drain(&self) {
        self.state.is_draining.store(true, Ordering::Relaxed);
    }

    /// What its handlers share.
    pub(crate) fn state(&self) -> Data<State> {
        self.state.clone()
    }

    /// Takes no more requests, waits for those in flight, and ends.
    pub async fn stop(self) {
        self.stopping.cancel();
        self.handle.stop(true).await;
        // A mail that is cut off is sent once more later.
        let _ = tokio::time::timeout(MAIL_TIMEOUT, self.sending_mails).await;
        if let Ok(Err(error)) = self.server.await {
            tracing::warn!(%error, "the management API ended with an error");
        }
    }
}

/// Starts the service on threads of its own. Postgres and Redis may be away: requests get 503 meanwhile.
///
/// # Errors
/// When it cannot listen.
pub async fn start(
    settings: Settings,
    database: Database,
    redis: Redis,
    master_key: MasterKey,
    egress: Client,
) -> Result<Management, StartError> {
    let address = settings.listen;
    let early = redis.clone();
    // The first use opens the connection that all share; it is better made here than on one of the server's threads.
    drop(tokio::spawn(async move { early.ping().await }));
    let state = Data::new(State::new(settings.clone(), database, redis, master_key, egress));
    let stopping = state.stopping.clone();
    let sending = state.clone().into_inner();
    let held = state.clone();
    let document = Data::new(openapi::document());
    let known = Data::new(KnownRoutes::of(&document));
    let listening = Listening {
        name: "hookgate-management",
        address,
        tls_certificate: settings.tls_certificate.as_deref(),
        tls_key: settings.tls_key.as_deref(),
        threads: settings.threads(),
        answer_timeout: settings.answer_timeout(),
        shutdown_timeout_seconds: settings.shutdown_timeout_seconds,
    };
    let listening = listener::listen(&listening, move || {
        App::new()
            .app_data(state.clone())
            .app_data(document.clone())
            .app_data(known.clone())
            .into_utoipa_app()
            .configure(routes::register)
            .into_app()
            .configure(routes::docs::register)
            .default_service(actix_web::web::to(unknown))
            .wrap(from_fn(known_methods))
            .wrap(from_fn(trace::middleware))
    });
    let (server, addresses) = listening.map_err(|reason| StartError::Listen {
        what: "the management API",
        address,
        reason,
    })?;
    let handle = server.handle();
    let sending_mails = tokio::spawn(sender::keep(sending));
    Ok(Management {
        addresses,
        handle,
        state: held,
        stopping,
        sending_mails,
        server: tokio::spawn(server),
    })
}

/// Every path of a document and the methods it takes, to tell an unknown path from a wrong method.
pub(crate) struct KnownRoutes(Vec<(ResourceDef, Vec<Method>)>);

impl KnownRoutes {
    /// Those of the document.
    pub(crate) fn of(document: &OpenApi) -> Self {
        Self(
            document
                .paths
                .paths
                .iter()
                .map(|(path, item)| {
                    let methods = [
                        (Method::GET, &item.get),
                        (Method::PUT, &item.put),
                        (Method::POST, &item.post),
                        (Method::PATCH, &item.patch),
                        (Method::DELETE, &item.delete),
                    ];
                    let methods = methods
                        .into_iter()
                        .filter(|(_, there)| there.is_some())
                        .map(|(method, _)| method);
                    (ResourceDef::new(path.as_str()), methods.collect())
                })
                .collect(),
        )
    }

    /// Those of the path with the fewest parameters that it can be: `/replays/preview` is no replay.
    fn methods(&self, path: &str) -> Vec<&Method> {
        let parameters =
            |resource: &ResourceDef| resource.pattern().map_or(0, |path| path.matches('{').count());
        let matching = self.0.iter().filter(|(resource, _)| resource.is_match(path));
        let matching: Vec<_> = matching
            .map(|(resource, methods)| (parameters(resource), methods))
            .collect();
        let fewest = matching.iter().map(|(parameters, _)| *parameters).min();
        let chosen = matching
            .into_iter()
            .filter(|(parameters, _)| Some(*parameters) == fewest);
        chosen.flat_map(|(_, methods)| methods).collect()
    }
}

/// Keeps a request with a method that its path does not take from being one for another path that it could be.
pub(crate) async fn known_methods(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let known = request.app_data::<Data<KnownRoutes>>().cloned();
    let methods = known
        .as_ref()
        .map(|known| known.methods(request.path()))
        .unwrap_or_default();
    if methods.is_empty() || methods.contains(&request.method()) {
        return Ok(next.call(request).await?.map_into_left_body());
    }
    let refused = not_among(methods.into_iter()).error_response();
    Ok(request.into_response(refused).map_into_right_body())
}

fn not_among<'a>(methods: impl Iterator<Item = &'a Method>) -> ApiError {
    let methods: Vec<&str> = methods.map(Method::as_str).collect();
    ApiError::method_not_allowed(methods.join(", "))
}

async fn unknown() -> Result<&'static str, ApiError> {
    Err(ApiError::new(
        ErrorCode::RouteNotFound,
        "see /docs for the paths there are",
    ))
}
