//! A webhook as admission needs it: compiled once, then shared by every request to its URL.

use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use hookgate_domain::appender::Work;
use hookgate_domain::routing::Route;
use hookgate_model::authentication::{Material, Verifier};
use hookgate_model::deduplication::Recognition;
use hookgate_model::flow::compiled::CompiledRevision;
use hookgate_model::flow::definition::RevisionDocument;
use hookgate_model::ids::RevisionId;
use hookgate_model::network_set::NetworkSet;
use hookgate_model::protection::{DataProtection, Protection};
use hookgate_model::senders;
use tokio::sync::Semaphore;

use crate::answer::Prepared;
use crate::credentials::challenge;
use crate::evaluation::Evaluations;
use crate::expectations::Looks;
use crate::limits::{Limits, UrlLimits};

/// A compiled webhook, at one of its URLs.
pub struct Webhook {
    /// What was read from Postgres.
    pub route: Route,
    /// How it knows its senders, or why nobody can be let in.
    pub verifier: Result<Verifier, String>,
    /// What a refused sender is told to authenticate with.
    pub challenge: &'static str,
    /// Who may call; `None` for everybody.
    pub networks: Option<NetworkSet>,
    /// What its requests are limited by.
    pub limits: UrlLimits,
    /// What runs and answers. The default revision answers for a URL whose webhook never was published.
    pub revision: CompiledRevision,
    /// The answer of a webhook that gives every caller the same, at once.
    pub constant_answer: Option<Prepared>,
    /// What of its requests is stored masked; `None` for nothing.
    pub protection: Option<Protection>,
    /// The same for its refused requests, of which credentials are masked, too.
    pub refusal_protection: Protection,
    /// Its templates that are being evaluated.
    pub evaluations: Evaluations,
    /// The turn of those that write samples of it, since each changes the row of the window.
    pub capturing: Semaphore,
    /// The requests of this second whose data was looked at, where that is only counted.
    pub looks: Looks,
    /// The same in its stored form, for the duplicates of remembered events.
    pub stored_answer: Option<Arc<[u8]>>,
    /// What of a request is read before it is stored.
    pub recognition: Recognition,
    /// When it was read.
    pub loaded_at: Instant,
}

impl Webhook {
    /// Compiles what was read.
    pub fn compile(mut route: Route, limits: &Limits) -> Self {
        let limits = limits.of(&route);
        let material = std::mem::replace(&mut route.material, Ok(Material::default()));
        let verifier = material.map_err(|error| error.to_string()).and_then(|material| {
            Verifier::compile(&route.authentication, &material).map_err(|problem| problem.to_string())
        });
        if let Err(reason) = &verifier {
            tracing::error!(webhook = %route.webhook_id, reason, "an authentication cannot be used");
        }
        let networks = route.networks.take().map(|networks| NetworkSet::new(&networks));
        let document = route.revision.as_ref().map(|(_, document)| document);
        let revision = document.and_then(|document| match CompiledRevision::compile(document) {
            Ok(compiled) => Some(compiled),
            Err(problems) => {
                // It was checked when it was saved. The worker says the same in the run of every event.
                tracing::error!(webhook = %route.webhook_id, ?problems, "a revision does not compile");
                None
            }
        });
        let revision = revision.unwrap_or_else(acknowledging);
        let constant_answer = revision.constant_answer().map(Prepared::from);
        let protect = |settings: &DataProtection| {
            Protection::compile(settings).unwrap_or_else(|error| {
                // It was checked when it was saved. Nothing of a request is stored rather than too much.
                tracing::error!(webhook = %route.webhook_id, error, "data protection does not compile");
                Protection::total()
            })
        };
        let protection = (!route.data_protection.is_off()).then(|| protect(&route.data_protection));
        let mut of_refusals = route.data_protection.clone();
        of_refusals.mask.extend(route.authentication.redaction());
        let refusal_protection = protect(&of_refusals);
        let stored_answer = revision
            .constant_answer()
            .map(|answer| Arc::from(answer.encode()));
        let identity = senders::identity(&route.authentication, &route.system);
        let recognition = Recognition::compile(identity, route.deduplication.as_ref())
            .inspect_err(
                |error| tracing::error!(webhook = %route.webhook_id, %error, "a key's template does not compile"),
            )
            .unwrap_or_default();
        Self {
            challenge: challenge(&route.authentication),
            protection,
            refusal_protection,
            capturing: Semaphore::new(1),
            looks: Looks::default(),
            evaluations: Evaluations::default(),
            route,
            verifier,
            networks,
            limits,
            revision,
            constant_answer,
            stored_answer,
            recognition,
            loaded_at: Instant::now(),
        }
    }

    /// The revision that an event of it runs.
    pub fn revision_id(&self) -> Option<RevisionId> {
        self.route.revision.as_ref().map(|(id, _)| *id)
    }

    /// Whether its requests become samples at a moment, as far as this node knows.
    pub fn is_capturing(&self, now: DateTime<Utc>) -> bool {
        self.route.capturing_until.is_some_and(|until| now < until)
    }

    /// The work that an event of it starts.
    pub fn work(&self, node: Option<&Arc<str>>, is_paused: bool) -> Work {
        let has_flow = self
            .route
            .revision
            .as_ref()
            .is_some_and(|(_, document)| !document.is_idle());
        match (has_flow, is_paused, node) {
            (false, _, _) => Work::None,
            (true, true, _) => Work::Hold,
            (true, false, Some(node)) => Work::RunAndAnswer(Arc::clone(node)),
            (true, false, None) if self.revision.keeps_progress() => Work::RunAlone,
            (true, false, None) => Work::Run,
        }
    }
}

/// The revision that only acknowledges.
#[allow(clippy::expect_used)]
fn acknowledging() -> CompiledRevision {
    CompiledRevision::compile(&RevisionDocument::default()).expect("the default revision compiles")
}
