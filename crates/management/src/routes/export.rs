//! The export of all that a tenant has, as JSON Lines.

use actix_web::{HttpResponse, get};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hookgate_domain::crypto::RunKey;
use hookgate_domain::export::{self, Row, TABLES, Table};
use hookgate_domain::{Error, body};
use hookgate_model::access::Permission;
use hookgate_model::answer::Answer;
use serde_json::{Map, Value, json};
use utoipa_actix_web::service_config::ServiceConfig;

use super::audit_log;
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult};
use crate::json_lines::{self, Export};

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config.service(read);
}

/// Export the tenant
///
/// All that it has, as JSON Lines: configuration, members, events with their bodies, refusals, runs, attempts, records, sessions,
/// samples, the audit log. Each line is an object with its `kind`; bodies are base64. Secrets are not in it, nor are the tokens of
/// public URLs. What changes meanwhile is in it as it was or as it is. For owners only, not for management keys; also for a tenant
/// that is to be deleted.
#[utoipa::path(tag = "account", operation_id = "exportTenant", security(("bearer" = [])),
    responses((status = 200, description = "The tenant", body = String, content_type = "application/jsonl",
        example = json!("{\"kind\":\"tenant\",\"id\":\"tnt_01k9z3v8e5f2q8r7w6t5y4x3m2\",\"name\":\"Analytical Engines\"}\n")),
        (status = 403, description = "forbidden, tenant_suspended"),
        (status = 429, description = "too_many_requests")))]
#[get("/tenant/export")]
async fn read(caller: Caller) -> ApiResult<HttpResponse> {
    caller.owner()?;
    let export = TenantExport {
        tables: &TABLES,
        after: Vec::new(),
    };
    json_lines::answer(caller, Permission::TenantOwn, export).await
}

/// Where an export is.
struct TenantExport {
    tables: &'static [Table],
    after: Vec<String>,
}

impl Export for TenantExport {
    async fn next(mut self, caller: &Caller) -> ApiResult<(Bytes, Option<Self>)> {
        let Some((table, rest)) = self.tables.split_first() else {
            return Ok((Bytes::new(), None));
        };
        let (table, after) = (*table, std::mem::take(&mut self.after));
        let rows = caller
            .run(move |conn, scope| export::rows(conn, scope, table, &after))
            .await?;
        match rows.last() {
            Some(last) => self.after.clone_from(&last.key),
            None => self.tables = rest,
        }
        let lines = tokio::task::spawn_blocking(move || lines(table, rows));
        let lines = lines.await.map_err(ApiError::internal)??;
        let goes_on = (!self.tables.is_empty()).then_some(self);
        Ok((lines, goes_on))
    }
}

fn lines(table: Table, rows: Vec<Row>) -> ApiResult<Bytes> {
    let mut shown = Vec::with_capacity(rows.len());
    for row in rows {
        let row: Value = serde_json::from_str(&row.row).map_err(ApiError::internal)?;
        shown.push(self::shown(table, row).map_err(ApiError::from)?);
    }
    json_lines::lines(shown)
}

/// A row as it is exported: with the ids that the API has, and bytes as what they mean.
fn shown(table: Table, row: Value) -> Result<Map<String, Value>, Error> {
    let (kind, prefix) = audit_log::kind_of_table(table.name);
    let mut line = Map::from_iter([("kind".to_owned(), json!(kind))]);
    let mut row = audit_log::row(Some(row), prefix).unwrap_or_default();
    for name in table.left_out.iter().chain(&["tenant_id", "bytes_before"]) {
        row.remove(*name);
    }
    if let Some(codec) = row.remove("body_codec") {
        let length = row.get("body_bytes").and_then(Value::as_i64).unwrap_or(0);
        let stored = bytes(row.get("body"));
        let codec = i16::try_from(codec.as_i64().unwrap_or(-1)).unwrap_or(-1);
        let body = body::read(codec, i32::try_from(length).unwrap_or(-1), &stored)?;
        row.insert("body".to_owned(), STANDARD.encode(body).into());
    }
    for (name, value) in &mut row {
        match name.as_str() {
            // One character for each byte, as HTTP has it (RFC 9110, section 5.5).
            "headers" => {
                *value = bytes(Some(value))
                    .into_iter()
                    .map(char::from)
                    .collect::<String>()
                    .into()
            }
            "body_preview" | "response_preview" if value.is_string() => {
                *value = STANDARD.encode(bytes(Some(value))).into();
            }
            "steps" => *value = serde_json::from_slice(&bytes(Some(value))).unwrap_or_default(),
            "answer" if value.is_string() => *value = answer(&bytes(Some(value))),
            _ => {}
        }
    }
    line.extend(row);
    Ok(line)
}

fn answer(stored: &[u8]) -> Value {
    if RunKey::has_sealed(stored) {
        return Value::Null;
    }
    Answer::decode(stored).map_or(Value::Null, |answer| {
        json!({"status": answer.status, "headers": answer.headers, "body": STANDARD.encode(answer.body)})
    })
}

/// Bytes as Postgres writes them in JSON: `\x` and hexadecimal digits.
fn bytes(value: Option<&Value>) -> Vec<u8> {
    let text = value
        .and_then(Value::as_str)
        .and_then(|text| text.strip_prefix("\\x"));
    let digits = text.unwrap_or_default().as_bytes();
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let pairs = digits.chunks_exact(2);
    pairs
        .map(|pair| digit(pair[0]).unwrap_or(0) << 4 | digit(pair[1]).unwrap_or(0))
        .collect()
}
