//! Free ports: a taken one is said, and the next free one is used.

use std::net::{SocketAddr, TcpListener};

use anyhow::{Result, bail};

/// How far to look.
const TRIES: u16 = 100;

/// Moves each address to the next free port, if its own is taken. Returns a sentence for each that was moved.
pub(super) fn choose(addresses: Vec<(&str, &mut SocketAddr)>) -> Result<Vec<String>> {
    // They are held until all are chosen, so that no two get the same.
    let mut held = Vec::new();
    let mut moved = Vec::new();
    let wanted: Vec<SocketAddr> = addresses.iter().map(|(_, address)| **address).collect();
    for (name, address) in addresses {
        let asked = *address;
        let mut candidates = (0..TRIES)
            .filter_map(|step| asked.port().checked_add(step))
            .filter(|port| {
                // The others' own ports are theirs.
                asked.port() == *port || !wanted.iter().any(|other| other.port() == *port)
            });
        let Some(listener) = candidates.find_map(|port| TcpListener::bind((asked.ip(), port)).ok()) else {
            bail!("{name}: no free port from {asked} on");
        };
        *address = listener.local_addr()?;
        if asked.port() != 0 && address.port() != asked.port() {
            moved.push(format!(
                "Port {} is taken: {name} is {address} instead.",
                asked.port()
            ));
        }
        held.push(listener);
    }
    Ok(moved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_said_and_the_next_free_one_chosen() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let (mut first, mut second) = (address, "127.0.0.1:0".parse().unwrap());
        let moved = choose(vec![
            ("ingress.listen", &mut first),
            ("management.listen", &mut second),
        ])
        .unwrap();
        assert!(first.port() > address.port() && second.port() > 0);
        assert_eq!(moved.len(), 1);
        assert!(moved[0].contains(&address.port().to_string()) && moved[0].contains(&first.to_string()));
    }
}
