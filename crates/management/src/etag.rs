//! `ETag` and `If-Match` (RFC 9110, sections 8.8.3 and 13.1.1): a change is refused when it is based on an older version.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest};

use crate::error::{ApiError, ApiResult, ErrorCode};

/// The entity tag of a version.
pub(crate) fn of(version: i64) -> String {
    format!("\"{version}\"")
}

/// What the caller demands of the version that they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfMatch {
    /// Nothing, or `*`: any version of an object that exists.
    Any,
    /// One of these. Weak tags are not among them: the comparison is strong.
    OneOf(Vec<String>),
}

impl IfMatch {
    /// Whether the object may be changed.
    ///
    /// # Errors
    /// 412 when its version is another.
    pub fn check(&self, version: i64) -> ApiResult<()> {
        match self {
            Self::Any => Ok(()),
            Self::OneOf(tags) if tags.contains(&of(version)) => Ok(()),
            Self::OneOf(_) => Err(ApiError::new(
                ErrorCode::PreconditionFailed,
                "read the object again, and send its ETag as If-Match",
            )),
        }
    }

    fn parse<'a>(values: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut tags = Vec::new();
        let mut present = false;
        for value in values {
            present = true;
            let mut rest = value.trim();
            if rest == "*" {
                return Some(Self::Any);
            }
            while !rest.is_empty() {
                let weak = rest.starts_with("W/");
                let quoted = rest.strip_prefix("W/").unwrap_or(rest).strip_prefix('"')?;
                let (tag, after) = quoted.split_once('"')?;
                if !weak {
                    tags.push(format!("\"{tag}\""));
                }
                let after = after.trim_start();
                rest = match after.strip_prefix(',') {
                    Some(next) => next.trim_start(),
                    None if after.is_empty() => "",
                    None => return None,
                };
            }
        }
        Some(if present { Self::OneOf(tags) } else { Self::Any })
    }
}

impl FromRequest for IfMatch {
    type Error = ApiError;
    type Future = Ready<ApiResult<Self>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let values = request
            .headers()
            .get_all(header::IF_MATCH)
            .map(|value| value.to_str().unwrap_or("?"));
        ready(Self::parse(values).ok_or_else(|| {
            ApiError::new(
                ErrorCode::InvalidHeader,
                "If-Match must be * or entity tags in double quotes, as ETag gave them",
            )
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(header: &[&str], version: i64) -> Option<bool> {
        IfMatch::parse(header.iter().copied()).map(|if_match| if_match.check(version).is_ok())
    }

    #[test]
    fn only_the_version_that_was_read_may_be_changed() {
        assert_eq!(allows(&[], 3), Some(true));
        assert_eq!(allows(&["*"], 3), Some(true));
        assert_eq!(allows(&["\"3\""], 3), Some(true));
        assert_eq!(allows(&["\"2\""], 3), Some(false));
        assert_eq!(allows(&["\"2\", \"3\""], 3), Some(true));
        assert_eq!(allows(&["\"2\"", "\"3\""], 3), Some(true));
    }

    #[test]
    fn a_weak_tag_never_matches() {
        assert_eq!(allows(&["W/\"3\""], 3), Some(false));
    }

    #[test]
    fn what_is_no_tag_is_refused() {
        for wrong in ["3", "\"3", "\"3\" \"4\"", "*,\"3\""] {
            assert_eq!(allows(&[wrong], 3), None, "{wrong}");
        }
        assert_eq!(allows(&[""], 3), Some(false));
    }
}
