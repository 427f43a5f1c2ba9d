//! What is known of the event whatever it holds: its time and ids, the same whenever it is run.

use minijinja::{Environment, Error, State};
use sha1::{Digest, Sha1};
use uuid::{Builder, Uuid};

use super::dates;
use super::{own, wrong};
use crate::flow::variables::Identity;

pub(super) fn register(environment: &mut Environment<'static>) {
    environment.add_function("now", own(now));
    environment.add_function("uuid", own(uuid));
}

fn identity(state: &State<'_, '_>) -> Result<Identity, Error> {
    let found = state.lookup(Identity::VARIABLE);
    let found = found
        .as_ref()
        .and_then(|value| value.downcast_object_ref::<Identity>());
    found.cloned().ok_or_else(|| wrong("there is no event here"))
}

/// When the event came.
fn now(state: &State<'_, '_>) -> Result<String, Error> {
    identity(state).map(|identity| dates::write(identity.received_at))
}

/// A UUID (version 5, RFC 9562) of the event, the step and the name.
fn uuid(state: &State<'_, '_>, name: Option<&str>) -> Result<String, Error> {
    let Identity { event, step, .. } = identity(state)?;
    let digest = Sha1::new()
        .chain_update(event.uuid().as_bytes())
        .chain_update(step.as_deref().unwrap_or_default())
        .chain_update("\n")
        .chain_update(name.unwrap_or_default())
        .finalize();
    let mut first = Uuid::nil().into_bytes();
    first.copy_from_slice(&digest[..16]);
    Ok(Builder::from_sha1_bytes(first).into_uuid().to_string())
}
