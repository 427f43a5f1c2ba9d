//! The client that every outgoing call goes through.

use std::sync::Arc;
use std::time::Duration;

use hookgate_model::egress;
use reqwest::{Certificate, Identity, Method, Request, Response};
use url::{Host, Url};

use crate::Settings;
use crate::failure::{Failed, chain};
use crate::resolver::{EgressResolver, NotAllowed};
use crate::timing::ConnectTimer;

/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(30);
const USER_AGENT: &str = concat!("Hookgate/", env!("CARGO_PKG_VERSION"));

/// Makes calls to allowed addresses. Connections are kept and used again; cloning shares them.
#[derive(Clone)]
pub struct Client {
    client: reqwest::Client,
    resolver: EgressResolver,
    trusted: Arc<[Certificate]>,
}

impl Client {
    /// Makes a client.
    ///
    /// # Errors
    /// When the machine's name servers or trusted certificates cannot be read, or not those of the settings.
    pub fn new(settings: &Settings) -> Result<Self, String> {
        // Another part of the process may have installed one before; any will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let resolver = EgressResolver::new(&settings.allowed_private_networks, &settings.name_servers)?;
        let trusted = match &settings.trusted_certificates {
            None => Vec::new(),
            Some(path) => std::fs::read(path)
                .map_err(|error| error.to_string())
                .and_then(|pem| Certificate::from_pem_bundle(&pem).map_err(|error| chain(&error)))
                .map_err(|reason| format!("trusted_certificates, {}: {reason}", path.display()))?,
        };
        Self::build(resolver, trusted.into(), None)
    }

    /// A client under the same rules, with connections of its own, that presents a certificate.
    ///
    /// # Errors
    /// When the text does not hold a certificate and its private key, in PEM.
    pub fn with_identity(&self, pem: &str) -> Result<Self, String> {
        let identity = Identity::from_pem(pem.as_bytes()).map_err(|error| chain(&error))?;
        Self::build(self.resolver.clone(), Arc::clone(&self.trusted), Some(identity))
    }

    fn build(
        resolver: EgressResolver,
        trusted: Arc<[Certificate]>,
        identity: Option<Identity>,
    ) -> Result<Self, String> {
        let mut builder = reqwest::Client::builder()
            .dns_resolver(Arc::new(resolver.clone()))
            .connector_layer(ConnectTimer)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .user_agent(USER_AGENT)
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(32);
        if !trusted.is_empty() {
            builder = builder.tls_certs_merge(trusted.iter().cloned());
        }
        if let Some(identity) = identity {
            builder = builder.identity(identity);
        }
        let client = builder.build().map_err(|error| chain(&error))?;
        Ok(Self {
            client,
            resolver,
            trusted,
        })
    }

    /// Asks for what there is at a URL, and gives the response's head. The caller bounds the time.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn get(&self, url: Url) -> Result<Response, Failed> {
        self.send(Request::new(Method::GET, url)).await
    }

    /// Sends a request, and gives the response's head. The caller bounds the time.
    ///
    /// # Errors
    /// When the address may not be called, or no response came.
    pub async fn send(&self, request: Request) -> Result<Response, Failed> {
        if !egress::is_port_allowed(request.url()) {
            return Err(Failed::refused(
                "the port is blocked: it belongs to a service that is not HTTP".to_owned(),
            ));
        }
        // The connector asks for names to be resolved, not for addresses.
        let literal = match request.url().host() {
            Some(Host::Ipv4(address)) => Some(address.into()),
            Some(Host::Ipv6(address)) => Some(address.into()),
            _ => None,
        };
        if literal.is_some_and(|address| !self.resolver.allows(address)) {
            return Err(Failed::refused(NotAllowed.to_string()));
        }
        Ok(self.client.execute(request).await?)
    }
}

/// Whether a text in PEM holds a certificate and the private key that belongs to it.
///
/// # Errors
/// What is wrong with it, without the text.
pub fn check_identity(pem: &str) -> Result<(), String> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let identity = Identity::from_pem(pem.as_bytes()).map_err(|error| chain(&error))?;
    let built = reqwest::Client::builder().identity(identity).build();
    built.map(drop).map_err(|error| chain(&error))
}

/// Reads a response's body up to a bound, and whether it was cut there.
///
/// # Errors
/// When the response breaks off.
pub async fn read_body(response: &mut Response, most: usize) -> Result<(Vec<u8>, bool), Failed> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = most - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            return Ok((body, true));
        }
    }
    Ok((body, false))
}
