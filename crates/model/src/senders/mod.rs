//! The systems whose webhooks are known: how they sign, what they call their events, how they shake hands.
//!
//! A sender is a document in `presets/` and nothing more, unless it shakes hands in a way that no other does: then that is a
//! kind of [`Handshake`]. `docs/senders.md` is made from the documents.

mod expand;
mod handshake;
mod identity;
mod of_webhook;
mod preset;
mod setup;

pub use expand::{authentication, handshake};
pub use handshake::{
    CloudEventsSettings, Fault, Handshake, Handshaker, MAX_CHALLENGE_BYTES, Offer, Outcome, SubscribeUrl,
};
pub use identity::{DELIVERY_ID_BYTES, EVENT_TYPE_CHARACTERS, Identity};
pub use of_webhook::{effective_handshake, identity, pairing_sender};
pub use preset::{Category, Choice, Format, Need, Origin, Preset, all, find};

#[cfg(test)]
mod tests;
