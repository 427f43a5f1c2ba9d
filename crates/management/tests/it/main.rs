//! The management API from outside: the real service on a port of its own, with its own database.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod service;

mod account;
mod admin;
mod allowlists;
mod api_keys;
mod audit_log;
mod auth;
mod capture;
mod collections;
mod deduplication;
mod deletion;
mod destinations;
mod document;
mod emails;
mod expectations;
mod health;
mod idempotency;
mod invitations;
mod isolation;
mod limits;
mod logins;
mod mails;
mod management_keys;
mod members;
mod notifications;
mod operators_audit_log;
mod passwords;
mod public_api;
mod received;
mod rechecks;
mod replays;
mod request_rate;
mod retries;
mod revisions;
mod rights;
mod samples;
mod searches;
mod secrets;
mod senders;
mod signing_keys;
mod simulation;
mod smtp;
mod stored;
mod streams;
mod templates;
mod throttling;
mod totp;
mod urls;
mod usage;
mod verification;
mod webhooks;
