//! What it takes to find an address in an allowlist, by itself.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use hookgate_model::network_set::NetworkSet;
use ipnet::{IpNet, Ipv4Net};

const LOOK_UPS: u32 = 2_000_000;

/// Nanoseconds of one look-up among so many networks, none next to another; addresses are spread over all of them, and half
/// are in none.
pub fn nanoseconds(networks: u32) -> f64 {
    let base = u32::from(Ipv4Addr::new(10, 0, 0, 0));
    let list: Vec<IpNet> = (0..networks)
        .filter_map(|number| Ipv4Net::new(Ipv4Addr::from(base + number * 128), 26).ok())
        .map(IpNet::from)
        .collect();
    let set = NetworkSet::new(&list);
    let began = Instant::now();
    for number in 0..LOOK_UPS {
        // A stride that is no divisor visits them out of order.
        let address = base.wrapping_add(number.wrapping_mul(2_654_435_761) % (networks * 128));
        black_box(set.contains(black_box(IpAddr::V4(Ipv4Addr::from(address)))));
    }
    began.elapsed().as_nanos() as f64 / f64::from(LOOK_UPS)
}
