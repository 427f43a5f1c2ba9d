//! The clock and the randomness of the process: the one place that reads them, so that `model` stays pure.

use chrono::{DateTime, Utc};
use hookgate_model::ids::{Id, Kind};

/// The time, UTC.
#[allow(clippy::disallowed_methods)]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

/// A new id of the present moment.
pub fn new_id<K: Kind>() -> Id<K> {
    Id::new(now(), rand::random())
}

/// Random bytes from the operating system's generator, for tokens, keys and secrets.
///
/// # Panics
/// When the operating system gives no randomness: nothing secret can be made then.
#[allow(clippy::expect_used)]
pub fn secret_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system's random generator works");
    bytes
}
