//! A replay as the API shows it.

use chrono::{DateTime, Utc};
use hookgate_domain::replays::Replay;
use hookgate_model::ids::ReplayId;
use hookgate_model::replay::{ReplayStatus, RevisionChoice};
use serde::Serialize;
use utoipa::ToSchema;

use super::FilterBody;

/// A replay of many events.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Replay, example = json!({"id": "rpl_01k9z3v8e5f2q8r7w6t5y4x3m2", "status": "running",
    "filter": {"webhook_id": "whk_01k9z3v8e5f2q8r7w6t5y4x3m2", "url_id": null, "environment": null, "method": null,
        "event_type": null, "status": "failed", "from": null, "to": null},
    "revision": "current", "events_per_second": 10, "matched": 1204, "replayed": 310, "skipped": 2,
    "created_by": "usr_01k9z3v8e5f2q8r7w6t5y4x3m2", "created_at": "2026-11-21T12:00:00Z", "finished_at": null}))]
pub struct ReplayView {
    /// Its id.
    pub id: ReplayId,
    /// How far it is.
    pub status: ReplayStatus,
    /// Which events it repeats.
    pub filter: FilterBody,
    /// What the copies run.
    pub revision: RevisionChoice,
    /// How many start in a second, at most.
    #[schema(example = 10)]
    pub events_per_second: i32,
    /// How many events there were when it was made.
    #[schema(example = 1204)]
    pub matched: i64,
    /// How many of them run again by now.
    #[schema(example = 310)]
    pub replayed: i64,
    /// How many of them cannot: they are stored masked, or their webhook is disabled or gone.
    #[schema(example = 2)]
    pub skipped: i64,
    /// The user or management key that made it.
    #[schema(example = "usr_01k9z3v8e5f2q8r7w6t5y4x3m2")]
    pub created_by: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it came to its end, or was cancelled.
    pub finished_at: Option<DateTime<Utc>>,
}

impl From<Replay> for ReplayView {
    fn from(replay: Replay) -> Self {
        Self {
            id: replay.id,
            status: replay.status,
            filter: FilterBody::of_domain(replay.filter),
            revision: replay.revision,
            events_per_second: replay.events_per_second,
            matched: replay.matched,
            replayed: replay.replayed,
            skipped: replay.skipped,
            created_by: replay.created_by,
            created_at: replay.created_at,
            finished_at: replay.finished_at,
        }
    }
}
