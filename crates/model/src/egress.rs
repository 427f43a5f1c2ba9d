//! Where outgoing calls may go: public addresses only, and the URL that a step asks for, no other.
//!
//! The ranges are those of the IANA registries of special-purpose addresses (RFC 6890). IPv6 forms that carry an IPv4
//! address are judged by that address, or refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use url::Url;

/// The IPv4 networks that are not public.
const SPECIAL_IPV4: [(Ipv4Addr, u32); 16] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 31, 196, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// The ports of services that are not HTTP, such as mail servers (Fetch Standard, "port blocking"): what a tenant can put into a
/// request must not become a command there.
const BLOCKED_PORTS: [u16; 83] = [
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103,
    104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514,
    515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723,
    2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
];

/// Whether a URL's port may be called.
pub fn is_port_allowed(url: &Url) -> bool {
    url.port()
        .is_none_or(|port| BLOCKED_PORTS.binary_search(&port).is_err())
}

/// Whether an address may be called.
pub fn is_allowed(address: IpAddr, allowed_private: &[IpNet]) -> bool {
    let plain = address.to_canonical();
    is_public(address) || allowed_private.iter().any(|network| network.contains(&plain))
}

/// Whether an address is reached over the public internet.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let bits = u32::from(address);
    !SPECIAL_IPV4
        .iter()
        .any(|(network, length)| (bits ^ u32::from(*network)) >> (32 - length) == 0)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    if let Some(mapped) = address.to_ipv4_mapped() {
        return is_public_v4(mapped);
    }
    match segments {
        // NAT64 (RFC 6052): how a network without IPv4 reaches all of it.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => is_public_v4(embedded(high, low)),
        // IETF protocol assignments: Teredo, ORCHID, benchmarking and others (2001::/23).
        [0x2001, 0..=0x1ff, ..] => false,
        // Documentation (2001:db8::/32, 3fff::/20).
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => false,
        // 6to4 (2002::/16): deprecated, and leads to whatever IPv4 address is in it.
        [0x2002, ..] => false,
        // ISATAP (RFC 5214) carries an IPv4 address in its interface's identifier.
        [_, _, _, _, 0 | 0x200, 0x5efe, high, low] if !is_public_v4(embedded(high, low)) => false,
        // Everything else that is assigned is in 2000::/3; outside are loopback, link-local, unique local, multicast,
        // IPv4-compatible and site-local addresses.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

fn embedded(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))
}

/// The URL of a call: the destination's base URL, and what a step appends to it.
///
/// # Errors
/// When the result would leave the base URL, or is no URL.
pub fn join(base: &str, path: &str) -> Result<Url, String> {
    let base_url = Url::parse(base).map_err(|_| "the destination's base URL is not a URL".to_owned())?;
    let slash = if path.is_empty() || path.starts_with(['/', '?']) {
        ""
    } else {
        "/"
    };
    let base = if path.is_empty() {
        base
    } else {
        base.trim_end_matches('/')
    };
    if path.contains(['\\', '#']) || path.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("the path holds a character that a URL cannot hold; encode it".to_owned());
    }
    let segments = path.split('?').next().unwrap_or_default().split('/');
    for segment in segments {
        let decoded = segment.replace("%2e", ".").replace("%2E", ".");
        if decoded == "." || decoded == ".." {
            return Err("the path has a segment `.` or `..`, which would lead elsewhere".to_owned());
        }
    }
    let url = Url::parse(&format!("{base}{slash}{path}"))
        .map_err(|error| format!("the path makes no URL: {error}"))?;
    let same = url.origin() == base_url.origin() && url.username().is_empty() && url.password().is_none();
    if same {
        Ok(url)
    } else {
        Err("the path leads away from the destination".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_are_classified() {
        let public = [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2001:200::1",
            "2001:4860::8888",
        ];
        let private = [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "::8.8.8.8",
            "::ffff:0:8.8.8.8",
            "64:ff9b::10.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::8.8.8.8",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:808:808::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2a00:1450::5efe:10.0.0.1",
            "2a00:1450::200:5efe:127.0.0.1",
        ];
        for (addresses, expected) in [(&public[..], true), (&private[..], false)] {
            for address in addresses {
                assert_eq!(is_public(address.parse().expect(address)), expected, "{address}");
            }
        }
    }

    #[test]
    fn ports_of_other_services_are_blocked() {
        assert!(BLOCKED_PORTS.is_sorted());
        for (url, expected) in [
            ("https://example.com/", true),
            ("https://example.com:443/", true),
            ("http://example.com:8080/", true),
            ("http://example.com:25/", false),
            ("https://example.com:6667/", false),
        ] {
            assert_eq!(is_port_allowed(&Url::parse(url).expect(url)), expected, "{url}");
        }
    }

    #[test]
    fn an_operator_may_allow_private_networks() {
        let allowed = [
            "127.0.0.0/8".parse().expect("a network"),
            "::1/128".parse().expect("a network"),
        ];
        for (address, expected) in [
            ("127.0.0.1", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("10.0.0.1", false),
            ("8.8.8.8", true),
        ] {
            assert_eq!(
                is_allowed(address.parse().expect(address), &allowed),
                expected,
                "{address}"
            );
        }
    }

    #[test]
    fn a_path_stays_at_the_destination() {
        for (base, path, expected) in [
            ("https://a.example/v1", "", "https://a.example/v1"),
            ("https://a.example/v1/", "/c?x=1", "https://a.example/v1/c?x=1"),
            ("https://a.example", "c/d", "https://a.example/c/d"),
            ("https://a.example/v1", "?x=/../y", "https://a.example/v1?x=/../y"),
            (
                "https://a.example/v1",
                "//evil.example",
                "https://a.example/v1//evil.example",
            ),
            (
                "https://a.example",
                "@evil.example",
                "https://a.example/@evil.example",
            ),
            ("https://a.example:8443", ":1/", "https://a.example:8443/:1/"),
        ] {
            assert_eq!(
                join(base, path).map(|url| url.to_string()),
                Ok(expected.to_owned()),
                "{base} {path}"
            );
        }
        for path in [
            "/../x",
            "/a/..",
            "/%2e%2E/x",
            "/.",
            "/a\\..\\b",
            "/a b",
            "/a\nb",
            "/a#b",
        ] {
            assert!(join("https://a.example/v1", path).is_err(), "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_path_leaves_the_destination(path in "[/.:@?%2eEa\\\\#\\[\\]-]{0,12}") {
            if let Ok(url) = join("https://a.example/v1", &path) {
                prop_assert_eq!(url.host_str(), Some("a.example"));
                prop_assert!(url.path().starts_with("/v1"), "{}", url);
            }
        }
    }
}
