//! Takes a run on: a pure function of the revision, the event, the progress so far, and what the last effect came to.

use std::borrow::Cow;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::compiled::{CompiledRevision, failed_by_default};
use super::definition::OnError;
use super::secrets::FlowSecrets;
use super::state::{State, StepOutcome};
use super::step::callback::Callback;
use super::step::http::{HttpCall, HttpOutcome};
use super::step::record::{RecordWrite, RecordWritten};
use super::step::{Action, CompiledStep};
use super::variables::{Request, SECRETS_VARIABLE, SESSION_VARIABLE, Variables};
use crate::answer::Answer;
use crate::retry::{self, Verdict};

/// What the last decision came to.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// Nothing was decided yet, or what was decided is not known: the run begins, its time has come, or another worker
    /// takes over.
    Begin,
    /// The call was made.
    Called(HttpOutcome),
    /// The row was not written. One that was written is in the progress already ([`written`]).
    NotWritten(String),
    /// The progress with the answer is stored, and the answer is sent.
    Answered,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Make this call, then go on.
    Call(HttpCall),
    /// Write this row and store the progress that [`written`] gives, in one transaction; then go on from the beginning.
    Write(RecordWrite),
    /// Store the progress, which holds this answer, then send it, then go on.
    Answer(Answer),
    /// Store the progress and begin again at that time.
    Retry {
        /// When.
        due_at: DateTime<Utc>,
    },
    /// The run is over.
    Done(Finished),
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// What it came to.
    pub outcome: RunOutcome,
    /// Why it failed, for the tenant.
    pub error: Option<String>,
    /// The caller's answer, when the caller waits.
    pub answer: Option<Answer>,
}

/// What a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    /// Every step that had to succeed did.
    Succeeded,
    /// A step failed, or the answer could not be made.
    Failed,
    /// `only_if` or the condition of a `filter` step did not hold.
    Filtered,
    /// No worker survived it: given up after several tries.
    Crashed,
}

impl RunOutcome {
    /// Every outcome.
    pub const ALL: &'static [Self] = &[Self::Succeeded, Self::Failed, Self::Filtered, Self::Crashed];

    /// As it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Filtered => "filtered",
            Self::Crashed => "crashed",
        }
    }

    /// Reads the stored form.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|outcome| outcome.as_str() == text)
    }
}

/// Takes a run on until something must be done. `random` is from 0 to 1.
pub fn advance(
    revision: &CompiledRevision,
    request: &Arc<Request>,
    secrets: &FlowSecrets,
    state: &mut State,
    outcome: Outcome,
    now: DateTime<Utc>,
    random: f64,
) -> Decision {
    let mut variables = Variables::of_request(request);
    if revision.session().is_some() {
        variables.insert(SESSION_VARIABLE, &state.session_values());
    }
    for (name, result) in &state.results {
        variables.insert(name, result);
    }
    let mut run = Run {
        revision,
        request,
        secrets,
        state,
        variables,
        now,
        random,
    };
    match outcome {
        Outcome::Begin if run.state.next == 0 && run.state.attempts == 0 => match run.is_wanted() {
            Ok(true) => run.steps(),
            Ok(false) => run.filtered(None),
            Err(error) => run.failed(None, &format!("only_if: {error}")),
        },
        Outcome::Begin | Outcome::Answered => run.steps(),
        Outcome::Called(outcome) => run.called(&outcome),
        Outcome::NotWritten(detail) => run.not_written(&detail),
    }
}

/// Takes into the progress that a row was written: what is stored together with it.
pub fn written(revision: &CompiledRevision, state: &mut State, written: &RecordWritten, now: DateTime<Utc>) {
    if let Some(step) = revision.steps.get(state.next) {
        state.over(
            step,
            StepOutcome::Succeeded,
            None,
            written.result(),
            written.record(),
            now,
        );
    }
}

/// Ends a run that no worker survived.
pub fn give_up(
    revision: &CompiledRevision,
    request: Option<&Arc<Request>>,
    state: &State,
    error: &str,
) -> Finished {
    let answer = state.answer.clone().unwrap_or_else(|| match request {
        Some(request) => revision.failed_answer(Variables::of_request(request), None, error),
        None => failed_by_default().clone(),
    });
    let answer = revision.waits().then_some(answer);
    Finished {
        outcome: RunOutcome::Crashed,
        error: Some(error.to_owned()),
        answer,
    }
}

struct Run<'a> {
    revision: &'a CompiledRevision,
    request: &'a Arc<Request>,
    secrets: &'a FlowSecrets,
    state: &'a mut State,
    variables: Variables,
    now: DateTime<Utc>,
    random: f64,
}

impl<'a> Run<'a> {
    fn is_wanted(&self) -> Result<bool, String> {
        match &self.revision.only_if {
            None => Ok(true),
            Some(condition) => condition
                .holds(&self.variables.root())
                .map_err(|error| error.to_string()),
        }
    }

    /// Runs steps until one needs an effect, or the last is over.
    fn steps(mut self) -> Decision {
        let revision = self.revision;
        while let Some(step) = revision.steps.get(self.state.next) {
            self.variables.enter(&step.name);
            let run = match self.is_due(step) {
                Ok(false) => {
                    self.over(step, StepOutcome::Skipped, None, Value::Null, Value::Null);
                    continue;
                }
                Ok(true) => self.perform(step),
                Err(error) => Err(format!("when: {error}")),
            };
            match run {
                Ok(None) => {}
                Ok(Some(decision)) => return decision,
                Err(error) => {
                    let result = json!({ "error": error });
                    if let Some(decision) = self.step_failed(step, &error, result, Value::Null) {
                        return decision;
                    }
                }
            }
        }
        self.succeeded()
    }

    /// A step that has begun, with attempts behind it, is due whatever its condition says by now.
    fn is_due(&self, step: &CompiledStep) -> Result<bool, String> {
        match &step.when {
            Some(condition) if self.state.attempts == 0 => condition
                .holds(&self.variables.root())
                .map_err(|error| error.to_string()),
            _ => Ok(true),
        }
    }

    fn perform(&mut self, step: &CompiledStep) -> Result<Option<Decision>, String> {
        match &step.action {
            Action::Set(set) => {
                let values = set.evaluate(&self.variables)?;
                self.over(step, StepOutcome::Succeeded, None, values.clone(), values);
                Ok(None)
            }
            Action::Filter(filter) => {
                if filter.holds(&self.variables)? {
                    self.over(step, StepOutcome::Succeeded, None, Value::Null, Value::Null);
                    return Ok(None);
                }
                let own = filter.answer(&self.variables);
                self.over(step, StepOutcome::Filtered, None, Value::Null, Value::Null);
                Ok(Some(self.filtered(own)))
            }
            Action::Http(http) => {
                let attempt = self.state.attempts + 1;
                http.call(&step.name, self.request.event().id, attempt, &self.with_secrets())
                    .map(|call| Some(Decision::Call(call)))
                    .map_err(|error| self.secrets.hide_text(&error))
            }
            Action::Record(record) => record
                .write(&step.name, &self.variables)
                .map(Decision::Write)
                .map(Some),
            Action::Session(change) => {
                let values = change.evaluate(&self.variables)?;
                let Some(session) = &mut self.state.session else {
                    return Err("the event has no session: its key is empty".to_owned());
                };
                session.change(change.clear, values)?;
                self.variables
                    .insert(SESSION_VARIABLE, &self.state.session_values());
                self.over(step, StepOutcome::Succeeded, None, Value::Null, Value::Null);
                Ok(None)
            }
            Action::Callback(callback) => {
                let call = callback
                    .call(&step.name, self.request.event().id, 1, &self.with_secrets())
                    .map_err(|error| self.secrets.hide_text(&error))?;
                let retry = callback.retry.clone();
                self.state.callbacks.push(Callback::new(call, retry));
                self.over(step, StepOutcome::Succeeded, None, Value::Null, Value::Null);
                Ok(None)
            }
            Action::Respond(_) if self.state.answer.is_some() => {
                self.over(step, StepOutcome::Skipped, None, Value::Null, Value::Null);
                Ok(None)
            }
            Action::Respond(respond) => {
                let answer = respond.evaluate(&self.variables)?;
                self.state.answer = Some(answer.clone());
                let result = json!({ "status": answer.status });
                self.over(step, StepOutcome::Succeeded, None, result.clone(), result);
                // After the last step the answer travels with the end of the run.
                let is_last = self.state.next >= self.revision.steps.len();
                Ok((!is_last).then_some(Decision::Answer(answer)))
            }
        }
    }

    /// What the templates of a call see.
    fn with_secrets(&self) -> Cow<'_, Variables> {
        if self.secrets.is_empty() {
            return Cow::Borrowed(&self.variables);
        }
        let mut variables = self.variables.clone();
        variables.insert(SECRETS_VARIABLE, &self.secrets.variable());
        Cow::Owned(variables)
    }

    fn called(mut self, outcome: &HttpOutcome) -> Decision {
        let Some((step, http)) =
            self.revision
                .steps
                .get(self.state.next)
                .and_then(|step| match &step.action {
                    Action::Http(http) => Some((step, http)),
                    _ => None,
                })
        else {
            // The step is not a call: the outcome belongs to nothing, and going on is right.
            return self.steps();
        };
        self.state.attempts += 1;
        let result = outcome.result();
        let record = json!({ "status": result["status"] });
        match outcome.verdict() {
            Verdict::Success => {
                self.over(step, StepOutcome::Succeeded, None, result, record);
                return self.steps();
            }
            Verdict::Retryable => {
                let attempts = self.state.attempts;
                if let Some(delay) = retry::delay_of(attempts, &http.retry, outcome, self.now, self.random) {
                    let delay = TimeDelta::from_std(delay).unwrap_or(TimeDelta::days(1));
                    return Decision::Retry {
                        due_at: self.now + delay,
                    };
                }
            }
            Verdict::Final => {}
        }
        match self.step_failed(step, &outcome.error(), result, record) {
            Some(decision) => decision,
            None => self.steps(),
        }
    }

    fn not_written(mut self, detail: &str) -> Decision {
        let step = self.revision.steps.get(self.state.next);
        let Some(step) = step.filter(|step| matches!(step.action, Action::Record(_))) else {
            // The step writes nothing: the outcome belongs to nothing, and going on is right.
            return self.steps();
        };
        match self.step_failed(step, detail, json!({ "error": detail }), Value::Null) {
            Some(decision) => decision,
            None => self.steps(),
        }
    }

    /// Records a step that is over and moves to the next.
    fn over(
        &mut self,
        step: &CompiledStep,
        outcome: StepOutcome,
        error: Option<&str>,
        result: Value,
        record: Value,
    ) {
        self.variables.insert(&step.name, &result);
        self.state.over(step, outcome, error, result, record, self.now);
    }

    fn step_failed(
        &mut self,
        step: &CompiledStep,
        error: &str,
        result: Value,
        record: Value,
    ) -> Option<Decision> {
        self.over(step, StepOutcome::Failed, Some(error), result, record);
        match step.on_error {
            OnError::Continue => None,
            OnError::Fail => Some(self.failed(Some(&step.name), error)),
        }
    }

    fn succeeded(mut self) -> Decision {
        self.variables.leave();
        if !self.revision.waits() {
            return self.done(RunOutcome::Succeeded, None, None);
        }
        if let Some(answer) = self.state.answer.clone() {
            return self.done(RunOutcome::Succeeded, None, Some(answer));
        }
        match self.revision.succeeded.evaluate(&self.variables) {
            Ok(answer) => self.done(RunOutcome::Succeeded, None, Some(answer)),
            Err(error) => self.failed(None, &format!("response: {error}")),
        }
    }

    fn failed(&mut self, step: Option<&str>, message: &str) -> Decision {
        let error = match step {
            Some(step) => format!("{step}: {message}"),
            None => message.to_owned(),
        };
        let answer = self.revision.waits().then(|| match &self.state.answer {
            Some(given) => given.clone(),
            None => self.revision.failed_answer(self.variables.clone(), step, message),
        });
        self.done(RunOutcome::Failed, Some(error), answer)
    }

    /// `own` is the answer of the step that ended the run, if it has one. An answer that was given before stays.
    fn filtered(&self, own: Option<Answer>) -> Decision {
        let answer = self.revision.waits().then(|| {
            let given = self.state.answer.clone().or(own);
            given.unwrap_or_else(|| self.revision.filtered_answer(self.request))
        });
        self.done(RunOutcome::Filtered, None, answer)
    }

    fn done(&self, outcome: RunOutcome, error: Option<String>, answer: Option<Answer>) -> Decision {
        Decision::Done(Finished {
            outcome,
            error,
            answer,
        })
    }
}

#[cfg(test)]
mod tests;
