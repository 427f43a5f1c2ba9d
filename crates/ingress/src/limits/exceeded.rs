//! A limit that refuses a request, in the words and fields in which a sender and a tenant learn of it.

use std::fmt;
use std::time::Duration;

use hookgate_domain::redis::draws::Counted;
use hookgate_model::rate::{Rate, whole_seconds};

/// Whose requests a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Whose {
    /// Those to one URL.
    Url,
    /// Those to all URLs of a webhook.
    Webhook,
    /// Those to all webhooks of a tenant.
    Tenant,
}

/// A limit that refuses a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exceeded {
    /// More requests come than a rate allows.
    Rate {
        /// Whose rate.
        whose: Whose,
        /// What it allows.
        rate: Rate,
        /// When a request may pass.
        retry_after: Duration,
    },
    /// The tenant has used up what it may receive in a month.
    Quota {
        /// What is counted.
        counted: Counted,
        /// How much it may be.
        most: u64,
        /// When the next month begins.
        retry_after: Duration,
    },
    /// As many callers wait for a result as may.
    Waiting {
        /// Whose callers.
        whose: Whose,
        /// How many.
        most: u32,
    },
}

impl Exceeded {
    /// The stable code of the refusal.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Rate { .. } => "rate_limited",
            Self::Quota { .. } => "quota_exceeded",
            Self::Waiting { .. } => "too_many_waiting",
        }
    }

    /// The name of the limit, in answers and metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Rate { whose, .. } => match whose {
                Whose::Url => "url",
                Whose::Webhook => "webhook",
                Whose::Tenant => "tenant",
            },
            Self::Quota { counted, .. } => match counted {
                Counted::Events => "events_per_month",
                Counted::BodyBytes => "body_bytes_per_month",
            },
            Self::Waiting { whose, .. } => match whose {
                Whose::Url | Whose::Webhook => "webhook_waiting_callers",
                Whose::Tenant => "tenant_waiting_callers",
            },
        }
    }

    /// Seconds until a request may pass. At least one: a sender that comes back at once would be refused again.
    pub fn retry_after(&self) -> u64 {
        match self {
            Self::Rate { retry_after, .. } | Self::Quota { retry_after, .. } => whole_seconds(*retry_after),
            Self::Waiting { .. } => 1,
        }
    }

    /// The value of `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10, section 3).
    pub fn policy(&self) -> String {
        let name = self.name();
        match self {
            Self::Rate { rate, .. } => rate.policy(name),
            Self::Quota { counted, most, .. } => match counted {
                Counted::Events => format!("\"{name}\";q={most}"),
                Counted::BodyBytes => format!("\"{name}\";q={most};qu=\"content-bytes\""),
            },
            Self::Waiting { most, .. } => format!("\"{name}\";q={most};qu=\"concurrent-requests\""),
        }
    }

    /// The value of `RateLimit` (the same, section 4).
    pub fn state(&self) -> String {
        format!("\"{}\";r=0;t={}", self.name(), self.retry_after())
    }
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate { whose, rate, .. } => {
                let Rate { per_second, burst } = rate;
                write!(
                    f,
                    "{} takes {per_second} requests per second, and {burst} at once; send it again later.",
                    whose.in_words()
                )
            }
            Self::Quota { counted, most, .. } => {
                let what = match counted {
                    Counted::Events => "requests",
                    Counted::BodyBytes => "bytes of request bodies",
                };
                write!(
                    f,
                    "The owner of this webhook takes {most} {what} in a calendar month (UTC), and this month has no room for \
                     this one."
                )
            }
            Self::Waiting { whose, most } => write!(
                f,
                "{} lets {most} callers wait for a result at the same time; send it again later.",
                whose.in_words()
            ),
        }
    }
}

impl Whose {
    const fn in_words(self) -> &'static str {
        match self {
            Self::Url => "This URL",
            Self::Webhook => "This webhook",
            Self::Tenant => "The owner of this webhook",
        }
    }
}
