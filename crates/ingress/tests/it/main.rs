//! The ingress over real HTTP, on a real Postgres and Redis.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod admission;
mod answers;
mod bodies;
mod browsers;
mod capture;
mod changes;
mod credentials;
mod deduplication;
mod deduplication_model;
mod expectations;
mod handshakes;
mod harness;
mod hostile;
mod independent;
mod limits;
mod pairing;
mod pausing;
mod protection;
mod proxies;
mod quotas;
mod refused;
mod sessions;
mod shares;
mod sns;
mod storage;
mod wire;
