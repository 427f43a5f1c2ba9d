//! What a verification did, step by step, for people who ask why a request is refused.
//!
//! Steps name headers, parameters, lengths and times. They never hold a secret, a credential or an expected signature.

use std::borrow::Cow;

use serde::Serialize;
use utoipa::ToSchema;

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
    #[schema(value_type = String, example = "signature")]
    pub name: Cow<'static, str>,
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

    /// Records a step; the detail is only made when somebody wants it.
    pub fn step(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        passed: bool,
        detail: impl FnOnce() -> String,
    ) {
        if let Some(steps) = &mut self.steps {
            steps.push(Step {
                name: name.into(),
                passed,
                detail: detail(),
            });
        }
    }

    /// What was recorded.
    pub fn into_steps(self) -> Vec<Step> {
        self.steps.unwrap_or_default()
    }
}
