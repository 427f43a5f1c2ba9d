//! Structures and drift as the API shows them.

use chrono::{DateTime, Utc};
use hookgate_domain::drift::Difference;
use hookgate_model::expected_data::{Conflict, ExpectedData};
use hookgate_model::ids::EventId;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// What was learnt.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LearntExpectedData, example = json!({"expected_data": {"mode": "off", "headers": [], "query": [], "path": [],
    "body": [{"path": "order.id", "type": "integer", "required": true, "nullable": false, "example": 42, "inferred": true}],
    "at_least_one_of": [], "full_body": false}, "conflicts": [], "json_schema": {"type": "object"}}))]
pub struct LearntView {
    /// The structure, merged with that of the draft.
    pub expected_data: ExpectedData,
    /// Where the samples differ from what was written by hand, which stays.
    pub conflicts: Vec<Conflict>,
    /// The same structure as JSON Schema (draft 2020-12).
    #[schema(value_type = Object)]
    pub json_schema: Value,
}

/// How live requests differ from what is expected.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Drift, example = json!({"differences": [{"place": "body", "path": "order.id", "code": "wrong_type",
    "msg": "must be an integer", "count": 12, "first_at": "2026-11-21T12:00:00Z", "last_at": "2026-11-21T13:00:00Z",
    "first_event_id": "evt_01k9z3v8e5f2q8r7w6t5y4x3m2", "last_event_id": "evt_01k9z3v8e5f2q8r7w6t5y4x3m3"}]}))]
pub struct DriftView {
    /// The differences, the latest first.
    pub differences: Vec<DifferenceView>,
}

/// One difference.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Difference)]
pub struct DifferenceView {
    /// In which part of the request.
    #[schema(example = "body")]
    pub place: String,
    /// Which field.
    #[schema(example = "order.id")]
    pub path: String,
    /// How it differs: `missing`, `wrong_type`, `wrong_value`, `none_of_group` or `unreadable`.
    #[schema(example = "wrong_type")]
    pub code: String,
    /// The same in words.
    #[schema(example = "must be an integer")]
    pub msg: String,
    /// In how many events, as far as it is counted by now: within a second.
    #[schema(example = 12)]
    pub count: i64,
    /// Since when.
    pub first_at: DateTime<Utc>,
    /// When last.
    pub last_at: DateTime<Utc>,
    /// The first event that differed so.
    pub first_event_id: EventId,
    /// The last event that differed so.
    pub last_event_id: EventId,
}

impl From<Difference> for DifferenceView {
    fn from(difference: Difference) -> Self {
        Self {
            first_event_id: difference.first_event(),
            last_event_id: difference.last_event(),
            place: difference.place,
            path: difference.path,
            code: difference.code,
            msg: difference.msg,
            count: difference.count,
            first_at: difference.first_at,
            last_at: difference.last_at,
        }
    }
}
