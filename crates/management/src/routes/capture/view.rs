//! A capture window as the API shows it.

use chrono::{DateTime, Utc};
use hookgate_domain::captures::Capture;
use hookgate_domain::samples::Sample;
use hookgate_model::ids::UrlId;
use hookgate_model::sample::CaptureEnd;
use serde::Serialize;
use utoipa::ToSchema;

use crate::routes::samples::SampleSummary;

/// The latest capture window of a webhook.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Capture, example = json!({"state": "open", "url_id": null, "opened_at": "2026-11-21T12:00:00Z",
    "expires_at": "2026-11-21T12:03:00Z", "ended_at": null, "taken": 0, "most": 200, "samples": []}))]
pub struct CaptureView {
    /// Where it is.
    pub state: CaptureState,
    /// The URL that it is for; null for all of the webhook's.
    pub url_id: Option<UrlId>,
    /// When it was opened; null when the webhook never had one.
    pub opened_at: Option<DateTime<Utc>>,
    /// When it ends at the latest.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it ended before that.
    pub ended_at: Option<DateTime<Utc>>,
    /// How many samples it has taken.
    #[schema(example = 3)]
    pub taken: i64,
    /// How many it takes at most.
    #[schema(example = 200)]
    pub most: i32,
    /// The samples that it has taken and that are still there, in their order: at most 200.
    pub samples: Vec<SampleSummary>,
}

/// Where a capture window is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CaptureState {
    /// The webhook never had one.
    Never,
    /// Requests become samples.
    Open,
    /// Its time is over.
    Expired,
    /// It has taken as many samples as it might, or the webhook has no room for more.
    Full,
    /// It was closed.
    Closed,
}

impl CaptureState {
    /// Where a window is at a moment.
    pub fn of(capture: Option<&Capture>, now: DateTime<Utc>) -> Self {
        match capture.map(|capture| capture.end(now)) {
            None => Self::Never,
            Some(None) => Self::Open,
            Some(Some(CaptureEnd::Expired)) => Self::Expired,
            Some(Some(CaptureEnd::Full)) => Self::Full,
            Some(Some(CaptureEnd::Closed)) => Self::Closed,
        }
    }
}

impl CaptureView {
    /// Shows the latest window of a webhook, if there was one, and what it has taken.
    pub fn new(capture: Option<Capture>, taken: Vec<Sample>, now: DateTime<Utc>) -> Self {
        let of = capture.as_ref();
        Self {
            state: CaptureState::of(of, now),
            url_id: of.and_then(Capture::url_id),
            opened_at: of.map(|capture| capture.opened_at),
            expires_at: of.map(|capture| capture.expires_at),
            ended_at: of.and_then(|capture| capture.ended_at),
            taken: of.map_or(0, Capture::taken),
            most: of.map_or(0, |capture| capture.most),
            samples: taken.into_iter().map(SampleSummary::from).collect(),
        }
    }
}
