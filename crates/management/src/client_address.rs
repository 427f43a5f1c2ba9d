//! Who calls: the peer, or behind trusted proxies the address that the nearest of them saw.

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::http::header;
use hookgate_model::protection::network_of;
use hookgate_model::sender_address::{self, ForwardedHeader, Sender};
use ipnet::IpNet;

use crate::state::State;

/// Characters that are kept of what a program calls itself.
const USER_AGENT: usize = 200;

/// The caller's address.
pub fn of(request: &HttpRequest, state: &State) -> Option<IpAddr> {
    sender(request, state).map(|sender| sender.address)
}

/// What a person recognises a login by.
#[derive(Debug, Clone)]
pub struct Client {
    /// The network.
    pub network: Option<IpNet>,
    /// The program, as it calls itself.
    pub user_agent: Option<String>,
}

/// Where a request comes from.
pub fn client(request: &HttpRequest, state: &State) -> Client {
    let user_agent = request.headers().get(header::USER_AGENT);
    let user_agent = user_agent.and_then(|text| text.to_str().ok());
    Client {
        network: of(request, state).map(network_of),
        user_agent: user_agent.map(|text| text.chars().take(USER_AGENT).collect()),
    }
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
