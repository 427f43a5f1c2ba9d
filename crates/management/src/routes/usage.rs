//! What the tenant received: how many events, and how many bytes.

use actix_web::get;
use chrono::{Days, NaiveDate};
use hookgate_domain::clock;
use hookgate_domain::usage::{self, By, Month, Usage};
use hookgate_model::ids::WebhookId;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

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
struct Filters {
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

/// What came on one day, or for one webhook.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsageEntry, example = json!({"day": "2026-11-21", "webhook_id": null, "events": 1204, "body_bytes": 1804800}))]
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
    "body_bytes": 1804800}], "this_month": {"events": 1204, "body_bytes": 1804800}}))]
pub struct UsageView {
    /// Days, the first in front, or webhooks. Those without events are left out.
    data: Vec<EntryView>,
    /// The whole of this month so far (UTC), which quotas are kept by.
    this_month: MonthView,
}

impl From<Usage> for EntryView {
    fn from(usage: Usage) -> Self {
        Self {
            day: usage.day,
            webhook_id: usage.webhook_id.map(WebhookId::from),
            events: usage.events,
            body_bytes: usage.body_bytes,
        }
    }
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
/// Accepted events and the bytes of their bodies, by day or webhook. Nodes add what they have taken every few seconds.
#[utoipa::path(tag = "account", operation_id = "getUsage", security(("bearer" = ["tenant:read"])), params(Filters),
    responses((status = 200, description = "What was received", body = UsageView)))]
#[get("/usage")]
async fn read(caller: Guarded<TenantRead>, Query(filters): Query<Filters>) -> ApiResult<Reply<UsageView>> {
    let now = clock::now();
    let to = filters.to.unwrap_or_else(|| now.date_naive());
    let from = filters
        .from
        .or_else(|| to.checked_sub_days(Days::new(DAYS - 1)))
        .unwrap_or(to);
    if from > to {
        let detail = "must not be after the last day";
        return Err(ApiError::field("?from", FieldCode::Invalid, detail));
    }
    let Filters { webhook_id, by, .. } = filters;
    let (entries, month) = caller
        .run(move |conn, scope| {
            let by = by.unwrap_or(By::Day);
            let entries = usage::between(conn, scope, (from, to), webhook_id, by)?;
            Ok::<_, ApiError>((entries, usage::month(conn, scope, now)?))
        })
        .await?;
    Ok(Reply::ok(UsageView {
        data: entries.into_iter().map(EntryView::from).collect(),
        this_month: month.into(),
    }))
}
