//! A revision with every template compiled: made once, kept as long as the revision is used.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use serde_json::{Value, json};

use super::answer_template::{AnswerTemplate, encode_body};
use super::check::{Context, Problem, ProblemCode};
use super::compiler::Compiler;
use super::definition::{
    MAX_NAME_CHARS, MAX_SECRETS, MAX_STEPS, MAX_TEMPLATES, OutcomeAnswer, RESPONSE_TIMEOUT_MS, ResponseMode,
    RevisionDocument, Step,
};
use super::session::CompiledSession;
use super::step::CompiledStep;
use super::template::ExpressionTemplate;
use super::variables::{
    ERROR_VARIABLE, RESERVED_NAMES, Request, SESSION_VARIABLE, STATUS_URL_VARIABLE, Variables,
};
use crate::answer::Answer;
use crate::expected_data::{
    ExpectedData, MAX_FIELDS, MAX_GROUPS, MAX_VALUES, Matcher, Mode, Violation, ViolationCode,
};
use crate::ids::{EventId, SecretId};

/// A compiled revision.
#[derive(Debug)]
pub struct CompiledRevision {
    session: Option<CompiledSession>,
    pub(super) only_if: Option<ExpressionTemplate>,
    pub(super) steps: Vec<CompiledStep>,
    mode: ResponseMode,
    timeout: Duration,
    keeps_progress: bool,
    secrets: BTreeMap<String, SecretId>,
    pub(super) succeeded: AnswerTemplate,
    failed: Option<AnswerTemplate>,
    filtered: Option<AnswerTemplate>,
    timed_out: Option<AnswerTemplate>,
    duplicate: Option<AnswerTemplate>,
    invalid: Option<AnswerTemplate>,
    expectations: Option<(Mode, Matcher)>,
}

impl CompiledRevision {
    /// Compiles a revision. What it needs outside itself, such as destinations, is not looked for.
    ///
    /// # Errors
    /// Everything that cannot work in it; nothing for a revision that was checked when it was saved.
    pub fn compile(document: &RevisionDocument) -> Result<Self, Vec<Problem>> {
        let (compiled, problems) = compile(document, None);
        if problems.is_empty() {
            Ok(compiled)
        } else {
            Err(problems)
        }
    }

    /// Whether the caller waits for the flow.
    pub fn waits(&self) -> bool {
        self.mode == ResponseMode::Wait
    }

    /// How long the caller is kept waiting.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Whether an event has no work behind it: no job and no run are needed.
    pub fn is_idle(&self) -> bool {
        self.steps.is_empty() && !self.waits()
    }

    /// Which events belong together.
    pub fn session(&self) -> Option<&CompiledSession> {
        self.session.as_ref()
    }

    /// The key of a request's session, if it has one.
    ///
    /// # Errors
    /// What is wrong, for the tenant.
    pub fn session_key(&self, request: &Arc<Request>) -> Result<Option<String>, String> {
        match &self.session {
            Some(session) => session.key(&Variables::of_request(request)),
            None => Ok(None),
        }
    }

    /// Whether the progress of a run must be kept from one effect to the next ([`RevisionDocument::keeps_progress`]).
    pub fn keeps_progress(&self) -> bool {
        self.keeps_progress
    }

    /// The secrets that its calls can send, by the words that its templates have for them.
    pub fn secrets(&self) -> &BTreeMap<String, SecretId> {
        &self.secrets
    }

    /// The answer of a revision that does not wait, when it is the same for every request.
    pub fn constant_answer(&self) -> Option<&Answer> {
        self.succeeded.constant().filter(|_| !self.waits())
    }

    /// The answer of a revision that does not wait, from the request alone.
    pub fn immediate_answer(&self, request: &Arc<Request>) -> Answer {
        // The event is stored, so whatever is wrong with the template is no reason to let the sender try again.
        self.succeeded
            .evaluate(&Variables::of_request(request))
            .unwrap_or_else(|_| accepted())
    }

    /// The answer to a caller who has waited as long as the revision allows, while the flow goes on. Its own can be had at
    /// the status URL later.
    pub fn timed_out_answer(&self, request: &Arc<Request>, status_url: Option<&str>) -> Answer {
        let default = || processing(request.event().id, status_url);
        let mut variables = Variables::of_request(request);
        variables.insert(STATUS_URL_VARIABLE, &json!(status_url));
        self.outcome_answer(self.timed_out.as_ref(), &variables, default)
    }

    /// Whether a delivery that came before is answered in a way of its own.
    pub fn answers_duplicates(&self) -> bool {
        self.duplicate.is_some()
    }

    /// The answer to a delivery that came before, if it has one of its own; `request` is as if it were the first's.
    pub fn duplicate_answer(&self, request: &Arc<Request>) -> Option<Answer> {
        let template = self.duplicate.as_ref()?;
        // The event is stored: an error would make the sender try again.
        let answer = template.evaluate(&Variables::of_request(request));
        Some(answer.unwrap_or_else(|_| accepted()))
    }

    /// The answer that needs no template, for when there is no time for one and the event is stored.
    pub fn answer_without_template(&self, event: EventId, status_url: Option<&str>) -> Answer {
        if self.waits() {
            processing(event, status_url)
        } else {
            accepted()
        }
    }

    /// What requests are expected to hold, and what becomes of those that differ; `None` when nobody looks.
    pub fn expectations(&self) -> Option<(Mode, &Matcher)> {
        self.expectations.as_ref().map(|(mode, matcher)| (*mode, matcher))
    }

    /// The answer to a request that is refused because it differs from what is expected.
    pub fn invalid_answer(&self, request: &Arc<Request>, violations: &[Violation]) -> Answer {
        let mut variables = Variables::of_request(request);
        variables.insert(
            ERROR_VARIABLE,
            &json!({ "message": told(violations), "errors": violations }),
        );
        match &self.invalid {
            None => self.invalid_answer_without_template(violations),
            // A template that fails does not let the request in.
            Some(template) => template
                .evaluate(&variables)
                .unwrap_or_else(|_| self.invalid_answer_without_template(violations)),
        }
    }

    /// The same without the tenant's template.
    pub fn invalid_answer_without_template(&self, violations: &[Violation]) -> Answer {
        fixed(422, &json!({ "msg": told(violations), "errors": violations }))
    }

    /// The answer when `only_if` does not hold.
    pub fn filtered_answer(&self, request: &Arc<Request>) -> Answer {
        let default = || fixed(200, &json!({ "status": "filtered" }));
        self.outcome_answer(self.filtered.as_ref(), &Variables::of_request(request), default)
    }

    /// The answer when the flow failed; `variables` hold what steps gave until then.
    pub(super) fn failed_answer(
        &self,
        mut variables: Variables,
        step: Option<&str>,
        message: &str,
    ) -> Answer {
        variables.leave();
        variables.insert(ERROR_VARIABLE, &json!({ "step": step, "message": message }));
        self.outcome_answer(self.failed.as_ref(), &variables, || failed_by_default().clone())
    }

    fn outcome_answer(
        &self,
        template: Option<&AnswerTemplate>,
        variables: &Variables,
        default: impl FnOnce() -> Answer,
    ) -> Answer {
        match template {
            None => default(),
            // A template that fails while an outcome is being answered says nothing about the flow but that it failed.
            Some(template) => template
                .evaluate(variables)
                .unwrap_or_else(|_| failed_by_default().clone()),
        }
    }
}

/// What is wrong, in a few words that stay the same.
fn told(violations: &[Violation]) -> &'static str {
    let is_missing =
        |one: &Violation| matches!(one.code, ViolationCode::Missing | ViolationCode::NoneOfGroup);
    if violations.iter().any(is_missing) {
        "Missing required parameter"
    } else {
        "Invalid parameter"
    }
}

/// The answer to a failure when there is no other: 500, without any detail.
pub fn failed_by_default() -> &'static Answer {
    static ANSWER: LazyLock<Answer> = LazyLock::new(|| fixed(500, &json!({ "status": "failed" })));
    &ANSWER
}

/// The answer to an accepted request when there is no other.
pub fn accepted() -> Answer {
    fixed(200, &json!({ "status": "accepted" }))
}

/// With the status URL in `Location` too, as RFC 9110, section 15.3.3, has it.
fn processing(event: EventId, status_url: Option<&str>) -> Answer {
    let body = json!({ "status": "processing", "event_id": event, "status_url": status_url });
    let location = status_url.map(|url| ("location".to_owned(), url.to_owned()));
    super::answer_template::answer(202, location.into_iter().collect(), encode_body(body))
}

fn fixed(status: u16, body: &Value) -> Answer {
    super::answer_template::answer(status, Vec::new(), encode_body(body.clone()))
}

/// Compiles as far as possible and gathers what cannot work.
pub(super) fn compile(
    document: &RevisionDocument,
    context: Option<Context<'_>>,
) -> (CompiledRevision, Vec<Problem>) {
    let names: Vec<String> = document
        .flow
        .steps
        .iter()
        .map(|step| step.name().to_owned())
        .collect();
    let mut compiler = Compiler {
        context,
        problems: Vec::new(),
        known: Vec::new(),
        templates: 0,
        steps: names,
        secrets: document.flow.secrets.keys().cloned().collect(),
        can_send_secrets: false,
    };
    compiler.range("/flow/steps", document.flow.steps.len(), &(0..=MAX_STEPS));
    check_secrets(&mut compiler, &document.flow.secrets);
    let session = document.session.as_ref();
    let session = session.map(|settings| CompiledSession::compile(&mut compiler, settings));
    if session.is_some() {
        compiler.known.push(SESSION_VARIABLE.to_owned());
    }
    let only_if = document
        .flow
        .only_if
        .as_deref()
        .and_then(|source| compiler.expression("/flow/only_if", source));
    let steps = compile_steps(&mut compiler, document);

    let response = &document.response;
    compiler.range("/response/timeout_ms", response.timeout_ms, &RESPONSE_TIMEOUT_MS);
    let after_steps = std::mem::take(&mut compiler.known);
    if response.mode == ResponseMode::Wait {
        compiler.known.clone_from(&after_steps);
    }
    let succeeded = AnswerTemplate::compile(&mut compiler, "/response", &response.own());
    compiler.known.clear();
    let outcome = |compiler: &mut Compiler<'_>, name: &str, definition: &Option<OutcomeAnswer>| {
        let pointer = format!("/response/on/{name}");
        definition
            .as_ref()
            .map(|definition| AnswerTemplate::compile(compiler, &pointer, definition))
    };
    let filtered = outcome(&mut compiler, "filtered", &response.on.filtered);
    let duplicate = outcome(&mut compiler, "duplicate", &response.on.duplicate);
    compiler.known.push(STATUS_URL_VARIABLE.to_owned());
    let timed_out = outcome(&mut compiler, "timed_out", &response.on.timed_out);
    compiler.known = vec![ERROR_VARIABLE.to_owned()];
    let invalid = outcome(&mut compiler, "invalid", &response.on.invalid);
    compiler.known.clear();
    check_expected_data(&mut compiler, &document.expected_data);
    compiler.known = after_steps;
    compiler.known.push(ERROR_VARIABLE.to_owned());
    let failed = outcome(&mut compiler, "failed", &response.on.failed);

    if compiler.templates > MAX_TEMPLATES {
        let detail = format!(
            "a revision has at most {MAX_TEMPLATES} templates, not {}",
            compiler.templates
        );
        compiler.problem("", ProblemCode::OutOfRange, detail);
    }
    let timeout = Duration::from_millis(response.timeout_ms.into());
    let compiled = CompiledRevision {
        session,
        only_if,
        steps,
        mode: response.mode,
        timeout,
        keeps_progress: document.keeps_progress(),
        secrets: document.flow.secrets.clone(),
        succeeded,
        failed,
        filtered,
        timed_out,
        duplicate,
        invalid,
        expectations: (document.expected_data.mode != Mode::Off).then(|| {
            (
                document.expected_data.mode,
                Matcher::compile(&document.expected_data),
            )
        }),
    };
    (compiled, compiler.problems)
}

fn compile_steps(compiler: &mut Compiler<'_>, document: &RevisionDocument) -> Vec<CompiledStep> {
    let mut answered = false;
    let mut compiled = Vec::with_capacity(document.flow.steps.len());
    let mut seen = BTreeMap::new();
    for (index, step) in document.flow.steps.iter().enumerate() {
        let pointer = format!("/flow/steps/{index}");
        check_name(compiler, &pointer, step.name());
        if let Some(first) = seen.insert(step.name(), index) {
            let detail = format!("step {first} has the same name");
            compiler.problem(&format!("{pointer}/name"), ProblemCode::DuplicateName, detail);
        }
        if matches!(step, Step::Session { .. }) && document.session.is_none() {
            let detail = "events have no session: set session.key";
            compiler.problem(&pointer, ProblemCode::MissingSession, detail);
        }
        if matches!(step, Step::Respond { .. }) {
            if document.response.mode == ResponseMode::Immediate {
                let detail = "nobody waits for this answer: set response.mode to `wait`";
                compiler.problem(&pointer, ProblemCode::MisplacedRespond, detail);
            }
            if answered {
                let detail = "a `respond` step before this one has answered already; a condition in its `when` makes them exclusive";
                compiler.problem(&pointer, ProblemCode::MisplacedRespond, detail);
            }
            // One with a condition may be skipped, so another may follow; at run time the first that answers counts.
            answered |= step.when().is_none();
        }
        if let Step::Filter { answer: Some(_), .. } = step
            && document.response.mode == ResponseMode::Immediate
        {
            let detail = "nobody waits for this answer: set response.mode to `wait`";
            compiler.problem(&format!("{pointer}/answer"), ProblemCode::UnusedAnswer, detail);
        }
        compiled.push(CompiledStep::compile(compiler, &pointer, step));
        compiler.known.push(step.name().to_owned());
    }
    compiled
}

/// Finds what cannot be expected.
fn check_expected_data(compiler: &mut Compiler<'_>, expected: &ExpectedData) {
    let count = expected.fields().count();
    compiler.range("/expected_data", count, &(0..=MAX_FIELDS));
    compiler.range(
        "/expected_data/at_least_one_of",
        expected.at_least_one_of.len(),
        &(0..=MAX_GROUPS),
    );
    for (name, fields) in [
        ("headers", &expected.headers),
        ("query", &expected.query),
        ("path", &expected.path),
        ("body", &expected.body),
    ] {
        for (index, field) in fields.iter().enumerate() {
            let pointer = format!("/expected_data/{name}/{index}");
            if name != "body" && field.path.name().is_none() {
                let detail = "must be one name; one with other signs is written `[\"a.b\"]`";
                compiler.problem(&format!("{pointer}/path"), ProblemCode::InvalidPath, detail);
            }
            if fields[..index].iter().any(|before| before.path == field.path) {
                let detail = "is expected twice";
                compiler.problem(&format!("{pointer}/path"), ProblemCode::DuplicateName, detail);
            }
            compiler.range(
                &format!("{pointer}/values"),
                field.values.len(),
                &(0..=MAX_VALUES),
            );
        }
    }
    for (index, group) in expected.at_least_one_of.iter().enumerate() {
        let pointer = format!("/expected_data/at_least_one_of/{index}");
        compiler.range(&pointer, group.len(), &(1..=MAX_GROUPS));
    }
}

fn check_secrets(compiler: &mut Compiler<'_>, secrets: &BTreeMap<String, SecretId>) {
    compiler.range("/flow/secrets", secrets.len(), &(0..=MAX_SECRETS));
    for (word, id) in secrets {
        let pointer = format!("/flow/secrets/{}", word.replace('~', "~0").replace('/', "~1"));
        if !is_word(word) {
            compiler.problem(&pointer, ProblemCode::InvalidName, NOT_A_WORD);
        }
        compiler.secret(&pointer, *id);
    }
}

/// What is wrong with a name that is no word.
const NOT_A_WORD: &str =
    "a name is a word of a-z, 0-9 and `_` that begins with a letter, at most 64 characters";

fn is_word(name: &str) -> bool {
    let is_sign = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(is_sign)
        && name.len() <= MAX_NAME_CHARS
}

fn check_name(compiler: &mut Compiler<'_>, pointer: &str, name: &str) {
    let detail = if !is_word(name) {
        NOT_A_WORD.to_owned()
    } else if RESERVED_NAMES.contains(&name) {
        format!("`{name}` has a meaning of its own in templates")
    } else {
        return;
    };
    compiler.problem(&format!("{pointer}/name"), ProblemCode::InvalidName, detail);
}
