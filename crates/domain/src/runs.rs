//! Runs: what flows did, one for each event that had work behind it. A run is written once, when it has finished.
//!
//! Functions run inside a [`TenantScope::transaction`] that the caller opened.

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use hookgate_model::answer::Answer;
use hookgate_model::ids::{RevisionId, RunId, WebhookId};
use uuid::Uuid;

use crate::crypto::RunKey;
use crate::error::{Error, Result};
use crate::page::Page;
use crate::schema::runs;
use crate::scope::TenantScope;

/// A finished run, without its steps and answer.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = runs, check_for_backend(diesel::pg::Pg))]
pub struct Run {
    /// Its id, with the UUID of its event.
    #[diesel(deserialize_as = Uuid)]
    pub id: RunId,
    /// The webhook.
    #[diesel(deserialize_as = Uuid)]
    pub webhook_id: WebhookId,
    /// The revision that ran.
    #[diesel(deserialize_as = Uuid)]
    pub revision_id: RevisionId,
    /// How it ended.
    pub outcome: String,
    /// Why it failed.
    pub error: Option<String>,
    /// When a worker first took it up.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
}

/// The rest of a run.
#[derive(Debug, Clone)]
pub struct RunContent {
    /// A record for each step, as the worker wrote it.
    pub steps: Vec<u8>,
    /// What the caller got, or would have got.
    pub answer: Option<Answer>,
    /// Whether there was an answer that data protection does not let anybody read any more.
    pub answer_withheld: bool,
}

/// Which runs are wanted; `None` means any.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// Of this webhook.
    pub webhook_id: Option<WebhookId>,
    /// That ended like this.
    pub outcome: Option<String>,
}

/// A page of the tenant's runs.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn list(
    conn: &mut PgConnection,
    scope: &TenantScope,
    filter: &RunFilter,
    page: Page,
) -> Result<Vec<Run>> {
    let mut query = runs::table
        .filter(runs::tenant_id.eq(scope.uuid()))
        .filter(runs::id.lt(page.below()))
        .order(runs::id.desc())
        .limit(page.limit)
        .select(Run::as_select())
        .into_boxed();
    if let Some(webhook) = filter.webhook_id {
        query = query.filter(runs::webhook_id.eq(webhook.uuid()));
    }
    if let Some(outcome) = &filter.outcome {
        query = query.filter(runs::outcome.eq(outcome));
    }
    Ok(query.load(conn)?)
}

/// One run.
///
/// # Errors
/// [`Error::NotFound`], also while it has not finished.
pub fn read(conn: &mut PgConnection, scope: &TenantScope, id: RunId) -> Result<Run> {
    Ok(runs::table
        .find((scope.uuid(), id.uuid()))
        .select(Run::as_select())
        .first(conn)?)
}

/// The steps and the answer of a run.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Unreadable`] when the stored answer is damaged.
pub fn content(conn: &mut PgConnection, scope: &TenantScope, id: RunId) -> Result<RunContent> {
    let (steps, answer): (Vec<u8>, Option<Vec<u8>>) = runs::table
        .find((scope.uuid(), id.uuid()))
        .select((runs::steps, runs::answer))
        .first(conn)?;
    let answer_withheld = answer.as_deref().is_some_and(RunKey::has_sealed);
    let decode = |stored: Vec<u8>| Answer::decode(&stored).ok_or(Error::Unreadable { what: "answer" });
    Ok(RunContent {
        steps,
        answer: answer.filter(|_| !answer_withheld).map(decode).transpose()?,
        answer_withheld,
    })
}
