//! Azure Event Grid's validation, in both schemas
//! (<https://learn.microsoft.com/azure/event-grid/end-point-validation-event-grid-events-schema>, and
//! <https://learn.microsoft.com/azure/event-grid/end-point-validation-cloud-events-schema>).

use serde::Deserialize;

use super::answers::{challenge, json};
use super::cloud_events::CloudEventsSettings;
use super::{Fault, Outcome};
use crate::authentication::Request;

/// How Event Grid names itself.
const ORIGIN: &str = "eventgrid.azure.net";

#[derive(Deserialize)]
struct Event {
    data: Validation,
}

#[derive(Deserialize)]
struct Validation {
    #[serde(rename = "validationCode")]
    code: String,
}

/// Gives Event Grid, and nobody else, permission to deliver CloudEvents.
pub(super) fn answer_options(request: &Request<'_>) -> Option<Outcome> {
    let settings = CloudEventsSettings {
        allowed_origins: vec![ORIGIN.to_owned()],
        requests_per_minute: None,
    };
    settings.answer(request)
}

/// Answers a validation event, which was authenticated as any event of Event Grid is.
pub(super) fn answer_event(request: &Request<'_>) -> Option<Outcome> {
    let kind = request.headers.value("aeg-event-type", 0)?;
    if !kind.eq_ignore_ascii_case(b"SubscriptionValidation") {
        return None;
    }
    // A list of one event; of several, one that is none makes the whole unreadable.
    let events: Result<Vec<Event>, _> = serde_json::from_slice(request.body);
    let code = match events.ok().and_then(|events| events.into_iter().next()) {
        Some(event) => challenge(event.data.code),
        None => Err(Fault::Malformed(
            "The validation event has no `data.validationCode`.",
        )),
    };
    Some(match code {
        Ok(code) => Outcome::Answer(json(&serde_json::json!({ "validationResponse": code }))),
        Err(fault) => Outcome::Refuse(fault),
    })
}
