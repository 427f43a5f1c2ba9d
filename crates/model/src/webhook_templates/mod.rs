//! Webhooks ready to be made: settings and behaviour, with places for what a tenant chooses.
//!
//! A template is a document in `documents/` and nothing more. Where it says `"${parameters.<name>}"` the value of that
//! parameter stands in the webhook that is made of it; everything else is what a tenant could write, too.

mod document;
mod fill;
#[cfg(test)]
mod tests;

pub use document::{Parameter, ParameterKind, WebhookTemplate, all, find};
pub use fill::{Filled, Given};
