//! Who sent a request: the peer, or behind trusted proxies the address that the nearest of them saw.

use std::net::IpAddr;

use hookgate_model::network_set::NetworkSet;

/// The sender's address. X-Forwarded-For counts only when the peer is a trusted proxy; it is read from the right, over
/// all its lines joined, and the first address that is no trusted proxy is the sender's: whatever stands further left
/// could have been made up by the sender. An entry that is no address ends the reading at the last proxy.
pub fn of_sender<'a, Lines: DoubleEndedIterator<Item = &'a [u8]>>(
    peer: IpAddr,
    forwarded_for: impl FnOnce() -> Lines,
    trusted: &NetworkSet,
) -> IpAddr {
    let mut sender = peer.to_canonical();
    if !trusted.contains(sender) {
        return sender;
    }
    for entry in forwarded_for()
        .rev()
        .flat_map(|line| line.rsplit(|&byte| byte == b','))
    {
        if !trusted.contains(sender) {
            break;
        }
        match parse(entry) {
            Some(address) => sender = address,
            None => break,
        }
    }
    sender
}

/// An entry of X-Forwarded-For: an address, which some proxies write with a port or in brackets.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rightmost_untrusted_hop_is_the_sender() {
        let trusted = NetworkSet::new(&[
            "10.0.0.0/8".parse().expect("a network"),
            "::1/128".parse().expect("a network"),
        ]);
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
            let lines = lines.iter().map(|line| line.as_bytes());
            let sender = of_sender(peer.parse().expect("an address"), || lines, &trusted);
            assert_eq!(sender, expected.parse::<IpAddr>().expect("an address"), "{peer}");
        }
    }
}
