//! `respond`: answers the caller who waits; the flow goes on.

use crate::answer::Answer;
use crate::flow::answer_template::AnswerTemplate;
use crate::flow::compiler::Compiler;
use crate::flow::definition::{OutcomeAnswer, Step};
use crate::flow::variables::Variables;

#[derive(Debug)]
pub(in crate::flow) struct RespondStep {
    answer: AnswerTemplate,
}

impl RespondStep {
    pub fn compile(compiler: &mut Compiler<'_>, pointer: &str, step: &Step) -> Self {
        let Step::Respond {
            status,
            status_override,
            headers,
            body,
            body_encoding,
            ..
        } = step
        else {
            unreachable!("the caller matched the kind")
        };
        let definition = OutcomeAnswer {
            status: *status,
            status_override: status_override.clone(),
            headers: headers.clone(),
            body: body.clone(),
            body_encoding: *body_encoding,
        };
        Self {
            answer: AnswerTemplate::compile(compiler, pointer, &definition),
        }
    }

    pub fn evaluate(&self, variables: &Variables) -> Result<Answer, String> {
        self.answer.evaluate(variables)
    }
}
