//! `session`: changes what the event's session holds. It is stored when the run is over, in the same transaction.

use serde_json::{Map, Value};

use crate::flow::compiler::Compiler;
use crate::flow::template::JsonTemplate;
use crate::flow::variables::Variables;

#[derive(Debug)]
pub(in crate::flow) struct SessionStep {
    pub clear: bool,
    values: JsonTemplate,
}

impl SessionStep {
    pub fn compile(
        compiler: &mut Compiler<'_>,
        pointer: &str,
        clear: bool,
        values: &Map<String, Value>,
    ) -> Self {
        Self {
            clear,
            values: compiler.json(&format!("{pointer}/values"), &Value::Object(values.clone())),
        }
    }

    pub fn evaluate(&self, variables: &Variables) -> Result<Map<String, Value>, String> {
        match self.values.evaluate(&variables.root()) {
            Ok(Value::Object(values)) => Ok(values),
            Ok(_) => Err("the values are no object".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}
