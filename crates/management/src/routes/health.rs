//! Whether the service lives, and whether it can work.

use std::sync::atomic::Ordering;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpResponse, Responder, get};
use hookgate_domain::database::Unready;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::state::State;

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config.service(live).service(ready);
}

/// What the service depends on.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"status": "ready", "postgres": "up", "redis": "up"}))]
struct Readiness {
    status: ReadyStatus,
    postgres: Dependency,
    redis: Dependency,
    /// What keeps it from working, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "the database lacks migrations of this version: run its `hookgate migrate`")]
    problem: Option<String>,
}

#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ReadyStatus {
    /// Everything is there.
    Ready,
    /// It works, slower: Redis is away.
    Degraded,
    /// It cannot work: Postgres is away.
    Unavailable,
    /// It cannot work yet: the database lacks migrations of its version.
    Unmigrated,
    /// It still works, and is about to stop: send it nothing more.
    Stopping,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Dependency {
    Up,
    Down,
}

/// Check that the process runs
///
/// It answers while the process runs, whatever becomes of PostgreSQL and Redis: restart one that does not.
#[utoipa::path(tag = "service", operation_id = "getLiveness",
    responses((status = 200, description = "The process answers", body = str, content_type = "text/plain", example = "ok")))]
#[get("/livez")]
async fn live() -> &'static str {
    "ok"
}

/// Check that the service can work
///
/// Without Postgres, and before the database was migrated for its version, it cannot (503); without Redis it is degraded: webhooks learn of
/// changes within two seconds instead of at once.
#[utoipa::path(tag = "service", operation_id = "getReadiness", responses(
    (status = 200, description = "It can work", body = Readiness),
    (status = 503, description = "It cannot: Postgres is away, the database was not migrated, or it is about to stop", body = Readiness,
        example = json!({"status": "unavailable", "postgres": "down", "redis": "up", "problem": "PostgreSQL is away"}))))]
#[get("/readyz")]
async fn ready(state: Data<State>) -> impl Responder {
    let (readiness, redis) = tokio::join!(state.database.readiness(), state.redis.ping());
    let up = |up: bool| if up { Dependency::Up } else { Dependency::Down };
    let (postgres, redis) = (up(readiness != Err(Unready::Away)), up(redis.is_ok()));
    let (code, status) = match (readiness, redis) {
        _ if state.is_draining.load(Ordering::Relaxed) => {
            (StatusCode::SERVICE_UNAVAILABLE, ReadyStatus::Stopping)
        }
        (Err(Unready::Away), _) => (StatusCode::SERVICE_UNAVAILABLE, ReadyStatus::Unavailable),
        (Err(Unready::Unmigrated), _) => (StatusCode::SERVICE_UNAVAILABLE, ReadyStatus::Unmigrated),
        (Ok(()), Dependency::Down) => (StatusCode::OK, ReadyStatus::Degraded),
        (Ok(()), Dependency::Up) => (StatusCode::OK, ReadyStatus::Ready),
    };
    HttpResponse::build(code).json(Readiness {
        status,
        postgres,
        redis,
        problem: readiness.err().map(|reason| reason.to_string()),
    })
}
