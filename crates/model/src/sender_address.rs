//! Who sent a request: the peer, or behind trusted proxies the address that the nearest of them saw.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::network_set::NetworkSet;

/// The field in which proxies name whom they forward for. Only one counts: proxies write one of them, and let the other
/// pass as their sender wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    /// `X-Forwarded-For: 203.0.113.7, 10.0.0.2`
    #[default]
    XForwardedFor,
    /// `Forwarded: for=203.0.113.7;proto=https, for="[2001:db8::1]:4711"` (RFC 7239).
    Forwarded,
}

impl ForwardedHeader {
    /// Its name, in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
        }
    }

    /// The entries of a line, the last first.
    fn entries(self, line: &[u8]) -> Vec<&[u8]> {
        match self {
            Self::XForwardedFor => line.rsplit(|&byte| byte == b',').collect(),
            Self::Forwarded => split_from_the_end(line, b','),
        }
    }

    fn address(self, entry: &[u8]) -> Option<IpAddr> {
        match self {
            Self::XForwardedFor => parse(entry),
            Self::Forwarded => parse(named_for(entry)?),
        }
    }
}

/// A sender's address, and how it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sender {
    /// The address.
    pub address: IpAddr,
    /// The peer of the connection, when it is a trusted proxy, and what it named the sender in.
    pub named_by: Option<(IpAddr, ForwardedHeader)>,
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, named_by } = self;
        match named_by {
            None => write!(f, "{address}, the peer of the connection"),
            Some((peer, header)) if peer == address => write!(
                f,
                "{address}, a trusted proxy that named nobody else in `{}`",
                header.name()
            ),
            Some((peer, header)) => write!(
                f,
                "{address}, named in `{}` of the trusted proxy {peer}",
                header.name()
            ),
        }
    }
}

/// The sender's address. The header counts only when the peer is a trusted proxy; it is read from the right, over all its
/// lines joined, and the first address that is no trusted proxy is the sender's: whatever stands further left could have
/// been made up by the sender. An entry that is no address ends the reading at the last proxy.
pub fn of_sender<'a, Lines: DoubleEndedIterator<Item = &'a [u8]>>(
    peer: IpAddr,
    header: ForwardedHeader,
    lines: impl FnOnce() -> Lines,
    trusted: &NetworkSet,
) -> Sender {
    let peer = peer.to_canonical();
    if !trusted.contains(peer) {
        return Sender {
            address: peer,
            named_by: None,
        };
    }
    let mut address = peer;
    for entry in lines().rev().flat_map(|line| header.entries(line)) {
        if !trusted.contains(address) {
            break;
        }
        match header.address(entry) {
            Some(named) => address = named,
            None => break,
        }
    }
    Sender {
        address,
        named_by: Some((peer, header)),
    }
}

/// An address, which some proxies write with a port or in brackets.
fn parse(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim();
    let address = text
        .parse()
        .ok()
        .or_else(|| {
            text.parse::<std::net::SocketAddr>()
                .ok()
                .map(|socket| socket.ip())
        })
        .or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok())?;
    Some(IpAddr::to_canonical(&address))
}

/// The value of an element's one `for`, which is quoted when it holds a colon. A value that is escaped is no address.
fn named_for(element: &[u8]) -> Option<&[u8]> {
    let mut values = split_from_the_end(element, b';').into_iter().filter_map(|pair| {
        let (name, value) = pair.trim_ascii().split_at_checked(4)?;
        name.eq_ignore_ascii_case(b"for=").then_some(value)
    });
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    match value {
        [b'"', quoted @ .., b'"'] => Some(quoted),
        plain => Some(plain),
    }
    .filter(|value| !value.contains(&b'"') && !value.contains(&b'\\'))
}

/// Splits outside quotes, from the end: what a sender left open further left cannot swallow what a proxy added.
fn split_from_the_end(line: &[u8], separator: u8) -> Vec<&[u8]> {
    let mut is_quoted = false;
    line.rsplit(|&byte| {
        is_quoted ^= byte == b'"';
        byte == separator && !is_quoted
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn trusted() -> NetworkSet {
        NetworkSet::new(&[
            "10.0.0.0/8".parse().expect("a network"),
            "::1/128".parse().expect("a network"),
        ])
    }

    fn sender(header: ForwardedHeader, peer: &str, lines: &[&str]) -> Sender {
        let lines = lines.iter().map(|line| line.as_bytes());
        of_sender(peer.parse().expect("an address"), header, || lines, &trusted())
    }

    #[test]
    fn the_rightmost_untrusted_hop_is_the_sender() {
        let table: [(&str, &[&str], &str); 10] = [
            ("192.0.2.1", &["203.0.113.5"], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.5"], "203.0.113.5"),
            ("10.0.0.1", &["1.1.1.1, 203.0.113.5, 10.0.0.2"], "203.0.113.5"),
            ("10.0.0.1", &["1.1.1.1", "203.0.113.5", "10.0.0.2"], "203.0.113.5"),
            ("10.0.0.1", &["1.1.1.1, nonsense, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("::ffff:10.0.0.1", &["203.0.113.5:4711"], "203.0.113.5"),
            ("::1", &["[2001:db8::1]:443"], "2001:db8::1"),
            ("::1", &["[2001:db8::1]"], "2001:db8::1"),
        ];
        for (peer, lines, expected) in table {
            let found = sender(ForwardedHeader::XForwardedFor, peer, lines);
            assert_eq!(
                found.address,
                expected.parse::<IpAddr>().expect("an address"),
                "{peer}"
            );
        }
    }

    #[test]
    fn the_standard_header_is_read_likewise() {
        let table: [(&[&str], &str); 14] = [
            (&["for=203.0.113.5"], "203.0.113.5"),
            (
                &["for=1.1.1.1, For=203.0.113.5;proto=https;by=10.0.0.9, for=10.0.0.2"],
                "203.0.113.5",
            ),
            (&["for=1.1.1.1", "proto=http; for=203.0.113.5"], "203.0.113.5"),
            (&["for=\"203.0.113.5:4711\""], "203.0.113.5"),
            (&["for=\"[2001:db8::1]\""], "2001:db8::1"),
            (&["for=\"[2001:db8::1]:4711\";by=\"[::1]\""], "2001:db8::1"),
            (&["for=\"[::ffff:203.0.113.5]\""], "203.0.113.5"),
            // Who has no address ends the reading at the last proxy.
            (&["for=1.1.1.1, for=unknown, for=10.0.0.2"], "10.0.0.2"),
            (&["for=1.1.1.1, for=_hidden"], "10.0.0.1"),
            (&["for=1.1.1.1, proto=https"], "10.0.0.1"),
            (&["for=1.1.1.1;for=2.2.2.2"], "10.0.0.1"),
            // What a sender leaves open does not reach what the proxy adds.
            (&["for=\"1.1.1.1, for=203.0.113.5"], "203.0.113.5"),
            (&["for=\"1.1.1.1;x=\\\", for=\"203.0.113.5\""], "203.0.113.5"),
            (&["for=\"1.1.1.1\\\"\""], "10.0.0.1"),
        ];
        for (lines, expected) in table {
            let found = sender(ForwardedHeader::Forwarded, "10.0.0.1", lines);
            assert_eq!(
                found.address,
                expected.parse::<IpAddr>().expect("an address"),
                "{lines:?}"
            );
        }
    }

    #[test]
    fn it_is_said_how_the_address_is_known() {
        let told = |peer, lines: &[&str]| sender(ForwardedHeader::XForwardedFor, peer, lines).to_string();
        assert_eq!(
            told("192.0.2.1", &["1.1.1.1"]),
            "192.0.2.1, the peer of the connection"
        );
        assert_eq!(
            told("10.0.0.1", &["203.0.113.5"]),
            "203.0.113.5, named in `x-forwarded-for` of the trusted proxy 10.0.0.1"
        );
        assert_eq!(
            told("10.0.0.1", &[]),
            "10.0.0.1, a trusted proxy that named nobody else in `x-forwarded-for`"
        );
    }

    proptest! {
        /// Whatever a sender writes: what the proxy behind it adds decides.
        #[test]
        fn what_a_sender_writes_does_not_count(written in "[ -~]{0,60}", is_standard: bool) {
            let (header, added) = if is_standard {
                (ForwardedHeader::Forwarded, "for=203.0.113.5")
            } else {
                (ForwardedHeader::XForwardedFor, "203.0.113.5")
            };
            for lines in [&[&*format!("{written}, {added}")][..], &[&written, added]] {
                let found = sender(header, "10.0.0.1", lines);
                prop_assert_eq!(found.address.to_string(), "203.0.113.5");
            }
        }
    }
}
