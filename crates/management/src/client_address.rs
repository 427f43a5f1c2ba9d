//! Who calls: the peer, or behind trusted proxies the address that the nearest of them saw.

use std::net::IpAddr;

use actix_web::HttpRequest;
use hookgate_model::sender_address::{self, ForwardedHeader, Sender};

use crate::state::State;

/// The caller's address.
pub fn of(request: &HttpRequest, state: &State) -> Option<IpAddr> {
    sender(request, state).map(|sender| sender.address)
}

/// The caller's address, and how it is known.
pub fn sender(request: &HttpRequest, state: &State) -> Option<Sender> {
    let header = ForwardedHeader::XForwardedFor;
    let lines = || {
        let lines = request.headers().get_all(header.name());
        let lines: Vec<_> = lines.map(|line| line.as_bytes()).collect();
        lines.into_iter()
    };
    let peer = request.peer_addr()?.ip();
    Some(sender_address::of_sender(
        peer,
        header,
        lines,
        &state.trusted_proxies,
    ))
}
