//! The management API from outside: the real service on a port of its own, with its own database.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod service;

mod account;
mod auth;
mod document;
mod health;
mod idempotency;
mod management_keys;
