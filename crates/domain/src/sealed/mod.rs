//! Every column whose values the master key sealed, and how its rows are bound: what a rotation of the master key has to go
//! through, and nothing else does. A test over the catalogue demands that each column of bytes is in here or known to be none.

mod count;
mod reseal;

use hookgate_model::ids::{DestinationId, EventId, JobId, MailId, RefusalId, SecretId, TenantId, UserId};
use uuid::Uuid;

pub use count::{Count, count, count_in};
pub use reseal::{Outcome, reseal};

use crate::crypto::MasterKey;
use crate::error::{Error, Result};
use crate::jobs::{callback, payload};
use crate::{destinations, idempotency, mails, refusals, secrets, signing_keys, totp};

/// A column of sealed values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Column {
    /// The private halves of the keys that sign access tokens.
    SigningKey,
    /// What verifiers, destinations and flows use.
    Secret,
    /// What calls to destinations are signed with.
    DestinationSecret,
    /// The same, after a rotation by the tenant.
    PreviousDestinationSecret,
    /// Answers to requests with an `Idempotency-Key`, for a day.
    IdempotentAnswer,
    /// Refused requests as they came.
    RefusedRequest,
    /// Unmasked parts of events, until their runs are over.
    JobPayload,
    /// The requests of callbacks, until they have arrived.
    CallbackJob,
    /// The requests of callbacks that did not arrive.
    FailedCallback,
    /// What mails say that are to be sent.
    Letter,
    /// The second factors of people.
    TotpSecret,
}

impl Column {
    /// Every one.
    pub const ALL: [Self; 11] = [
        Self::SigningKey,
        Self::Secret,
        Self::DestinationSecret,
        Self::PreviousDestinationSecret,
        Self::IdempotentAnswer,
        Self::RefusedRequest,
        Self::JobPayload,
        Self::CallbackJob,
        Self::FailedCallback,
        Self::Letter,
        Self::TotpSecret,
    ];

    /// Its table.
    pub const fn table(self) -> &'static str {
        match self {
            Self::SigningKey => "signing_keys",
            Self::Secret => "secrets",
            Self::DestinationSecret | Self::PreviousDestinationSecret => "destinations",
            Self::IdempotentAnswer => "idempotency_keys",
            Self::RefusedRequest => "refusals",
            Self::JobPayload | Self::CallbackJob => "jobs",
            Self::FailedCallback => "failed_callbacks",
            Self::Letter => "mails",
            Self::TotpSecret => "totp_secrets",
        }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SigningKey => "private_key",
            Self::Secret => "value",
            Self::DestinationSecret => "signing_secret",
            Self::PreviousDestinationSecret => "previous_signing_secret",
            Self::IdempotentAnswer => "answer",
            Self::RefusedRequest => "request",
            Self::JobPayload => "payload",
            Self::CallbackJob | Self::FailedCallback => "state",
            Self::Letter => "letter",
            Self::TotpSecret => "secret",
        }
    }

    /// The primary key, but for the tenant.
    const fn key(self) -> &'static [&'static str] {
        match self {
            Self::SigningKey => &["kid"],
            Self::IdempotentAnswer => &["actor", "key"],
            Self::TotpSecret => &["user_id"],
            _ => &["id"],
        }
    }

    /// How a part of the key is read from text, as SQL.
    const fn key_cast(self) -> &'static str {
        match self {
            Self::SigningKey | Self::IdempotentAnswer => "",
            _ => "::uuid",
        }
    }

    /// Whether its rows are tenants'.
    pub const fn is_tenants(self) -> bool {
        !matches!(self, Self::SigningKey | Self::Letter | Self::TotpSecret)
    }

    /// Which rows hold sealed values in it, as SQL.
    const fn condition(self) -> &'static str {
        match self {
            // The state of other jobs is progress of a run, which another key seals or none.
            Self::CallbackJob => "is_callback AND state IS NOT NULL",
            Self::SigningKey => "private_key IS NOT NULL",
            Self::Secret => "value IS NOT NULL",
            Self::DestinationSecret => "signing_secret IS NOT NULL",
            Self::PreviousDestinationSecret => "previous_signing_secret IS NOT NULL",
            Self::IdempotentAnswer => "answer IS NOT NULL",
            Self::RefusedRequest => "request IS NOT NULL",
            Self::JobPayload => "payload IS NOT NULL",
            Self::FailedCallback => "state IS NOT NULL",
            Self::Letter => "letter IS NOT NULL",
            Self::TotpSecret => "secret IS NOT NULL",
        }
    }

    /// Opens a row's value, and seals it anew with the current key.
    fn sealed_anew(
        self,
        master: &MasterKey,
        tenant: TenantId,
        key: &[String],
        sealed: &[u8],
    ) -> Result<Vec<u8>> {
        let context = self.context(tenant, key)?;
        let derived = match self {
            Self::JobPayload | Self::CallbackJob | Self::FailedCallback => Some(master.derived(&context)),
            _ => None,
        };
        let master = derived.as_ref().unwrap_or(master);
        master.seal(&context, &master.open(&context, sealed)?)
    }

    /// What a row's value is bound to: as where it is sealed and opened otherwise.
    fn context(self, tenant: TenantId, key: &[String]) -> Result<String> {
        let unreadable = || Error::Unreadable { what: "key of a row" };
        let text = |place: usize| key.get(place).ok_or_else(unreadable);
        let id = || text(0)?.parse::<Uuid>().map_err(|_| unreadable());
        Ok(match self {
            Self::SigningKey => signing_keys::context(text(0)?),
            Self::Secret => secrets::context(tenant, SecretId::from(id()?)),
            Self::DestinationSecret | Self::PreviousDestinationSecret => {
                destinations::context(tenant, DestinationId::from(id()?))
            }
            Self::IdempotentAnswer => idempotency::context(tenant, text(0)?, text(1)?),
            Self::RefusedRequest => refusals::request_context(tenant, RefusalId::from(id()?)),
            Self::JobPayload => payload::context(tenant, EventId::from(id()?)),
            Self::CallbackJob | Self::FailedCallback => callback::context(tenant, JobId::from(id()?)),
            Self::Letter => mails::context(MailId::from(id()?)),
            Self::TotpSecret => totp::context(UserId::from(id()?)),
        })
    }
}
