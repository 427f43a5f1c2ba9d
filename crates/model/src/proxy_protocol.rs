//! The header of the PROXY protocol, version 2 (haproxy.org, "The PROXY protocol", section 2.2): who connected to the proxy
//! that connects to us. The text form, version 1, is not read: it cannot be told from what a sender may send.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The bytes before the addresses.
pub const PREAMBLE: usize = 16;
/// The most bytes after the preamble: addresses take 36, the rest is additions (TLVs), which are skipped.
pub const REST_MOST: usize = 4096;

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// What is not such a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Something else, such as a request.
    #[error("it does not begin with a PROXY protocol header of version 2")]
    NotAHeader,
    /// Another version or command.
    #[error("its PROXY protocol header has an unknown version or command")]
    Unknown,
    /// Not a TCP connection over IPv4 or IPv6.
    #[error("its PROXY protocol header does not say which TCP address connected")]
    NoAddress,
    /// More than is read of one.
    #[error("its PROXY protocol header is longer than 4096 bytes")]
    TooLong,
    /// Less than its addresses need.
    #[error("its PROXY protocol header is cut short")]
    Short,
}

/// The first bytes, understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preamble {
    kind: Kind,
    /// The bytes that follow.
    pub rest: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Local,
    V4,
    V6,
}

impl Preamble {
    /// Reads the first bytes.
    ///
    /// # Errors
    /// When they are not the beginning of a header that says who connected.
    pub fn read(bytes: &[u8; PREAMBLE]) -> Result<Self, Invalid> {
        let [signature @ .., command, family, high, low] = bytes;
        if *signature != SIGNATURE {
            return Err(Invalid::NotAHeader);
        }
        let rest = usize::from(u16::from_be_bytes([*high, *low]));
        if rest > REST_MOST {
            return Err(Invalid::TooLong);
        }
        let kind = match (command, family) {
            (0x20, _) => Kind::Local,
            (0x21, 0x11) => Kind::V4,
            (0x21, 0x21) => Kind::V6,
            (0x21, _) => return Err(Invalid::NoAddress),
            _ => return Err(Invalid::Unknown),
        };
        Ok(Self { kind, rest })
    }

    /// Who connected to the proxy; `None` when the proxy connects for itself, to look whether we are well.
    ///
    /// # Errors
    /// When the addresses are not all there.
    pub fn source(&self, rest: &[u8]) -> Result<Option<SocketAddr>, Invalid> {
        let address = match self.kind {
            Kind::Local => return Ok(None),
            Kind::V4 => {
                let (address, ports) = rest.split_at_checked(8).ok_or(Invalid::Short)?;
                let source: [u8; 4] = first(address)?;
                (IpAddr::from(Ipv4Addr::from(source)), ports)
            }
            Kind::V6 => {
                let (address, ports) = rest.split_at_checked(32).ok_or(Invalid::Short)?;
                let source: [u8; 16] = first(address)?;
                (IpAddr::from(Ipv6Addr::from(source)).to_canonical(), ports)
            }
        };
        let (address, ports) = address;
        // The ports of both ends.
        let [high, low, _, _] = first(ports)?;
        Ok(Some(SocketAddr::new(address, u16::from_be_bytes([high, low]))))
    }
}

fn first<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Invalid> {
    bytes.first_chunk().copied().ok_or(Invalid::Short)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn preamble(command: u8, family: u8, length: u16) -> [u8; PREAMBLE] {
        let mut bytes = [0; PREAMBLE];
        bytes[..12].copy_from_slice(&SIGNATURE);
        bytes[12] = command;
        bytes[13] = family;
        bytes[14..].copy_from_slice(&length.to_be_bytes());
        bytes
    }

    const V4: [u8; 12] = [203, 0, 113, 7, 10, 0, 0, 1, 0x12, 0x67, 0, 80];

    fn v6(source: &str) -> Vec<u8> {
        let source: Ipv6Addr = source.parse().expect("an address");
        [&source.octets()[..], &[0; 16], &[0x12, 0x67, 0, 80]].concat()
    }

    #[test]
    fn addresses_are_read_and_additions_skipped() {
        let table: [(u8, u8, Vec<u8>, Option<&str>); 6] = [
            (0x21, 0x11, V4.to_vec(), Some("203.0.113.7:4711")),
            (
                0x21,
                0x11,
                [&V4[..], b"\x03\x00\x04abcd"].concat(),
                Some("203.0.113.7:4711"),
            ),
            (0x21, 0x21, v6("2001:db8::7"), Some("[2001:db8::7]:4711")),
            (0x21, 0x21, v6("::ffff:203.0.113.7"), Some("203.0.113.7:4711")),
            (0x20, 0x00, Vec::new(), None),
            (0x20, 0x11, V4.to_vec(), None),
        ];
        for (command, family, rest, expected) in table {
            let bytes = preamble(command, family, u16::try_from(rest.len()).expect("short"));
            let read = Preamble::read(&bytes).expect("a header");
            assert_eq!(read.rest, rest.len());
            let expected = expected.map(|text| text.parse().expect("an address"));
            assert_eq!(read.source(&rest), Ok(expected));
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for (bytes, expected) in [
            (*b"PROXY TCP4 203.0", Invalid::NotAHeader),
            (*b"POST /abc/orders", Invalid::NotAHeader),
            (preamble(0x11, 0x11, 12), Invalid::Unknown),
            (preamble(0x22, 0x11, 12), Invalid::Unknown),
            // No address, UDP, and a Unix socket.
            (preamble(0x21, 0x00, 0), Invalid::NoAddress),
            (preamble(0x21, 0x12, 12), Invalid::NoAddress),
            (preamble(0x21, 0x31, 216), Invalid::NoAddress),
            (preamble(0x21, 0x11, 4097), Invalid::TooLong),
        ] {
            assert_eq!(Preamble::read(&bytes), Err(expected));
        }
        let read = Preamble::read(&preamble(0x21, 0x11, 11)).expect("a preamble");
        assert_eq!(read.source(&V4[..11]), Err(Invalid::Short));
        let read = Preamble::read(&preamble(0x21, 0x21, 12)).expect("a preamble");
        assert_eq!(read.source(&V4), Err(Invalid::Short));
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes: [u8; 4], rest in proptest::collection::vec(any::<u8>(), 0..64)) {
            let [command, family, high, low] = bytes;
            if let Ok(read) = Preamble::read(&preamble(command, family, u16::from_be_bytes([high, low]))) {
                let _ = read.source(&rest);
            }
        }
    }
}
