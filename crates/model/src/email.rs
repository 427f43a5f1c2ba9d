//! E-mail addresses, as far as syntax tells. Whether one exists only a message to it can show.

use std::fmt;
use std::str::FromStr;

/// An address in lower case, so that one person has one account.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Email(String);

/// The text is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be an e-mail address, such as ada@example.com")]
pub struct InvalidEmail;

/// RFC 5321, sections 4.5.3.1.1 and 4.5.3.1.3 (less the angle brackets).
const LENGTH_MOST: usize = 254;
const LOCAL_PART_LENGTH_MOST: usize = 64;

impl Email {
    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Email {
    type Err = InvalidEmail;

    /// Takes what web browsers take in a field for addresses (WHATWG HTML, "valid e-mail address"), with a dot in the
    /// domain.
    fn from_str(text: &str) -> Result<Self, InvalidEmail> {
        let text = text.trim();
        let (local, domain) = text.split_once('@').ok_or(InvalidEmail)?;
        let local_fits = (1..=LOCAL_PART_LENGTH_MOST).contains(&local.len())
            && local
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&b));
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let fits = text.len() <= LENGTH_MOST
            && local_fits
            && domain.contains('.')
            && domain.split('.').all(is_label);
        if fits {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(InvalidEmail)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_kept_in_lower_case() {
        assert_eq!(
            " Ada.Lovelace+x@Example.COM"
                .parse::<Email>()
                .expect("an address")
                .as_str(),
            "ada.lovelace+x@example.com"
        );
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("{}@example.com", "a".repeat(65));
        for text in [
            "",
            "ada",
            "ada@",
            "@example.com",
            "ada@localhost",
            "a da@example.com",
            "ada@-a.com",
            "ada@a..com",
            "a@b@c.com",
            "ada@exa\0mple.com",
            &long,
        ] {
            assert_eq!(text.parse::<Email>(), Err(InvalidEmail), "{text}");
        }
    }
}
