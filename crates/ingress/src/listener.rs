//! Listening: connections of senders, and of proxies that say with the PROXY protocol for whom they connect.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_http::HttpService;
use actix_server::{Server, ServerBuilder};
use actix_service::{ServiceFactoryExt, fn_service, map_config};
use actix_web::dev::AppConfig;
use actix_web::{App, Error, web};
use hookgate_model::proxy_protocol::{PREAMBLE, Preamble};
use hookgate_tls::{Acceptor, Files};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, TcpStream};

use crate::connection::{Connection, Patience};
use crate::service::{self, Service};

/// Connections that the system may hold ready before they are accepted.
const BACKLOG: u32 = 1024;

/// A server that is ready to run, with the addresses that it listens on: the senders', then the proxies'.
pub struct Listening {
    pub server: Server,
    pub addresses: Vec<SocketAddr>,
}

/// Listens where the settings say.
///
/// # Errors
/// When an address is taken.
pub fn listen(service: &Arc<Service>) -> io::Result<Listening> {
    let settings = &service.settings;
    let files = Files::of(settings.tls_certificate.as_deref(), settings.tls_key.as_deref());
    let tls = Acceptor::new(files.map_err(io::Error::other)?)?;
    let mut addresses = Vec::new();
    let mut builder = Server::build()
        .workers(settings.threads())
        .max_concurrent_connections(settings.connections)
        .shutdown_timeout(settings.shutdown_timeout_seconds)
        .disable_signals();
    let directly = bind(settings.listen)?;
    addresses.push(directly.local_addr()?);
    builder = add(builder, directly, service, Peer::Sender, &tls)?;
    if let Some(address) = settings.proxy_protocol_listen {
        let proxies = bind(address)?;
        addresses.push(proxies.local_addr()?);
        builder = add(builder, proxies, service, Peer::Proxy, &tls)?;
    }
    Ok(Listening {
        server: builder.run(),
        addresses,
    })
}

/// Who is at the other end of a listener's connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Peer {
    Sender,
    /// It must say for whom it connects.
    Proxy,
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

fn add(
    builder: ServerBuilder,
    listener: TcpListener,
    service: &Arc<Service>,
    peer: Peer,
    tls: &Acceptor,
) -> io::Result<ServerBuilder> {
    let end = builder.graceful_shutdown_signal();
    let (service, tls) = (Arc::clone(service), tls.clone());
    let name = match peer {
        Peer::Sender => "hookgate-senders",
        Peer::Proxy => "hookgate-proxies",
    };
    builder.listen(name, listener, move || {
        let shared = web::Data::from(Arc::clone(&service));
        let settings = &service.settings;
        let end = end.clone();
        let invited = Arc::clone(&service);
        let app = App::new()
            .app_data(shared)
            .default_service(web::to(service::receive));
        let http = HttpService::build()
            .keep_alive(Duration::from_millis(settings.idle_timeout_ms))
            .client_request_timeout(Duration::from_millis(settings.header_timeout_ms))
            .graceful_shutdown_signal(move || {
                let end = end.clone();
                async move { end.notified().await }
            })
            .client_disconnect_timeout(settings.linger())
            .expect(fn_service(move |request| {
                let service = Arc::clone(&invited);
                async move { service::invite(request, &service).await }
            }))
            .on_connect_ext(|connection: &Connection, data| {
                data.insert(connection.state());
            })
            .h1(map_config(
                actix_service::IntoServiceFactory::into_factory(app)
                    .map_err(|error: Error| error.error_response()),
                |()| AppConfig::default(),
            ));
        let (service, tls) = (Arc::clone(&service), tls.clone());
        fn_service(move |stream: TcpStream| {
            let (service, tls) = (Arc::clone(&service), tls.clone());
            async move { accept(stream, &service, peer, &tls).await }
        })
        .map_err(actix_http::error::DispatchError::Io)
        .map_init_err(|_| ())
        .and_then(http)
    })
}

/// Makes a stream ready for HTTP, and says who sends over it.
async fn accept(
    mut stream: TcpStream,
    service: &Service,
    peer: Peer,
    tls: &Acceptor,
) -> io::Result<(Connection, Option<SocketAddr>)> {
    let settings = &service.settings;
    let patience = Patience {
        head: Duration::from_millis(settings.header_timeout_ms),
        // The server notices by itself, as a rule, and ends it more gently.
        idle: Duration::from_millis(settings.idle_timeout_ms.saturating_add(1_000)),
        answer: Duration::from_millis(settings.answer_timeout_ms),
    };
    stream.set_nodelay(true)?;
    let mut sender = stream.peer_addr()?;
    if peer == Peer::Proxy {
        let is_trusted = service.trusted_proxies.contains(sender.ip());
        let announced = async {
            if is_trusted {
                announced(&mut stream).await
            } else {
                Err(invalid("its peer is no trusted proxy"))
            }
        };
        let announced = tokio::time::timeout(patience.head, announced);
        let announced = announced
            .await
            .unwrap_or_else(|_| Err(invalid("its PROXY protocol header did not arrive in time")));
        match announced {
            Ok(announced) => sender = announced.unwrap_or(sender),
            Err(error) => {
                metrics::counter!("hookgate_proxy_connections_refused_total").increment(1);
                tracing::debug!(peer = %sender, %error, "a connection is cut");
                return Err(error);
            }
        }
    }
    let Ok(accepted) = tokio::time::timeout(patience.head, tls.accept(stream)).await else {
        metrics::counter!("hookgate_connections_cut_total", "slow" => "handshake").increment(1);
        return Err(invalid("its TLS handshake did not end in time"));
    };
    Ok((Connection::new(accepted?, patience), Some(sender)))
}

/// Reads the header of the PROXY protocol, and not a byte of what follows.
async fn announced(stream: &mut TcpStream) -> io::Result<Option<SocketAddr>> {
    let mut preamble = [0; PREAMBLE];
    stream.read_exact(&mut preamble).await?;
    let preamble = Preamble::read(&preamble).map_err(invalid)?;
    let mut rest = vec![0; preamble.rest];
    stream.read_exact(&mut rest).await?;
    preamble.source(&rest).map_err(invalid)
}

fn invalid(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
