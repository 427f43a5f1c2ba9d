//! `filter`: ends the run unless a condition holds.

use crate::answer::Answer;
use crate::flow::answer_template::AnswerTemplate;
use crate::flow::compiled::failed_by_default;
use crate::flow::compiler::Compiler;
use crate::flow::definition::OutcomeAnswer;
use crate::flow::template::ExpressionTemplate;
use crate::flow::variables::Variables;

#[derive(Debug)]
pub(in crate::flow) struct FilterStep {
    condition: Option<ExpressionTemplate>,
    answer: Option<AnswerTemplate>,
}

impl FilterStep {
    pub fn compile(
        compiler: &mut Compiler<'_>,
        pointer: &str,
        condition: &str,
        answer: Option<&OutcomeAnswer>,
    ) -> Self {
        Self {
            condition: compiler.expression(&format!("{pointer}/condition"), condition),
            answer: answer
                .map(|answer| AnswerTemplate::compile(compiler, &format!("{pointer}/answer"), answer)),
        }
    }

    pub fn holds(&self, variables: &Variables) -> Result<bool, String> {
        let holds = |condition: &ExpressionTemplate| condition.holds(&variables.root());
        // A revision whose condition does not compile is never run.
        let held = self.condition.as_ref().map_or(Ok(true), holds);
        held.map_err(|error| error.to_string())
    }

    /// The answer of this step's own, if it has one.
    pub fn answer(&self, variables: &Variables) -> Option<Answer> {
        let answer = self.answer.as_ref()?.evaluate(variables);
        Some(answer.unwrap_or_else(|_| failed_by_default().clone()))
    }
}
