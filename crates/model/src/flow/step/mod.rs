//! The kinds of steps, one file each.

pub mod callback;
pub mod filter;
pub mod http;
pub mod record;
pub mod respond;
pub mod session;
pub mod set;

use super::compiler::Compiler;
use super::definition::{OnError, Step};
use super::template::ExpressionTemplate;

/// A step with its templates compiled.
#[derive(Debug)]
pub(super) struct CompiledStep {
    pub name: String,
    pub kind: &'static str,
    pub when: Option<ExpressionTemplate>,
    pub on_error: OnError,
    pub action: Action,
}

/// What a step does.
#[derive(Debug)]
pub(super) enum Action {
    Set(set::SetStep),
    Filter(Box<filter::FilterStep>),
    Http(Box<http::HttpStep>),
    Callback(Box<http::HttpStep>),
    Record(Box<record::RecordStep>),
    Session(session::SessionStep),
    Respond(respond::RespondStep),
}

impl CompiledStep {
    pub fn compile(compiler: &mut Compiler<'_>, pointer: &str, step: &Step) -> Self {
        let when = step
            .when()
            .and_then(|source| compiler.expression(&format!("{pointer}/when"), source));
        let action = match step {
            Step::Set { values, .. } => Action::Set(set::SetStep::compile(compiler, pointer, values)),
            Step::Filter {
                condition, answer, ..
            } => Action::Filter(Box::new(filter::FilterStep::compile(
                compiler,
                pointer,
                condition,
                answer.as_ref(),
            ))),
            Step::Http { .. } => Action::Http(Box::new(http::HttpStep::compile(compiler, pointer, step))),
            Step::Callback { .. } => {
                Action::Callback(Box::new(http::HttpStep::compile(compiler, pointer, step)))
            }
            Step::Record { .. } => {
                Action::Record(Box::new(record::RecordStep::compile(compiler, pointer, step)))
            }
            Step::Session { clear, values, .. } => {
                Action::Session(session::SessionStep::compile(compiler, pointer, *clear, values))
            }
            Step::Respond { .. } => Action::Respond(respond::RespondStep::compile(compiler, pointer, step)),
        };
        Self {
            name: step.name().to_owned(),
            kind: step.kind(),
            when,
            on_error: step.on_error(),
            action,
        }
    }
}
