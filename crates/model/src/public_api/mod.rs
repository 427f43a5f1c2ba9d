//! A tenant's webhooks as an API of their own: an OpenAPI 3.1 document of what senders may call, made from live settings
//! and published revisions. It tells what a sender has to know, and nothing of what a flow does with a request, except
//! for the answers and the callbacks that the sender's side receives.

mod answers;
mod callbacks;
mod operation;
mod security;
mod template_schema;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use crate::authentication::Authentication;
use crate::flow::definition::RevisionDocument;
use crate::ids::{DestinationId, UrlId};
use crate::methods::MethodSet;
use crate::suffix::UrlSuffix;
use crate::webhook::Status;

/// Everything that the document tells.
#[derive(Debug, Clone)]
pub struct PublicApi {
    /// Whose webhooks they are.
    pub title: String,
    /// What all public URLs begin with.
    pub server: String,
    /// When any of it last changed.
    pub changed_at: DateTime<Utc>,
    /// The webhooks that take requests, in the order in which the document shows them.
    pub webhooks: Vec<LiveWebhook>,
    /// Whether there are more than these.
    pub is_cut: bool,
}

impl PublicApi {
    /// Leaves out what was learnt from requests but their form: values that senders sent are not for others. What somebody
    /// wrote by hand stays.
    pub fn without_learnt_values(mut self) -> Self {
        for webhook in &mut self.webhooks {
            let expected = &mut webhook.revision.expected_data;
            for fields in [
                &mut expected.headers,
                &mut expected.query,
                &mut expected.path,
                &mut expected.body,
            ] {
                for field in fields.iter_mut().filter(|field| field.inferred) {
                    field.example = Value::Null;
                    field.values.clear();
                }
            }
        }
        self
    }
}

const DESCRIPTION: &str = "The webhooks that take requests at present: where to send them, with which credentials, what they hold, and \
    every answer that can come back. A 2xx answer means that the request is stored; its header `hookgate-event-id` names it. \
    Whoever knows a URL of a webhook without further credentials may call it.";

/// The most bytes of all operations together: what would go beyond is left out, and said to be.
const MAX_BYTES: usize = 8 << 20;

/// A webhook that takes requests.
#[derive(Debug, Clone)]
pub struct LiveWebhook {
    /// What the tenant calls it.
    pub name: String,
    /// Whether its flow runs at present.
    pub status: Status,
    /// The methods that it accepts.
    pub methods: MethodSet,
    /// What a sender must present.
    pub authentication: Authentication,
    /// Whether only some addresses may send.
    pub has_allowlist: bool,
    /// The largest body that it accepts, in bytes.
    pub body_limit_bytes: i32,
    /// What its production URLs run.
    pub revision: RevisionDocument,
    /// Its production URLs that work.
    pub urls: Vec<LiveUrl>,
    /// The destinations that its callbacks go to.
    pub destinations: BTreeMap<DestinationId, CallbackTarget>,
}

/// A production URL that works.
#[derive(Debug, Clone)]
pub struct LiveUrl {
    /// Its id.
    pub id: UrlId,
    /// What the tenant calls it.
    pub name: String,
    /// The path of its token and suffix, with `{parameters}`.
    pub path: String,
    /// What follows the token.
    pub suffix: UrlSuffix,
    /// From when it does not work any more.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Where a callback goes.
#[derive(Debug, Clone)]
pub struct CallbackTarget {
    /// What its URL begins with.
    pub base_url: String,
    /// Whether it is signed as the Standard Webhooks prescribe.
    pub is_signed: bool,
}

/// The document.
pub fn document(api: &PublicApi) -> Value {
    let mut schemes = security::Schemes::default();
    let mut operation_ids = BTreeSet::new();
    let mut paths = Map::new();
    let mut tags = Vec::new();
    let (mut bytes, mut is_cut) = (0, api.is_cut);
    'webhooks: for webhook in &api.webhooks {
        if !tags.contains(&json!({ "name": webhook.name })) {
            tags.push(json!({ "name": webhook.name }));
        }
        for url in &webhook.urls {
            let mut item = Map::new();
            for method in webhook.methods.iter() {
                let id = unique(&mut operation_ids, operation::id(webhook, url, method), url.id);
                let operation = operation::describe(webhook, url, method, &id, &mut schemes);
                bytes += operation.to_string().len();
                if bytes > MAX_BYTES {
                    is_cut = true;
                    break 'webhooks;
                }
                item.insert(method.to_ascii_lowercase(), operation);
            }
            paths.insert(url.path.clone(), item.into());
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": api.title,
            "version": api.changed_at.to_rfc3339_opts(SecondsFormat::Secs, true),
            "description": if is_cut { format!("{DESCRIPTION} There are more webhooks than these: they would make the document too long.") } else { DESCRIPTION.to_owned() },
        },
        "servers": [{ "url": api.server.trim_end_matches('/') }],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": {
                "Problem": answers::problem_schema(),
                "InvalidRequest": answers::invalid_schema(),
                "Processing": answers::processing_schema(),
            },
            "securitySchemes": schemes.into_components(),
        },
    })
}

/// An operationId that no other operation has: of two alike, the later one also has the end of its URL's id.
fn unique(taken: &mut BTreeSet<String>, id: String, url: UrlId) -> String {
    let id = if taken.contains(&id) {
        let text = url.to_string();
        let end = text.get(text.len().saturating_sub(6)..).unwrap_or_default();
        format!("{id}_{end}")
    } else {
        id
    };
    taken.insert(id.clone());
    id
}
