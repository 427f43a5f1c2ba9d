//! The management REST API: people and machines of a tenant configure webhooks and read what came of them.
//!
//! A request passes `trace` (its id), `auth` (who calls), `idempotency` (POST with an Idempotency-Key), then one handler in
//! `routes/<noun>.rs`, whose extractors say what is proven: [`auth::Guarded`] the caller and the permission,
//! [`body::Json`] a body without errors, [`page::Paging`] where a list goes on. Every error is an [`error::ApiError`].

pub mod admin;
pub mod auth;
pub mod body;
mod changes;
mod client_address;
mod connection;
pub mod error;
pub mod etag;
pub mod fields;
mod idempotency;
mod json_lines;
mod listener;
pub mod mail;
pub mod openapi;
pub mod page;
pub mod path;
mod places;
pub mod query;
pub mod request_rate;
mod request_view;
pub mod routes;
mod sample_news;
mod server;
mod server_sent_events;
mod settings;
pub mod state;
mod trace;
mod verification;

pub use server::{Management, StartError, start};
pub use settings::Settings;
