//! A set of networks that answers in a few comparisons, however many they are.

use std::net::IpAddr;

use ipnet::IpNet;

/// Networks as sorted ranges that do not overlap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkSet {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl NetworkSet {
    /// Takes networks in any order; they may overlap.
    pub fn new(networks: &[IpNet]) -> Self {
        let mut set = Self::default();
        for network in IpNet::aggregate(&networks.to_vec()) {
            match network {
                IpNet::V4(v4) => set.v4.push((v4.network().to_bits(), v4.broadcast().to_bits())),
                IpNet::V6(v6) => set.v6.push((v6.network().to_bits(), v6.broadcast().to_bits())),
            }
        }
        set.v4.sort_unstable();
        set.v6.sort_unstable();
        set
    }

    /// Whether the address is in one of the networks. An IPv4 address that is written as IPv6 (`::ffff:1.2.3.4`) counts
    /// as the IPv4 address that it is.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(v4) => holds(&self.v4, v4.to_bits()),
            IpAddr::V6(v6) => holds(&self.v6, v6.to_bits()),
        }
    }
}

fn holds<T: Ord + Copy>(ranges: &[(T, T)], address: T) -> bool {
    let after = ranges.partition_point(|&(first, _)| first <= address);
    after > 0 && ranges.get(after - 1).is_some_and(|&(_, last)| address <= last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(networks: &[&str]) -> NetworkSet {
        NetworkSet::new(
            &networks
                .iter()
                .map(|text| text.parse().expect("a network"))
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn addresses_are_found_in_their_networks() {
        let set = set(&[
            "10.0.0.0/8",
            "10.1.0.0/16",
            "192.0.2.7/32",
            "2001:db8::/32",
            "203.0.113.9/24",
        ]);
        for inside in [
            "10.255.255.255",
            "192.0.2.7",
            "2001:db8:ffff::1",
            "::ffff:10.0.0.1",
            "203.0.113.1",
        ] {
            assert!(set.contains(inside.parse().expect("an address")), "{inside}");
        }
        for outside in [
            "11.0.0.0",
            "9.255.255.255",
            "192.0.2.8",
            "2001:db9::",
            "::10.0.0.1",
            "::ffff:11.0.0.1",
        ] {
            assert!(!set.contains(outside.parse().expect("an address")), "{outside}");
        }
        assert!(!NetworkSet::default().contains("10.0.0.1".parse().expect("an address")));
        assert!(super::tests::set(&["0.0.0.0/0"]).contains("255.255.255.255".parse().expect("an address")));
    }

    fn address(is_v4: bool, bits: u128) -> IpAddr {
        if is_v4 {
            IpAddr::from(std::net::Ipv4Addr::from_bits((bits >> 96) as u32))
        } else {
            IpAddr::from(std::net::Ipv6Addr::from_bits(bits))
        }
    }

    fn network(is_v4: bool, bits: u128, length: u8) -> IpNet {
        let length = if is_v4 { length % 33 } else { length % 129 };
        IpNet::new(address(is_v4, bits), length).expect("a network")
    }

    fn check(networks: &[IpNet], addresses: impl Iterator<Item = IpAddr>) -> Result<(), TestCaseError> {
        let set = NetworkSet::new(networks);
        for address in addresses {
            let canonical = address.to_canonical();
            let listed = networks.iter().any(|network| network.contains(&canonical));
            prop_assert_eq!(set.contains(address), listed, "{}", address);
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn agrees_with_asking_each_network(
            networks in proptest::collection::vec((any::<bool>(), any::<u128>(), any::<u8>()), 0..20),
            addresses in proptest::collection::vec((any::<bool>(), any::<u128>()), 20),
        ) {
            let networks: Vec<IpNet> = networks.into_iter().map(|(v4, bits, length)| network(v4, bits, length)).collect();
            // Anywhere, and at the edges of the networks.
            let edges = networks.iter().flat_map(|network| [network.network(), network.broadcast()]);
            let edges: Vec<IpAddr> = edges.collect();
            check(&networks, addresses.into_iter().map(|(v4, bits)| address(v4, bits)).chain(edges))?;
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4))]
        #[test]
        fn agrees_when_there_are_ten_thousand(
            networks in proptest::collection::vec((any::<bool>(), any::<u128>(), 20..=128_u8), 10_000),
            addresses in proptest::collection::vec((any::<bool>(), any::<u128>()), 200),
        ) {
            let networks: Vec<IpNet> = networks.into_iter().map(|(v4, bits, length)| network(v4, bits, length)).collect();
            let edges: Vec<IpAddr> = networks.iter().step_by(100).map(IpNet::broadcast).collect();
            check(&networks, addresses.into_iter().map(|(v4, bits)| address(v4, bits)).chain(edges))?;
        }
    }
}
