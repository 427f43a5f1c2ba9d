//! What flows do to the world outside.

pub mod http;
pub mod record;
pub mod target;
pub mod tokens;
