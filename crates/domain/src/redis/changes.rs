//! "This webhook changed": sent after a configuration change, so that no ingress goes on with what it has cached.

use hookgate_model::ids::{PlanId, TenantId, WebhookId};
use uuid::Uuid;

use super::{Notice, Redis, Subscription};
use crate::error::Result;

const CHANNEL: &str = "hookgate:changes";

/// What changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A webhook, or anything that belongs to it: URLs, keys, attached allowlists, the published revision.
    Webhook(WebhookId),
    /// Everything of a tenant.
    Tenant(TenantId),
    /// A plan, and so the limits of the tenants that have it.
    Plan(PlanId),
}

/// What a subscriber to changes learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeNotice {
    /// From now on every change is told. Some may have been missed before.
    Connected,
    /// Something changed.
    Changed(Change),
    /// Changes are not told until the next [`ChangeNotice::Connected`].
    Lost,
}

impl Redis {
    /// Tells every ingress of a change that is committed.
    ///
    /// # Errors
    /// When Redis is away: the ingress nodes have then lost their subscription too, and reload within two seconds.
    pub async fn announce(&self, change: Change) -> Result<()> {
        let (kind, uuid) = match change {
            Change::Webhook(id) => (b'w', id.uuid()),
            Change::Tenant(id) => (b't', id.uuid()),
            Change::Plan(id) => (b'p', id.uuid()),
        };
        let mut payload = vec![kind];
        payload.extend_from_slice(uuid.as_bytes());
        self.publish(CHANNEL, &payload).await
    }

    /// Listens for changes.
    pub fn on_change(&self, mut on: impl FnMut(ChangeNotice) + Send + 'static) -> Subscription {
        self.subscribe(CHANNEL.to_owned(), move |notice| match notice {
            Notice::Connected => on(ChangeNotice::Connected),
            Notice::Lost => on(ChangeNotice::Lost),
            Notice::Message(payload) => {
                if let Some(change) = decode(payload) {
                    on(ChangeNotice::Changed(change));
                }
            }
        })
    }
}

fn decode(payload: &[u8]) -> Option<Change> {
    let (kind, uuid) = payload.split_first()?;
    let uuid = Uuid::from_slice(uuid).ok()?;
    match kind {
        b'w' => Some(Change::Webhook(uuid.into())),
        b't' => Some(Change::Tenant(uuid.into())),
        b'p' => Some(Change::Plan(uuid.into())),
        _ => None,
    }
}
