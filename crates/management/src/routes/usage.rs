//! What the tenant received, and what became of it.

use std::collections::BTreeMap;

use actix_web::get;
use chrono::{Days, NaiveDate};
use hookgate_domain::clock;
use hookgate_domain::database::PgConnection;
use hookgate_domain::outcomes::{self, Count};
use hookgate_domain::scope::TenantScope;
use hookgate_domain::usage::{self, By, Month, Usage};
use hookgate_model::ids::WebhookId;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use crate::auth::Guarded;
use crate::auth::permissions::TenantRead;
use crate::body::Reply;
use crate::error::{ApiError, ApiResult, FieldCode};
use crate::fields::{Fields, FromFields, parsed};
use crate::query::Query;

/// How many days are shown unless it is said otherwise.
const DAYS: u64 = 30;

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config.service(read);
}

/// What is wanted.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filters {
    /// The first day, in UTC; by default 29 days before the last. Days are kept for 400 days.
    #[param(value_type = Option<String>, format = Date, example = "2026-11-01")]
    from: Option<NaiveDate>,
    /// The last day, in UTC; by default today.
    #[param(value_type = Option<String>, format = Date, example = "2026-11-30")]
    to: Option<NaiveDate>,
    /// Of this webhook; by default of all.
    webhook_id: Option<WebhookId>,
    /// What each entry sums up: a `day` (the default), or a `webhook`.
    #[param(value_type = Option<String>, pattern = "^(day|webhook)$", example = "day")]
    by: Option<By>,
}

impl FromFields for Filters {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let from = fields.optional("from", parsed);
        let to = fields.optional("to", parsed);
        let webhook_id = fields.optional("webhook_id", parsed);
        let by = fields.optional("by", |value| match value.as_str() {
            Some("day") => Ok(By::Day),
            Some("webhook") => Ok(By::Webhook),
            _ => crate::fields::wrong(FieldCode::Invalid, "expected one of: day, webhook"),
        });
        Some(Self {
            from: from?,
            to: to?,
            webhook_id: webhook_id?,
            by: by?,
        })
    }
}

/// What came on one day, or for one webhook, and what became of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsageEntry, example = json!({"day": "2026-11-21", "webhook_id": null, "events": 1204, "body_bytes": 1804800,
    "duplicates": 3, "refused": {"rate_limited": 12, "address_not_allowed": 5}, "runs": {"succeeded": 1180, "filtered": 20,
    "failed": 4}}))]
pub struct EntryView {
    /// The day, in UTC; null in a sum of several.
    #[schema(value_type = Option<String>, format = Date, example = "2026-11-21")]
    day: Option<NaiveDate>,
    /// The webhook, which may be deleted by now; null in a sum of several.
    webhook_id: Option<WebhookId>,
    /// The accepted events.
    #[schema(example = 1204)]
    events: i64,
    /// The bytes of their bodies, as they were sent.
    #[schema(example = 1_804_800)]
    body_bytes: i64,
    /// Deliveries that came before, and were answered without another event.
    #[schema(example = 3)]
    duplicates: i64,
    /// Refused requests, by the code of their refusal.
    #[schema(example = json!({"rate_limited": 12, "address_not_allowed": 5}))]
    refused: BTreeMap<String, i64>,
    /// Runs that ended, by their outcome: `succeeded`, `failed`, `filtered`, `crashed`. A run that is retried ends once more.
    #[schema(example = json!({"succeeded": 1180, "filtered": 20, "failed": 4}))]
    runs: BTreeMap<String, i64>,
}

/// What the tenant received in a month.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsageMonth, example = json!({"events": 1204, "body_bytes": 1804800}))]
pub struct MonthView {
    /// The accepted events.
    #[schema(example = 1204)]
    events: u64,
    /// The bytes of their bodies.
    #[schema(example = 1_804_800)]
    body_bytes: u64,
}

/// What the tenant received.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Usage, example = json!({"data": [{"day": "2026-11-21", "webhook_id": null, "events": 1204,
    "body_bytes": 1804800, "duplicates": 0, "refused": {}, "runs": {"succeeded": 1204}}], "this_month": {"events": 1204, "body_bytes": 1804800}}))]
pub struct UsageView {
    /// Days, the first in front, or webhooks. Those to which nothing came are left out.
    data: Vec<EntryView>,
    /// The whole of this month so far (UTC), which quotas are kept by.
    this_month: MonthView,
}

/// The entries of what was received and what became of it, in their order.
fn entries(received: Vec<Usage>, outcomes: Vec<Count>) -> Vec<EntryView> {
    let mut entries = BTreeMap::<_, EntryView>::new();
    let mut entry = |day: Option<NaiveDate>, webhook: Option<Uuid>, count: &dyn Fn(&mut EntryView)| {
        count(entries.entry((day, webhook)).or_insert_with(|| EntryView {
            day,
            webhook_id: webhook.map(WebhookId::from),
            events: 0,
            body_bytes: 0,
            duplicates: 0,
            refused: BTreeMap::new(),
            runs: BTreeMap::new(),
        }));
    };
    for usage in received {
        entry(usage.day, usage.webhook_id, &|entry| {
            (entry.events, entry.body_bytes) = (usage.events, usage.body_bytes);
        });
    }
    for Count {
        day,
        webhook_id,
        kind,
        name,
        count,
    } in outcomes
    {
        entry(day, webhook_id, &|entry| match kind.as_str() {
            "refused" => drop(entry.refused.insert(name.clone(), count)),
            "run" => drop(entry.runs.insert(name.clone(), count)),
            _ => entry.duplicates = count,
        });
    }
    entries.into_values().collect()
}

impl From<Month> for MonthView {
    fn from(month: Month) -> Self {
        Self {
            events: month.events,
            body_bytes: month.body_bytes,
        }
    }
}

/// Read the usage of the tenant
///
/// Accepted events and the bytes of their bodies, duplicates, refusals by reason and runs by outcome, by day or webhook. Nodes add
/// what they have counted every few seconds. Quotas are kept by events and bytes; of the rest a node that is killed forgets what it
/// has not added yet. Requests to URLs that there are not belong to nobody, and are not counted.
#[utoipa::path(tag = "account", operation_id = "getUsage", security(("bearer" = ["tenant:read"])), params(Filters),
    responses((status = 200, description = "What was received", body = UsageView)))]
#[get("/usage")]
async fn read(caller: Guarded<TenantRead>, Query(filters): Query<Filters>) -> ApiResult<Reply<UsageView>> {
    let usage = caller.run(move |conn, scope| filters.read(conn, scope)).await?;
    Ok(Reply::ok(usage))
}

impl Filters {
    /// What the tenant received.
    ///
    /// # Errors
    /// 400 when the first day is after the last.
    pub(super) fn read(&self, conn: &mut PgConnection, scope: &TenantScope) -> ApiResult<UsageView> {
        let now = clock::now();
        let to = self.to.unwrap_or_else(|| now.date_naive());
        let from = self
            .from
            .or_else(|| to.checked_sub_days(Days::new(DAYS - 1)))
            .unwrap_or(to);
        if from > to {
            let detail = "must not be after the last day";
            return Err(ApiError::field("?from", FieldCode::Invalid, detail));
        }
        let by = self.by.unwrap_or(By::Day);
        let received = usage::between(conn, scope, (from, to), self.webhook_id, by)?;
        let outcomes = outcomes::between(conn, scope, (from, to), self.webhook_id, by)?;
        Ok(UsageView {
            data: entries(received, outcomes),
            this_month: usage::month(conn, scope, now)?.into(),
        })
    }
}
