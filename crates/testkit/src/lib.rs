//! What the tests of every crate share: private servers, a database per test, fixtures, a receiver to deliver to.
//!
//! `make test` starts one PostgreSQL and Redis for the whole run (`with-servers`). A test binary that is started alone, as by
//! `cargo test -p hookgate-ingress`, starts its own and needs nothing prepared. Everything panics on failure, as tests do.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "test support")]

pub mod database;
pub mod eventually;
pub mod fixtures;
pub mod name_server;
pub mod receiver;
pub mod servers;
pub mod tls;

pub use database::TestDatabase;
pub use eventually::eventually;
pub use name_server::NameServer;
pub use receiver::Receiver;

/// An HTTP client for tests: no redirects, no proxy, a deadline of half a minute.
///
/// # Panics
/// When it cannot be made.
pub fn http_client() -> reqwest::Client {
    // reqwest is built without a TLS provider; the first caller in the process gives it one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(std::time::Duration::from_secs(30))
        .build()
        .expect("an HTTP client")
}
