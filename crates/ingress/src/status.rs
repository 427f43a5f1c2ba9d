//! `GET /status/…`: what became of an event whose caller did not wait for its end.

use std::fmt::Display;

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue, RETRY_AFTER};
use chrono::TimeDelta;
use hookgate_domain::{answers, clock, status_urls};
use hookgate_model::ids::EventId;
use serde_json::json;

use crate::answer::Prepared;
use crate::refusal::Refusal;
use crate::service::Service;
use crate::webhook::Webhook;

/// What the paths of status URLs begin with: no token of a URL looks like it.
pub const PREFIX: &str = "/status/";
/// When to ask again, in seconds.
const ASK_AGAIN_SECONDS: &str = "2";

impl Service {
    /// Where an event's answer can be had later.
    pub fn status_url(&self, webhook: &Webhook, event: EventId) -> Option<String> {
        let lifetime = TimeDelta::seconds(self.settings.status_url_seconds.into());
        let expires_at = clock::now().checked_add_signed(lifetime)?;
        let token = status_urls::seal(&self.master_key, &webhook.route.scope, event, expires_at);
        Some(format!("{}{PREFIX}{}", self.public_url, token.ok()?))
    }

    /// The answer of the run that a status URL names, when it is there.
    pub async fn status(&self, token: &str) -> HttpResponse {
        let Some((scope, event)) = status_urls::open(&self.master_key, token, clock::now()) else {
            return Refusal::UnknownUrl.answer();
        };
        let asked = [(event, None)];
        let read = move |conn: &mut _| scope.transaction(conn, |conn| answers::read(conn, &scope, &asked));
        let found = match self.pool.run(read).await {
            Ok(found) => found.into_iter().next(),
            Err(error) => {
                tracing::warn!(%error, "the status of an event could not be read");
                return Refusal::StorageUnavailable.answer();
            }
        };
        let mut answer = match found.map(|(_, answer)| answer) {
            Some(Ok(Some(answer))) => Prepared::from(&answer).send(event),
            // Data protection lets nobody have it but the caller who waited.
            Some(_) => HttpResponse::Ok().json(json!({ "status": "finished", "event_id": event })),
            None => processing(event, ASK_AGAIN_SECONDS),
        };
        let headers = answer.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        answer
    }
}

fn processing(event: impl Display, again: &str) -> HttpResponse {
    HttpResponse::Accepted()
        .insert_header((RETRY_AFTER, again))
        .json(json!({ "status": "processing", "event_id": event.to_string() }))
}
