//! Typed ids: a UUIDv7 inside, a TypeID (`whk_01j9…`) outside. Ids of different things cannot be mixed up.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use crate::base32;

/// What an id identifies: gives the prefix of its TypeID.
pub trait Kind: 'static {
    /// The TypeID prefix, without the underscore.
    const PREFIX: &'static str;
    /// The schema's name in the OpenAPI document.
    const NAME: &'static str;
}

/// The id of a `K`.
pub struct Id<K>(Uuid, PhantomData<fn() -> K>);

/// The text is not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an id of the form {prefix}_ and 26 characters")]
pub struct InvalidId {
    prefix: &'static str,
}

impl<K: Kind> Id<K> {
    /// Makes a UUIDv7 (RFC 9562, section 5.7) from the time and eight random bytes. The time is kept to a quarter of a
    /// microsecond (section 6.2, method 3), so that what one process receives in turn has ids in that order.
    pub fn new(now: DateTime<Utc>, random: [u8; 8]) -> Self {
        let millis = u64::try_from(now.timestamp_millis()).unwrap_or(0);
        let fraction = u64::from(now.timestamp_subsec_nanos() % 1_000_000) * 4096 / 1_000_000;
        let [.., high, low] = fraction.to_be_bytes();
        let [a, b, c, d, e, f, g, h] = random;
        let rest = [high, low, a, b, c, d, e, f, g, h];
        Self::from(uuid::Builder::from_unix_timestamp_millis(millis, &rest).into_uuid())
    }

    /// The id as it is stored.
    pub const fn uuid(self) -> Uuid {
        self.0
    }

    /// The moment that the id carries, to the millisecond.
    pub fn created_at(self) -> DateTime<Utc> {
        let millis = i64::try_from(self.0.as_u128() >> 80).unwrap_or(0);
        DateTime::from_timestamp_millis(millis).unwrap_or_default()
    }
}

impl<K> From<Uuid> for Id<K> {
    fn from(uuid: Uuid) -> Self {
        Self(uuid, PhantomData)
    }
}
impl<K> From<Id<K>> for Uuid {
    fn from(id: Id<K>) -> Self {
        id.0
    }
}
impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<K> Eq for Id<K> {}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}
impl<K> Hash for Id<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<K: Kind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", K::PREFIX, base32::to_string(self.0.as_u128()))
    }
}
impl<K: Kind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<K: Kind> FromStr for Id<K> {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        text.strip_prefix(K::PREFIX)
            .and_then(|rest| rest.strip_prefix('_'))
            .and_then(|rest| base32::decode(rest.as_bytes()))
            .map(|bits| Self::from(Uuid::from_u128(bits)))
            .ok_or(InvalidId { prefix: K::PREFIX })
    }
}

impl<K: Kind> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de, K: Kind> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl<K: Kind> PartialSchema for Id<K> {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::String))
            .pattern(Some(format!("^{}_[0-7][0-9a-hjkmnp-tv-z]{{25}}$", K::PREFIX)))
            .examples([format!("{}_01k9z3v8e5f2q8r7w6t5y4x3m2", K::PREFIX)])
            .into()
    }
}
impl<K: Kind> ToSchema for Id<K> {
    fn name() -> std::borrow::Cow<'static, str> {
        K::NAME.into()
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $alias:ident = $kind:ident, $prefix:literal;)*) => {$(
        $(#[$doc])*
        pub type $alias = Id<$kind>;
        #[doc = concat!("The kind of a [`", stringify!($alias), "`].")]
        #[derive(Debug, Clone, Copy)]
        pub enum $kind {}
        impl Kind for $kind {
            const PREFIX: &'static str = $prefix;
            const NAME: &'static str = stringify!($alias);
        }
    )*};
}

ids! {
    /// A customer.
    TenantId = Tenant, "tnt";
    /// What the operator sells: limits with a name.
    PlanId = Plan, "pln";
    /// A person.
    UserId = User, "usr";
    /// One login of a person.
    LoginSessionId = LoginSession, "ses";
    /// An invitation into a tenant.
    InvitationId = Invitation, "inv";
    /// A mail that is to be sent.
    MailId = Mail, "eml";
    /// A machine's credential for the management API.
    ManagementKeyId = ManagementKey, "mgk";
    /// A webhook.
    WebhookId = Webhook, "whk";
    /// A public URL of a webhook.
    UrlId = Url, "url";
    /// What a sender presents at a webhook that requires it.
    ApiKeyId = ApiKey, "key";
    /// A named list of networks.
    AllowlistId = Allowlist, "alw";
    /// An entry of an allowlist.
    AllowlistEntryId = AllowlistEntry, "ale";
    /// A version of a webhook's behaviour.
    RevisionId = Revision, "rev";
    /// An accepted request.
    EventId = Event, "evt";
    /// A refused request to a known URL.
    RefusalId = Refusal, "ref";
    /// The flow's execution for one event; has the event's UUID.
    RunId = Run, "run";
    /// One outbound HTTP call.
    AttemptId = Attempt, "att";
    /// A named outbound target.
    DestinationId = Destination, "dst";
    /// An encrypted value for verifiers.
    SecretId = Secret, "sec";
    /// Stored events that run again.
    ReplayId = Replay, "rpl";
    /// An example of a webhook's requests.
    SampleId = Sample, "smp";
    /// A named set of records.
    CollectionId = Collection, "col";
    /// A row of a collection.
    RecordId = Record, "rec";
    /// A link to the document of a tenant's webhooks.
    PublicApiLinkId = PublicApiLink, "pal";
    /// Who changed what.
    AuditEntryId = AuditEntry, "aud";
    /// Work that is due.
    JobId = Job, "job";
}

impl From<EventId> for RunId {
    fn from(event: EventId) -> Self {
        Self::from(event.uuid())
    }
}
impl From<RunId> for EventId {
    fn from(run: RunId) -> Self {
        Self::from(run.uuid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_id_reads_back(bits: u128) {
            let id = WebhookId::from(Uuid::from_u128(bits));
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }
    }

    #[test]
    fn the_specification_vector_reads() {
        let id: Uuid = "01890a5d-ac96-774b-bcce-b302099a8057".parse().expect("a uuid");
        assert_eq!(WebhookId::from(id).to_string(), "whk_01h455vb4pex5vsknk084sn02q");
    }

    #[test]
    fn another_kind_is_refused() {
        let id = WebhookId::new(DateTime::UNIX_EPOCH, [7; 8]);
        assert!(id.to_string().parse::<EventId>().is_err());
        assert!("whk-".parse::<WebhookId>().is_err());
    }

    #[test]
    fn the_time_is_kept_to_the_millisecond() {
        let now = DateTime::from_timestamp_millis(1_795_228_800_123).expect("a time");
        assert_eq!(EventId::new(now, [0; 8]).created_at(), now);
    }

    #[test]
    fn ids_of_one_millisecond_are_in_the_order_of_their_times() {
        let at = |nanos| {
            EventId::new(
                DateTime::from_timestamp(1_795_228_800, nanos).expect("a time"),
                [0xff; 8],
            )
        };
        let ids = [at(5_000_000), at(5_000_300), at(5_999_999), at(6_000_000)];
        assert!(ids.is_sorted_by(|a, b| a.uuid() < b.uuid()), "{ids:?}");
        assert_eq!(ids[2].uuid().get_version_num(), 7);
    }
}
