//! Outgoing HTTP under one rule: to public addresses only (and to what an operator allows), without redirects, without
//! proxies. Whoever asks for a URL on behalf of a tenant or a sender asks here.

mod client;
mod failure;
mod permits;
pub mod published_keys;
mod resolver;
mod settings;
mod timing;

pub use client::{Client, check_identity, read_body};
pub use failure::Failed;
pub use permits::{Permit, Permits};
pub use settings::Settings;
pub use timing::{Timing, timed};
