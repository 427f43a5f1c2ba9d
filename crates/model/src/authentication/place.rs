//! Where in a request a value is.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The longest name of a header or parameter, and the longest pointer, in bytes.
const NAME_BYTES: usize = 200;
/// How deep a pointer may lead.
const POINTER_DEPTH: usize = 16;

/// Where in a request a value is. A parameter or field that is there twice counts as malformed, since nobody can say
/// which of them the flow would take; the lines of a header are joined by `, `.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "in", rename_all = "snake_case", deny_unknown_fields)]
#[schema(as = AuthenticationPlace, example = json!({"in": "header", "name": "x-signature"}))]
pub enum Place {
    /// A header.
    Header {
        /// Its name; case does not matter.
        name: HeaderName,
    },
    /// A query parameter, decoded.
    Query {
        /// Its name; case matters.
        name: ParameterName,
    },
    /// A field of a body of type `application/x-www-form-urlencoded`, decoded.
    Form {
        /// Its name; case matters.
        name: ParameterName,
    },
    /// A value in a JSON body.
    Body {
        /// Where it is. With `items`, it starts at the item.
        pointer: Pointer,
    },
    /// The value of a key in a header that holds pairs, such as `t=1700000000,v1=5257a869…`. Blanks count.
    Pair {
        /// The header; case does not matter.
        header: HeaderName,
        /// The key; case matters.
        key: String,
        /// What stands between two pairs.
        #[serde(default = "comma")]
        #[schema(default = ",", example = ",")]
        separator: String,
    },
}

fn comma() -> String {
    ",".into()
}

impl Place {
    /// Whether the value is in the body.
    pub(super) fn is_in_body(&self) -> bool {
        matches!(self, Self::Form { .. } | Self::Body { .. })
    }
}

/// Declares a text that is checked when it is read.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $example:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(try_from = "Cow<'_, str>", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl TryFrom<Cow<'_, str>> for $name {
            type Error = InvalidPlace;
            fn try_from(text: Cow<'_, str>) -> Result<Self, InvalidPlace> {
                Self::parse(&text)
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                utoipa::openapi::schema::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .min_length(Some(0))
                    .max_length(Some(NAME_BYTES))
                    .examples([$example])
                    .into()
            }
        }
        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }
        }
    };
}

checked_text! {
    /// The name of a header (RFC 9110, section 5.1), in lower case.
    HeaderName, "x-signature"
}
checked_text! {
    /// The name of a query parameter or form field.
    ParameterName, "signature"
}
checked_text! {
    /// A JSON Pointer (RFC 6901), such as `/data/id`.
    Pointer, "/signature"
}

/// The text names no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPlace {
    /// Not the name of a header.
    #[error("expected the name of a header: up to 200 letters, digits and `-`, `_` or `.`")]
    HeaderName,
    /// Not the name of a parameter.
    #[error("expected the name of a parameter: 1 to 200 characters")]
    ParameterName,
    /// Not a pointer.
    #[error("expected a JSON Pointer such as `/data/id`: up to 200 characters and 16 levels")]
    Pointer,
}

impl HeaderName {
    /// `authorization`.
    pub fn authorization() -> Self {
        Self("authorization".into())
    }

    /// Reads a name; case does not matter.
    ///
    /// # Errors
    /// When HTTP allows no such name.
    pub fn parse(text: &str) -> Result<Self, InvalidPlace> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if (1..=NAME_BYTES).contains(&text.len()) && text.bytes().all(fits) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(InvalidPlace::HeaderName)
        }
    }
}

impl ParameterName {
    /// Reads a name.
    ///
    /// # Errors
    /// When it is empty or too long.
    pub fn parse(text: &str) -> Result<Self, InvalidPlace> {
        if (1..=NAME_BYTES).contains(&text.len()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidPlace::ParameterName)
        }
    }
}

impl Pointer {
    /// Reads a pointer. The whole document (an empty pointer) is none.
    ///
    /// # Errors
    /// When it is no pointer, too long or too deep.
    pub fn parse(text: &str) -> Result<Self, InvalidPlace> {
        let escapes_are_right = text
            .split('~')
            .skip(1)
            .all(|rest| rest.starts_with('0') || rest.starts_with('1'));
        let depth = text.matches('/').count();
        if text.starts_with('/') && text.len() <= NAME_BYTES && depth <= POINTER_DEPTH && escapes_are_right {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidPlace::Pointer)
        }
    }

    /// The pointer to a member of the document.
    pub(super) fn to_member(name: &str) -> Self {
        Self(format!("/{}", name.replace('~', "~0").replace('/', "~1")))
    }

    /// The keys and indices on the way.
    pub fn segments(&self) -> impl Iterator<Item = String> {
        self.0
            .split('/')
            .skip(1)
            .map(|segment| segment.replace("~1", "/").replace("~0", "~"))
    }
}
