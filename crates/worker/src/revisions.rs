//! Compiled revisions. A revision never changes, so one that is in memory is right for ever.

use std::sync::Arc;

use hookgate_domain::scope::TenantScope;
use hookgate_domain::{Error, revisions};
use hookgate_model::flow::compiled::CompiledRevision;
use hookgate_model::flow::definition::RevisionDocument;
use hookgate_model::ids::{RevisionId, TenantId, WebhookId};
use quick_cache::sync::Cache;

use crate::Shared;

/// How many compiled revisions are kept.
const KEPT: usize = 10_000;

/// The revisions in memory.
pub struct Revisions(Cache<(TenantId, RevisionId), Compiled>);

/// A revision, or why it cannot run.
pub type Compiled = Result<Arc<CompiledRevision>, String>;

impl Revisions {
    pub fn new() -> Self {
        Self(Cache::new(KEPT))
    }
}

/// The compiled revision; what is wrong with one that cannot run.
///
/// # Errors
/// When Postgres cannot be reached.
pub async fn compiled(
    shared: &Shared,
    scope: TenantScope,
    webhook: WebhookId,
    id: RevisionId,
) -> Result<Compiled, Error> {
    let key = (scope.tenant(), id);
    if let Some(found) = shared.revisions.0.get(&key) {
        return Ok(found);
    }
    let read = move |conn: &mut _| scope.transaction(conn, |conn| revisions::read(conn, &scope, webhook, id));
    let revision = match shared.database.run(read).await {
        // Not kept: its webhook was deleted, and so are its jobs.
        Err(Error::NotFound) => return Ok(Err("the webhook was deleted".to_owned())),
        other => other?,
    };
    let compiled = compile(revision.document);
    shared.revisions.0.insert(key, compiled.clone());
    Ok(compiled)
}

fn compile(document: serde_json::Value) -> Compiled {
    let document: RevisionDocument =
        serde_json::from_value(document).map_err(|error| format!("the revision cannot be read: {error}"))?;
    CompiledRevision::compile(&document)
        .map(Arc::new)
        .map_err(|problems| {
            let first = problems.into_iter().next();
            let first = first
                .map(|problem| format!("{}: {}", problem.pointer, problem.detail))
                .unwrap_or_default();
            format!("the revision cannot run: {first}")
        })
}
