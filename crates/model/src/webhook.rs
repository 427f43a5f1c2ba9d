//! The small closed sets of a webhook's settings, in the form in which they are stored and shown.

use std::fmt;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

/// Declares an enum with its stored text, which is also its JSON form.
macro_rules! text_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:tt,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ::serde::Serialize, ::serde::Deserialize, ::utoipa::ToSchema)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $text)] $variant,)*
        }
        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stored text.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// Reads the stored text.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)* _ => None }
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

pub(crate) use text_enum;

text_enum! {
    /// Whether a webhook takes requests.
    Status {
        /// Requests are accepted and run.
        Active = "active",
        /// Requests are accepted and stored; their flows start when the webhook is activated.
        Paused = "paused",
        /// Requests are refused.
        Disabled = "disabled",
    }
}

text_enum! {
    /// What a URL runs: the draft, or what is published.
    Environment {
        /// Runs the draft revision.
        Test = "test",
        /// Runs the published revision.
        Production = "production",
    }
}

text_enum! {
    /// What becomes of a request whose body is not what its content type or content encoding says, or that has a name twice
    /// in one object of JSON.
    MalformedBodies {
        /// It becomes an event all the same; the event says what is wrong.
        Accept = "accept",
        /// It is refused.
        Refuse = "refuse",
    }
}

text_enum! {
    /// Whether a URL works.
    UrlStatus {
        /// It works, for at least a day more.
        Active = "active",
        /// It works, and ends within a day.
        Expiring = "expiring",
        /// It has expired.
        Expired = "expired",
        /// It was revoked.
        Revoked = "revoked",
    }
}

impl UrlStatus {
    /// How long before its end a URL is shown as expiring.
    const EXPIRING: TimeDelta = TimeDelta::days(1);

    /// The status of a URL at a moment.
    pub fn of(
        expires_at: Option<DateTime<Utc>>,
        revoked_at: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Self {
        match expires_at.map(|end| end.signed_duration_since(now)) {
            _ if revoked_at.is_some() => Self::Revoked,
            Some(left) if left <= TimeDelta::zero() => Self::Expired,
            Some(left) if left <= Self::EXPIRING => Self::Expiring,
            _ => Self::Active,
        }
    }
}

/// When a URL ends to be valid, and by what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UrlEnd {
    /// From then on it does not work.
    pub at: DateTime<Utc>,
    /// Why.
    pub cause: UrlEndCause,
}

/// What ends a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlEndCause {
    /// Its time is over.
    Expiry,
    /// It was revoked.
    Revocation,
    /// It has another token since, and the grace period of this one is over.
    Rotation,
}

impl UrlEnd {
    /// The first of what ends a URL with a token.
    pub fn first(
        expires_at: Option<DateTime<Utc>>,
        revoked_at: Option<DateTime<Utc>>,
        token_expires_at: Option<DateTime<Utc>>,
    ) -> Option<Self> {
        let ends = [
            (revoked_at, UrlEndCause::Revocation),
            (expires_at, UrlEndCause::Expiry),
            (token_expires_at, UrlEndCause::Rotation),
        ];
        let ends = ends
            .into_iter()
            .filter_map(|(at, cause)| Some(Self { at: at?, cause }));
        ends.min_by_key(|end| end.at)
    }
}

impl fmt::Display for UrlEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at.to_rfc3339_opts(SecondsFormat::Secs, true);
        match self.cause {
            UrlEndCause::Expiry => write!(f, "The URL expired at {at}."),
            UrlEndCause::Revocation => write!(f, "The URL was revoked at {at}."),
            UrlEndCause::Rotation => write!(f, "The URL has another token, and this one worked until {at}."),
        }
    }
}

/// The body limit of a webhook that sets none, in bytes: 1 MiB.
pub const DEFAULT_BODY_BYTES: u32 = 1024 * 1024;
/// The highest body limit that a webhook can set, in bytes: 26 MiB.
pub const MAX_BODY_BYTES: u32 = 26 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_ends_by_what_comes_first() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0);
        for (expires, revoked, token, expected) in [
            (None, None, None, None),
            (
                at(2),
                at(1),
                at(3),
                Some("The URL was revoked at 1970-01-01T00:00:01Z."),
            ),
            (
                at(1),
                at(2),
                None,
                Some("The URL expired at 1970-01-01T00:00:01Z."),
            ),
            (
                at(9),
                None,
                at(1),
                Some("The URL has another token, and this one worked until 1970-01-01T00:00:01Z."),
            ),
        ] {
            let end = UrlEnd::first(expires, revoked, token).map(|end| end.to_string());
            assert_eq!(end.as_deref(), expected);
        }
    }

    #[test]
    fn a_url_says_how_long_it_works() {
        let now = DateTime::from_timestamp(1_795_228_800, 0).expect("a time");
        let hours = |hours| Some(now + TimeDelta::hours(hours));
        for (expires_at, revoked_at, status) in [
            (None, None, UrlStatus::Active),
            (hours(25), None, UrlStatus::Active),
            (hours(24), None, UrlStatus::Expiring),
            (hours(1), None, UrlStatus::Expiring),
            (hours(0), None, UrlStatus::Expired),
            (hours(-1), None, UrlStatus::Expired),
            (None, hours(-1), UrlStatus::Revoked),
            (hours(-1), hours(-2), UrlStatus::Revoked),
        ] {
            assert_eq!(
                UrlStatus::of(expires_at, revoked_at, now),
                status,
                "{expires_at:?}"
            );
        }
    }
}
