//! Notifications: what a tenant is told of its own flows, at a destination of its choice. Each is a job like a callback's,
//! committed with what it tells of, so that it is neither lost nor told of something that did not happen. Nothing is told of what
//! one caused: it brings the notification's mark, which nobody else can make.
//!
//! Functions run inside a [`TenantScope::transaction`] that the caller opened.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, Bytea, Text, Uuid as SqlUuid};
use hookgate_model::flow::secrets::FlowSecrets;
use hookgate_model::ids::{DestinationId, EventId, JobId, RevisionId, WebhookId};
use hookgate_model::notification::{self, HEADER, Kind, Mark, Window};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::clock;
use crate::crypto::MasterKey;
use crate::error::Result;
use crate::jobs::{NewCallback, StoredCallback, callback};
use crate::schema::notification_settings::dsl;
use crate::schema::notification_settings::dsl::notification_settings as table;
use crate::scope::TenantScope;

/// What the key of marks is derived for.
const CONTEXT: &str = "notifications";
/// How long after it a mark is believed: its receiver could keep it, and so hide what has nothing to do with it.
const BELIEVED: TimeDelta = TimeDelta::days(7);

/// Where a tenant is told, and of what.
#[derive(Debug, Clone)]
pub struct NotificationSettings {
    /// Where.
    pub destination_id: DestinationId,
    /// Of what.
    pub kinds: Vec<Kind>,
    /// How many were left out since the last one that was sent.
    pub suppressed: i64,
    /// Counts the changes.
    pub version: i64,
    /// When they were last changed.
    pub updated_at: DateTime<Utc>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = crate::schema::notification_settings, check_for_backend(diesel::pg::Pg))]
struct Row {
    destination_id: Uuid,
    kinds: Vec<String>,
    window_started_at: DateTime<Utc>,
    sent: i32,
    suppressed: i64,
    version: i64,
    updated_at: DateTime<Utc>,
}

impl From<Row> for NotificationSettings {
    fn from(row: Row) -> Self {
        Self {
            destination_id: row.destination_id.into(),
            kinds: row.kinds.iter().filter_map(|kind| Kind::parse(kind)).collect(),
            suppressed: row.suppressed,
            version: row.version,
            updated_at: row.updated_at,
        }
    }
}

/// The tenant's settings, if it has any.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn read(conn: &mut PgConnection, scope: &TenantScope) -> Result<Option<NotificationSettings>> {
    let row: Option<Row> = table
        .find(scope.uuid())
        .select(Row::as_select())
        .first(conn)
        .optional()?;
    Ok(row.map(NotificationSettings::from))
}

/// Sets where the tenant is told, and of what.
///
/// # Errors
/// `notification_settings_destination_fkey` for a destination that is not there.
pub fn put(
    conn: &mut PgConnection,
    scope: &TenantScope,
    destination: DestinationId,
    kinds: &[Kind],
) -> Result<NotificationSettings> {
    let kinds: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
    let settings = (dsl::destination_id.eq(destination.uuid()), dsl::kinds.eq(kinds));
    let row: Row = diesel::insert_into(table)
        .values((dsl::tenant_id.eq(scope.uuid()), settings.clone()))
        .on_conflict(dsl::tenant_id)
        .do_update()
        .set((
            settings,
            dsl::version.eq(dsl::version + 1),
            dsl::updated_at.eq(clock::now()),
        ))
        .returning(Row::as_returning())
        .get_result(conn)?;
    Ok(row.into())
}

/// Ends the notifications. Those that are made already are sent.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn remove(conn: &mut PgConnection, scope: &TenantScope) -> Result<()> {
    diesel::delete(table.find(scope.uuid())).execute(conn)?;
    Ok(())
}

/// What notifications are made with.
#[derive(Clone)]
pub struct Notifier {
    /// What seals them.
    pub master_key: MasterKey,
    /// How many a tenant is sent in a minute.
    pub per_minute: u32,
}

/// Something that a tenant may want to be told of.
#[derive(Debug, Clone)]
pub struct Notice {
    /// What it is.
    pub kind: Kind,
    /// The webhook on whose behalf it happened.
    pub webhook_id: WebhookId,
    /// The revision that ran.
    pub revision_id: RevisionId,
    /// The event for which it happened.
    pub event_id: EventId,
    /// The destination that it is about: it is not told there.
    pub about: Option<DestinationId>,
    /// What is told.
    pub data: Map<String, Value>,
}

/// Makes jobs of what the tenant wants to be told of, as many as it is sent in a minute. What happened because of a
/// notification is not told.
///
/// # Errors
/// When Postgres cannot be reached.
pub fn announce(
    conn: &mut PgConnection,
    scope: &TenantScope,
    notifier: &Notifier,
    notices: &[Notice],
) -> Result<()> {
    if notices.is_empty() {
        return Ok(());
    }
    let Some(settings) = read(conn, scope)? else {
        return Ok(());
    };
    let is_wanted = |notice: &&Notice| {
        settings.kinds.contains(&notice.kind) && notice.about != Some(settings.destination_id)
    };
    let mut wanted: Vec<&Notice> = notices.iter().filter(is_wanted).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let marks = marks(conn, scope, &wanted)?;
    let key = &notifier.master_key;
    let now = clock::now();
    wanted.retain(|notice| {
        let marks = marks.get(&notice.event_id.uuid());
        !marks.is_some_and(|marks| marks.iter().any(|mark| is_believed(key, scope, mark, now)))
    });
    let Some((most, suppressed)) = take(conn, scope, notifier, wanted.len())? else {
        return Ok(());
    };
    for (place, notice) in wanted.iter().take(most).enumerate() {
        let id: JobId = clock::new_id();
        let told = if place == 0 { suppressed } else { 0 };
        // A tenant that is told of this may have caused it, and so on: each recognises its own mark.
        let mut marks = marks.get(&notice.event_id.uuid()).cloned().unwrap_or_default();
        marks.insert(0, mark(key, scope, notice.kind, id));
        let call = notification::call(
            notice.kind,
            id,
            settings.destination_id,
            now,
            &notice.data,
            told,
            &marks,
        );
        let stored = StoredCallback {
            callback: call,
            secrets: None,
            sent: FlowSecrets::default(),
            traceparent: None,
        };
        let made = NewCallback {
            event_id: notice.event_id,
            id,
            state: stored.seal(key, scope, id)?,
        };
        callback::insert_jobs(conn, scope, &[(notice.webhook_id, notice.revision_id, &made)])?;
    }
    Ok(())
}

/// The marks that the notices' events brought.
fn marks(
    conn: &mut PgConnection,
    scope: &TenantScope,
    notices: &[&Notice],
) -> Result<HashMap<Uuid, Vec<Mark>>> {
    #[derive(QueryableByName)]
    struct Marked {
        #[diesel(sql_type = SqlUuid)]
        id: Uuid,
        #[diesel(sql_type = Bytea)]
        headers: Vec<u8>,
    }
    let ids: Vec<Uuid> = notices.iter().map(|notice| notice.event_id.uuid()).collect();
    let rows: Vec<Marked> = sql_query(
        "SELECT id, headers FROM events WHERE tenant_id = $1 AND id = ANY ($2)
           AND position(convert_to($3, 'UTF8') IN '\\x0d0a'::bytea || headers) > 0",
    )
    .bind::<SqlUuid, _>(scope.uuid())
    .bind::<Array<SqlUuid>, _>(ids)
    .bind::<Text, _>(format!("\r\n{HEADER}: "))
    .load(conn)?;
    let marks = |row: Marked| (row.id, notification::marks(&row.headers));
    Ok(rows.into_iter().map(marks).collect())
}

/// The mark of a notification of a tenant.
fn mark(key: &MasterKey, scope: &TenantScope, kind: Kind, id: JobId) -> Mark {
    let mac = key.authenticate(CONTEXT, &authenticated(scope, kind, id));
    Mark { kind, id, mac }
}

/// Whether a mark is that of a notification which the tenant was sent, not too long ago.
fn is_believed(key: &MasterKey, scope: &TenantScope, mark: &Mark, now: DateTime<Utc>) -> bool {
    let authenticated = authenticated(scope, mark.kind, mark.id);
    now - mark.id.created_at() < BELIEVED && key.has_authenticated(CONTEXT, &authenticated, &mark.mac)
}

fn authenticated(scope: &TenantScope, kind: Kind, id: JobId) -> Vec<u8> {
    [
        &scope.uuid().as_bytes()[..],
        id.uuid().as_bytes(),
        kind.as_str().as_bytes(),
    ]
    .concat()
}

/// How many of so many notifications are to be sent, and how many were left out before them; `None` when the tenant has ended
/// them meanwhile. The tenant's other notifications wait until the transaction ends.
fn take(
    conn: &mut PgConnection,
    scope: &TenantScope,
    notifier: &Notifier,
    wanted: usize,
) -> Result<Option<(usize, u64)>> {
    let row: Option<Row> = table
        .find(scope.uuid())
        .select(Row::as_select())
        .for_no_key_update()
        .first(conn)
        .optional()?;
    let Some(row) = row.filter(|_| wanted > 0) else {
        return Ok(None);
    };
    let mut window = Window {
        started_at: row.window_started_at,
        sent: u32::try_from(row.sent).unwrap_or(0),
        suppressed: u64::try_from(row.suppressed).unwrap_or(0),
    };
    let suppressed_before = window.suppressed;
    let most = window.take(wanted, notifier.per_minute, clock::now());
    if most > 0 {
        window.suppressed -= suppressed_before;
    }
    diesel::update(table.find(scope.uuid()))
        .set((
            dsl::window_started_at.eq(window.started_at),
            dsl::sent.eq(i32::try_from(window.sent).unwrap_or(i32::MAX)),
            dsl::suppressed.eq(i64::try_from(window.suppressed).unwrap_or(i64::MAX)),
        ))
        .execute(conn)?;
    Ok(Some((most, suppressed_before)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_tenants_own_marks_are_believed_and_for_a_while() {
        let (old, new) = (MasterKey::from_bytes(&[7; 32]), MasterKey::from_bytes(&[8; 32]));
        let (scope, other) = (
            TenantScope::proven(clock::new_id()),
            TenantScope::proven(clock::new_id()),
        );
        let (now, kind) = (clock::now(), Kind::RunFailed);
        let true_one = mark(&old, &scope, kind, JobId::new(now, [1; 8]));
        let forged = [
            Mark {
                mac: [0; 32],
                ..true_one
            },
            Mark {
                id: JobId::new(now, [2; 8]),
                ..true_one
            },
            Mark {
                kind: Kind::CallbackFailed,
                ..true_one
            },
            mark(&new, &scope, kind, true_one.id),
        ];
        assert!(is_believed(&old, &scope, &true_one, now));
        for mark in forged {
            assert!(!is_believed(&old, &scope, &mark, now), "{mark}");
        }
        assert!(!is_believed(&old, &other, &true_one, now));
        let rotated = new.with_previous([old.clone()]);
        assert!(is_believed(&rotated, &scope, &true_one, now));
        assert!(!is_believed(&old, &scope, &true_one, now + BELIEVED));
    }
}
