//! What the doctor finds, and how it is shown.

use std::fmt::Write;

use anyhow::Result;
use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    /// As it should be.
    Ok,
    /// It works, but not well, or not for long.
    Warning,
    /// Something does not work, or a promise is not kept.
    Error,
}

/// The outcome of one check.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Finding {
    pub(super) check: String,
    pub(super) status: Status,
    pub(super) detail: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) action: Option<String>,
}

/// Everything that was found.
#[derive(Debug, Default)]
pub(super) struct Report(Vec<Finding>);

impl Report {
    pub(super) fn ok(&mut self, check: impl Into<String>, detail: impl Into<String>) {
        self.0.push(Finding {
            check: check.into(),
            status: Status::Ok,
            detail: detail.into(),
            action: None,
        });
    }

    pub(super) fn warning(
        &mut self,
        check: impl Into<String>,
        detail: impl Into<String>,
        action: impl Into<String>,
    ) {
        self.problem(Status::Warning, check, detail, action);
    }

    pub(super) fn error(
        &mut self,
        check: impl Into<String>,
        detail: impl Into<String>,
        action: impl Into<String>,
    ) {
        self.problem(Status::Error, check, detail, action);
    }

    pub(super) fn problem(
        &mut self,
        status: Status,
        check: impl Into<String>,
        detail: impl Into<String>,
        action: impl Into<String>,
    ) {
        self.0.push(Finding {
            check: check.into(),
            status,
            detail: detail.into(),
            action: Some(action.into()),
        });
    }

    pub(super) fn has_errors(&self) -> bool {
        self.0.iter().any(|finding| finding.status == Status::Error)
    }

    /// One line each, what to do under it, and a summary.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let width = self
            .0
            .iter()
            .map(|finding| finding.check.len())
            .max()
            .unwrap_or_default();
        for Finding {
            check,
            status,
            detail,
            action,
        } in &self.0
        {
            let status = match status {
                Status::Ok => "ok",
                Status::Warning => "warning",
                Status::Error => "error",
            };
            let _ = writeln!(text, "{status:7}  {check:width$}  {detail}");
            if let Some(action) = action {
                let _ = writeln!(text, "{:7}  {:width$}  → {action}", "", "");
            }
        }
        let count = |status| self.0.iter().filter(|finding| finding.status == status).count();
        let _ = writeln!(
            text,
            "{} checks: {} errors, {} warnings",
            self.0.len(),
            count(Status::Error),
            count(Status::Warning)
        );
        text
    }

    /// For programs: `{"status": …, "checks": […]}`.
    pub(super) fn json(&self) -> Result<String> {
        let worst = self
            .0
            .iter()
            .map(|finding| finding.status)
            .max()
            .unwrap_or(Status::Ok);
        let report = serde_json::json!({ "status": worst, "checks": self.0 });
        Ok(serde_json::to_string_pretty(&report)?)
    }
}
