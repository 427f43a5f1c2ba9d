//! A network in an allowlist: `203.0.113.0/24`, `2001:db8::/32`, or one address.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};

/// Why a text is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCidr {
    /// Neither an address nor a network.
    #[error("expected an address or a network such as `203.0.113.0/24` or `2001:db8::/32`")]
    NotANetwork,
    /// Bits are set that the network's length leaves to its hosts.
    #[error("`{0}` is an address in a network, not a network: use `{1}`")]
    HostBits(IpNet, IpNet),
}

/// Reads a network. One address becomes the network of that address alone; an IPv4 network written in IPv6
/// (`::ffff:203.0.113.0/120`) becomes the IPv4 network, as the addresses of senders do.
///
/// # Errors
/// A sentence that says what to change.
pub fn parse(text: &str) -> Result<IpNet, InvalidCidr> {
    let network = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => text.parse().map_err(|_| InvalidCidr::NotANetwork)?,
    };
    let network = canonical(network);
    if network == network.trunc() {
        Ok(network)
    } else {
        Err(InvalidCidr::HostBits(network, network.trunc()))
    }
}

fn canonical(network: IpNet) -> IpNet {
    let mapped = |address: Ipv6Addr| address.to_ipv4_mapped();
    if let IpNet::V6(v6) = network
        && v6.prefix_len() >= 96
        && let Some(address) = mapped(v6.addr())
        && let Ok(v4) = Ipv4Net::new(address, v6.prefix_len() - 96)
    {
        return IpNet::V4(v4);
    }
    network
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<String, String> {
        parse(text)
            .map(|network| network.to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn networks_are_read() {
        let table = [
            ("203.0.113.0/24", "203.0.113.0/24"),
            ("203.0.113.7", "203.0.113.7/32"),
            ("2001:DB8::/32", "2001:db8::/32"),
            ("::1", "::1/128"),
            ("::ffff:203.0.113.7", "203.0.113.7/32"),
            ("::ffff:203.0.113.0/120", "203.0.113.0/24"),
            ("0.0.0.0/0", "0.0.0.0/0"),
        ];
        for (text, expected) in table {
            assert_eq!(read(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_network_says_why() {
        assert!(read("203.0.113.7/24").is_err_and(|error| error.contains("`203.0.113.0/24`")));
        for text in [
            "",
            "example.com",
            "203.0.113.0/33",
            "203.0.113",
            "1.2.3.4 ",
            "010.0.0.1",
        ] {
            assert!(
                read(text).is_err_and(|error| error.contains("expected")),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text: String) {
            let _ = parse(&text);
        }
    }
}
