//! (to be written by flow)
use hookgate_model::{answer::Answer, ids::EventId};
/// x
pub fn read(
    _: &mut diesel::PgConnection,
    _: &crate::scope::TenantScope,
    _: EventId,
) -> crate::Result<Option<Answer>> {
    Ok(None)
}
