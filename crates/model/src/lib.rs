//! Values and decisions of Hookgate, pure: no I/O, no clock, no randomness. The time and random bytes are parameters.

pub mod access;
pub mod answer;
pub mod authentication;
pub mod base32;
pub mod base_url;
pub mod body;
pub mod cidr;
pub mod cors;
pub mod deduplication;
pub mod egress;
pub mod email;
pub mod flow;
pub mod headers;
pub mod ids;
pub mod limits;
pub mod methods;
pub mod network_set;
pub mod outbound_signature;
pub mod protection;
pub mod proxy_protocol;
pub mod rate;
pub mod retry;
pub mod senders;
pub mod suffix;
pub mod token;
pub mod webhook;
