//! Whether a request would be accepted by a webhook as it is set now, and what decides that: the steps of admission, told
//! one by one. Nothing secret is told: no secret, no credential, no signature that was expected.

mod decide;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use hookgate_domain::allowlists::{self, Entry};
use hookgate_domain::crypto::MasterKey;
use hookgate_domain::database::PgConnection;
use hookgate_domain::revisions;
use hookgate_domain::scope::TenantScope;
use hookgate_domain::urls::{self, Url};
use hookgate_domain::verification;
use hookgate_domain::webhooks::{self, Webhook};
use hookgate_egress::published_keys::Asked;
use hookgate_model::authentication::{
    self as credentials, Accepted, Denial, Step, StoredHeaders, Trace, Verdict, Verifier,
};
use hookgate_model::body::{Body, most_memory};
use hookgate_model::expected_data::{Matcher, Mode};
use hookgate_model::flow::definition::RevisionDocument;
use hookgate_model::flow::variables::{EventInput, Request};
use hookgate_model::ids::{EventId, UrlId, WebhookId};
use hookgate_model::webhook::{Environment, MalformedBodies};

use crate::auth::Caller;
use crate::error::{ApiError, ApiResult};

/// A request that came, or might.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The HTTP method.
    pub method: String,
    /// The URL that it came to; `None` when it is none of the webhook's.
    pub url: Option<UrlId>,
    /// What its sender called, from the path's first slash on: the token, the path and the query. `None` when the token is
    /// not known any more; that of the URL now is taken then.
    pub target: Option<String>,
    /// The path after the token.
    pub path: String,
    /// The query after the `?`.
    pub query: String,
    /// Who sent it, if that is known.
    pub address: Option<IpAddr>,
    /// The headers in the form of [`hookgate_model::headers`].
    pub headers: Vec<u8>,
    /// The body's exact bytes.
    pub body: Vec<u8>,
    /// When it came: what is signed with a time is judged by this one.
    pub received_at: DateTime<Utc>,
}

/// What became of a candidate.
#[derive(Debug)]
pub struct Judgement {
    /// Everything that was looked at, in the order of admission.
    pub steps: Vec<Step>,
    /// Why it would be refused, first of all; `None` when it would be accepted.
    pub refusal: Option<Refused>,
}

/// Why a request would be refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The stable code, as refusals have it.
    pub reason: &'static str,
    /// In words.
    pub detail: String,
}

/// What decides about requests to a webhook.
pub struct Rules {
    webhook: Webhook,
    urls: Vec<Url>,
    /// The allowlist's entry that holds the candidate's address.
    entry: Option<Entry>,
    /// How senders are known, or why nobody can be let in.
    verifier: Result<Verifier, String>,
    /// What is expected of requests to the test URLs and to the production URLs.
    expected: HashMap<Environment, (Mode, Arc<Matcher>)>,
}

impl Rules {
    /// Reads the rules of a webhook that a candidate is to be judged by.
    ///
    /// # Errors
    /// 404 for a webhook that is not there.
    pub fn read(
        conn: &mut PgConnection,
        scope: &TenantScope,
        key: &MasterKey,
        webhook: WebhookId,
        address: Option<IpAddr>,
    ) -> ApiResult<Self> {
        let webhook = webhooks::read(conn, scope, webhook)?;
        let material = verification::material(conn, scope, key, webhook.id, &webhook.authentication);
        let verifier = match material {
            Err(error @ hookgate_domain::Error::Unreadable { .. }) => Err(error.to_string()),
            Err(error) => return Err(error.into()),
            Ok(material) => {
                Verifier::compile(&webhook.authentication, &material).map_err(|problem| problem.to_string())
            }
        };
        let entry = match address {
            Some(address) => allowlists::entry_for(conn, scope, webhook.id, address)?,
            None => None,
        };
        let expected = expected(conn, scope, &webhook)?;
        Ok(Self {
            expected,
            urls: urls::of_webhooks(conn, scope, &[webhook.id])?,
            webhook,
            entry,
            verifier,
        })
    }

    /// Judges a candidate by all the rules.
    pub async fn judge(&self, caller: &Caller, candidate: &Candidate) -> Judgement {
        let mut judgement = Judgement {
            steps: Vec::new(),
            refusal: None,
        };
        for rule in decide::RULES {
            judgement.note(rule(self, candidate));
        }
        if self.webhook.malformed_bodies == MalformedBodies::Refuse {
            let (headers, body) = (candidate.headers.clone(), Bytes::from(candidate.body.clone()));
            let memory = most_memory(&headers, body.len());
            let read = move || Body::new(&headers, body).error();
            let error = caller.state().apart.run(memory, read).await;
            judgement.note(decide::well_formed(error.flatten()));
        }
        let (steps, outcome) = self.authenticate(caller, candidate).await;
        judgement.steps.extend(steps);
        if let Err(refused) = outcome {
            judgement.refusal.get_or_insert(refused);
        }
        if let Some(decided) = self.expect(caller, candidate).await {
            judgement.note(decided);
        }
        judgement
    }

    /// What differs from what is expected, unless nobody looks.
    async fn expect(&self, caller: &Caller, candidate: &Candidate) -> Option<decide::Decided> {
        let url = self.urls.iter().find(|url| Some(url.id) == candidate.url)?;
        let (mode, matcher) = self.expected.get(&url.environment)?;
        let request = Request::new(EventInput {
            id: EventId::new(candidate.received_at, [0; 8]),
            received_at: candidate.received_at,
            method: candidate.method.clone(),
            address: candidate.address,
            environment: url.environment,
            suffix: url.suffix.as_str().to_owned(),
            path: candidate.path.clone(),
            query: candidate.query.clone(),
            headers: candidate.headers.clone(),
            body: Bytes::from(candidate.body.clone()),
            event_type: None,
            delivery_id: None,
        });
        let (memory, matcher) = (request.most_memory(), Arc::clone(matcher));
        let check = move || matcher.check(&request);
        let differences = caller.state().apart.run(memory, check).await?;
        Some(decide::expected(*mode, &differences))
    }

    async fn authenticate(
        &self,
        caller: &Caller,
        candidate: &Candidate,
    ) -> (Vec<Step>, Result<Accepted, Refused>) {
        let verifier = match &self.verifier {
            Ok(verifier) => verifier,
            Err(reason) => {
                let refused = Refused {
                    reason: "authentication_unusable",
                    detail: format!("The webhook's authentication cannot be used: {reason}."),
                };
                return (vec![refused.step("authentication")], Err(refused));
            }
        };
        let public_url = self.public_url(caller, candidate);
        let request = credentials::Request {
            method: &candidate.method,
            public_url: &public_url,
            path: &candidate.path,
            query: &candidate.query,
            headers: &StoredHeaders(&candidate.headers),
            body: &candidate.body,
            now: candidate.received_at,
        };
        let keys = &caller.state().published_keys;
        let mut asked = Asked::default();
        loop {
            let mut trace = Trace::on();
            let denial = match verifier.verify(&request, keys, &mut trace) {
                Verdict::Accepted(accepted) => return (trace.into_steps(), Ok(accepted)),
                Verdict::Denied(denial) => denial,
                Verdict::NeedsKeys(wanted) => match asked.fetch(keys, caller.scope.tenant(), wanted).await {
                    Ok(()) => continue,
                    Err(denial) => denial,
                },
            };
            let refused = Refused::from(denial);
            let mut steps = trace.into_steps();
            steps.push(refused.step("authentication"));
            return (steps, Err(refused));
        }
    }

    /// The URL as its sender was given it.
    fn public_url(&self, caller: &Caller, candidate: &Candidate) -> String {
        let base = caller.state().settings.public_url.as_str().trim_end_matches('/');
        if let Some(target) = &candidate.target {
            return format!("{base}{target}");
        }
        let url = self.urls.iter().find(|url| Some(url.id) == candidate.url);
        let token = url.map(|url| url.token.to_string()).unwrap_or_default();
        let query = if candidate.query.is_empty() { "" } else { "?" };
        format!("{base}/{token}/{}{query}{}", candidate.path, candidate.query)
    }
}

/// What is expected of requests, where somebody looks.
fn expected(
    conn: &mut PgConnection,
    scope: &TenantScope,
    webhook: &Webhook,
) -> ApiResult<HashMap<Environment, (Mode, Arc<Matcher>)>> {
    let revisions = [
        (Environment::Test, Some(webhook.draft_revision_id)),
        (Environment::Production, webhook.published_revision_id),
    ];
    let mut expected = HashMap::new();
    for (environment, id) in revisions {
        let Some(id) = id else { continue };
        let document = revisions::read(conn, scope, webhook.id, id)?.document;
        let document: RevisionDocument = serde_json::from_value(document).map_err(ApiError::internal)?;
        let mode = document.expected_data.mode;
        if mode != Mode::Off {
            let matcher = Arc::new(Matcher::compile(&document.expected_data));
            expected.insert(environment, (mode, matcher));
        }
    }
    Ok(expected)
}

impl Judgement {
    fn note(&mut self, decided: decide::Decided) {
        let (step, refused) = decided;
        self.steps.push(step);
        if let Some(refused) = refused {
            self.refusal.get_or_insert(refused);
        }
    }
}

impl Refused {
    fn step(&self, name: &'static str) -> Step {
        Step {
            name,
            passed: false,
            detail: self.detail.clone(),
        }
    }
}

impl From<Denial> for Refused {
    fn from(denial: Denial) -> Self {
        Self {
            reason: denial.code.as_str(),
            detail: denial.detail.into_owned(),
        }
    }
}
