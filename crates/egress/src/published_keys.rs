//! Keys and certificates that senders publish: fetched over https when a verification asks for them, and kept.
//!
//! Anybody who knows a webhook's URL can make a verification ask. So what is fetched is kept for some time whatever its
//! server says, a failure is not repeated at once, a key that is not among those of a set has the set fetched again
//! only now and then, one fetch serves everybody who waits for it, and a tenant has only so many at the same time.

use std::sync::Arc;
use std::time::Duration;

use hookgate_model::authentication::{
    CERTIFICATE_BYTES, Certificate, Denial, DenialCode, ExternalKeys, JWKS_BYTES, JwkSet, KeyKind, KeyRequest,
};
use hookgate_model::flow::step::http::HttpFailure;
use hookgate_model::ids::TenantId;
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use reqwest::header::{ACCEPT, CACHE_CONTROL, HeaderMap, HeaderValue};
use reqwest::{Method, Request};
use tokio::runtime::Handle;
use tokio::time::Instant;
use url::Url;

use crate::{Client, Failed, Permits, read_body};

/// How long a fetch may take; senders wait for their answer meanwhile.
const FETCH_WITHIN: Duration = Duration::from_secs(3);
/// How long keys are fresh when their server says nothing, and at least and at most whatever it says.
const FRESH: Duration = Duration::from_secs(3600);
const FRESH_LEAST: Duration = Duration::from_secs(5 * 60);
const FRESH_MOST: Duration = Duration::from_secs(24 * 3600);
/// How much longer keys count when their server cannot be reached.
const STALE: Duration = Duration::from_secs(24 * 3600);
/// How long a failure stands before the same is tried again.
const FAILED_FOR: Duration = Duration::from_secs(10);
/// How old keys must be to be fetched again for a key that is not among them.
const REFRESH_AFTER: Duration = Duration::from_secs(60);
/// Key sets and certificates that are kept.
const KEPT: usize = 10_000;
/// Fetches at the same time, in all and for one tenant.
const FETCHES: usize = 64;
const FETCHES_PER_TENANT: usize = 8;
/// Key sets and certificates that one request may have fetched.
const FETCHES_PER_REQUEST: usize = 4;
/// The longest URL.
const URL_BYTES: usize = 2000;

/// Why keys were not fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotFetched {
    /// They were fetched not long ago, and the wanted key is not among them.
    #[error("the key is not among those that the sender publishes")]
    NotAmong,
    /// They cannot be had at present.
    #[error("{0}")]
    Unavailable(String),
}

/// The keys that were fetched. Cloning shares them.
#[derive(Clone)]
pub struct PublishedKeys(Arc<Shared>);

struct Shared {
    client: Client,
    permits: Permits,
    /// Where fetches run: also when the request that asked for one goes away.
    runtime: Handle,
    slots: Cache<(KeyKind, Box<str>), Arc<Slot>>,
}

/// What is known of one URL.
#[derive(Default)]
struct Slot {
    state: Mutex<State>,
    /// Held by the one who fetches.
    fetching: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct State {
    published: Option<Published>,
    failed: Option<(Instant, String)>,
}

#[derive(Clone)]
struct Published {
    keys: Keys,
    fetched_at: Instant,
    fresh_for: Duration,
}

#[derive(Clone)]
enum Keys {
    Jwks(Arc<JwkSet>),
    Certificate(Arc<Certificate>),
}

impl PublishedKeys {
    /// Fetches with a client, on the running tokio runtime.
    pub fn new(client: Client) -> Self {
        Self(Arc::new(Shared {
            client,
            permits: Permits::new(FETCHES, FETCHES_PER_TENANT),
            runtime: Handle::current(),
            slots: Cache::new(KEPT),
        }))
    }

    /// Fetches what a verification lacks, or waits for somebody else's fetch of it. Ask the verifier again then.
    ///
    /// # Errors
    /// When it cannot be had, was not to be had a moment ago, or was fetched not long ago and is not what is wanted.
    pub async fn fetch(&self, tenant: TenantId, request: &KeyRequest) -> Result<(), NotFetched> {
        let asked = Instant::now();
        let slot = self.0.slot(request.kind, &request.url);
        let turn = Arc::clone(&slot.fetching).lock_owned().await;
        if let Some(known) = slot.state.lock().outcome(asked, request.is_refresh) {
            return known;
        }
        let (shared, slot, wanted) = (Arc::clone(&self.0), Arc::clone(&slot), request.clone());
        let fetching = self.0.runtime.spawn(async move {
            let outcome = shared.fetch_into(&slot, tenant, wanted.kind, &wanted.url).await;
            drop(turn);
            outcome
        });
        fetching
            .await
            .unwrap_or_else(|stopped| Err(NotFetched::Unavailable(stopped.to_string())))
    }

    /// The keys at a URL, unless they are too old. The first who gets stale ones has them fetched anew, and does not wait.
    fn find(&self, kind: KeyKind, url: &str) -> Option<Keys> {
        let slot = self.0.slots.get(&(kind, url.into()))?;
        let published = slot.state.lock().published.clone()?;
        let age = published.fetched_at.elapsed();
        if age >= published.fresh_for + STALE {
            return None;
        }
        if age >= published.fresh_for
            && let Ok(turn) = Arc::clone(&slot.fetching).try_lock_owned()
            && !slot.state.lock().failed_a_moment_ago()
        {
            let (shared, url) = (Arc::clone(&self.0), url.to_owned());
            self.0.runtime.spawn(async move {
                let _ = shared.fetch_anew(&slot, kind, &url).await;
                drop(turn);
            });
        }
        Some(published.keys)
    }
}

/// The keys that one request has asked for.
#[derive(Debug, Default)]
pub struct Asked(Vec<KeyRequest>);

impl Asked {
    /// Fetches keys that a verification lacks, so that it can be repeated.
    ///
    /// # Errors
    /// The denial, when they cannot be had, were asked for before, or there were enough of them.
    pub async fn fetch(
        &mut self,
        keys: &PublishedKeys,
        tenant: TenantId,
        wanted: KeyRequest,
    ) -> Result<(), Denial> {
        if self.0.len() >= FETCHES_PER_REQUEST || self.0.contains(&wanted) {
            return Err(wanted.denial());
        }
        match keys.fetch(tenant, &wanted).await {
            Ok(()) => {
                self.0.push(wanted);
                Ok(())
            }
            Err(NotFetched::NotAmong) => Err(wanted.denial()),
            Err(NotFetched::Unavailable(detail)) => Err(Denial::new(
                DenialCode::KeysUnavailable,
                format!("The sender's keys cannot be had at present: {detail}."),
            )),
        }
    }
}

impl ExternalKeys for PublishedKeys {
    fn jwks(&self, url: &str) -> Option<Arc<JwkSet>> {
        match self.find(KeyKind::Jwks, url)? {
            Keys::Jwks(keys) => Some(keys),
            Keys::Certificate(_) => None,
        }
    }

    fn certificate(&self, url: &str) -> Option<Arc<Certificate>> {
        match self.find(KeyKind::Certificate, url)? {
            Keys::Certificate(certificate) => Some(certificate),
            Keys::Jwks(_) => None,
        }
    }
}

impl State {
    fn failed_a_moment_ago(&self) -> bool {
        self.failed
            .as_ref()
            .is_some_and(|(at, _)| at.elapsed() < FAILED_FOR)
    }

    /// What there is to say without another fetch, to somebody who asked at a time.
    fn outcome(&self, asked: Instant, is_refresh: bool) -> Option<Result<(), NotFetched>> {
        if let Some((at, detail)) = &self.failed
            && at.elapsed() < FAILED_FOR
        {
            return Some(Err(NotFetched::Unavailable(detail.clone())));
        }
        let published = self.published.as_ref()?;
        let age = published.fetched_at.elapsed();
        if published.fetched_at >= asked {
            // Somebody else fetched while this one waited.
            Some(Ok(()))
        } else if is_refresh {
            (age < REFRESH_AFTER).then_some(Err(NotFetched::NotAmong))
        } else {
            (age < published.fresh_for).then_some(Ok(()))
        }
    }
}

impl Shared {
    fn slot(&self, kind: KeyKind, url: &str) -> Arc<Slot> {
        let made = self.slots.get_or_insert_with(&(kind, url.into()), || {
            Ok::<_, std::convert::Infallible>(Arc::default())
        });
        made.unwrap_or_else(|never| match never {})
    }

    /// Fetches under the tenant's share of all fetches.
    async fn fetch_into(
        &self,
        slot: &Slot,
        tenant: TenantId,
        kind: KeyKind,
        url: &str,
    ) -> Result<(), NotFetched> {
        let permit = tokio::time::timeout(FETCH_WITHIN, self.permits.acquire(tenant)).await;
        let Ok(Some(_permit)) = permit else {
            return Err(NotFetched::Unavailable(
                "too many keys are being fetched at present".to_owned(),
            ));
        };
        self.fetch_anew(slot, kind, url).await
    }

    async fn fetch_anew(&self, slot: &Slot, kind: KeyKind, url: &str) -> Result<(), NotFetched> {
        let fetched = tokio::time::timeout(FETCH_WITHIN, self.get(kind, url)).await;
        let fetched = fetched.unwrap_or_else(|_| {
            let detail = format!("no complete answer within {} s", FETCH_WITHIN.as_secs());
            Err(Failed::new(HttpFailure::Timeout, detail))
        });
        let mut state = slot.state.lock();
        let outcome = match fetched {
            Ok(published) => {
                state.published = Some(published);
                state.failed = None;
                Ok(())
            }
            Err(Failed { failure, detail }) => {
                tracing::info!(
                    url,
                    failure = failure.as_str(),
                    detail,
                    "published keys cannot be had"
                );
                state.failed = Some((Instant::now(), detail.clone()));
                Err(NotFetched::Unavailable(detail))
            }
        };
        let result = if outcome.is_ok() { "fetched" } else { "failed" };
        metrics::counter!("hookgate_published_keys_total", "result" => result).increment(1);
        outcome
    }

    async fn get(&self, kind: KeyKind, url: &str) -> Result<Published, Failed> {
        let (most, accepted) = match kind {
            KeyKind::Jwks => (JWKS_BYTES, "application/jwk-set+json, application/json"),
            KeyKind::Certificate => (CERTIFICATE_BYTES, "application/x-pem-file, */*"),
        };
        let mut request = Request::new(Method::GET, secure(url)?);
        request
            .headers_mut()
            .insert(ACCEPT, HeaderValue::from_static(accepted));
        let mut response = self.client.send(request).await?;
        let unusable = |detail: String| Failed::new(HttpFailure::Protocol, detail);
        if response.status() != reqwest::StatusCode::OK {
            let status = response.status().as_u16();
            return Err(unusable(format!(
                "the server of the keys answered {status}, not 200; redirects are not followed"
            )));
        }
        let fresh_for = fresh_for(response.headers());
        let (body, is_cut) = read_body(&mut response, most).await?;
        if is_cut {
            return Err(unusable(format!("longer than {most} bytes")));
        }
        let keys = match kind {
            KeyKind::Jwks => JwkSet::parse(&body).map(|keys| Keys::Jwks(Arc::new(keys))),
            KeyKind::Certificate => Certificate::parse(&body).map(|one| Keys::Certificate(Arc::new(one))),
        };
        Ok(Published {
            keys: keys.map_err(|error| unusable(error.to_string()))?,
            fetched_at: Instant::now(),
            fresh_for,
        })
    }
}

/// A URL over which nobody can give other keys.
fn secure(url: &str) -> Result<Url, Failed> {
    let parsed = Url::parse(url).ok().filter(|parsed| {
        url.len() <= URL_BYTES
            && parsed.scheme() == "https"
            && parsed.username().is_empty()
            && parsed.password().is_none()
    });
    parsed.ok_or_else(|| {
        Failed::refused("keys are fetched from https URLs without credentials, of at most 2000 bytes")
    })
}

/// How long a response is fresh by its `Cache-Control: max-age` (RFC 9111, section 5.2.2.1), within bounds.
fn fresh_for(headers: &HeaderMap) -> Duration {
    let directives = headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let seconds = directives
        .filter_map(|directive| directive.trim().split_once('='))
        .find(|(name, _)| name.eq_ignore_ascii_case("max-age"))
        .and_then(|(_, seconds)| seconds.trim_matches('"').parse().ok());
    seconds
        .map_or(FRESH, Duration::from_secs)
        .clamp(FRESH_LEAST, FRESH_MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freshness_is_bounded() {
        for (value, expected) in [
            ("public, max-age=7200, must-revalidate", 7200),
            ("Max-Age=\"600\"", 600),
            ("max-age=0", 300),
            ("max-age=999999999", 24 * 3600),
            ("max-age=soon", 3600),
            ("no-store", 3600),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CACHE_CONTROL, HeaderValue::from_static(value));
            assert_eq!(fresh_for(&headers).as_secs(), expected, "{value}");
        }
    }

    #[test]
    fn only_https_without_credentials_is_fetched() {
        assert!(secure("https://keys.example.com/jwks.json").is_ok());
        for url in [
            "http://keys.example.com/jwks.json",
            "https://user:password@keys.example.com/",
            "https://user@keys.example.com/",
            "file:///etc/passwd",
            "keys",
        ] {
            assert!(secure(url).is_err(), "{url}");
        }
        assert!(secure(&format!("https://keys.example.com/{}", "x".repeat(2000))).is_err());
    }
}
