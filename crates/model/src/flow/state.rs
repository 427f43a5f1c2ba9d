//! How far a run has come: kept between attempts, so that another worker goes on at the same step.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::session::Session;
use super::step::callback::Callback;
use super::step::{Action, CompiledStep};
use crate::answer::Answer;

/// The progress of one event's run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// When the run began.
    pub started_at: DateTime<Utc>,
    /// The index of the step to run next.
    #[serde(default)]
    pub(super) next: usize,
    /// How many attempts of that step are over.
    #[serde(default)]
    pub(super) attempts: u32,
    /// The event's session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) session: Option<Session>,
    /// The results of the steps that ran, by name.
    #[serde(default)]
    pub(super) results: Map<String, Value>,
    /// What became of each step.
    #[serde(default)]
    pub(super) records: Vec<StepRecord>,
    /// The callbacks that are made, and not yet handed over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) callbacks: Vec<Callback>,
    /// The answer that the caller has been given, or is about to be.
    #[serde(default, with = "encoded", skip_serializing_if = "Option::is_none")]
    pub(super) answer: Option<Answer>,
}

/// What became of one step of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StepRecord {
    /// The step's name.
    #[schema(example = "crm")]
    pub name: String,
    /// The step's kind.
    #[schema(example = "http")]
    pub kind: String,
    /// What it came to. A `callback` step succeeds when its request is made; what becomes of that is in `callbacks`.
    pub outcome: StepOutcome,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How many attempts a call took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// What it gave: a `set` step's values, the status of an `http` or `respond` step, which row a `record` step wrote.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    #[schema(example = json!({ "status": 201 }))]
    pub result: Value,
    /// When it was over.
    pub finished_at: DateTime<Utc>,
}

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepOutcome {
    /// It did what it should.
    Succeeded,
    /// It did not.
    Failed,
    /// Its `when` did not hold.
    Skipped,
    /// A `filter` step whose condition did not hold: it ended the run.
    Filtered,
}

impl State {
    /// A run that begins now.
    pub fn new(now: DateTime<Utc>) -> Self {
        Self {
            started_at: now,
            next: 0,
            attempts: 0,
            session: None,
            results: Map::new(),
            records: Vec::new(),
            callbacks: Vec::new(),
            answer: None,
        }
    }

    /// Records a step that is over and moves to the next.
    pub(super) fn over(
        &mut self,
        step: &CompiledStep,
        outcome: StepOutcome,
        error: Option<&str>,
        result: Value,
        record: Value,
        now: DateTime<Utc>,
    ) {
        self.records.push(StepRecord {
            name: step.name.clone(),
            kind: step.kind.to_owned(),
            outcome,
            error: error.map(str::to_owned),
            attempts: matches!(step.action, Action::Http(_)).then_some(self.attempts),
            result: record,
            finished_at: now,
        });
        self.results.insert(step.name.clone(), result);
        self.next += 1;
        self.attempts = 0;
    }

    /// The same run, in a session.
    pub fn in_session(self, session: Option<Session>) -> Self {
        Self { session, ..self }
    }

    /// The event's session, with what it holds by now.
    pub fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    /// What templates see of the session.
    pub(super) fn session_values(&self) -> Value {
        let values = self.session.as_ref().map(|session| session.values.clone());
        Value::Object(values.unwrap_or_default())
    }

    /// What became of each step so far.
    pub fn records(&self) -> &[StepRecord] {
        &self.records
    }

    /// The answer that was given at a `respond` step.
    pub fn answer(&self) -> Option<&Answer> {
        self.answer.as_ref()
    }

    /// The callbacks that are made and not yet handed over. Whoever takes them must commit them with the rest of the state.
    pub fn take_callbacks(&mut self) -> Vec<Callback> {
        std::mem::take(&mut self.callbacks)
    }

    /// Where a run goes on that failed: at the step that failed last, as if that had not run. `None` in a session, of which
    /// others have had their turn by then.
    pub fn rewound(&self) -> Option<Self> {
        if self.session.is_some() {
            return None;
        }
        let mut state = self.clone();
        state.attempts = 0;
        if let Some(failed) = state.records.pop_if(|last| last.outcome == StepOutcome::Failed) {
            state.results.remove(&failed.name);
            state.next = state.next.saturating_sub(1);
        }
        Some(state)
    }

    /// How many attempts of the current step are over.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads the stored form; `None` when it is not one.
    pub fn decode(stored: &[u8]) -> Option<Self> {
        serde_json::from_slice(stored).ok()
    }

    /// The answer in a stored form, without reading the rest.
    pub fn answer_in(stored: &[u8]) -> Option<Answer> {
        #[derive(Deserialize)]
        struct OnlyAnswer {
            #[serde(default, with = "encoded")]
            answer: Option<Answer>,
        }
        serde_json::from_slice::<OnlyAnswer>(stored).ok()?.answer
    }
}

/// [`Answer::encode`] in base64.
mod encoded {
    use super::{Answer, Deserialize, Deserializer, Engine, STANDARD_NO_PAD, Serializer};

    pub fn serialize<S: Serializer>(answer: &Option<Answer>, serializer: S) -> Result<S::Ok, S::Error> {
        match answer {
            Some(answer) => serializer.serialize_some(&STANDARD_NO_PAD.encode(answer.encode())),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Answer>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else {
            return Ok(None);
        };
        let bytes = STANDARD_NO_PAD.decode(text).map_err(serde::de::Error::custom)?;
        Answer::decode(&bytes)
            .map(Some)
            .ok_or_else(|| serde::de::Error::custom("no answer"))
    }
}
