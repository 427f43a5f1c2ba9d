//! Listening: HTTP/1.1, over TLS if there is a certificate.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use actix_http::HttpService;
use actix_http::body::MessageBody;
use actix_server::Server;
use actix_service::{IntoServiceFactory, ServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::Error;
use actix_web::dev::{AppConfig, ServiceResponse};
use hookgate_tls::{Acceptor, Files};
use tokio::net::{TcpSocket, TcpStream};

use crate::connection::Connection;

/// Connections that the system may hold ready before they are accepted.
const BACKLOG: u32 = 1024;
/// How long a peer may go on sending what will not be read, so that it gets its answer before the connection ends.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a request's headers may take to arrive, and a TLS handshake.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Where to listen, and how.
pub struct Listening<'a> {
    /// Names the threads.
    pub name: &'static str,
    /// The address; port 0 for any free one.
    pub address: SocketAddr,
    /// A file with a certificate in PEM; without one connections are not encrypted.
    pub tls_certificate: Option<&'a Path>,
    /// The file with its private key in PEM.
    pub tls_key: Option<&'a Path>,
    /// How many threads serve requests.
    pub threads: NonZeroUsize,
    /// How long a peer may take nothing of its answer.
    pub answer_timeout: Duration,
    /// How long a stop waits for requests in flight.
    pub shutdown_timeout_seconds: u64,
}

/// Listens, with an application for each thread.
///
/// # Errors
/// When the address is taken, or the certificate cannot be used.
pub fn listen<F, I, S, B>(listening: &Listening<'_>, application: F) -> io::Result<(Server, Vec<SocketAddr>)>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, actix_http::Request>,
    S: ServiceFactory<actix_http::Request, Config = AppConfig, Response = ServiceResponse<B>, Error = Error>
        + 'static,
    S::InitError: std::fmt::Debug,
    B: MessageBody + 'static,
{
    let files = Files::of(listening.tls_certificate, listening.tls_key);
    let tls = Acceptor::new(files.map_err(io::Error::other)?)?;
    let socket = if listening.address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.bind(listening.address)?;
    let listener = socket.listen(BACKLOG)?.into_std()?;
    let addresses = vec![listener.local_addr()?];
    let builder = Server::build()
        .workers(listening.threads.get())
        .shutdown_timeout(listening.shutdown_timeout_seconds)
        .disable_signals();
    let end = builder.graceful_shutdown_signal();
    let patience = listening.answer_timeout;
    let builder = builder.listen(listening.name, listener, move || {
        let (end, tls) = (end.clone(), tls.clone());
        let application = application()
            .into_factory()
            .map_err(|error: Error| error.error_response());
        let http = HttpService::build()
            .client_request_timeout(HEAD_TIMEOUT)
            .client_disconnect_timeout(DISCONNECT_TIMEOUT)
            .graceful_shutdown_signal(move || {
                let end = end.clone();
                async move { end.notified().await }
            })
            .h1(map_config(application, |()| AppConfig::default()));
        fn_service(move |stream: TcpStream| {
            let tls = tls.clone();
            async move {
                stream.set_nodelay(true)?;
                let peer = stream.peer_addr()?;
                let shaken = tokio::time::timeout(HEAD_TIMEOUT, tls.accept(stream)).await;
                let stream = shaken.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
                Ok((Connection::new(stream, patience), Some(peer)))
            }
        })
        .map_err(actix_http::error::DispatchError::Io)
        .map_init_err(|_| ())
        .and_then(http)
    })?;
    Ok((builder.run(), addresses))
}
