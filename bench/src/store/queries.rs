//! What clients ask for.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context, Result, bail};
use chrono::{SecondsFormat, TimeDelta};
use serde_json::Value;

use super::fill::{KEYS, NEEDLE, Store};
use crate::load::Request;

/// A list, or a part of one.
pub struct Query {
    /// What it is, for people.
    pub what: &'static str,
    path: String,
    key: &'static str,
    /// How many pages from the beginning.
    page: usize,
}

impl Query {
    /// The request, which for a later page has that page's cursor.
    pub fn request(&self, management: SocketAddr) -> Result<Request> {
        let mut path = self.path.clone();
        for _ in 0..self.page {
            let page = get(management, &path, self.key)?;
            let cursor = page["next_cursor"].as_str().context("the list ended early")?;
            let separator = if self.path.contains('?') { '&' } else { '?' };
            path = format!("{}{separator}cursor={cursor}", self.path);
        }
        Ok(Request::get(&path, &authorization(self.key)))
    }
}

fn authorization(key: &str) -> String {
    format!("authorization: Bearer {key}\r\n")
}

fn get(management: SocketAddr, path: &str, key: &str) -> Result<Value> {
    let mut stream = TcpStream::connect(management)?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{}\r\n",
        authorization(key)
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
    if !head.starts_with("HTTP/1.1 200") {
        bail!("{path} was answered {answer}");
    }
    Ok(serde_json::from_str(body)?)
}

/// Each kind of query.
pub fn all(store: &Store) -> Vec<Query> {
    let day = |days: i64| (store.began + TimeDelta::days(days)).to_rfc3339_opts(SecondsFormat::Secs, true);
    let busy = store.large[0].id;
    let quiet = store.large[store.large.len() - 1].id;
    let rare = store.rare.id;
    let large = |what, path: String| Query {
        what,
        path,
        key: KEYS[0],
        page: 0,
    };
    let (middle, after) = (day(15), day(16));
    vec![
        large("events: newest page", "/v1/events".into()),
        large("events: newest page of 200", "/v1/events?limit=200".into()),
        Query {
            key: KEYS[1],
            ..large("events: newest page of a small tenant", "/v1/events".into())
        },
        Query {
            page: 20,
            ..large(
                "events: 20th page from the middle on",
                format!("/v1/events?limit=200&to={middle}"),
            )
        },
        large("events: one day", format!("/v1/events?from={middle}&to={after}")),
        large("events: busiest webhook", format!("/v1/events?webhook_id={busy}")),
        large("events: quiet webhook", format!("/v1/events?webhook_id={quiet}")),
        large(
            "events: webhook with one old event",
            format!("/v1/events?webhook_id={rare}"),
        ),
        large(
            "events: quiet webhook, one day",
            format!("/v1/events?webhook_id={quiet}&from={middle}&to={after}"),
        ),
        large("events: one status, common", "/v1/events?status=succeeded".into()),
        large(
            "events: one status, of one in 300",
            "/v1/events?status=failed".into(),
        ),
        large(
            "events: one status that none has",
            "/v1/events?status=crashed".into(),
        ),
        large(
            "events: one status, quiet webhook",
            format!("/v1/events?status=failed&webhook_id={quiet}"),
        ),
        large("events: pending", "/v1/events?status=pending".into()),
        large(
            "events: pending, quiet webhook",
            format!("/v1/events?status=pending&webhook_id={quiet}"),
        ),
        large("events: received", "/v1/events?status=received".into()),
        large("events: common type", "/v1/events?event_type=order.paid".into()),
        large(
            "events: type that none has",
            "/v1/events?event_type=order.unknown".into(),
        ),
        large(
            "events: type of one old event",
            format!("/v1/events?event_type={NEEDLE}"),
        ),
        large(
            "events: type that none has, one day",
            format!("/v1/events?event_type=order.unknown&from={middle}&to={after}"),
        ),
        large(
            "events: delivery id of one old event",
            format!("/v1/events?delivery_id={NEEDLE}"),
        ),
        large(
            "events: delivery id that none has",
            "/v1/events?delivery_id=unknown".into(),
        ),
        large("events: that came again", "/v1/events?duplicated=true".into()),
        large(
            "events: test environment, PUT",
            "/v1/events?environment=test&method=PUT".into(),
        ),
        large(
            "events: webhook, type and outcome",
            format!("/v1/events?webhook_id={busy}&event_type=order.paid&status=failed"),
        ),
        large("events: text that many have", "/v1/events?text=order.paid".into()),
        large(
            "events: text of one body in 2,000",
            "/v1/events?text=customer77%40example.com".into(),
        ),
        large(
            "events: text that none has",
            "/v1/events?text=nobody%40example.com".into(),
        ),
        large(
            "events: text of one old event, by its webhook",
            format!("/v1/events?text={NEEDLE}&webhook_id={rare}"),
        ),
        large("runs: newest page", "/v1/runs".into()),
        large("runs: failed", "/v1/runs?outcome=failed".into()),
        large(
            "runs: crashed, which there are none",
            "/v1/runs?outcome=crashed".into(),
        ),
        large("runs: busiest webhook", format!("/v1/runs?webhook_id={busy}")),
        large("runs: webhook without any", format!("/v1/runs?webhook_id={rare}")),
        large("attempts: newest page", "/v1/attempts".into()),
        large("attempts: failed", "/v1/attempts?outcome=failed".into()),
        large(
            "attempts: busiest webhook",
            format!("/v1/attempts?webhook_id={busy}"),
        ),
        large(
            "attempts: webhook without any",
            format!("/v1/attempts?webhook_id={rare}"),
        ),
        large(
            "attempts: destination without any",
            "/v1/attempts?destination_id=dst_01k9z3v8e5f2q8r7w6t5y4x3m2".into(),
        ),
        large("refusals: newest page", "/v1/refusals".into()),
        large(
            "refusals: quiet webhook",
            format!("/v1/refusals?webhook_id={quiet}"),
        ),
        large(
            "refusals: reason that none has",
            "/v1/refusals?reason=address_not_allowed".into(),
        ),
        large("failed callbacks: newest page", "/v1/failed-callbacks".into()),
        large(
            "failed callbacks: webhook without any",
            format!("/v1/failed-callbacks?webhook_id={rare}"),
        ),
        large("usage: 30 days", "/v1/usage".into()),
        large("usage: 30 days by webhook", "/v1/usage?by=webhook".into()),
        large("audit log: newest page", "/v1/audit-log".into()),
        large("audit log: one webhook", format!("/v1/audit-log?object={busy}")),
        large(
            "audit log: action that none has",
            "/v1/audit-log?action=deleted".into(),
        ),
    ]
}
