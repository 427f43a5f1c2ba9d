//! Changes that the ingress must learn of: it caches what it has compiled.

use std::time::Duration;

use hookgate_domain::database::PgConnection;
use hookgate_domain::redis::Redis;
use hookgate_domain::redis::changes::Change;
use hookgate_domain::scope::TenantScope;

use crate::auth::Caller;
use crate::error::{ApiError, ApiResult};
use crate::trace;

/// How long an announcement may keep a caller waiting. An ingress that hears nothing from Redis reloads by itself.
const ANNOUNCING: Duration = Duration::from_secs(1);
/// With more webhooks than this, the whole tenant is announced instead.
const ONE_BY_ONE: usize = 20;

/// Runs queries in one transaction of the caller's tenant, and announces what they changed once it is committed: also
/// when the caller hangs up meanwhile, for a revoked key must not live on in a cache.
///
/// # Errors
/// What the queries end in; everything is rolled back then, and nothing announced.
pub async fn change<T, F>(caller: &Caller, queries: F) -> ApiResult<T>
where
    F: FnOnce(&mut PgConnection, &TenantScope) -> ApiResult<(T, Vec<Change>)> + Send + 'static,
    T: Send + 'static,
{
    let caller = caller.clone();
    let done = actix_web::rt::spawn(trace::carry(async move {
        let (value, mut changes) = caller.run(queries).await?;
        if changes.len() > ONE_BY_ONE {
            changes = vec![Change::Tenant(caller.scope.tenant())];
        }
        announced(&caller.state().redis, changes).await;
        Ok(value)
    }));
    done.await.map_err(ApiError::internal)?
}

/// Announces changes that are committed.
pub(crate) async fn announced(redis: &Redis, changes: Vec<Change>) {
    if tokio::time::timeout(ANNOUNCING, announce(redis, changes))
        .await
        .is_err()
    {
        tracing::warn!("a change was not announced in time; an ingress learns of it later");
    }
}

async fn announce(redis: &Redis, changes: Vec<Change>) {
    for change in changes {
        if let Err(error) = redis.announce(change).await {
            tracing::warn!(%error, "a change was not announced; an ingress learns of it later");
            return;
        }
    }
}
