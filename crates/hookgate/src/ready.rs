//! `hookgate ready`: the health check of a container, whose image has no HTTP client.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::settings::OperatorSection;

const WITHIN: Duration = Duration::from_secs(4);

/// Asks `/readyz` on the operator's port and prints the answer.
///
/// # Errors
/// When nothing answers, or what answers is not ready.
pub fn run(settings: &OperatorSection) -> Result<()> {
    print!("{}", ask(settings)?);
    Ok(())
}

/// Asks `/readyz`, and gives the answer when it is ready.
///
/// # Errors
/// As [`run`].
pub fn ask(settings: &OperatorSection) -> Result<String> {
    let address = reachable(settings.listen);
    let mut stream =
        TcpStream::connect_timeout(&address, WITHIN).with_context(|| format!("connecting to {address}"))?;
    stream.set_read_timeout(Some(WITHIN))?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("reading the answer")?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if !head.starts_with("HTTP/1.1 200 ") {
        bail!("not ready: {}", body.trim());
    }
    Ok(body.to_owned())
}

/// "Every address" is listened to, but cannot be called.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}
