//! What flows do to the world outside.

pub mod http;
pub mod target;
pub mod tokens;
