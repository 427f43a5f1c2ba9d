//! A `jsonb` column that is read into, and written from, the type that it holds.

use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::pg::{Pg, PgValue};
use diesel::sql_types::{Jsonb, Nullable};
use hookgate_model::limits::{Limits, TenantLimits};
use hookgate_model::outbound_authentication::{ClientCertificate, OutboundAuthentication};
use hookgate_model::protection::{DataProtection, Masked};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Error, Result};

/// What such a column holds.
#[derive(Debug, FromSqlRow)]
pub struct StoredJson<T>(T);

impl<T: DeserializeOwned> FromSql<Jsonb, Pg> for StoredJson<T> {
    fn from_sql(bytes: PgValue<'_>) -> deserialize::Result<Self> {
        let value = <Value as FromSql<Jsonb, Pg>>::from_sql(bytes)?;
        Ok(Self(serde_json::from_value(value)?))
    }
}

impl From<StoredJson<Self>> for Limits {
    fn from(stored: StoredJson<Self>) -> Self {
        stored.0
    }
}

impl From<StoredJson<Self>> for TenantLimits {
    fn from(stored: StoredJson<Self>) -> Self {
        stored.0
    }
}

impl From<StoredJson<Self>> for DataProtection {
    fn from(stored: StoredJson<Self>) -> Self {
        stored.0
    }
}

impl From<StoredJson<Self>> for OutboundAuthentication {
    fn from(stored: StoredJson<Self>) -> Self {
        stored.0
    }
}

/// What such a column holds that may be NULL.
#[derive(Debug, FromSqlRow)]
pub struct MaybeJson<T>(Option<T>);

impl<T: DeserializeOwned> FromSql<Nullable<Jsonb>, Pg> for MaybeJson<T> {
    fn from_sql(bytes: PgValue<'_>) -> deserialize::Result<Self> {
        StoredJson::from_sql(bytes).map(|StoredJson(value)| Self(Some(value)))
    }

    fn from_nullable_sql(bytes: Option<PgValue<'_>>) -> deserialize::Result<Self> {
        bytes.map_or(Ok(Self(None)), Self::from_sql)
    }
}

impl From<MaybeJson<Masked>> for Option<Masked> {
    fn from(stored: MaybeJson<Masked>) -> Self {
        stored.0
    }
}

impl From<MaybeJson<TenantLimits>> for Option<TenantLimits> {
    fn from(stored: MaybeJson<TenantLimits>) -> Self {
        stored.0
    }
}

impl From<MaybeJson<ClientCertificate>> for Option<ClientCertificate> {
    fn from(stored: MaybeJson<ClientCertificate>) -> Self {
        stored.0
    }
}

/// The form in which a value is written to such a column.
pub(crate) fn to_json(value: &impl Serialize) -> Result<Value> {
    serde_json::to_value(value).map_err(|error| Error::Query(error.to_string()))
}
