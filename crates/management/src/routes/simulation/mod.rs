//! Simulation: what a flow would do with a request.

mod sample;
mod view;

use std::collections::HashMap;
use std::time::Instant;

use actix_web::post;
use hookgate_domain::attempts::{self, Attempt, AttemptFilter};
use hookgate_domain::database::PgConnection;
use hookgate_domain::events::Event;
use hookgate_domain::page::Page;
use hookgate_domain::samples::{self, Sample};
use hookgate_domain::scope::TenantScope;
use hookgate_domain::webhooks;
use hookgate_domain::{Error, clock, destinations, events, revisions};
use hookgate_model::access::Permission;
use hookgate_model::expected_data::Mode;
use hookgate_model::flow::compiled::CompiledRevision;
use hookgate_model::flow::definition::RevisionDocument;
use hookgate_model::flow::simulate::simulate;
use hookgate_model::flow::step::http::{HttpCall, HttpFailure, HttpOutcome};
use hookgate_model::flow::variables::{EventInput, Request};
use hookgate_model::ids::{DestinationId, EventId, RevisionId, SampleId, WebhookId};
use hookgate_model::webhook::Environment;
use utoipa_actix_web::service_config::ServiceConfig;

pub use sample::{GivenResponse, Question, SampleRequest, SampleRequestBody};
pub use view::{ResponseSource, SimulatedCallView, SimulatedStepView, SimulationView};

use super::revisions::problems;
use crate::auth::permissions::WebhooksWrite;
use crate::auth::{Actor, Guarded};
use crate::body::{Json, Reply};
use crate::error::{ApiError, ApiResult, ErrorCode, FieldCode, FieldError};
use crate::path::Path;

/// The most recorded attempts of a run that are looked at.
const RECORDED: i64 = 1_000;

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config.service(run);
}

/// Simulate a flow
///
/// Runs the draft, a revision or an unsaved document for a request, and shows every step and the answer. What the document
/// expects of requests is checked as ever; what differs is shown, and refused where that is enforced. Nothing is stored and
/// nothing is called: a call comes to what `responses` gives for its step, else (with `recorded`) to what it came to in the
/// event's own run, else to an empty 200. Waiting for a retry takes no time. For an event or a sample the caller needs
/// `events:read`, too, and for what is recorded `runs:read`.
#[utoipa::path(tag = "revisions", operation_id = "simulateFlow", security(("bearer" = ["webhooks:write"])),
    request_body = Question,
    responses((status = 200, description = "What would happen", body = SimulationView),
        (status = 409, description = "wrong_state, data_protected")))]
#[post("/webhooks/{id}/simulate")]
async fn run(
    caller: Guarded<WebhooksWrite>,
    Path((webhook,)): Path<(WebhookId,)>,
    Json(question): Json<Question>,
) -> ApiResult<Reply<SimulationView>> {
    let Question {
        revision_id,
        document,
        event_id,
        sample_id,
        request,
        responses,
        recorded,
    } = question;
    let actor = caller.actor.clone();
    let loaded = caller
        .run(move |conn, scope| {
            let document = read_document(conn, scope, webhook, revision_id, document)?;
            let input = match (event_id, sample_id) {
                (Some(event), _) => of_event(conn, scope, &actor, webhook, event, "/event_id")?,
                (None, Some(sample)) => of_sample(conn, scope, &actor, webhook, sample)?,
                (None, None) => {
                    let suffix = webhooks::read(conn, scope, webhook)?.suffix;
                    request.unwrap_or_default().into_input(&suffix)
                }
            };
            let recorded = match event_id.filter(|_| recorded) {
                Some(event) => recorded_of(conn, scope, &actor, event)?,
                None => HashMap::new(),
            };
            let destinations = base_urls(conn, scope, &document)?;
            Ok::<_, ApiError>((document, input, recorded, destinations))
        })
        .await?;
    let (document, input, recorded, destinations) = loaded;
    let request = Request::new(input);
    let memory = request.most_memory();
    let simulated = move || {
        let revision = CompiledRevision::compile(&document).map_err(|problems| {
            let told = problems
                .first()
                .map(|problem| format!("{}: {}", problem.pointer, problem.detail));
            let detail = format!("the revision cannot work any more: {}", told.unwrap_or_default());
            ApiError::new(ErrorCode::WrongState, detail)
        })?;
        let began = Instant::now();
        let (mode, differences) = match revision.expectations() {
            Some((mode, matcher)) => (mode, matcher.check(&request)),
            None => (Mode::Off, Vec::new()),
        };
        if mode == Mode::Enforce && !differences.is_empty() {
            let answer = revision.invalid_answer(&request, &differences);
            return Ok(SimulationView::refused(answer, differences, began.elapsed()));
        }
        let mut sources = Vec::new();
        let simulated = simulate(&revision, &request, clock::now(), |call| {
            let (outcome, source) = outcome_of(call, &responses, &recorded);
            sources.push(source);
            outcome
        });
        let took = began.elapsed();
        Ok(SimulationView::new(
            simulated,
            &sources,
            &destinations,
            differences,
            took,
        ))
    };
    let view = caller.state().apart.run(memory, simulated).await;
    Ok(Reply::ok(view.unwrap_or_else(|| {
        Err(ApiError::internal("a simulation crashed"))
    })?))
}

/// What is simulated: an unsaved document that can work, a revision, or the draft.
pub(super) fn read_document(
    conn: &mut PgConnection,
    scope: &TenantScope,
    webhook: WebhookId,
    revision: Option<RevisionId>,
    unsaved: Option<RevisionDocument>,
) -> ApiResult<RevisionDocument> {
    let stored = match (unsaved, revision) {
        (Some(document), _) => {
            webhooks::require(conn, scope, webhook)?;
            let problems: Vec<FieldError> = problems(conn, scope, &document)?
                .into_iter()
                .map(|problem| {
                    let error = FieldError::from(problem);
                    let pointer = format!("/document{}", error.pointer);
                    FieldError { pointer, ..error }
                })
                .collect();
            return if problems.is_empty() {
                Ok(document)
            } else {
                Err(ApiError::fields(problems))
            };
        }
        (None, Some(id)) => match revisions::read(conn, scope, webhook, id) {
            Err(Error::NotFound) => {
                webhooks::require(conn, scope, webhook)?;
                let detail = "the webhook has no revision with this id";
                return Err(ApiError::field("/revision_id", FieldCode::NotFound, detail));
            }
            revision => revision?,
        },
        (None, None) => revisions::read_draft(conn, scope, webhook)?,
    };
    serde_json::from_value(stored.document).map_err(ApiError::internal)
}

/// An event of the webhook, for whoever may read events; `pointer` is where it was named.
pub(super) fn event_of(
    conn: &mut PgConnection,
    scope: &TenantScope,
    actor: &Actor,
    webhook: WebhookId,
    id: EventId,
    pointer: &str,
) -> ApiResult<Event> {
    actor.demand(Permission::EventsRead)?;
    match events::read(conn, scope, id) {
        Ok(event) if event.webhook_id == webhook => Ok(event),
        Ok(_) | Err(Error::NotFound) => {
            let detail = "the webhook has no event with this id";
            Err(ApiError::field(pointer, FieldCode::NotFound, detail))
        }
        Err(error) => Err(error.into()),
    }
}

/// A sample of the webhook, for whoever may read them; `pointer` is where it was named.
pub(super) fn sample_of(
    conn: &mut PgConnection,
    scope: &TenantScope,
    actor: &Actor,
    webhook: WebhookId,
    id: SampleId,
    pointer: &str,
) -> ApiResult<Sample> {
    actor.demand(Permission::EventsRead)?;
    match samples::read(conn, scope, webhook, id) {
        Err(Error::NotFound) => {
            let detail = "the webhook has no sample with this id";
            Err(ApiError::field(pointer, FieldCode::NotFound, detail))
        }
        sample => Ok(sample?),
    }
}

/// A sample of the webhook as its flow would get it.
fn of_sample(
    conn: &mut PgConnection,
    scope: &TenantScope,
    actor: &Actor,
    webhook: WebhookId,
    id: SampleId,
) -> ApiResult<EventInput> {
    webhooks::require(conn, scope, webhook)?;
    let sample = sample_of(conn, scope, actor, webhook, id, "/sample_id")?;
    if sample.masked.is_some() {
        let detail = "the sample is stored masked: a flow would not get what was sent";
        return Err(ApiError::new(ErrorCode::DataProtected, detail));
    }
    let content = samples::content(conn, scope, id)?;
    Ok(sample.into_input(content))
}

/// An event of the webhook as its flow gets it; `pointer` is where it was named.
pub(super) fn of_event(
    conn: &mut PgConnection,
    scope: &TenantScope,
    actor: &Actor,
    webhook: WebhookId,
    id: EventId,
    pointer: &str,
) -> ApiResult<EventInput> {
    let event = event_of(conn, scope, actor, webhook, id, pointer)?;
    if event.masked.is_some() {
        let detail = "the event is stored masked: a flow would not get what it got the first time";
        return Err(ApiError::new(ErrorCode::DataProtected, detail));
    }
    let content = events::content(conn, scope, id)?;
    Ok(event.into_input(content))
}

type Recorded = HashMap<(String, u32), HttpOutcome>;

/// What the calls of an event's run came to, by step and attempt, as far as that is kept: for whoever may read runs.
fn recorded_of(
    conn: &mut PgConnection,
    scope: &TenantScope,
    actor: &Actor,
    event: EventId,
) -> ApiResult<Recorded> {
    actor.demand(Permission::RunsRead)?;
    let filter = AttemptFilter {
        run_id: Some(event.into()),
        ..AttemptFilter::default()
    };
    let attempts = attempts::list(conn, scope, &filter, Page::newest(RECORDED))?;
    let recorded = attempts.rows.into_iter().filter_map(|attempt: Attempt| {
        let number = u32::try_from(attempt.number).ok()?;
        let outcome = match attempt.status.and_then(|status| u16::try_from(status).ok()) {
            Some(status) => HttpOutcome::Response {
                status,
                headers: Vec::new(),
                body: attempt.response_preview.unwrap_or_default(),
                is_cut: false,
            },
            None => HttpOutcome::Failed {
                failure: HttpFailure::Connect,
                detail: attempt.error.unwrap_or_default(),
            },
        };
        Some(((attempt.step, number), outcome))
    });
    Ok(recorded.collect())
}

/// What the URLs of a document's destinations begin with.
fn base_urls(
    conn: &mut PgConnection,
    scope: &TenantScope,
    document: &RevisionDocument,
) -> ApiResult<HashMap<DestinationId, String>> {
    let mut found = HashMap::new();
    for destination in document.destinations() {
        match destinations::read(conn, scope, destination) {
            Ok(read) => found.insert(destination, read.base_url),
            Err(Error::NotFound) => continue,
            Err(error) => return Err(error.into()),
        };
    }
    Ok(found)
}

fn outcome_of(
    call: &HttpCall,
    given: &HashMap<String, Vec<GivenResponse>>,
    recorded: &Recorded,
) -> (HttpOutcome, ResponseSource) {
    let index = usize::try_from(call.attempt)
        .unwrap_or(usize::MAX)
        .saturating_sub(1);
    let of_step = given.get(&call.step);
    if let Some(given) = of_step.and_then(|given| given.get(index).or(given.last())) {
        return (given.outcome(), ResponseSource::Given);
    }
    if let Some(outcome) = recorded.get(&(call.step.clone(), call.attempt)) {
        return (outcome.clone(), ResponseSource::Recorded);
    }
    let assumed = HttpOutcome::Response {
        status: 200,
        headers: Vec::new(),
        body: Vec::new(),
        is_cut: false,
    };
    (assumed, ResponseSource::Assumed)
}

impl SampleRequest {
    /// It as an event of this moment.
    pub(super) fn into_input(self, suffix: &hookgate_model::suffix::UrlSuffix) -> EventInput {
        let id: EventId = clock::new_id();
        EventInput {
            id,
            received_at: id.created_at(),
            method: self.method,
            address: self.address,
            environment: Environment::Test,
            path: self.path.unwrap_or_else(|| suffix.as_str().to_owned()),
            suffix: suffix.as_str().to_owned(),
            query: self.query,
            headers: self.headers,
            body: self.body.into(),
            event_type: None,
            delivery_id: None,
        }
    }
}
