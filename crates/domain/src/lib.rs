//! Everything that Hookgate keeps, in Postgres (the facts) and Redis (what may be lost at any moment).
//!
//! One module per noun with its query functions. A function that touches a tenant's rows takes a
//! [`scope::TenantScope`], which only an authorised caller, a resolved URL or a claimed job can give.

pub mod allowlists;
pub mod answers;
pub mod apart;
pub mod api_keys;
pub mod appender;
pub mod attempts;
pub mod audit;
pub mod body;
pub mod captures;
pub mod clock;
pub mod collections;
pub mod crypto;
pub mod database;
pub mod deduplication;
pub mod destinations;
pub mod drift;
pub mod error;
pub mod events;
pub mod export;
pub mod failed_callbacks;
pub mod idempotency;
pub mod inspection;
pub mod invitations;
pub mod jobs;
pub mod limits;
pub mod login_sessions;
pub mod mailed_tokens;
pub mod mails;
pub mod maintenance;
pub mod management_keys;
pub mod members;
pub mod migrations;
pub mod notifications;
pub mod page;
pub mod pairings;
pub mod partitions;
pub mod public_api;
pub mod records;
pub mod redis;
pub mod refusals;
pub mod replays;
pub mod revisions;
pub mod routing;
pub mod runs;
pub mod samples;
pub mod schema;
pub mod scope;
pub mod sealed;
pub mod secrets;
pub mod sessions;
pub mod signing_keys;
pub mod status_urls;
mod stored_json;
pub mod tenants;
pub mod totp;
pub mod trace;
pub mod urls;
pub mod usage;
pub mod users;
pub mod verification;
pub mod webhooks;

pub use error::{Error, Result};
