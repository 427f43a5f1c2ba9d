//! Names to addresses, once per connection: all of them must be allowed, and the connection goes to one of these.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hookgate_model::egress;
use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::timing::note_dns;

/// The name leads to an address that may not be called.
#[derive(Debug)]
pub struct NotAllowed;

impl fmt::Display for NotAllowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the destination's address is not public")
    }
}
impl std::error::Error for NotAllowed {}

/// The name has no address, or no name server answers.
#[derive(Debug)]
pub struct NotResolved(String);

impl fmt::Display for NotResolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for NotResolved {}

/// Resolves names under the egress rule.
#[derive(Clone)]
pub struct EgressResolver {
    resolver: TokioResolver,
    allowed_private: Arc<[IpNet]>,
}

impl EgressResolver {
    /// Asks these name servers, or those of the machine when there are none.
    pub fn new(allowed_private: &[IpNet], name_servers: &[SocketAddr]) -> Result<Self, String> {
        let builder = if name_servers.is_empty() {
            TokioResolver::builder_tokio()
        } else {
            let servers = name_servers.iter().map(name_server).collect();
            let config = ResolverConfig::from_name_servers(servers);
            Ok(TokioResolver::builder_with_config(
                config,
                TokioRuntimeProvider::default(),
            ))
        };
        let resolver = builder
            .and_then(|builder| builder.build())
            .map_err(|error| error.to_string())?;
        Ok(Self {
            resolver,
            allowed_private: allowed_private.into(),
        })
    }

    /// Whether an address that stands in a URL may be called: the connector does not ask for it to be resolved.
    pub fn allows(&self, address: IpAddr) -> bool {
        egress::is_allowed(address, &self.allowed_private)
    }

    async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, NotResolved> {
        let name = name.trim_end_matches('.');
        // RFC 6761, section 6.3: never asked of a name server.
        if name == "localhost" || name.ends_with(".localhost") {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        // With its final dot, so that the search domains of this machine are no part of it.
        let found = self.resolver.lookup_ip(format!("{name}.")).await;
        let found = found.map_err(|_| NotResolved(format!("the name {name} could not be resolved")))?;
        Ok(found.iter().collect())
    }
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut server.connections {
        connection.port = address.port();
    }
    server
}

impl Resolve for EgressResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let this = self.clone();
        Box::pin(async move {
            let started = Instant::now();
            let addresses = this.addresses(name.as_str()).await;
            note_dns(started.elapsed());
            let addresses = addresses?;
            if !addresses.iter().all(|address| this.allows(*address)) {
                return Err(NotAllowed.into());
            }
            let addresses = addresses.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses.collect::<Vec<_>>().into_iter()) as Addrs)
        })
    }
}
