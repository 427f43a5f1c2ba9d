//! What a signature or a digest covers: parts of the request, one after the other.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::place::{HeaderName, ParameterName, Place, Pointer};
use super::problem::{Problem, ProblemCode, check_count, check_text};

/// How many parts there may be, and how many fields in one of them.
const MAX_PARTS: usize = 32;
/// The longest constant, in characters.
const MAX_TEXT: usize = 1000;

/// A part of what is signed. The parts are joined as they are; write what stands between them as `text`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "part", rename_all = "snake_case", deny_unknown_fields)]
#[schema(as = SignedPart, example = json!({"part": "body"}))]
pub enum Part {
    /// A constant.
    Text {
        /// The constant.
        #[schema(example = ".", max_length = 1000)]
        text: String,
    },
    /// The exact bytes of the body.
    Body {},
    /// A hash of the body.
    BodyHash {
        /// Which hash.
        hash: Hash,
        /// How it is written.
        #[serde(default)]
        encoding: Encoding,
    },
    /// The CRC-32 of the body, as a decimal number.
    BodyCrc32 {},
    /// The value of a header.
    Header {
        /// Its name; case does not matter.
        name: HeaderName,
    },
    /// The values of the headers that a value of the request names, one after the other.
    ListedHeaders {
        /// Where the list of names is. Let it itself be among what is signed.
        list: Place,
        /// What stands between two names.
        #[serde(default = "space")]
        #[schema(default = " ", example = " ")]
        list_separator: String,
        /// What is put between two values.
        #[serde(default = "dot")]
        #[schema(default = ".", example = ".")]
        separator: String,
    },
    /// Any value of the request, as it was sent.
    Value {
        /// Where it is.
        at: Place,
    },
    /// The method, in upper case.
    Method {},
    /// The public URL as it was configured, with the path and query as they were sent.
    Url {
        /// In which form.
        #[serde(default)]
        form: UrlForm,
    },
    /// The path and, after `?`, the query, as they were sent to this webhook's URL.
    PathAndQuery {},
    /// The time of signing, as it was sent: see `timestamp`.
    Timestamp {},
    /// All fields of a form, sorted by name, each as name and value. A body of another type must be empty.
    SortedForm {},
    /// Values in a JSON body, as text.
    JsonValues {
        /// Where they are. What is not there, or null, is an empty text.
        #[schema(max_items = 32)]
        pointers: Vec<Pointer>,
        /// What is put between two values.
        #[serde(default)]
        #[schema(example = ":")]
        separator: String,
        /// Whether `\` and `:` in a value are written as `\\` and `\:`.
        #[serde(default)]
        escape: bool,
    },
    /// Fields of a JSON body as lines: the name, a line feed, the value, a line feed. What is not there is left out. Only the
    /// first may hold a line feed itself.
    JsonLines {
        /// The names of the fields.
        #[schema(max_items = 32)]
        names: Vec<ParameterName>,
    },
    /// The secret; for `digest` alone.
    Secret {},
}

fn space() -> String {
    " ".into()
}
fn dot() -> String {
    ".".into()
}

/// A hash function.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = HashFunction)]
pub enum Hash {
    /// SHA-1, for senders that offer nothing better. In an HMAC it still holds.
    Sha1,
    /// SHA-256.
    #[default]
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// How bytes are written as text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = BytesEncoding)]
pub enum Encoding {
    /// Two hexadecimal digits for each byte, in any case.
    #[default]
    Hex,
    /// Base64 (RFC 4648, section 4), padded.
    Base64,
    /// Base64 for URLs (RFC 4648, section 5), padded or not.
    Base64url,
}

/// In which form the public URL is signed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = UrlForm)]
pub enum UrlForm {
    /// As it was configured and sent.
    #[default]
    Exact,
    /// With the percent-encoded characters decoded that HubSpot decodes: `:/?@!$'()*,;`.
    Decoded,
    /// With the scheme's port, when it names none.
    WithPort,
    /// Without the port that it names.
    WithoutPort,
}

/// What a part refers to, besides the request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around<'s> {
    /// Where the time of signing is.
    pub timestamp: Option<&'s Place>,
    /// Whether the secret may be a part.
    pub takes_secret: bool,
}

/// Notes what cannot work in a list of parts.
pub(super) fn check(problems: &mut Vec<Problem>, parts: &[Part], around: Around<'_>) {
    check_count(problems, "/content", parts.len(), MAX_PARTS);
    for (index, part) in parts.iter().enumerate() {
        let at = format!("/content/{index}");
        match part {
            Part::Text { text } => check_text(problems, &format!("{at}/text"), text, MAX_TEXT),
            Part::Timestamp {} if around.timestamp.is_none() => problems.push(Problem::new(
                at,
                ProblemCode::Invalid,
                "there is no `timestamp` that says where the time of signing is",
            )),
            Part::Secret {} if !around.takes_secret => problems.push(Problem::new(
                at,
                ProblemCode::Invalid,
                "the secret is the key here; only a digest may hold it",
            )),
            Part::JsonValues {
                pointers, separator, ..
            } => {
                check_count(problems, &format!("{at}/pointers"), pointers.len(), MAX_PARTS);
                check_text(problems, &format!("{at}/separator"), separator, MAX_TEXT);
            }
            Part::JsonLines { names } => {
                check_count(problems, &format!("{at}/names"), names.len(), MAX_PARTS);
            }
            Part::ListedHeaders {
                list_separator,
                separator,
                ..
            } => {
                check_text(problems, &format!("{at}/separator"), separator, MAX_TEXT);
                if list_separator.is_empty() {
                    problems.push(Problem::new(
                        format!("{at}/list_separator"),
                        ProblemCode::Required,
                        "may not be empty",
                    ));
                }
            }
            _ => {}
        }
    }
    if let Some(place) = around.timestamp
        && !parts.iter().any(|part| part.covers(place))
    {
        problems.push(Problem::new(
            "/timestamp/at",
            ProblemCode::Invalid,
            "is not signed, so that anybody could change it: put a part `timestamp` into `content`",
        ));
    }
}

impl Part {
    /// Whether a change of the value at a place changes the part.
    fn covers(&self, place: &Place) -> bool {
        match self {
            Self::Timestamp {} => true,
            Self::Body {} | Self::BodyHash { .. } => place.is_in_body(),
            Self::Header { name } => matches!(place, Place::Header { name: other } if other == name),
            Self::Value { at } => at == place,
            Self::Url { .. } | Self::PathAndQuery {} => matches!(place, Place::Query { .. }),
            Self::SortedForm {} => matches!(place, Place::Form { .. }),
            Self::JsonValues { pointers, .. } => {
                matches!(place, Place::Body { pointer } if pointers.contains(pointer))
            }
            Self::JsonLines { names } => names.iter().any(
                |name| matches!(place, Place::Body { pointer } if *pointer == Pointer::to_member(name.as_str())),
            ),
            Self::Text { .. } | Self::BodyCrc32 {} | Self::ListedHeaders { .. } | Self::Method {} | Self::Secret {} => false,
        }
    }
}
