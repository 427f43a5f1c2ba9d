//! Who calls: the peer, or behind trusted proxies the address that the nearest of them saw.

use std::net::IpAddr;

use actix_web::HttpRequest;

use crate::state::State;

/// The caller's address. X-Forwarded-For counts only when the peer is a trusted proxy; it is read from the right, and the
/// first address that is no trusted proxy is the caller's: whatever stands further left could have been made up. An entry
/// that is no address ends the reading at the last proxy.
pub fn of(request: &HttpRequest, state: &State) -> Option<IpAddr> {
    let mut caller = request.peer_addr()?.ip().to_canonical();
    let lines: Vec<_> = request.headers().get_all("x-forwarded-for").collect();
    let entries = lines
        .iter()
        .rev()
        .flat_map(|line| line.as_bytes().rsplit(|&byte| byte == b','));
    for entry in entries {
        if !state.trusted_proxies.contains(caller) {
            break;
        }
        let named = std::str::from_utf8(entry)
            .ok()
            .and_then(|text| text.trim().parse::<IpAddr>().ok());
        match named {
            Some(address) => caller = address.to_canonical(),
            None => break,
        }
    }
    Some(caller)
}
