//! What may be recorded of a run whose event is stored masked: nothing of what was masked, wherever the flow put it.

use hookgate_domain::answers::{ANSWER, STATE};
use hookgate_domain::crypto::RunKey;
use hookgate_domain::jobs::{NewAttempt, Payload};
use hookgate_model::answer::Answer;
use hookgate_model::flow::state::{State, StepRecord};
use hookgate_model::protection::{Scrubber, Secrets};

/// What stands for an error that may say something about the request.
const WITHHELD: &str = "the details are not recorded because of data protection";

/// The protection of one run's records.
pub struct Protected {
    key: RunKey,
    secrets: Secrets,
    scrubber: Scrubber,
}

impl Protected {
    /// What a payload says must not be recorded.
    pub fn new(payload: &Payload) -> Self {
        Self {
            key: payload.key.clone(),
            secrets: payload.secrets.clone(),
            scrubber: Scrubber::new(&payload.secrets),
        }
    }

    /// The protection of the attempts of a callback, which outlives its run and seals nothing.
    pub fn of(secrets: &Secrets) -> Self {
        Self {
            key: RunKey::random(),
            secrets: secrets.clone(),
            scrubber: Scrubber::new(secrets),
        }
    }

    /// What must not be recorded.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// The progress as it is stored: sealed, since the next steps need the values.
    pub fn seal_state(&self, state: &State) -> Option<Vec<u8>> {
        self.seal(STATE, &state.encode())
    }

    /// The progress that was stored, if it can be read.
    pub fn open_state(&self, stored: &[u8]) -> Option<State> {
        State::decode(&self.key.open(STATE, stored).ok()?)
    }

    /// The records of the steps.
    pub fn records(&self, records: &[StepRecord]) -> Vec<StepRecord> {
        let record = |record: &StepRecord| StepRecord {
            error: record.error.as_deref().map(|error| self.error(error)),
            result: self.scrubber.json(record.result.clone()),
            ..record.clone()
        };
        records.iter().map(record).collect()
    }

    /// An error of a step, or of the run.
    pub fn error(&self, error: &str) -> String {
        if self.scrubber.is_total() {
            WITHHELD.to_owned()
        } else {
            self.scrubber.text(error)
        }
    }

    /// The answer as it is stored. For a caller who waits it must be the answer itself: it is sealed then, for as long as
    /// the node that the caller waits at remembers the key.
    pub fn answer(&self, answer: &Answer, has_caller: bool) -> Option<Vec<u8>> {
        let scrubbed = (!self.scrubber.is_total()).then(|| Answer {
            status: answer.status,
            headers: answer
                .headers
                .iter()
                .map(|(name, value)| (name.clone(), self.scrubber.text(value)))
                .collect(),
            body: self.scrubber.bytes(&answer.body).into_owned(),
        });
        match scrubbed {
            Some(scrubbed) if !has_caller || scrubbed == *answer => Some(scrubbed.encode()),
            None if !has_caller => None,
            _ => self.seal(ANSWER, &answer.encode()),
        }
    }

    /// Fails for more than 64 GiB alone.
    fn seal(&self, what: &str, value: &[u8]) -> Option<Vec<u8>> {
        let sealed = self.key.seal(what, value);
        sealed
            .inspect_err(|error| tracing::error!(%error, what, "a record could not be sealed"))
            .ok()
    }

    /// A call to a destination. Of a sensitive request's only where it went and what it came to is kept.
    pub fn attempt(&self, attempt: NewAttempt) -> NewAttempt {
        if self.scrubber.is_total() {
            let origin = attempt.url.match_indices('/').nth(2).map(|(at, _)| at);
            let kind = attempt.error.as_deref().and_then(|error| error.split(':').next());
            return NewAttempt {
                url: origin
                    .and_then(|at| attempt.url.get(..=at))
                    .unwrap_or_default()
                    .to_owned(),
                error: kind.map(|kind| format!("{kind}: {WITHHELD}")),
                response_preview: None,
                ..attempt
            };
        }
        NewAttempt {
            url: self.scrubber.text(&attempt.url),
            error: attempt.error.as_deref().map(|error| self.scrubber.text(error)),
            response_preview: attempt
                .response_preview
                .as_deref()
                .map(|preview| self.scrubber.bytes(preview).into_owned()),
            ..attempt
        }
    }
}
