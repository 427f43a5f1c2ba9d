//! A small HTTP server for tests to deliver to: it records what it gets, and answers as it is told.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempPath;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::tls::ClientIdentity;
use crate::{eventually, tls};

/// A request that came.
#[derive(Debug, Clone)]
pub struct Received {
    /// The method.
    pub method: String,
    /// The path with the query.
    pub target: String,
    /// The headers, names in lower case, in their order.
    pub headers: Vec<(String, String)>,
    /// The body's bytes.
    pub body: Vec<u8>,
    /// When it was complete.
    pub at: Instant,
}

impl Received {
    /// The first header of a name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }
}

/// An answer to give.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// How long to wait before it.
    pub delay: Duration,
    /// Close the connection without an answer.
    pub hang_up: bool,
}

impl Reply {
    /// An empty answer.
    pub fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            delay: Duration::ZERO,
            hang_up: false,
        }
    }

    /// A JSON answer.
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::status(status)
            .with_header("content-type", "application/json")
            .with_body(body.to_string())
    }

    /// Adds a header.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body.
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Waits before it answers.
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Closes the connection instead of answering.
    pub fn hang_up() -> Self {
        Self {
            hang_up: true,
            ..Self::status(200)
        }
    }
}

#[derive(Default)]
struct State {
    received: Vec<Received>,
    script: VecDeque<Reply>,
    otherwise: Option<Reply>,
}

/// The server; it ends when this is dropped.
pub struct Receiver {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    certificate: Option<TempPath>,
    _task: JoinSet<()>,
}

impl Receiver {
    /// Starts it on a free port of 127.0.0.1. It answers 200 until told otherwise.
    pub async fn start() -> Self {
        Self::serve(any_port().await, None, None)
    }

    /// Starts it behind TLS, as `localhost`, with a certificate that only [`Self::certificate`] makes trusted.
    pub async fn start_tls() -> Self {
        let (acceptor, certificate) = tls::server("localhost", None);
        Self::serve(any_port().await, Some(acceptor), Some(certificate))
    }

    /// Starts it behind TLS, for clients alone that present this certificate.
    pub async fn start_mtls(client: &ClientIdentity) -> Self {
        let (acceptor, certificate) = tls::server("localhost", Some(client));
        Self::serve(any_port().await, Some(acceptor), Some(certificate))
    }

    /// Starts it behind TLS as a server of this name, at an address.
    ///
    /// # Errors
    /// When this process may not listen there, or somebody else does.
    pub async fn start_as(name: &str, address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let (acceptor, certificate) = tls::server(name, None);
        Ok(Self::serve(listener, Some(acceptor), Some(certificate)))
    }

    fn serve(listener: TcpListener, acceptor: Option<TlsAcceptor>, certificate: Option<TempPath>) -> Self {
        let address = listener.local_addr().expect("its address");
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
                connections.spawn(async move {
                    match acceptor {
                        None => serve(stream, shared).await,
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                serve(stream, shared).await;
                            }
                        }
                    }
                });
            }
        });
        Self {
            address,
            state,
            certificate,
            _task: task,
        }
    }

    /// Its base URL, `http://127.0.0.1:<port>`, or `https://localhost:<port>`.
    pub fn url(&self) -> String {
        match self.certificate {
            None => format!("http://{}", self.address),
            Some(_) => format!("https://localhost:{}", self.address.port()),
        }
    }

    /// The file with its certificate in PEM.
    ///
    /// # Panics
    /// When it has none.
    pub fn certificate(&self) -> &Path {
        self.certificate.as_deref().expect("a receiver behind TLS")
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next requests are answered with these, one after another.
    pub fn script(&self, replies: impl IntoIterator<Item = Reply>) {
        self.lock().script.extend(replies);
    }

    /// What is answered when the script is at its end.
    pub fn otherwise(&self, reply: Reply) {
        self.lock().otherwise = Some(reply);
    }

    /// What came so far.
    pub fn received(&self) -> Vec<Received> {
        self.lock().received.clone()
    }

    /// Waits until a number of requests came, and returns them all.
    ///
    /// # Panics
    /// When fewer came in time.
    pub async fn wait_for(&self, count: usize, within: Duration) -> Vec<Received> {
        eventually(
            within,
            format!("{count} requests reach the receiver"),
            async || {
                let received = self.received();
                (received.len() >= count).then_some(received)
            },
        )
        .await
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn any_port() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a free port")
}

/// Answers the requests of one connection.
async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, state: Arc<Mutex<State>>) {
    let mut buffer = Vec::new();
    while let Some(received) = read_request(&mut stream, &mut buffer).await {
        let reply = {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            state.received.push(received);
            let next = state.script.pop_front().or_else(|| state.otherwise.clone());
            next.unwrap_or_else(|| Reply::status(200))
        };
        tokio::time::sleep(reply.delay).await;
        if reply.hang_up || stream.write_all(&encode(&reply)).await.is_err() {
            return;
        }
    }
}

fn encode(reply: &Reply) -> Vec<u8> {
    let mut head = format!(
        "HTTP/1.1 {} Scripted\r\ncontent-length: {}\r\n",
        reply.status,
        reply.body.len()
    );
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    [head.as_bytes(), &reply.body].concat()
}

/// Reads one request; `None` at the connection's end, or for what is no request with a `content-length`.
async fn read_request(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> Option<Received> {
    let (mut request, head_bytes) = loop {
        let mut headers = [httparse::EMPTY_HEADER; 100];
        let mut request = httparse::Request::new(&mut headers);
        if let httparse::Status::Complete(length) = request.parse(buffer).ok()? {
            break (owned(&request)?, length);
        }
        fill(stream, buffer).await?;
    };
    let length: usize = request
        .header("content-length")
        .map_or(Some(0), |value| value.parse().ok())?;
    while buffer.len() < head_bytes + length {
        fill(stream, buffer).await?;
    }
    let rest = buffer.split_off(head_bytes + length);
    request.body = buffer.split_off(head_bytes);
    *buffer = rest;
    request.at = Instant::now();
    Some(request)
}

async fn fill(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> Option<()> {
    (stream.read_buf(buffer).await.ok()? > 0).then_some(())
}

fn owned(request: &httparse::Request<'_, '_>) -> Option<Received> {
    let header = |header: &httparse::Header<'_>| {
        (
            header.name.to_ascii_lowercase(),
            String::from_utf8_lossy(header.value).into_owned(),
        )
    };
    Some(Received {
        method: request.method?.to_owned(),
        target: request.path?.to_owned(),
        headers: request.headers.iter().map(header).collect(),
        body: Vec::new(),
        at: Instant::now(),
    })
}
