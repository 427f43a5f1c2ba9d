//! X-Forwarded-For and Forwarded: whatever a sender writes, what the trusted proxy adds decides.
#![no_main]

use std::net::IpAddr;

use hookgate_model::network_set::NetworkSet;
use hookgate_model::sender_address::{ForwardedHeader, of_sender};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let trusted = NetworkSet::new(&["10.0.0.0/8".parse().expect("a network")]);
    let proxy = IpAddr::from([10, 0, 0, 1]);
    let stranger = IpAddr::from([192, 0, 2, 1]);
    for (header, added) in [
        (ForwardedHeader::XForwardedFor, &b"203.0.113.5"[..]),
        (ForwardedHeader::Forwarded, b"for=203.0.113.5"),
    ] {
        let lines: Vec<&[u8]> = input.split(|&byte| byte == b'\n').collect();
        let direct = of_sender(stranger, header, || lines.iter().copied(), &trusted);
        assert_eq!(direct.address, stranger);
        let _ = of_sender(proxy, header, || lines.iter().copied(), &trusted).to_string();
        let appended = [input, b", ", added].concat();
        for lines in [vec![&appended[..]], vec![input, added]] {
            let sender = of_sender(proxy, header, || lines.iter().copied(), &trusted);
            assert_eq!(sender.address, IpAddr::from([203, 0, 113, 5]));
        }
    }
});
