//! Calls that runs left behind and that did not arrive: each can be made again alone.

use actix_web::post;
use hookgate_domain::failed_callbacks::{self, FailedCallbackFilter};
use hookgate_domain::runs;
use hookgate_model::access::Permission;
use hookgate_model::ids::RunId;

use super::CallbackView;
use super::retry::wake;
use super::view;
use crate::auth::Guarded;
use crate::auth::permissions::EventsWrite;
use crate::body::Reply;
use crate::error::{ApiError, ApiResult, ErrorCode};
use crate::path::Path;

/// Retry a callback of a run
///
/// A call that a run left behind, and that did not arrive after all its retries, is made again, with the same idempotency key and
/// as many retries as before. The run stays as it is. What became of the call is told, so the caller needs `runs:read`, too.
#[utoipa::path(tag = "runs", operation_id = "retryCallback", security(("bearer" = ["events:write"])),
    params(("step" = String, Path, description = "The step that left it", example = "notify")),
    responses((status = 200, description = "It is made again", body = CallbackView),
        (status = 409, description = "wrong_state")))]
#[post("/runs/{id}/callbacks/{step}/retry")]
pub(super) async fn retry_callback(
    caller: Guarded<EventsWrite>,
    Path((id, step)): Path<(RunId, String)>,
) -> ApiResult<Reply<CallbackView>> {
    caller.actor.demand(Permission::RunsRead)?;
    let state = caller
        .run(move |conn, scope| {
            let of_step = FailedCallbackFilter::of_step(id, &step);
            let goes_on = failed_callbacks::retry(conn, scope, &of_step, 1)? > 0;
            if !goes_on {
                let content = runs::content(conn, scope, id)?;
                if !view::callers_back(&view::steps(&content)?).contains(&step.as_str()) {
                    return Err(ApiError::not_found());
                }
            }
            let state = runs::callbacks(conn, scope, id, &[&step])?.pop();
            let state = state.ok_or_else(ApiError::not_found)?;
            let detail = match state.outcome {
                _ if goes_on => return Ok(state),
                "failed" => "it cannot be made again: its event is stored masked, or its webhook was deleted",
                "pending" => "it is not over yet",
                _ => "it arrived",
            };
            Err(ApiError::new(ErrorCode::WrongState, detail))
        })
        .await?;
    wake(&caller).await;
    Ok(Reply::ok(state.into()))
}
