//! Names to addresses, once per connection: all of them must be allowed, and the connection goes to one of these.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use hickory_resolver::TokioResolver;
use hookgate_model::egress;
use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

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
    /// Takes the name servers of the machine.
    pub fn new(allowed_private: &[IpNet]) -> Result<Self, String> {
        let resolver = TokioResolver::builder_tokio()
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

impl Resolve for EgressResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let this = self.clone();
        Box::pin(async move {
            let addresses = this.addresses(name.as_str()).await?;
            if !addresses.iter().all(|address| this.allows(*address)) {
                return Err(NotAllowed.into());
            }
            let addresses = addresses.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses.collect::<Vec<_>>().into_iter()) as Addrs)
        })
    }
}
