//! The small closed sets of a webhook's settings, in the form in which they are stored and shown.

use chrono::{DateTime, TimeDelta, Utc};

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

/// The body limit of a webhook that sets none, in bytes: 1 MiB.
pub const DEFAULT_BODY_BYTES: u32 = 1024 * 1024;
/// The highest body limit that a webhook can set, in bytes: 26 MiB.
pub const MAX_BODY_BYTES: u32 = 26 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

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
