//! What a verification did, step by step, for people who ask why a request is refused.
//!
//! Steps name headers, parameters, lengths and times. They never hold a secret, a credential or an expected signature.

use serde::Serialize;
use utoipa::ToSchema;

use super::verdict::Denial;

/// The steps of a verification, if somebody wants to know them.
#[derive(Debug, Default)]
pub struct Trace {
    steps: Option<Vec<Step>>,
}

/// A step of a verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = VerificationStep)]
pub struct Step {
    /// What was looked at.
    #[schema(example = "signature")]
    pub name: &'static str,
    /// Whether it was as it must be.
    pub passed: bool,
    /// What was found, in words.
    #[schema(example = "header `x-hub-signature-256` holds 1 signature of 32 bytes")]
    pub detail: String,
}

impl Trace {
    /// Records nothing and costs nothing.
    pub fn off() -> Self {
        Self { steps: None }
    }

    /// Records every step.
    pub fn on() -> Self {
        Self {
            steps: Some(Vec::new()),
        }
    }

    /// Records what is as it must be; the detail is only made when somebody wants it. What is not ends the check, and is
    /// recorded then.
    pub(super) fn passed(&mut self, name: &'static str, detail: impl FnOnce() -> String) {
        self.step(name, true, detail);
    }

    /// Records a step; the detail is only made when somebody wants it.
    pub(super) fn step(&mut self, name: &'static str, passed: bool, detail: impl FnOnce() -> String) {
        if let Some(steps) = &mut self.steps {
            steps.push(Step {
                name,
                passed,
                detail: detail(),
            });
        }
    }

    /// Records why a check of a kind ended, unless its last step says so already.
    pub(super) fn denied(&mut self, kind: &'static str, denial: &Denial) {
        let is_told = |steps: &Vec<Step>| steps.last().is_some_and(|step| !step.passed);
        if self.steps.as_ref().is_some_and(|steps| !is_told(steps)) {
            self.step(kind, false, || denial.detail.clone().into_owned());
        }
    }

    /// What was recorded.
    pub fn into_steps(self) -> Vec<Step> {
        self.steps.unwrap_or_default()
    }
}
