//! The set of HTTP methods that a webhook accepts.

use std::fmt;

/// The methods a webhook can accept, in the order in which they are listed.
pub const KNOWN: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// A set of methods, never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MethodSet(u8);

/// Why a list of methods is no set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMethods {
    /// The list is empty.
    #[error("name at least one method: GET, POST, PUT, PATCH or DELETE")]
    Empty,
    /// The list names something else.
    #[error("{0:?} is not one of GET, POST, PUT, PATCH, DELETE (in upper case)")]
    Unknown(String),
}

impl MethodSet {
    /// POST alone: the default.
    pub const POST: Self = Self(1 << 1);

    /// Reads a list; naming a method twice does no harm.
    ///
    /// # Errors
    /// For an empty list, or an unknown method.
    pub fn parse<T: AsRef<str>>(names: &[T]) -> Result<Self, InvalidMethods> {
        let mut bits = 0;
        for name in names {
            let name = name.as_ref();
            let place = KNOWN.iter().position(|&known| known == name);
            bits |= 1 << place.ok_or_else(|| InvalidMethods::Unknown(name.chars().take(20).collect()))?;
        }
        if bits == 0 {
            Err(InvalidMethods::Empty)
        } else {
            Ok(Self(bits))
        }
    }

    /// Whether the method is in the set.
    pub fn contains(self, method: &str) -> bool {
        self.iter().any(|known| known == method)
    }

    /// The methods with those that come with them, in the form of the `Allow` header.
    pub fn allow(self) -> String {
        let head = if self.contains("GET") { "HEAD, " } else { "" };
        format!("{self}, {head}OPTIONS")
    }

    /// The methods, in their usual order.
    pub fn iter(self) -> impl Iterator<Item = &'static str> {
        KNOWN
            .into_iter()
            .enumerate()
            .filter(move |(place, _)| self.0 & 1 << place != 0)
            .map(|(_, name)| name)
    }
}

/// The form of the `Allow` header.
impl fmt::Display for MethodSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, name) in self.iter().enumerate() {
            write!(f, "{}{name}", if place == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_becomes_a_set() {
        let set = MethodSet::parse(&["PUT", "GET", "PUT"]).expect("a set");
        assert_eq!(set.to_string(), "GET, PUT");
        assert_eq!(set.allow(), "GET, PUT, HEAD, OPTIONS");
        assert_eq!(MethodSet::POST.allow(), "POST, OPTIONS");
        assert!(set.contains("GET") && !set.contains("POST") && !set.contains("get"));
        assert_eq!(MethodSet::parse(&["POST"]), Ok(MethodSet::POST));
    }

    #[test]
    fn what_is_no_method_is_refused() {
        assert_eq!(MethodSet::parse::<&str>(&[]), Err(InvalidMethods::Empty));
        assert!(
            MethodSet::parse(&["post"])
                .expect_err("lower case")
                .to_string()
                .contains("upper case")
        );
        assert!(MethodSet::parse(&["TRACE"]).is_err());
    }
}
