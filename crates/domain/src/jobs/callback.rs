//! Calls that runs leave behind. Each is a job of its own, committed with the run that made it; its request is sealed in the
//! job, since it may hold what the run's event masks.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, Bytea, Uuid as SqlUuid};
use hookgate_model::flow::secrets::FlowSecrets;
use hookgate_model::flow::step::callback::Callback;
use hookgate_model::ids::{EventId, JobId, RevisionId, TenantId, WebhookId};
use hookgate_model::protection::Secrets;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::complete::JobResult;
use crate::crypto::MasterKey;
use crate::error::{Error, Result};
use crate::scope::TenantScope;

/// A callback as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoredCallback {
    /// The call.
    pub callback: Callback,
    /// For an event that is stored masked: what must not be recorded.
    pub secrets: Option<Secrets>,
    /// The secrets that the call may hold, and that the destination may send back.
    #[serde(default)]
    pub sent: FlowSecrets,
    /// The `traceparent` of the run that left it behind.
    #[serde(default)]
    pub traceparent: Option<String>,
}

/// A callback to make a job of.
#[derive(Debug, Clone)]
pub struct NewCallback {
    /// The event of the run.
    pub event_id: EventId,
    /// The job's id.
    pub id: JobId,
    /// The sealed request.
    pub state: Vec<u8>,
}

/// What a sealed request is bound to.
pub(crate) fn context(tenant: TenantId, job: JobId) -> String {
    format!("callbacks/{tenant}/{job}")
}

/// The job of an event's step: the same one, should the run be completed twice.
pub fn callback_id(event: EventId, step: &str) -> JobId {
    let digest = Sha256::new()
        .chain_update(event.uuid().as_bytes())
        .chain_update(step.as_bytes())
        .finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    JobId::from(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

impl StoredCallback {
    /// Seals it for its job.
    ///
    /// # Errors
    /// [`Error::Query`] for more than 64 GiB.
    pub fn seal(&self, master: &MasterKey, scope: &TenantScope, job: JobId) -> Result<Vec<u8>> {
        let open = serde_json::to_vec(self).map_err(|error| Error::Query(error.to_string()))?;
        let context = context(scope.tenant(), job);
        master.derived(&context).seal(&context, &open)
    }

    /// Opens what [`Self::seal`] sealed for the same job.
    ///
    /// # Errors
    /// [`Error::Unreadable`] for another key, another job, or a damaged value.
    pub fn open(master: &MasterKey, scope: &TenantScope, job: JobId, sealed: &[u8]) -> Result<Self> {
        let context = context(scope.tenant(), job);
        let open = master.derived(&context).open(&context, sealed)?;
        serde_json::from_slice(&open).map_err(|_| Error::Unreadable { what: "callback" })
    }
}

/// Inserts the callbacks of runs that are completed, or put off, in the same transaction.
pub(super) fn insert(conn: &mut PgConnection, scope: &TenantScope, results: &[&JobResult]) -> Result<()> {
    let made: Vec<_> = results
        .iter()
        .flat_map(|result| {
            let of_result = |callback| (result.webhook_id, result.revision_id, callback);
            result.callbacks.iter().map(of_result)
        })
        .collect();
    insert_jobs(conn, scope, &made)
}

/// Inserts calls, each with the webhook and the revision on whose behalf it is made.
pub(crate) fn insert_jobs(
    conn: &mut PgConnection,
    scope: &TenantScope,
    made: &[(WebhookId, RevisionId, &NewCallback)],
) -> Result<()> {
    if made.is_empty() {
        return Ok(());
    }
    macro_rules! column {
        ($made:pat => $value:expr) => {
            made.iter().map(|$made| $value).collect::<Vec<_>>()
        };
    }
    sql_query(
        "INSERT INTO jobs (tenant_id, id, webhook_id, revision_id, event_ids, state, is_callback)
         SELECT $1, id, webhook_id, revision_id, ARRAY[event_id], state, true
         FROM unnest($2, $3, $4, $5, $6) AS made (id, webhook_id, revision_id, event_id, state) ON CONFLICT DO NOTHING",
    )
    .bind::<SqlUuid, _>(scope.uuid())
    .bind::<Array<SqlUuid>, _>(column!((_, _, call) => call.id.uuid()))
    .bind::<Array<SqlUuid>, _>(column!((webhook, ..) => webhook.uuid()))
    .bind::<Array<SqlUuid>, _>(column!((_, revision, _) => revision.uuid()))
    .bind::<Array<SqlUuid>, _>(column!((_, _, call) => call.event_id.uuid()))
    .bind::<Array<Bytea>, _>(column!((_, _, call) => call.state.as_slice()))
    .execute(conn)?;
    Ok(())
}
