//! What flows do to the world outside.

pub mod http;
