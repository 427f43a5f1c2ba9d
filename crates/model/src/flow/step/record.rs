//! `record`: inserts, changes or deletes a row of a collection. What is written is decided here; the worker writes it, in
//! one transaction with the progress of the run.

use serde_json::{Map, Value, json};

use crate::flow::check::ProblemCode;
use crate::flow::compiler::Compiler;
use crate::flow::definition::{RecordOperation, Step};
use crate::flow::template::{Escape, JsonTemplate, TextTemplate};
use crate::flow::variables::Variables;
use crate::ids::RecordId;

/// The most characters of a record's key.
pub const MAX_KEY_CHARS: usize = 256;

#[derive(Debug)]
pub(in crate::flow) struct RecordStep {
    collection: String,
    operation: RecordOperation,
    key: Option<TextTemplate>,
    data: JsonTemplate,
}

/// A row to write.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordWrite {
    /// The step's name.
    pub step: String,
    /// The collection's name.
    pub collection: String,
    /// What to do.
    pub operation: RecordOperation,
    /// Which row.
    pub key: String,
    /// What it is to hold; empty to delete it.
    pub data: Map<String, Value>,
}

/// What became of a write.
#[derive(Debug, Clone, PartialEq)]
pub enum RecordOutcome {
    /// It was made, in one transaction with the progress of the run.
    Written(RecordWritten),
    /// It cannot be made, for a reason that the tenant can change.
    Refused(String),
}

/// A row that was written.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordWritten {
    /// Its id; none when there was nothing to delete.
    pub id: Option<RecordId>,
    /// Its key.
    pub key: String,
    /// What happened to it.
    pub change: RecordChange,
    /// What it holds now.
    pub data: Value,
}

/// What happened to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordChange {
    /// It is new.
    Created,
    /// It was there.
    Updated,
    /// It is gone.
    Deleted,
    /// It was not there, and was to be deleted.
    Absent,
}

impl RecordChange {
    /// As it stands in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::Absent => "absent",
        }
    }
}

impl RecordWritten {
    /// What later steps see under the step's name.
    pub(in crate::flow) fn result(&self) -> Value {
        json!({ "id": self.id, "key": self.key, "change": self.change.as_str(), "data": self.data })
    }

    /// What is recorded of it: the row itself can be read in its collection.
    pub(in crate::flow) fn record(&self) -> Value {
        json!({ "id": self.id, "key": self.key, "change": self.change.as_str() })
    }
}

impl RecordStep {
    pub fn compile(compiler: &mut Compiler<'_>, pointer: &str, step: &Step) -> Self {
        let Step::Record {
            collection,
            operation,
            key,
            data,
            ..
        } = step
        else {
            unreachable!("the caller matched the kind")
        };
        compiler.collection(&format!("{pointer}/collection"), collection);
        let is_deletion = *operation == RecordOperation::Delete;
        if is_deletion && data.is_some() {
            let detail = "a record that is deleted holds nothing";
            compiler.problem(&format!("{pointer}/data"), ProblemCode::MisplacedData, detail);
        } else if !is_deletion && data.is_none() {
            let detail = "say what the record is to hold";
            compiler.problem(&format!("{pointer}/data"), ProblemCode::MisplacedData, detail);
        }
        let pointer_of_key = format!("{pointer}/key");
        let key = compiler.text(&pointer_of_key, key, Escape::None);
        if let Some(Err(detail)) = key.as_ref().and_then(TextTemplate::literal).map(check_key) {
            compiler.problem(&pointer_of_key, ProblemCode::OutOfRange, detail);
        }
        let data = Value::Object(data.clone().unwrap_or_default());
        Self {
            collection: collection.clone(),
            operation: *operation,
            key,
            data: compiler.json(&format!("{pointer}/data"), &data),
        }
    }

    pub fn write(&self, step: &str, variables: &Variables) -> Result<RecordWrite, String> {
        let root = variables.root();
        let key = match &self.key {
            Some(key) => key.evaluate(&root).map_err(|error| error.to_string())?,
            None => String::new(),
        };
        check_key(&key)?;
        let data = self.data.evaluate(&root).map_err(|error| error.to_string())?;
        let Value::Object(data) = data else {
            return Err("a record holds an object".to_owned());
        };
        Ok(RecordWrite {
            step: step.to_owned(),
            collection: self.collection.clone(),
            operation: self.operation,
            key,
            data,
        })
    }
}

/// Whether a record may have this key; what is wrong with it.
///
/// # Errors
/// What is wrong, for the tenant.
pub fn check_key(key: &str) -> Result<(), String> {
    let length = key.chars().count();
    if length == 0 || length > MAX_KEY_CHARS || key.chars().any(char::is_control) {
        return Err(format!(
            "a key has 1 to {MAX_KEY_CHARS} characters, none of them a control character"
        ));
    }
    Ok(())
}
