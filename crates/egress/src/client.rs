//! The client that every outgoing call goes through.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use reqwest::{Request, Response};
use url::Host;

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
    /// Makes a client that may also call these networks, which are not public.
    ///
    /// # Errors
    /// When the machine's name servers or trusted certificates cannot be read.
    pub fn new(allowed_private: &[IpNet]) -> Result<Self, String> {
        // Another part of the process may have installed one before; any will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let resolver = EgressResolver::new(allowed_private)?;
        let client = reqwest::Client::builder()
            .dns_resolver(Arc::new(resolver.clone()))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .user_agent(USER_AGENT)
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(32)
            .build()
            .map_err(|error| chain(&error))?;
        Ok(Self { client, resolver })
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
