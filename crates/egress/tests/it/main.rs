//! Where outgoing calls may go, and what the ingress and the management API fetch from senders.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod names;
mod published_keys;
