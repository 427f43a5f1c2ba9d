//! The systems whose webhooks are known: how they sign, what they call their events, how they shake hands.

mod identity;

pub use identity::Identity;
