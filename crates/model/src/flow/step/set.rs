//! `set`: computes values from what is there.

use serde_json::{Map, Value};

use crate::flow::compiler::Compiler;
use crate::flow::template::JsonTemplate;
use crate::flow::variables::Variables;

/// The most bytes, as JSON, that one step's values may have: they are kept with the run.
pub const MAX_VALUES_BYTES: usize = 256 * 1024;

#[derive(Debug)]
pub(in crate::flow) struct SetStep {
    values: JsonTemplate,
}

impl SetStep {
    pub fn compile(compiler: &mut Compiler<'_>, pointer: &str, values: &Map<String, Value>) -> Self {
        let pointer = format!("{pointer}/values");
        Self {
            values: compiler.json(&pointer, &Value::Object(values.clone())),
        }
    }

    pub fn evaluate(&self, variables: &Variables) -> Result<Value, String> {
        let values = self
            .values
            .evaluate(&variables.root())
            .map_err(|error| error.to_string())?;
        let bytes = serde_json::to_vec(&values).map_or(0, |json| json.len());
        if bytes > MAX_VALUES_BYTES {
            return Err(format!(
                "the values have {bytes} bytes; at most {MAX_VALUES_BYTES} can be kept"
            ));
        }
        Ok(values)
    }
}
