//! Access tokens (OAuth 2.0, client credentials): fetched once, kept in memory until shortly before they expire.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hookgate_egress::{Client, Failed, read_body};
use hookgate_model::flow::step::http::HttpFailure;
use hookgate_model::ids::{DestinationId, TenantId};
use hookgate_model::outbound_authentication::TokenRequest;
use quick_cache::sync::Cache;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request};
use serde::Deserialize;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

/// The tokens that are kept.
const KEPT: usize = 10_000;
/// The longest answer of a token endpoint, in bytes.
const ANSWER_BYTES: usize = 64 * 1024;
/// How long a token is kept whose server does not say how long it holds.
const UNSAID: Duration = Duration::from_secs(300);
/// How long before its end a token is not used any more, at most half of its time.
const MARGIN: Duration = Duration::from_secs(60);

/// The tokens in memory, one for each destination. Whoever needs one while it is fetched waits for that.
pub struct Tokens(Cache<(TenantId, DestinationId), Arc<Mutex<Option<Kept>>>>);

struct Kept {
    request: TokenRequest,
    token: Token,
    until: Instant,
}

/// A token that can be presented.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Zeroizing<String>);

impl Token {
    /// The value of `authorization`.
    pub fn header(&self) -> &str {
        &self.0
    }
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    token_type: Option<String>,
    expires_in: Option<f64>,
}

impl Tokens {
    pub fn new() -> Self {
        Self(Cache::new(KEPT))
    }

    /// The token of a destination; another one than `refused`, which the destination did not take.
    ///
    /// # Errors
    /// When none can be fetched.
    pub async fn get(
        &self,
        key: (TenantId, DestinationId),
        request: &TokenRequest,
        client: &Client,
        refused: Option<&Token>,
    ) -> Result<Token, Failed> {
        let made = self
            .0
            .get_or_insert_with(&key, || Ok::<_, std::convert::Infallible>(Arc::default()));
        let Ok(place) = made;
        let mut kept = place.lock().await;
        if let Some(kept) = kept.as_ref()
            && kept.request == *request
            && kept.until > Instant::now()
            && refused != Some(&kept.token)
        {
            return Ok(kept.token.clone());
        }
        *kept = None;
        let (token, holds) = fetch(request, client).await?;
        *kept = Some(Kept {
            request: request.clone(),
            token: token.clone(),
            until: Instant::now() + holds.saturating_sub(MARGIN.min(holds / 2)),
        });
        Ok(token)
    }
}

async fn fetch(wanted: &TokenRequest, client: &Client) -> Result<(Token, Duration), Failed> {
    let refused = |detail: String| Failed::new(HttpFailure::Authorize, format!("no access token: {detail}"));
    let mut request = Request::new(Method::POST, wanted.url.clone());
    let headers = request.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    headers.insert(CONTENT_TYPE, form);
    if let Some(authorization) = &wanted.authorization {
        let value =
            HeaderValue::from_str(authorization).map_err(|_| refused("its id is no header".into()))?;
        headers.insert(AUTHORIZATION, value);
    }
    *request.body_mut() = Some(wanted.form.to_string().into());
    let failed = |failed: Failed| refused(failed.detail);
    let mut response = client.send(request).await.map_err(failed)?;
    let status = response.status();
    let (body, is_cut) = read_body(&mut response, ANSWER_BYTES).await.map_err(failed)?;
    if !status.is_success() {
        return Err(refused(format!(
            "the token endpoint answered {}",
            status.as_u16()
        )));
    }
    let answer: Answer = serde_json::from_slice(&body)
        .ok()
        .filter(|_| !is_cut)
        .ok_or_else(|| refused("the token endpoint's answer holds none".to_owned()))?;
    let is_bearer = |kind: &String| kind.eq_ignore_ascii_case("bearer");
    if !answer.token_type.as_ref().is_none_or(is_bearer) {
        return Err(refused("it is no bearer token".to_owned()));
    }
    let header = Zeroizing::new(format!("Bearer {}", answer.access_token));
    if HeaderValue::from_str(&header).is_err() {
        return Err(refused("it cannot stand in a header".to_owned()));
    }
    let seconds = answer
        .expires_in
        .filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
    let holds = seconds.map_or(UNSAID, |seconds| Duration::from_secs_f64(seconds.min(86_400.0)));
    Ok((Token(header), holds))
}
