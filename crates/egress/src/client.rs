//! The client that every outgoing call goes through.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Certificate, Method, Request, Response};
use url::{Host, Url};

use crate::Settings;
use crate::failure::{Failed, chain};
use crate::resolver::{EgressResolver, NotAllowed};

/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(30);
const USER_AGENT: &str = concat!("Hookgate/", env!("CARGO_PKG_VERSION"));

/// Makes calls to allowed addresses. Connections are kept and used again; cloning shares them.
#[derive(Clone)]
pub struct Client {
    client: reqwest::Client,
    resolver: EgressResolver,
}

impl Client {
    /// Makes a client.
    ///
    /// # Errors
    /// When the machine's name servers or trusted certificates cannot be read, or not those of the settings.
    pub fn new(settings: &Settings) -> Result<Self, String> {
        // Another part of the process may have installed one before; any will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let resolver = EgressResolver::new(&settings.allowed_private_networks)?;
        let mut builder = reqwest::Client::builder()
            .dns_resolver(Arc::new(resolver.clone()))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .user_agent(USER_AGENT)
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(32);
        if let Some(path) = &settings.trusted_certificates {
            let certificates = std::fs::read(path).map_err(|error| error.to_string());
            let certificates = certificates
                .and_then(|pem| Certificate::from_pem_bundle(&pem).map_err(|error| chain(&error)))
                .map_err(|reason| format!("trusted_certificates, {}: {reason}", path.display()))?;
            builder = builder.tls_certs_merge(certificates);
        }
        let client = builder.build().map_err(|error| chain(&error))?;
        Ok(Self { client, resolver })
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
