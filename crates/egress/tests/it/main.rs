//! What the ingress and the management API fetch from senders, against a real server behind TLS.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod published_keys;
