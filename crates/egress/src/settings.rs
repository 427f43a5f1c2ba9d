//! What an operator allows beyond public addresses and well-known certificate authorities.

use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// The settings of outgoing calls.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Networks that are not public and may be called nevertheless, such as `127.0.0.0/8` in development. Default none.
    pub allowed_private_networks: Vec<IpNet>,
    /// The name servers to ask, with their port; none: those of the machine. Default none.
    pub name_servers: Vec<SocketAddr>,
    /// A file of certificates in PEM that are trusted beside those of the machine. Default none.
    pub trusted_certificates: Option<PathBuf>,
}
