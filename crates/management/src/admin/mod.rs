//! The operator's API: `/admin/v1`, on a listener of its own, with tokens of its own, and in PostgreSQL as a role of its own. The
//! public listener knows none of its paths, and this one none of the others'.

mod caller;
mod second_factor;
mod tokens;

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use actix_web::App;
use actix_web::dev::ServerHandle;
use actix_web::middleware::from_fn;
use actix_web::web::Data;
use hookgate_domain::database::Database;
use tokio::task::JoinHandle;
use utoipa_actix_web::AppExt;

use crate::listener::{self, Listening};
use crate::server::{KnownRoutes, Management, StartError, known_methods};
use crate::{openapi, routes, trace};
pub(crate) use caller::{Operator, middleware};
pub use second_factor::remove_second_factor;
pub use tokens::Tokens;

/// What an operator sets of it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it listens. Port 0 takes any free one.
    pub listen: SocketAddr,
    /// A file with the certificate in PEM; without one connections are not encrypted.
    pub tls_certificate: Option<PathBuf>,
    /// The file with its private key in PEM.
    pub tls_key: Option<PathBuf>,
    /// What callers present.
    pub tokens: Tokens,
}

/// What its handlers have besides the state of the service.
pub(crate) struct Access {
    /// PostgreSQL, as `hookgate_admin`.
    database: Database,
    tokens: Tokens,
}

/// The running listener.
pub struct Admin {
    /// Where it listens.
    pub addresses: Vec<SocketAddr>,
    handle: ServerHandle,
    server: JoinHandle<io::Result<()>>,
}

impl Admin {
    /// Takes no more requests, waits for those in flight, and ends.
    pub async fn stop(self) {
        self.handle.stop(true).await;
        if let Ok(Err(error)) = self.server.await {
            tracing::warn!(%error, "the operator's API ended with an error");
        }
    }
}

/// Starts it beside the management API, whose mails, throttling and settings it shares.
///
/// # Errors
/// When it cannot listen.
pub async fn start(
    management: &Management,
    settings: Settings,
    database: Database,
) -> Result<Admin, StartError> {
    let state = management.state();
    let access = Data::new(Access {
        database,
        tokens: settings.tokens,
    });
    let document = Data::new(openapi::admin_document());
    let known = Data::new(KnownRoutes::of(&document));
    let listening = Listening {
        name: "hookgate-admin",
        address: settings.listen,
        tls_certificate: settings.tls_certificate.as_deref(),
        tls_key: settings.tls_key.as_deref(),
        threads: NonZeroUsize::MIN,
        answer_timeout: state.settings.answer_timeout(),
        shutdown_timeout_seconds: state.settings.shutdown_timeout_seconds,
    };
    let application = move || {
        App::new()
            .app_data(state.clone())
            .app_data(access.clone())
            .app_data(document.clone())
            .app_data(known.clone())
            .service(routes::admin::document)
            .into_utoipa_app()
            .configure(routes::admin::register)
            .into_app()
            .default_service(actix_web::web::to(routes::admin::unknown))
            .wrap(from_fn(known_methods))
            .wrap(from_fn(trace::middleware))
    };
    let (server, addresses) =
        listener::listen(&listening, application).map_err(|reason| StartError::Listen {
            what: "the operator's API",
            address: settings.listen,
            reason,
        })?;
    Ok(Admin {
        addresses,
        handle: server.handle(),
        server: tokio::spawn(server),
    })
}
