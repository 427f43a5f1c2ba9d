//! Refused requests on their way into Postgres. Nobody waits for them, and an attacker must not fill the disk with them:
//! each webhook has a budget, the queue is bounded, and what does not fit is counted and let go.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hookgate_model::ids::{RefusalId, UrlId, WebhookId};
use ipnet::IpNet;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::row::{HEADER, RowWriter, TRAILER};
use super::session::{Session, day_name, day_of};
use crate::database::DatabaseSettings;
use crate::scope::TenantScope;

/// Refusals that may wait to be written.
const QUEUE: usize = 4096;
/// How long Postgres may take for a commit of refusals.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most refusals of one commit.
const PER_COMMIT: usize = 500;
/// Bytes of whole requests that one node keeps in a minute, over all webhooks.
const BYTES_PER_MINUTE: f64 = 32.0 * 1024.0 * 1024.0;
/// Webhooks whose budget is remembered; beyond, all budgets begin anew.
const BUDGETS: usize = 100_000;

const COLUMNS: &str = "tenant_id, id, webhook_id, url_id, reason, detail, status, method, path, query, address, headers, body_bytes, body_preview, masked, request";

/// A refused request to a known URL, as it is stored.
#[derive(Debug)]
pub struct NewRefusal {
    /// Whose it is.
    pub scope: TenantScope,
    /// Its id, which carries the time.
    pub id: RefusalId,
    /// The webhook that refused it.
    pub webhook_id: WebhookId,
    /// The URL that it came to.
    pub url_id: UrlId,
    /// The stable code of the reason.
    pub reason: &'static str,
    /// The reason in words.
    pub detail: String,
    /// The HTTP status of the answer.
    pub status: u16,
    /// The HTTP method.
    pub method: String,
    /// The path after the token.
    pub path: String,
    /// The query string.
    pub query: String,
    /// Who sent it; a network when the address is masked.
    pub address: Option<IpNet>,
    /// The headers, those with credentials redacted.
    pub headers: Vec<u8>,
    /// The length of the body, when it is known.
    pub body_bytes: Option<i32>,
    /// The beginning of the body.
    pub body_preview: Vec<u8>,
    /// What was masked of it, as JSON.
    pub masked: Option<Vec<u8>>,
    /// The whole request, sealed, when it is kept.
    pub request: Option<Vec<u8>>,
}

/// Writes refusals behind the answers.
#[derive(Clone)]
pub struct RefusalLog(Arc<Shared>);

struct Shared {
    queue: Mutex<Option<mpsc::Sender<NewRefusal>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    budgets: Mutex<HashMap<WebhookId, Budgets>>,
    /// The bytes of whole requests, over all webhooks.
    bytes: Mutex<Budget>,
    per_minute: u32,
    bytes_per_minute: usize,
}

/// What one webhook has left.
struct Budgets {
    rows: Budget,
    bytes: Budget,
}

impl RefusalLog {
    /// Starts the writer on the running tokio runtime. A webhook's refusals beyond `per_minute` are counted, not kept;
    /// beyond `bytes_per_minute` they are kept without the whole request.
    pub fn start(database: &DatabaseSettings, per_minute: u32, bytes_per_minute: usize) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let session = Session::new(database, "hookgate-refusals", None, PATIENCE);
        let writer = tokio::spawn(write_all(session, receiver));
        Self(Arc::new(Shared {
            queue: Mutex::new(Some(sender)),
            writer: Mutex::new(Some(writer)),
            budgets: Mutex::default(),
            bytes: Mutex::new(Budget::full(BYTES_PER_MINUTE)),
            per_minute,
            bytes_per_minute,
        }))
    }

    /// Whether the webhook's budget allows another one now; takes it from the budget. Asked before the refusal is made,
    /// so that a flood of refused requests costs little.
    pub fn has_room(&self, webhook: WebhookId) -> bool {
        let full = f64::from(self.0.per_minute);
        let allowed = self.with_budgets(webhook, |budgets| budgets.rows.take(1.0, full));
        if !allowed {
            metrics::counter!("hookgate_refusals_not_kept_total").increment(1);
        }
        allowed
    }

    /// Whether the whole request of a refusal may be kept, of so many bytes; takes them from the webhook's budget, and from
    /// that of all.
    pub fn has_room_for(&self, webhook: WebhookId, bytes: usize) -> bool {
        let (bytes, full) = (bytes as f64, self.0.bytes_per_minute as f64);
        self.with_budgets(webhook, |budgets| budgets.bytes.take(bytes, full))
            && self.0.bytes.lock().take(bytes, BYTES_PER_MINUTE)
    }

    fn with_budgets<T>(&self, webhook: WebhookId, ask: impl FnOnce(&mut Budgets) -> T) -> T {
        let mut budgets = self.0.budgets.lock();
        if budgets.len() >= BUDGETS {
            budgets.clear();
        }
        ask(budgets.entry(webhook).or_insert_with(|| Budgets {
            rows: Budget::full(self.0.per_minute.into()),
            bytes: Budget::full(self.0.bytes_per_minute as f64),
        }))
    }

    /// Hands a refusal to the writer; never blocks.
    pub fn record(&self, refusal: NewRefusal) {
        let sent = self
            .0
            .queue
            .lock()
            .as_ref()
            .is_some_and(|queue| queue.try_send(refusal).is_ok());
        if !sent {
            metrics::counter!("hookgate_refusals_not_kept_total").increment(1);
        }
    }

    /// Writes what is waiting and ends the writer.
    pub async fn stop(&self) {
        self.0.queue.lock().take();
        let writer = self.0.writer.lock().take();
        if let Some(writer) = writer
            && writer.await.is_err()
        {
            tracing::error!("the task that writes refusals panicked");
        }
    }
}

struct Budget {
    left: f64,
    at: Instant,
}

impl Budget {
    fn full(full: f64) -> Self {
        Self {
            left: full,
            at: Instant::now(),
        }
    }

    /// Takes so much, of a budget that is full again after a minute.
    fn take(&mut self, wanted: f64, full: f64) -> bool {
        self.left = (self.left + self.at.elapsed().as_secs_f64() * full / 60.0).min(full);
        self.at = Instant::now();
        let allowed = self.left >= wanted;
        if allowed {
            self.left -= wanted;
        }
        allowed
    }
}

async fn write_all(mut session: Session, mut receiver: mpsc::Receiver<NewRefusal>) {
    let mut refusals = Vec::new();
    while receiver.recv_many(&mut refusals, PER_COMMIT).await > 0 {
        for group in refusals.chunk_by(|a, b| day_of(a.id.created_at()) == day_of(b.id.created_at())) {
            let Some(day) = group.first().map(|refusal| day_of(refusal.id.created_at())) else {
                continue;
            };
            let mut rows = Vec::new();
            for refusal in group {
                refusal.write(&mut rows);
            }
            let statement = format!(
                "COPY refusals_{} ({COLUMNS}) FROM STDIN (FORMAT binary)",
                day_name(day)
            );
            if let Err(error) = session.copy(day, &statement, &[HEADER, &rows, TRAILER]).await {
                tracing::warn!(error = error.message, "refusals were not kept");
                metrics::counter!("hookgate_refusals_not_kept_total").increment(group.len() as u64);
            }
        }
        refusals.clear();
    }
}

impl NewRefusal {
    fn write(&self, buffer: &mut Vec<u8>) {
        let mut row = RowWriter::begin(buffer, 16);
        row.uuid(self.scope.uuid())
            .uuid(self.id.uuid())
            .uuid(self.webhook_id.uuid())
            .uuid(self.url_id.uuid());
        row.text(self.reason)
            .text(&self.detail)
            .int2(i16::try_from(self.status).unwrap_or(0))
            .text(&self.method)
            .text(&self.path)
            .text(&self.query)
            .address(self.address)
            .bytes(&self.headers);
        match self.body_bytes {
            Some(length) => row.int4(length),
            None => row.null(),
        };
        row.bytes(&self.body_preview)
            .optional_json(self.masked.as_deref());
        match &self.request {
            Some(sealed) => row.bytes(sealed),
            None => row.null(),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_ends_and_grows_again() {
        let mut budget = Budget::full(2.0);
        assert!(budget.take(1.0, 2.0) && budget.take(1.0, 2.0));
        assert!(!budget.take(1.0, 2.0));
        budget.at -= std::time::Duration::from_secs(30);
        assert!(budget.take(1.0, 2.0));
        assert!(!budget.take(1.0, 2.0));
    }
}
