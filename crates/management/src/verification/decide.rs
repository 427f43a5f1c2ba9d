//! The rules of admission besides authentication, in its order. Each says what it found.

use hookgate_model::authentication::Step;
use hookgate_model::body::BodyError;
use hookgate_model::expected_data::{Mode, Violation, describe};
use hookgate_model::webhook::{Status, UrlEnd};

use super::{Candidate, Refused, Rules};

/// A step, and why the request is refused if it is.
pub type Decided = (Step, Option<Refused>);

/// The rules.
pub const RULES: [fn(&Rules, &Candidate) -> Decided; 5] = [url, status, method, address, size];

fn passed(name: &'static str, detail: impl Into<String>) -> Decided {
    let step = Step {
        name,
        passed: true,
        detail: detail.into(),
    };
    (step, None)
}

fn refused(name: &'static str, reason: &'static str, detail: impl Into<String>) -> Decided {
    let refused = Refused {
        reason,
        detail: detail.into(),
    };
    (refused.step(name), Some(refused))
}

fn url(rules: &Rules, candidate: &Candidate) -> Decided {
    let own = rules.urls.iter().find(|url| Some(url.id) == candidate.url);
    let Some(url) = own else {
        return refused("url", "unknown_url", "The URL is none of this webhook's.");
    };
    let end = UrlEnd::first(url.expires_at, url.revoked_at, None);
    if let Some(end) = end.filter(|end| end.at <= candidate.received_at) {
        return refused("url", "url_ended", end.to_string());
    }
    if !url.suffix.matches(&candidate.path) {
        let detail = format!(
            "The path after the token is not this URL's suffix, `{}`.",
            url.suffix
        );
        return refused("url", "suffix_mismatch", detail);
    }
    passed("url", format!("It is {}, and its path matches.", url.id))
}

fn status(rules: &Rules, _: &Candidate) -> Decided {
    match rules.webhook.status {
        Status::Active => passed("status", "The webhook is active."),
        Status::Paused => passed("status", "The webhook is paused: it accepts, and holds the work."),
        Status::Disabled => refused("status", "webhook_disabled", "This webhook is disabled."),
    }
}

fn method(rules: &Rules, candidate: &Candidate) -> Decided {
    let methods = rules.webhook.methods;
    if methods.contains(&candidate.method) {
        passed("method", format!("{} is among {methods}.", candidate.method))
    } else {
        refused(
            "method",
            "method_not_allowed",
            format!("This webhook takes {methods}."),
        )
    }
}

fn address(rules: &Rules, candidate: &Candidate) -> Decided {
    if rules.webhook.allowlists.is_empty() {
        return passed("address", "No allowlist is attached: every address may send.");
    }
    match (candidate.address, &rules.entry) {
        (Some(_), Some(entry)) => {
            let detail = format!(
                "{} holds it, in {} of {}.",
                entry.network, entry.id, entry.allowlist_id
            );
            passed("address", detail)
        }
        (Some(address), None) => {
            let detail = format!("No entry of the attached allowlists holds {address}.");
            refused("address", "address_not_allowed", detail)
        }
        (None, _) => passed(
            "address",
            "The sender's address is not known, so the allowlists decide nothing.",
        ),
    }
}

fn size(rules: &Rules, candidate: &Candidate) -> Decided {
    let (limit, bytes) = (rules.webhook.body_limit_bytes, candidate.body.len());
    if usize::try_from(limit).is_ok_and(|limit| bytes <= limit) {
        passed("body_size", format!("{bytes} of at most {limit} bytes."))
    } else {
        let detail = format!("The body is longer than this webhook's limit of {limit} bytes.");
        refused("body_size", "body_too_large", detail)
    }
}

/// Whether the request is what the webhook expects.
pub fn expected(mode: Mode, differences: &[Violation]) -> Decided {
    if differences.is_empty() {
        return passed("expected_data", "The request is what this webhook expects.");
    }
    let told = describe(differences);
    match mode {
        Mode::Enforce => refused("expected_data", "data_invalid", told),
        Mode::Warn | Mode::Off => passed("expected_data", format!("{told} That is counted, and no more.")),
    }
}

/// Whether the body is what it is called, for a webhook that demands it.
pub fn well_formed(error: Option<BodyError>) -> Decided {
    match error {
        None => passed("body", "It is what it is called."),
        Some(error) => refused(
            "body",
            "body_malformed",
            format!("This webhook takes no such body: {error}."),
        ),
    }
}
